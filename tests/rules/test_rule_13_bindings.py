"""Rule 13: a spoofed sign of life draws one datagram, a spoofed address none; streams of the last run are gone."""

from __future__ import annotations

from actors.model import Flow
from tests.actors.bench import Bench, contact, flow

VICTIM = Flow("udp", 0, "203.0.113.5", 5060)


def test_many_signs_of_life_draw_one_datagram_in_thirty_seconds() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob")
        bench.time_out(bench.send_of())
        for _ in range(20):
            bench.seen(flow(2))
        again = bench.send_of()
        bench.respond(again, 503, answered=False)
        for _ in range(20):
            bench.seen(flow(2))
        assert bench.sends() == []


def test_an_address_beyond_this_machine_gets_mail_only_after_it_answered() -> None:
    with Bench() as bench:
        bench.register("bob", over=VICTIM)
        bench.send("alice", "bob", b"x" * 1200)
        probe = bench.send_of()
        assert (probe.method, probe.body, probe.flow) == ("OPTIONS", b"", VICTIM)
        bench.respond(probe, 408, answered=False)
        bench.advance(1)
        assert [request.method for request in bench.sends()] in ([], ["OPTIONS"])


def test_it_must_answer_again_after_ten_minutes_of_silence() -> None:
    with Bench() as bench:
        bench.register("bob", over=VICTIM)
        bench.send("alice", "bob", b"one")
        bench.respond(bench.send_of())
        assert bench.accept_all() == [b"one"]
        bench.advance(500)
        bench.send("alice", "bob", b"two")
        assert bench.accept_all() == [b"two"]
        bench.advance(601)
        bench.send("alice", "bob", b"three")
        assert bench.send_of().method == "OPTIONS"


def test_an_answer_proves_the_address_it_came_from_only() -> None:
    mine = Flow("udp", 0, "198.51.100.7", 5060)
    with Bench() as bench:
        bench.register("bob", over=mine)
        bench.send("alice", "bob")
        probe = bench.send_of()
        bench.register("bob", over=VICTIM)
        bench.respond(probe)
        assert [request.method for request in bench.sends() if request.flow == VICTIM] == ["OPTIONS"]


def test_stream_bindings_live_short_without_keep_alives_and_not_beyond_the_run() -> None:
    stream = flow(2, transport="tcp", connection=7)
    with Bench() as bench:
        answer = bench.register("bob", over=stream)
        assert [line.expires for line in answer.contacts] == [120]
        bench.seen(stream)
        answer = bench.register("bob", over=stream)
        assert [line.expires for line in answer.contacts] == [3600]
        bench.send("alice", "bob")
        assert bench.send_of().flow == stream
        bench.restart()
        assert bench.sends() == []  # another phone may have that address, port and number now
        user = bench.user("bob")
        assert user is not None
        assert [device.bindings for device in user.devices] == [()]
        bench.register("bob", over=flow(3, transport="tcp", connection=1))
        assert bench.accept_all() == [b"hello"]


def test_a_closed_connection_ends_its_bindings_and_keeps_the_mail() -> None:
    stream = flow(2, transport="tcp", connection=7)
    with Bench() as bench:
        bench.register("bob", over=stream)
        bench.closed(stream)
        bench.send("alice", "bob")
        assert bench.sends() == []
        assert bench.waiting() == 1


def test_mail_goes_to_the_flow_not_to_the_contact() -> None:
    with Bench() as bench:
        bench.register("bob", contact("bob", "192.168.1.2"), over=flow(2))
        bench.send("alice", "bob")
        sent = bench.send_of()
        assert (sent.flow, sent.target) == (flow(2), b"sip:bob@192.168.1.2:5060")


def test_a_device_that_moved_gets_what_was_under_way_once_at_its_new_address() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        for body in (b"one", b"two"):
            bench.send("alice", "bob", body)
        old = bench.send_of()
        bench.register("bob", over=flow(3))
        new = bench.send_of()
        assert (new.token, new.flow) == (old.token, flow(3))
        bench.respond(new)
        bench.respond(old, 408, answered=False)
        assert bench.accept_all() == [b"two"]
        assert bench.waiting() == 0
