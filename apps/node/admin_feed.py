"""Between the threads that tell something and a reader of `/v1/live` who may be slow: a bounded queue, and sums."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter, deque
from collections.abc import Sequence

from actors.messages.monitor import JourneySteps
from actors.model import Step
from apps.node.admin_frames import Dropped, FlowCount, Frame, Sample, Steps, Told
from apps.node.admin_views import clean

CAPACITY = 1_000
"""Frames that wait for a reader."""
SAMPLES = 50
MAX_FLOWS = 200
TOWARDS_NODES = frozenset({Step.FORWARDED})
"""Steps whose detail is the name of another node."""


class FrameQueue:
    """Frames for one reader. Any thread puts, the loop's thread gets; of too many the oldest are lost, and counted."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Make it in the thread of the loop that gets."""
        self._loop = asyncio.get_running_loop()
        self._capacity = capacity
        self._items: deque[Frame | Told] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self._waited_for = False
        self._event = asyncio.Event()

    def put(self, item: Frame | Told) -> None:
        """Add one; never waits."""
        with self._lock:
            if len(self._items) >= self._capacity:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            wake, self._waited_for = self._waited_for, False
        if wake:
            # The loop may have ended: then nobody reads.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._event.set)

    async def get(self) -> Frame | Told:
        """Wait for the next one; before it, how many are missing."""
        while True:
            with self._lock:
                if self._dropped:
                    lost, self._dropped = self._dropped, 0
                    return Dropped(lost)
                if self._items:
                    return self._items.popleft()
                self._waited_for = True
                self._event.clear()
            await self._event.wait()


def summary(batches: Sequence[JourneySteps], at: float) -> Steps:
    """Sum up what happened to messages."""
    counts: Counter[str] = Counter()
    flows: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        counts[batch.step.value] += len(batch.ids)
        if batch.step in TOWARDS_NODES:
            # Where a whole mailbox moves the detail is a sentence.
            flows.update((batch.step.value, detail) for detail in batch.details if " " not in detail)
    return Steps(
        at=at,
        steps=dict(counts),
        flows=tuple(FlowCount(step, clean(to), number) for (step, to), number in flows.most_common(MAX_FLOWS)),
        samples=_newest(batches),
    )


def _newest(batches: Sequence[JourneySteps]) -> tuple[Sample, ...]:
    found: list[Sample] = []
    for batch in reversed(batches):
        first = max(0, len(batch.ids) - SAMPLES + len(found))
        found += [_sample(batch, index) for index in range(len(batch.ids) - 1, first - 1, -1)]
        if len(found) >= SAMPLES:
            break
    return tuple(reversed(found))


def _sample(batch: JourneySteps, index: int) -> Sample:
    detail = batch.details[index] if batch.details else ""
    return Sample(clean(batch.ids[index]), batch.step.value, clean(detail), batch.at)
