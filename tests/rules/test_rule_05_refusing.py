"""Rule 5: what is not committed ten seconds after its arrival is refused and not stored; 503 bears Retry-After."""

from __future__ import annotations

from actors.messages.client_manager import SubmitMessages
from tests.actors.bench import Bench, flow


def test_a_phone_that_has_been_told_failed_gets_nothing_delivered() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        late = bench.submission("alice", "bob", arrived=bench.clock.monotonic() - 10.5)
        bench.tell(SubmitMessages(items=(late,)))
        answer = bench.answer(late)
        assert answer.status == 503
        assert bench.waiting() == 0
        assert bench.sends() == []


def test_retry_after_is_one_to_five_seconds_at_random() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        past = bench.clock.monotonic() - 11
        waits = {bench.send("alice", "bob", b"%d" % n, arrived=past).retry_after for n in range(60)}
        assert waits == {1, 2, 3, 4, 5}


def test_a_register_is_never_too_late() -> None:
    with Bench() as bench:
        request = bench.registration("bob")
        assert not hasattr(request, "arrived")
        assert bench.register("bob").status == 200
