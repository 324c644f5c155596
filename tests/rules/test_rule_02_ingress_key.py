"""Rule 2: a request sent again is known again for ten minutes, over restarts too; later it is real mail."""

from __future__ import annotations

from typing import Any

import pytest

from tests.actors.bench import Bench, flow


@pytest.mark.parametrize("restart", [False, True])
def test_a_retransmission_after_a_restart_is_no_second_message(restart: bool) -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        first = bench.send("alice", "bob", call_id=b"c1")
        if restart:
            bench.restart()
        again = bench.send("alice", "bob", call_id=b"c1")
        assert (again.status, again.message_id) == (202, first.message_id)
        assert bench.waiting() == 1


def test_a_generator_that_counts_from_one_again_loses_nothing_after_ten_minutes() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        first = bench.send("alice", "bob", call_id=b"c1")
        bench.accept_all()
        bench.advance(1300)
        second = bench.send("alice", "bob", call_id=b"c1")
        assert second.message_id != first.message_id


@pytest.mark.parametrize(
    "other",
    [{"cseq": 2}, {"body": b"other"}, {"call_id": b"c2"}, {"over": flow(9)}],
    ids=["CSeq", "body", "Call-ID", "source"],
)
def test_two_different_messages_never_count_as_one(other: dict[str, Any]) -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        usual: dict[str, Any] = {"call_id": b"c1"}
        bench.send("alice", "bob", **usual)
        bench.send("alice", "bob", **(usual | other))
        assert bench.waiting() == 2
