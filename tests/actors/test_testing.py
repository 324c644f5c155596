"""The helpers for tests: probes, virtual time, one actor among probes."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import pytest

from actors.base import ActorBase, Context
from actors.messages.lifecycle import ActorFailed, Ping, Pong, Wake
from actors.model import Value
from actors.ref import Ref
from actors.testing import (
    Probe,
    VirtualClock,
    VirtualScheduler,
    actor_context,
    running,
    start_probe,
)


class Greet(Value, frozen=True, gc=False):
    """Asks an `Echo` to greet somebody."""

    whom: str


class Echo(ActorBase[Greet | Wake]):
    """Gathers greetings until it flushes; greets nobody by raising; sets a timer for `later`."""

    name = "echo"

    def __init__(self, *, context: Context, listener: Ref[Any]) -> None:
        super().__init__(context=context)
        self._listener = listener
        self._gathered: list[Greet] = []

    def handle(self, message: Greet | Wake) -> None:
        if isinstance(message, Wake):
            self._listener.tell(message)
        elif not message.whom:
            raise ValueError("nobody to greet")
        elif message.whom == "later":
            self.context.scheduler.after(5, self.ref, Wake(id=1))
        else:
            self._gathered.append(message)

    def flush(self) -> None:
        gathered, self._gathered = self._gathered, []
        for greeting in gathered:
            self._listener.tell(greeting)


def test_probe_takes_the_oldest_of_a_type() -> None:
    probe = Probe()
    for message in (Wake(id=1), Greet(whom="a"), Wake(id=2)):
        probe.tell(message)
    assert probe.expect(Greet).whom == "a"
    assert probe.expect(Wake, where=lambda wake: wake.id == 2).id == 2
    assert probe.expect(Wake).id == 1
    probe.expect_none()
    assert len(probe.messages) == 3
    assert probe.of(Greet) == (Greet(whom="a"),)


def test_probe_waits_for_another_thread() -> None:
    probe = Probe()
    teller = threading.Thread(target=lambda: probe.tell(Wake(id=7)))
    teller.start()
    assert probe.expect(Wake).id == 7
    probe.wait(lambda messages: len(messages) == 1)
    teller.join()


def test_probe_says_what_it_heard_instead() -> None:
    probe = Probe("router")
    probe.tell(Greet(whom="b"))
    with pytest.raises(AssertionError, match=r"router heard no Wake.*Greet"):
        probe.expect(Wake, timeout=0)
    with pytest.raises(AssertionError, match="Greet"):
        probe.expect_none(Greet)
    probe.expect_none(Wake)
    with pytest.raises(AssertionError, match="in vain"):
        probe.wait(lambda messages: len(messages) == 2, timeout=0)
    assert probe.take_all() == (Greet(whom="b"),)
    probe.expect_none()


def test_timers_fire_by_time_then_by_setting() -> None:
    scheduler = VirtualScheduler(VirtualClock(monotonic=0.0, wall=100.0))
    probe = Probe()
    for delay, number in ((2, 1), (1, 2), (2, 3), (9, 4)):
        scheduler.after(delay, probe, Wake(id=number))
    scheduler.advance(2)
    assert [wake.id for wake in probe.of(Wake)] == [2, 1, 3]
    assert (scheduler.clock.monotonic(), scheduler.clock.wall()) == (2.0, 102.0)
    assert scheduler.next_due == 9.0
    scheduler.clock.jump_wall(-3600)
    assert (scheduler.clock.monotonic(), scheduler.clock.wall()) == (2.0, -3498.0)


def test_an_actor_serves_among_probes() -> None:
    listener = Probe()
    with running(Echo, listener=listener) as echo:
        echo.serve(Greet(whom="alice"), Greet(whom="bob"))
        assert [greeting.whom for greeting in listener.of(Greet)] == ["alice", "bob"]
        echo.serve(Greet(whom="later"))
        echo.advance(4.9)
        listener.expect_none(Wake)
        echo.advance(0.1)
        listener.expect(Wake)


def test_a_failure_nobody_expected_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="nobody to greet"), running(Echo, listener=Probe()) as echo:
        echo.tell(Greet(whom=""))
    with running(Echo, listener=Probe()) as echo:
        echo.tell(Greet(whom=""))
        assert echo.failures.expect(ActorFailed).command == "Greet"


def test_a_stopped_actor_does_not_settle() -> None:
    with running(Echo, listener=Probe()) as echo:
        echo.stop()
        with pytest.raises(AssertionError, match="echo has stopped"):
            echo.settle(timeout=0)


def test_start_probe_is_a_real_actor() -> None:
    with start_probe() as (actor, probe):
        actor.serve(Greet(whom="carol"))
        probe.expect(Greet)
        actor.serve(Ping(reply_to=probe, id=3))
        assert probe.expect(Pong) == Pong(actor="probe", id=3)


def test_context_takes_what_it_is_given() -> None:
    clock = VirtualClock()
    scheduler = VirtualScheduler(clock)
    assert actor_context(scheduler=scheduler).clock is clock
    assert actor_context(clock=clock).clock is clock
    assert set(msgspec.structs.asdict(actor_context())) == {
        "clock",
        "scheduler",
        "supervisor",
        "dead_letters",
        "debug",
    }
