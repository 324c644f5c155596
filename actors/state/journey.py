"""What happened to recent messages, step by step: written on every message, read almost never."""

from __future__ import annotations

from collections import deque

from actors.messages.monitor import JourneyStep, JourneySteps
from actors.model import MessageId

CAPACITY = 100_000


class Journeys:
    """The latest steps of messages, as the batches they came in; the oldest batches fall out.

    Writing costs the same for a batch of any size; reading looks through all that is kept (milliseconds).
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """Keep batches while they name at most `capacity` ids together, and the newest in any case."""
        self._capacity = capacity
        self._batches: deque[JourneySteps] = deque()
        self._size = 0

    def add(self, steps: JourneySteps) -> None:
        """Remember one batch."""
        self._batches.append(steps)
        self._size += len(steps.ids)
        while self._size > self._capacity and len(self._batches) > 1:
            self._size -= len(self._batches.popleft().ids)

    def read(self, message: MessageId) -> tuple[JourneyStep, ...]:
        """All steps known of one message, by time; those of one moment as they were told."""
        found = [
            JourneyStep(at=batch.at, step=batch.step, detail=batch.details[index] if batch.details else "")
            for batch in self._batches
            if message in batch.ids
            for index, one in enumerate(batch.ids)
            if one == message
        ]
        found.sort(key=lambda step: step.at)
        return tuple(found)

    def __len__(self) -> int:
        """How many ids are named by what is kept, with repetitions."""
        return self._size
