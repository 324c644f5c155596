"""Deadlines of many things in one heap, for an actor that wants one wake-up."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Deadlines(Generic[Key]):
    """Each key has at most one deadline; setting it anew replaces the old one. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._due: dict[Key, int] = {}
        self._numbers = itertools.count()

    def set(self, key: Key, at: float) -> None:
        """Set the deadline of a key."""
        number = next(self._numbers)
        self._due[key] = number
        heapq.heappush(self._heap, (at, number, key))

    def drop(self, key: Key) -> None:
        """Forget the deadline of a key, if it has one."""
        self._due.pop(key, None)

    def __contains__(self, key: Key) -> bool:
        return key in self._due

    def due(self, now: float) -> Iterator[Key]:
        """Take, oldest first, what is due by now."""
        while self._heap and self._heap[0][0] <= now:
            _, number, key = heapq.heappop(self._heap)
            if self._due.get(key) == number:
                del self._due[key]
                yield key

    def next(self) -> float | None:
        """Tell when to wake next: the earliest deadline, None without any."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][1]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
