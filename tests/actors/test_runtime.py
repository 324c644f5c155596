"""Where actors live: threads, network loops with and without uvloop, timers. No test sleeps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.base import ActorBase, Context, start_actor
from actors.messages.lifecycle import ActorFailed, Ping, Pong, Wake
from actors.ref import ActorRef, DeadLetters
from actors.runtime import LoopInbox, LoopRuntime, SystemClock, ThreadRuntime, ThreadScheduler
from actors.testing import Probe, actor_context

NewLoop = Callable[[], asyncio.AbstractEventLoop]


def uvloop_loop() -> asyncio.AbstractEventLoop:
    """Make a loop of uvloop, or skip the test where it does not exist."""
    uvloop = pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS: list[NewLoop] = [asyncio.new_event_loop, uvloop_loop]


class Where(ActorBase[Any]):
    """Tells where it runs, and what it is told."""

    name = "where"

    def __init__(self, *, context: Context, told: Probe) -> None:
        super().__init__(context=context)
        self._told = told

    def on_start(self) -> None:
        self._told.tell(("started", threading.current_thread().name))

    def handle(self, message: Any) -> None:
        if message == "break":
            raise ValueError("broken")
        if message == "stop":
            self.stop()
        if message == "loop":
            # Called by the loop itself, between two drains.
            asyncio.get_running_loop().call_soon(self._told.tell, "from the loop")
        self._told.tell(message)

    def flush(self) -> None:
        self._told.tell("flushed")

    def release(self) -> None:
        self._told.tell(("released", threading.current_thread().name))


def ref_thread(ref: ActorRef[Any]) -> str:
    """Name the thread that an actor of that inbox lives on."""
    shared = isinstance(ref.pykka_ref.actor_inbox, LoopInbox)
    return "angarium-loop" if shared else f"angarium-{ref.name}"


@pytest.fixture(params=[ThreadRuntime, *LOOPS], ids=["threads", "asyncio", "uvloop"])
def actor(request: pytest.FixtureRequest) -> Iterator[tuple[ActorRef[Any], Probe, Probe]]:
    """One actor with what it tells and its failures, in each runtime."""
    runtime = ThreadRuntime() if request.param is ThreadRuntime else LoopRuntime(request.param)
    told, failures = Probe("told"), Probe("failures")
    ref = start_actor(Where, runtime, actor_context(supervisor=failures), told=told)
    yield ref, told, failures
    ref.pykka_ref.stop(timeout=3)


def test_it_serves_in_order_on_one_thread_of_its_own(actor: tuple[ActorRef[Any], Probe, Probe]) -> None:
    ref, told, _ = actor
    for number in range(500):
        ref.tell(number)
    told.wait(lambda messages: 499 in messages)
    assert told.of(int) == tuple(range(500))
    assert told.expect(tuple) == ("started", ref_thread(ref))


def test_it_hears_many_threads(actor: tuple[ActorRef[Any], Probe, Probe]) -> None:
    ref, told, _ = actor

    def tell_many() -> None:
        for number in range(200):
            ref.tell(number)

    threads = [threading.Thread(target=tell_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.wait(lambda messages: len(told.of(int)) == 800)


def test_it_contains_failures(actor: tuple[ActorRef[Any], Probe, Probe]) -> None:
    ref, told, failures = actor
    asker = Probe("asker")
    ref.tell("break")
    ref.tell(Ping(reply_to=asker, id=1))
    assert asker.expect(Pong).actor == "where"
    assert failures.expect(ActorFailed).command == "str"
    told.wait(lambda messages: "flushed" in messages)


def test_it_stops_after_what_it_was_told_before(actor: tuple[ActorRef[Any], Probe, Probe]) -> None:
    ref, told, _ = actor
    ref.tell("last words")
    assert ref.pykka_ref.stop(timeout=3)
    assert "last words" in told.messages
    assert told.messages[-2:] == ("flushed", ("released", ref_thread(ref)))
    ref.tell("too late")
    assert "too late" not in told.messages


def test_it_can_stop_itself(actor: tuple[ActorRef[Any], Probe, Probe]) -> None:
    ref, told, _ = actor
    ref.tell("stop")
    told.wait(lambda messages: ("released", ref_thread(ref)) in messages)
    assert not ref.alive


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_a_loop_serves_sockets_and_messages_in_one_thread(new_loop: NewLoop) -> None:
    told = Probe()
    ref = start_actor(Where, LoopRuntime(new_loop), actor_context(), told=told)
    ref.tell("loop")
    told.wait(lambda messages: "from the loop" in messages)
    ref.pykka_ref.stop(timeout=3)


@pytest.mark.parametrize("new_loop", LOOPS, ids=["asyncio", "uvloop"])
def test_an_actor_that_cannot_start_ends_its_loop_and_thread(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Where):
        """Cannot start."""

        def on_start(self) -> None:
            raise OSError("address in use")

    dead_letters = DeadLetters()
    context = actor_context(dead_letters=dead_letters)
    before = set(threading.enumerate())
    ref = start_actor(Broken, LoopRuntime(new_loop), context, told=Probe())
    for thread in set(threading.enumerate()) - before:
        thread.join(3)
        assert not thread.is_alive()
    ref.tell("anyone there?")
    assert dead_letters.counts == {"where": 1}
    assert "address in use" in caplog.text


def test_timers_tell_in_order_of_time() -> None:
    scheduler, told = ThreadScheduler(), Probe()
    try:
        scheduler.after(3600, told, Wake(id=9))
        scheduler.after(0.02, told, Wake(id=2))
        scheduler.after(0.0, told, Wake(id=1))
        told.wait(lambda messages: len(messages) == 2)
        assert [wake.id for wake in told.of(Wake)] == [1, 2]
    finally:
        scheduler.stop()
    assert "angarium-timers" not in [thread.name for thread in threading.enumerate()]


def test_the_clock_is_the_machine_s() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert clock.wall() > 1_700_000_000
