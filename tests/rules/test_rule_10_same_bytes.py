"""Rule 10: after a restart a device gets the same bytes, so that its own transaction absorbs the repeat."""

from __future__ import annotations

import msgspec

from actors.messages.requests import OutboundRequest
from tests.actors.bench import Bench, flow


def on_the_wire(request: OutboundRequest) -> OutboundRequest:
    return msgspec.structs.replace(request, delivery=0)


def test_the_repeat_after_a_restart_is_the_same_request() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob")
        before = bench.send_of()
        bench.restart()
        assert on_the_wire(bench.send_of()) == on_the_wire(before)


def test_only_a_full_timer_f_makes_a_new_attempt_and_a_restart_keeps_it() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob")
        first = bench.send_of()
        bench.respond(first, 503, answered=False)  # the socket failed: nobody got it
        bench.advance(6)
        assert on_the_wire(bench.send_of()) == on_the_wire(first)
        bench.restart()
        second = bench.send_of()
        bench.time_out(second)
        bench.advance(6)
        third = bench.send_of()
        assert third.token != first.token
        assert (third.cseq, third.call_id) == (first.cseq + 1, first.call_id)
        bench.restart()
        assert on_the_wire(bench.send_of()) == on_the_wire(third)


def test_the_call_id_is_the_senders_suffixed_if_he_used_it_before() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", b"one", call_id=b"c1", cseq=1)
        second = bench.send("alice", "bob", b"two", call_id=b"c1", cseq=2)
        one = bench.send_of()
        bench.respond(one)
        two = bench.send_of()
        assert one.call_id == b"c1"
        assert second.message_id is not None
        assert two.call_id == b"c1-" + second.message_id.encode()


def test_each_device_and_each_message_has_a_token_of_its_own() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.register("carol", over=flow(3))
        for recipient in ("bob", "carol"):
            bench.send("alice", recipient, call_id=b"same")
        tokens = {request.token for request in bench.sends()}
        assert len(tokens) == 2
        assert all(len(token) == 32 for token in tokens)
