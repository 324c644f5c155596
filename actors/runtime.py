"""The threaded runtime: one thread an actor, and the network loop as an actor's thread."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pykka
from pykka._actor import ActorInbox
from pykka._envelope import Envelope

from actors.ref import Ref

TURN = 64
"""Messages that an actor in a shared loop serves before others have their turn."""
TURNS = 64
"""Turns of actors before the sockets have theirs."""


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class ThreadRuntime:
    """Pykka as it is, with a `SimpleQueue` inbox: written in C, many times faster than Pykka's default."""

    def create_inbox(self) -> ActorInbox:
        """Make an inbox that blocks its reader while empty."""
        inbox: SimpleQueue[Envelope[Any]] = SimpleQueue()
        return inbox

    def start_loop(self, actor: pykka.Actor) -> None:
        """Run the actor on a thread of its own."""
        name = getattr(actor, "name", type(actor).__name__)
        threading.Thread(target=actor._actor_loop, name=f"angarium-{name}").start()


class LoopInbox:
    """An inbox whose messages wake an asyncio loop: at most one wake-up is under way, however many are put."""

    def __init__(self) -> None:
        self._envelopes: deque[Envelope[Any]] = deque()
        self._wake: Callable[[], object] | None = None
        self._awake = False

    def put(self, envelope: Envelope[Any], /) -> None:
        """Append, and wake the loop unless a wake-up is already on its way."""
        self._envelopes.append(envelope)
        if not self._awake and self._wake is not None:
            self._awake = True
            self._wake()

    def get(self) -> Envelope[Any]:
        """Take the oldest; the loop never asks while it is empty."""
        return self._envelopes.popleft()

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return not self._envelopes

    def attach(self, wake: Callable[[], object]) -> None:
        """Name what wakes the loop; wakes it at once if something waits."""
        self._wake = wake
        if self._envelopes:
            self._awake = True
            wake()

    def woken(self) -> None:
        """The loop is about to read: the next put wakes it again."""
        self._awake = False


class LoopRuntime:
    """Runs actors inside one asyncio loop on one thread, so that sockets and those who serve them share it.

    A message between two of them costs no switch of threads, and no wait for the interpreter: with each on a thread
    of its own, a node spent most of its time handing the interpreter around. Between two looks at the sockets all mail
    among them is served, so that a packet's whole way is not slowed by packets behind it. The thread starts with the
    first actor and ends with the last.
    """

    def __init__(self, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
        self._new_loop = new_loop
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._actors = 0
        self._ready: deque[_Resident] = deque()
        self._turning = False
        self._thread = 0

    def create_inbox(self) -> ActorInbox:
        """Make an inbox that wakes the loop."""
        return LoopInbox()

    def start_loop(self, actor: pykka.Actor) -> None:
        """Run the actor in the loop, which starts if need be."""
        with self._lock:
            self._actors += 1
            if self._loop is None:
                self._loop = self._new_loop()
                threading.Thread(target=self._run, args=(self._loop,), name="angarium-loop").start()
            loop = self._loop
        loop.call_soon_threadsafe(_Resident(self, actor, loop).start)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._thread = threading.get_ident()
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            # Transports closed by the last actor get their turn to say goodbye.
            loop.run_until_complete(asyncio.sleep(0))
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()

    def wake(self, resident: _Resident, loop: asyncio.AbstractEventLoop) -> None:
        """An actor has mail; called from any thread."""
        if threading.get_ident() == self._thread:
            self._has_mail(resident, loop)
        else:
            loop.call_soon_threadsafe(self._has_mail, resident, loop)

    def _has_mail(self, resident: _Resident, loop: asyncio.AbstractEventLoop) -> None:
        self._ready.append(resident)
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve whoever has mail, and whoever gets some meanwhile; after a while the sockets have their turn."""
        ready = self._ready
        for _ in range(TURNS):
            if not ready:
                self._turning = False
                return
            resident = ready.popleft()
            if resident.serve():
                ready.append(resident)
        loop.call_soon(self._turn, loop)

    def left(self, loop: asyncio.AbstractEventLoop) -> None:
        """An actor has stopped; the last one takes the thread with it."""
        with self._lock:
            self._actors -= 1
            if self._actors == 0:
                self._loop = None
                self._turning = False
                self._ready.clear()
                loop.stop()


class _Resident:
    """One actor in a loop: wakes when mail comes, serves a batch, lets the others have their turn."""

    def __init__(self, runtime: LoopRuntime, actor: pykka.Actor, loop: asyncio.AbstractEventLoop) -> None:
        inbox = actor.actor_inbox
        assert isinstance(inbox, LoopInbox)
        self._runtime = runtime
        self._actor = actor
        self._inbox = inbox
        self._loop = loop

    def start(self) -> None:
        """Set the actor up; runs in the loop's thread, as all that follows."""
        self._actor._actor_loop_setup()
        if self._actor.actor_stopped.is_set():
            self._leave()
        else:
            self._inbox.attach(lambda: self._runtime.wake(self, self._loop))

    def serve(self) -> bool:
        """Serve a batch; True if more is waiting."""
        inbox, stopped = self._inbox, self._actor.actor_stopped
        if stopped.is_set():
            return False  # woken once more after it had left
        for _ in range(TURN):
            if inbox.empty():
                inbox.woken()
                # What was put before `woken` has not woken anybody.
                return not inbox.empty()
            _serve_one(self._actor, inbox)
            if stopped.is_set():
                self._leave()
                return False
        return True

    def _leave(self) -> None:
        self._actor._actor_loop_teardown()
        self._runtime.left(self._loop)


def _serve_one(actor: pykka.Actor, inbox: LoopInbox) -> None:
    """Serve one envelope as Pykka's own loop does; ActorBase has contained what its handler raises."""
    envelope = inbox.get()
    response = actor._handle_receive(envelope.message)
    if envelope.reply_to is not None:
        envelope.reply_to.set(response)


class ThreadScheduler:
    """Timers on one thread: a heap of due times."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Ref[Any], object]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="angarium-timers", daemon=True)
        self._thread.start()

    def after(self, delay: float, target: Ref[Any], message: object) -> None:
        """Tell `target` the message in `delay` seconds."""
        with self._changed:
            entry = (time.monotonic() + delay, next(self._numbers), target, message)
            heapq.heappush(self._heap, entry)
            if self._heap[0] is entry:
                self._changed.notify()

    def stop(self) -> None:
        """End the thread; timers that are not due are dropped."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopping and not self._due():
                    wait = self._heap[0][0] - time.monotonic() if self._heap else None
                    self._changed.wait(wait)
                if self._stopping:
                    return
                _, _, target, message = heapq.heappop(self._heap)
            target.tell(message)

    def _due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= time.monotonic()
