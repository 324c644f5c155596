"""What tests of actors need: probes, virtual time, and one actor run among probes. Nothing here sleeps."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from pykka._actor import ActorInbox
from pykka._envelope import Envelope

from actors.base import ActorBase, Context, start_actor
from actors.messages.lifecycle import ActorFailed
from actors.ports import Clock, Runtime, Scheduler
from actors.ref import ActorRef, DeadLetters, Ref
from actors.runtime import ThreadRuntime

TIMEOUT = 3.0
"""Seconds that an expectation waits before it fails."""

M = TypeVar("M")
Command = TypeVar("Command")


class Probe:
    """A `Ref` to give an actor in place of another: it keeps what it is told, for typed expectations."""

    def __init__(self, name: str = "probe") -> None:
        self.name = name
        self._heard: list[Any] = []
        self._untaken: list[Any] = []
        self._changed = threading.Condition()

    def tell(self, message: Any) -> None:
        """Keep the message and wake whoever expects it."""
        with self._changed:
            self._heard.append(message)
            self._untaken.append(message)
            self._changed.notify_all()

    @property
    def messages(self) -> tuple[Any, ...]:
        """All that was ever heard, in order; expectations take nothing away from it."""
        with self._changed:
            return tuple(self._heard)

    def of(self, kind: type[M]) -> tuple[M, ...]:
        """All that was ever heard of one type, in order."""
        return tuple(message for message in self.messages if isinstance(message, kind))

    def expect(self, kind: type[M], timeout: float = TIMEOUT, where: Callable[[M], bool] | None = None) -> M:
        """Take the oldest message of this type not yet taken, waiting for it; others stay where they are."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._find(kind, where) is not None, timeout):
                raise AssertionError(f"{self.name} heard no {kind.__name__}; untaken: {self._untaken!r}")
            index = self._find(kind, where)
            assert index is not None
            found: M = self._untaken.pop(index)
            return found

    def expect_none(self, kind: type[M] | None = None, where: Callable[[M], bool] | None = None) -> None:
        """Fail if a message of this type (any, by default) is there untaken. Let the actor settle before."""
        with self._changed:
            index = self._find(kind or object, where)  # type: ignore[arg-type]  # where goes with kind
            if index is not None:
                raise AssertionError(f"{self.name} heard {self._untaken[index]!r}")

    def wait(self, condition: Callable[[tuple[Any, ...]], bool], timeout: float = TIMEOUT) -> None:
        """Wait until the condition holds of all messages heard."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(tuple(self._heard)), timeout):
                raise AssertionError(f"{self.name} waited in vain; heard: {self._heard!r}")

    def take_all(self) -> tuple[Any, ...]:
        """Take all that is untaken, without waiting."""
        with self._changed:
            taken, self._untaken = tuple(self._untaken), []
            return taken

    def _find(self, kind: type[M], where: Callable[[M], bool] | None) -> int | None:
        for index, message in enumerate(self._untaken):
            if isinstance(message, kind) and (where is None or where(message)):
                return index
        return None


class VirtualClock:
    """A `Clock` that stands still until it is moved."""

    def __init__(self, monotonic: float = 1000.0, wall: float = 1_600_000_000.0) -> None:
        self._monotonic = monotonic
        self._offset = wall - monotonic

    def monotonic(self) -> float:
        """Seconds since a fixed point."""
        return self._monotonic

    def wall(self) -> float:
        """Seconds since 1970; goes on with `monotonic`, but for jumps."""
        return self._monotonic + self._offset

    def move_to(self, monotonic: float) -> None:
        """Go on to this moment, never back."""
        self._monotonic = max(self._monotonic, monotonic)

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an administrator or NTP does."""
        self._offset += seconds


class VirtualScheduler:
    """A `Scheduler` on a virtual clock: timers come due by `advance`, in order of time, then of setting."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Ref[Any], object]] = []
        self._set = 0

    def after(self, delay: float, target: Ref[Any], message: object) -> None:
        """Tell `target` the message once the clock has moved on by `delay` seconds."""
        with self._lock:
            self._set += 1
            due = self.clock.monotonic() + max(0.0, delay)
            heapq.heappush(self._heap, (due, self._set, target, message))

    @property
    def next_due(self) -> float | None:
        """When the next timer comes due (monotonic), None if none is set."""
        with self._lock:
            return self._heap[0][0] if self._heap else None

    def fire_next(self) -> None:
        """Move the clock to the next timer and tell its message."""
        with self._lock:
            due, _, target, message = heapq.heappop(self._heap)
        self.clock.move_to(due)
        target.tell(message)

    def advance(self, seconds: float, settle: Callable[[], None] | None = None) -> None:
        """Move the clock, telling each timer that comes due on the way; `settle` runs after each."""
        until = self.clock.monotonic() + seconds
        while (due := self.next_due) is not None and due <= until:
            self.fire_next()
            if settle is not None:
                settle()
        self.clock.move_to(until)


class SettlingInbox:
    """An inbox that knows when its reader has served all, flushed, and waits for more."""

    def __init__(self) -> None:
        self._envelopes: deque[Envelope[Any]] = deque()
        self._changed = threading.Condition()
        self._waiting = False

    def put(self, envelope: Envelope[Any], /) -> None:
        """Append and wake the reader."""
        with self._changed:
            self._envelopes.append(envelope)
            self._changed.notify_all()

    def get(self) -> Envelope[Any]:
        """Take the oldest, waiting for it."""
        with self._changed:
            self._waiting = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._envelopes)
            self._waiting = False
            return self._envelopes.popleft()

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._envelopes

    def settle(self, timeout: float) -> bool:
        """Wait until the reader waits; False if it does not get there in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting and not self._envelopes, timeout)


