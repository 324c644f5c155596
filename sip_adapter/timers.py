"""The timers of RFC 3261 17, table 4, and a queue for many timers of one length."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

T1 = 0.5
"""Seconds: an estimate of the round trip."""
T2 = 4.0
"""Seconds: the longest interval between retransmissions of a request that is no INVITE."""
TIMER_E = (T1, 2 * T1, 4 * T1, T2)
"""Intervals of retransmission; the last one stays (17.1.2.2)."""
TIMER_F = 64 * T1
"""Seconds after which a request counts as unanswered."""
TIMER_J = 64 * T1
"""Seconds for which an answer is repeated."""
TRYING = 7 * T1
"""Seconds after which a request that is still unanswered gets 100: Timer E has reached T2 (RFC 4320 4.1)."""
SLOT = 30.0
"""Seconds after which an unanswered request is forgotten: its client gives up about now."""


class TimerQueue(Generic[T]):
    """Items that come due in the order in which they were added: a queue costs less than a heap."""

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: deque[tuple[float, T]] = deque()

    def add(self, due: float, item: T) -> None:
        """Append an item; one that is due before its predecessor waits for it."""
        self._items.append((due, item))

    def take_due(self, now: float) -> list[T]:
        """Remove and return what is due by now."""
        items = self._items
        taken: list[T] = []
        while items and items[0][0] <= now:
            taken.append(items.popleft()[1])
        return taken

    @property
    def deadline(self) -> float | None:
        """When the first item comes due, None if there is none."""
        return self._items[0][0] if self._items else None

    def __len__(self) -> int:
        return len(self._items)
