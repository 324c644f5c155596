"""Rule 15: a life is a remaining time: a wrong clock ends none, a restart takes at most a day, a flight its time."""

from __future__ import annotations

import pytest

from actors.client_manager.core import ClientSettings
from actors.model import Header
from tests.actors.bench import TEXT, Bench, flow

HOUR, YEAR = 3600.0, 31_557_600.0


def away(bench: Bench) -> None:
    bench.register("alice", over=flow(1), expires=7200)
    bench.register("bob", over=flow(2))
    bench.register("bob", over=flow(2), expires=0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 10 * YEAR, -10 * YEAR])
@pytest.mark.parametrize("restart", [False, True])
def test_a_wrong_clock_expires_nothing(jump: float, restart: bool) -> None:
    with Bench() as bench:
        away(bench)
        bench.send("alice", "bob")
        bench.clock.jump_wall(jump)
        if restart:
            bench.restart()
        bench.advance(60)
        assert bench.waiting() == 1
        bench.register("bob", over=flow(2))
        assert b"hello" in bench.accept_all()


def test_each_expired_message_has_exactly_one_notice() -> None:
    with Bench() as bench:
        away(bench)
        for number in range(5):
            bench.send("alice", "bob", b"%d" % number, life=60)
        bench.advance(59)
        assert bench.waiting() == 5
        bench.advance(5)
        notices = bench.accept_all()
        assert len(notices) == 5
        assert bench.waiting() == 0
        bench.advance(600)
        assert bench.accept_all() == []


def test_more_than_a_batch_expires_without_waiting_a_second_for_each() -> None:
    with Bench() as bench:
        away(bench)
        for number in range(450):
            bench.send("alice", "bob", b"%d" % number, life=60, over=flow(9))
        bench.advance(62)
        assert bench.waiting() == 0


def test_a_message_in_flight_expires_only_after_its_transaction() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", life=5)
        sent = bench.send_of()
        bench.advance(20)
        assert bench.waiting() == 1
        bench.respond(sent)
        assert bench.waiting() == 0
        bench.send("alice", "bob", life=5)
        bench.time_out(bench.send_of())
        bench.advance(3)
        assert bench.waiting() == 0


def test_expires_zero_is_for_who_is_there_now() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        assert bench.send("alice", "bob", b"now", life=0).status == 202
        assert bench.accept_all() == [b"now"]
        bench.register("bob", over=flow(2), expires=0)
        assert bench.send("alice", "bob", b"later", life=0).status == 202
        bench.advance(2)
        assert bench.waiting() == 0


def test_a_life_is_never_longer_than_the_nodes() -> None:
    with Bench(settings=ClientSettings(open_mode=True, message_life=60)) as bench:
        away(bench)
        bench.send("alice", "bob", life=1e9, over=flow(9))
        bench.advance(62)
        assert bench.waiting() == 0


def test_a_date_far_from_ours_is_replaced() -> None:
    def date(headers: tuple[Header, ...]) -> list[bytes]:
        return [value for name, value in headers if name == b"Date"]

    ours, near = b"Sun, 13 Sep 2020 12:26:40 GMT", b"Sun, 13 Sep 2020 12:30:00 GMT"
    far = b"Sat, 01 Jan 2000 00:00:00 GMT"
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        for given, kept in (((), ours), ((near,), near), ((far,), ours), ((b"yesterday",), ours)):
            bench.send("alice", "bob", headers=(*TEXT, *((b"Date", value) for value in given)))
            sent = bench.send_of()
            assert date(sent.headers) == [kept]
            bench.respond(sent)