class SettlingRuntime(ThreadRuntime):
    """One thread an actor, with inboxes that `Started.settle` can ask."""

    def create_inbox(self) -> ActorInbox:
        """Make an inbox that tells when its reader waits."""
        return SettlingInbox()


def actor_context(
    clock: Clock | None = None,
    scheduler: Scheduler | None = None,
    supervisor: Ref[ActorFailed] | None = None,
    dead_letters: DeadLetters | None = None,
) -> Context:
    """Make the context an actor is given, virtual or a probe wherever nothing is named."""
    if clock is None:
        clock = scheduler.clock if isinstance(scheduler, VirtualScheduler) else VirtualClock()
    if scheduler is None:
        scheduler = VirtualScheduler(clock if isinstance(clock, VirtualClock) else VirtualClock())
    return Context(
        clock=clock,
        scheduler=scheduler,
        supervisor=supervisor or Probe("supervisor"),
        dead_letters=dead_letters or DeadLetters(),
    )


class Started(Generic[Command]):
    """One running actor with its virtual time and the probe that hears of its failures."""

    def __init__(self, ref: ActorRef[Command], scheduler: VirtualScheduler, failures: Probe) -> None:
        self.ref = ref
        self.clock = scheduler.clock
        self.scheduler = scheduler
        self.failures = failures

    def tell(self, message: Command) -> None:
        """Tell the actor, without waiting."""
        self.ref.tell(message)

    def serve(self, *messages: Command) -> None:
        """Tell the actor these messages and wait until it has served them."""
        for message in messages:
            self.ref.tell(message)
        self.settle()

    def settle(self, timeout: float = TIMEOUT) -> None:
        """Wait until the actor has served and flushed all it was told."""
        inbox = self.ref.pykka_ref.actor_inbox
        assert isinstance(inbox, SettlingInbox)
        if not inbox.settle(timeout):
            state = "hangs" if self.ref.pykka_ref.is_alive() else "has stopped"
            raise AssertionError(f"{self.ref.name} {state}")

    def advance(self, seconds: float) -> None:
        """Move time on, timer by timer, letting the actor settle after each."""
        self.settle()
        self.scheduler.advance(seconds, self.settle)

    def stop(self, timeout: float = TIMEOUT) -> None:
        """Stop the actor and wait for its end; a second time does nothing."""
        self.ref.pykka_ref.stop(timeout=timeout)


class ForwardingActor(ActorBase[Any]):
    """An actor that tells a probe all it hears: for tests that need a real actor's reference."""

    name = "probe"

    def __init__(self, *, context: Context, probe: Probe) -> None:
        super().__init__(context=context)
        self._probe = probe

    def handle(self, message: Any) -> None:
        """Pass it on."""
        self._probe.tell(message)


@contextmanager
def running(
    actor: type[ActorBase[Command]],
    *,
    clock: VirtualClock | None = None,
    runtime: Runtime | None = None,
    **arguments: Any,
) -> Iterator[Started[Command]]:
    """Run one actor on a thread among probes (its `arguments`), and stop it at the end.

    An exception contained in the actor fails the test, unless it took the `ActorFailed` from `failures`.
    """
    scheduler = VirtualScheduler(clock or VirtualClock())
    failures = Probe("supervisor")
    context = actor_context(scheduler=scheduler, supervisor=failures)
    started = Started(start_actor(actor, runtime or SettlingRuntime(), context, **arguments), scheduler, failures)
    try:
        yield started
    finally:
        started.stop()
    for failure in failures.take_all():
        raise AssertionError(f"{failure.actor} failed at {failure.command}:\n{failure.trace}")


@contextmanager
def start_probe(name: str = "probe") -> Iterator[tuple[Started[Any], Probe]]:
    """Run an actor that tells a probe all it hears, and stop it at the end."""
    probe = Probe(name)
    with running(ForwardingActor, probe=probe) as started:
        yield started, probe
