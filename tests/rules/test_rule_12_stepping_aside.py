"""Rule 12: one bad body does not block all later mail; it is kept and tried again, once at each registration."""

from __future__ import annotations

from actors.client_manager.core import ClientSettings
from tests.actors.bench import Bench, flow


def deaf_to_one(bench: Bench, tries: int = 5) -> None:
    """Bob's phone lives, but never answers `bad`."""
    bench.register("bob", over=flow(2))
    bench.send("alice", "bob", b"bad")
    bench.send("alice", "bob", b"good")
    for _ in range(tries):
        sent = bench.send_of()
        assert sent.body == b"bad"
        bench.time_out(sent)
        bench.register("bob", over=flow(2))


def test_later_mail_goes_on_and_the_bad_one_is_tried_at_the_next_registration() -> None:
    with Bench() as bench:
        deaf_to_one(bench)
        good = bench.send_of()
        assert good.body == b"good"
        bench.respond(good)
        again = bench.send_of()
        assert again.body == b"bad"
        bench.time_out(again)
        bench.send("alice", "bob", b"more")
        bench.advance(10)
        assert bench.accept_all() == [b"more"]
        assert bench.waiting() == 1
        bench.register("bob", over=flow(2))
        bench.respond(bench.send_of())
        assert bench.waiting() == 0


def test_a_dead_device_is_no_reason_to_step_aside() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", b"first")
        bench.send("alice", "bob", b"second")
        for _ in range(7):
            (sent,) = bench.sends()
            assert sent.body == b"first"
            bench.time_out(sent)
            bench.advance(400)
        bench.register("bob", over=flow(2))
        assert bench.accept_all() == [b"first", b"second"]


def test_what_stepped_aside_outlives_a_restart() -> None:
    with Bench() as bench:
        deaf_to_one(bench)
        bench.respond(bench.send_of())
        bench.restart()
        bench.send("alice", "bob", b"more")
        assert bench.accept_all() == [b"more"]
        bench.register("bob", over=flow(2))
        assert bench.accept_all() == [b"bad"]
        assert bench.waiting() == 0


def test_what_stepped_aside_expires_with_a_notice() -> None:
    with Bench(settings=ClientSettings(open_mode=True, message_life=1000)) as bench:
        bench.register("alice", over=flow(1))
        deaf_to_one(bench)
        bench.respond(bench.send_of())
        bench.time_out(bench.send_of())
        assert bench.waiting() == 1
        bench.advance(1000)
        (notice,) = bench.accept_all()
        assert b"expired" in notice
        assert bench.waiting() == 0
