"""Facts that hold for a while, and at most so many of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key")


class Lapsing(Generic[Key]):
    """Keys with the moment until which each holds (monotonic seconds); over the limit the oldest entries go."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._until: dict[Key, float] = {}

    def put(self, key: Key, until: float) -> None:
        """Let it hold until then; what was said before of it is replaced."""
        self._until.pop(key, None)
        if len(self._until) >= self._limit:
            del self._until[next(iter(self._until))]
        self._until[key] = until

    def extend(self, key: Key, until: float) -> None:
        """Let it hold at least until then."""
        self.put(key, max(until, self._until.get(key, until)))

    def until(self, key: Key, now: float) -> float | None:
        """Tell until when it holds, None if it does not (any more)."""
        until = self._until.get(key)
        if until is None:
            return None
        if until <= now:
            del self._until[key]
            return None
        return until

    def holds(self, key: Key, now: float) -> bool:
        """Tell whether it holds now."""
        return self.until(key, now) is not None

    def drop(self, key: Key) -> None:
        """Forget it."""
        self._until.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._until.clear()

    def __iter__(self) -> Iterator[Key]:
        return iter(self._until)

    def __len__(self) -> int:
        return len(self._until)
