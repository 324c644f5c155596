"""Users of other nodes who registered through this one: known for the life of their registration, in memory only."""

from __future__ import annotations

from typing import NamedTuple

from actors.model import NodeName, UserName

MANY = 100_000
"""Visitors kept; of more, those who came first are forgotten: they are asked about again when they speak."""
SWEEP = 60.0
"""Seconds between two looks for those whose registration has lapsed, at least."""


class Visitor(NamedTuple):
    """One of them."""

    home: NodeName
    epoch: int
    expires: float
    """Monotonic seconds."""


class Visitors:
    """Who is a guest at this node, and whose. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._known: dict[UserName, Visitor] = {}
        self._sweep_due = float("-inf")

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: UserName, now: float) -> Visitor | None:
        """Find a visitor whose registration lives."""
        visitor = self._known.get(name)
        if visitor is not None and visitor.expires <= now:
            del self._known[name]
            return None
        return visitor

    def put(self, name: UserName, visitor: Visitor, now: float) -> bool:
        """Remember a visitor; tells whether that is news of where he lives."""
        old = self._known.pop(name, None)
        if len(self._known) >= MANY and now >= self._sweep_due:  # this takes some 50 ms
            self._sweep_due = now + SWEEP
            self._known = {other: known for other, known in self._known.items() if known.expires > now}
        if len(self._known) >= MANY:
            del self._known[next(iter(self._known))]
        self._known[name] = visitor
        return old is None or (old.home, old.epoch) != (visitor.home, visitor.epoch)

    def drop(self, name: UserName) -> None:
        """He is none any more."""
        self._known.pop(name, None)
