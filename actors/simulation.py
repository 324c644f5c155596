"""The seeded runtime: the same actors in one thread and virtual time; a failing run replays from its seed."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import pykka
from pykka._actor import ActorInbox
from pykka._envelope import Envelope

from actors.ref import ActorRef
from actors.testing import VirtualClock, VirtualScheduler

MAX_STEPS = 1_000_000
PAUSE = 0.5
"""Seconds that time moves on at most while mail is waiting."""
TraceEntry = tuple[float, str, str]
"""Monotonic seconds, the actor that stepped, the type of the message it served."""


class StepsExhausted(AssertionError):
    """A run took more steps than it was given: it does not come to its goal, or circles."""


class SimulationInbox:
    """An inbox that enters its actor among those that may step next."""

    __slots__ = ("actor", "envelopes", "ready", "started")

    def __init__(self, ready: list[SimulationInbox]) -> None:
        """Enter the actor into `ready` whenever mail comes and it is not there yet."""
        self.envelopes: deque[Envelope[Any]] = deque()
        self.ready = ready
        self.actor: pykka.Actor | None = None
        self.started = False

    def put(self, envelope: Envelope[Any], /) -> None:
        """Append; the first one makes the actor ready."""
        if not self.envelopes and self.started:
            self.ready.append(self)
        self.envelopes.append(envelope)

    def get(self) -> Envelope[Any]:
        """Take the oldest; nobody asks while it is empty."""
        return self.envelopes.popleft()

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self.envelopes

    def vanish(self) -> None:
        """Forget mail and actor, as a process does that ends."""
        self.envelopes.clear()
        self.actor = None
        if self in self.ready:
            self.ready.remove(self)


class SimulationRuntime:
    """Where simulated actors live: nothing runs until the simulation picks it."""

    def __init__(self) -> None:
        self.ready: list[SimulationInbox] = []
        self.inboxes: list[SimulationInbox] = []

    def create_inbox(self) -> ActorInbox:
        """Make an inbox of the simulation."""
        return SimulationInbox(self.ready)

    def start_loop(self, actor: pykka.Actor) -> None:
        """Let the actor take part; its `on_start` is its first step, whenever that comes."""
        inbox = actor.actor_inbox
        assert isinstance(inbox, SimulationInbox)
        inbox.actor = actor
        self.inboxes.append(inbox)
        self.ready.append(inbox)


class Simulation:
    """Actors, time and chance in one hand.

    At each step one of the actors that have mail, picked at random, serves one message; when none has, time
    moves on to the next timer. Whoever wants randomness in a run takes it from `random` or `random_bytes`,
    and time from `clock` and `scheduler`: then the same seed is the same run, step by step.
    """

    def __init__(self, seed: int, *, slowness: float = 0.0, record: bool = False) -> None:
        """Make an empty world.

        `slowness`: chance at each step that time moves on (`PAUSE` seconds at most) although mail is waiting.
        `record`: keep a `trace`.
        """
        self.seed = seed
        self.random = random.Random(seed)
        self.clock = VirtualClock()
        self.scheduler = VirtualScheduler(self.clock)
        self.runtime = SimulationRuntime()
        self.steps = 0
        self.trace: list[TraceEntry] | None = [] if record else None
        self._slowness = slowness
        # A stream of its own, so that what actors draw does not depend on who steps, nor the other way round.
        self._drawn = random.Random(f"bytes {seed}")

    def random_bytes(self, count: int) -> bytes:
        """Draw bytes as `os.urandom` does, but the same in each run."""
        return self._drawn.randbytes(count)

    def step(self) -> bool:
        """Let one actor serve one message, or the next timer come due; False if there is neither."""
        ready = self.runtime.ready
        self.steps += 1
        if not ready or (self._slowness and self.random.random() < self._slowness):
            due = self.scheduler.next_due
            if due is not None and (not ready or due <= self.clock.monotonic() + PAUSE):
                self.scheduler.fire_next()
                return True
            if not ready:
                self.steps -= 1
                return False
        index = int(self.random.random() * len(ready))
        inbox = ready[index]
        if not inbox.started:
            self._start(inbox, index)
            return True
        envelope = inbox.envelopes.popleft()
        if not inbox.envelopes:
            # Out of the list in constant time: the last takes its place.
            last = ready.pop()
            if last is not inbox:
                ready[index] = last
        actor = inbox.actor
        assert actor is not None
        if self.trace is not None:
            self._note(actor, type(envelope.message).__name__)
        answer = actor._handle_receive(envelope.message)
        if envelope.reply_to is not None:
            envelope.reply_to.set(answer)
        if actor.actor_stopped.is_set():
            self._end(inbox, actor)
        return True

    def run_until(self, goal: float | Callable[[], bool], max_steps: int = MAX_STEPS) -> bool:
        """Step until this moment (monotonic seconds) or until this holds; False if nothing is left to do.

        More than `max_steps` steps raise `StepsExhausted`.
        """
        last = self.steps + max_steps
        if callable(goal):
            while not goal():
                if not self.step():
                    return False
                self._check(last)
            return True
        while self.runtime.ready or ((due := self.scheduler.next_due) is not None and due <= goal):
            self.step()
            self._check(last)
        self.clock.move_to(goal)
        return True

    def run_for(self, seconds: float, max_steps: int = MAX_STEPS) -> None:
        """Step through this much virtual time."""
        self.run_until(self.clock.monotonic() + seconds, max_steps)

    def run_steps(self, count: int) -> int:
        """Take at most so many steps, and say how many there were."""
        for taken in range(count):
            if not self.step():
                return taken
        return count

    def settle(self, max_steps: int = MAX_STEPS) -> None:
        """Step until no actor has mail; without `slowness` time stands still meanwhile."""
        last = self.steps + max_steps
        while self.runtime.ready:
            self.step()
            self._check(last)

    def crash(self, actors: Iterable[ActorRef[Any]]) -> None:
        """End these actors as `kill -9` does: no hook runs, their mail is gone, later mail is dead."""
        for ref in actors:
            inbox = ref.pykka_ref.actor_inbox
            assert isinstance(inbox, SimulationInbox)
            self._end_abruptly(inbox)

    def close(self) -> None:
        """End all actors that are left."""
        for inbox in tuple(self.runtime.inboxes):
            self._end_abruptly(inbox)

    def __enter__(self) -> Simulation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, inbox: SimulationInbox, index: int) -> None:
        actor = inbox.actor
        assert actor is not None
        inbox.started = True
        if not inbox.envelopes:
            del self.runtime.ready[index]
        if self.trace is not None:
            self._note(actor, "start")
        actor._actor_loop_setup()
        if actor.actor_stopped.is_set():
            self._end(inbox, actor)

    def _end(self, inbox: SimulationInbox, actor: pykka.Actor) -> None:
        actor._actor_loop_teardown()
        self._forget(inbox)

    def _end_abruptly(self, inbox: SimulationInbox) -> None:
        if inbox.actor is not None:
            inbox.actor.actor_stopped.set()
            pykka.ActorRegistry.unregister(inbox.actor.actor_ref)
            self._forget(inbox)

    def _forget(self, inbox: SimulationInbox) -> None:
        inbox.vanish()
        self.runtime.inboxes.remove(inbox)

    def _note(self, actor: pykka.Actor, what: str) -> None:
        assert self.trace is not None
        self.trace.append((self.clock.monotonic(), getattr(actor, "name", type(actor).__name__), what))

    def _check(self, last: int) -> None:
        if self.steps > last:
            raise StepsExhausted(f"no end after {last} steps, seed {self.seed}")
