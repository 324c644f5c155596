"""Our own claims that nobody has confirmed yet: does another node have these names too (PROTOCOL 23)?"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from actors.model import UserName
from actors.state.timers import Deadlines

LIMIT = 100_000
TRIES = 6
"""Incomplete searches for a name until only a new link has it searched for again: in a network larger than a search's
budget none ends complete, and there summaries tell of the other claim."""
FIRST_WAIT = 5.0
LONGEST_WAIT = 600.0
"""Seconds between two searches, as for wanted names."""


class Confirmations:
    """Names of ours to search for elsewhere. Times are monotonic seconds."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._tries: dict[UserName, int] = {}
        self._turns = Deadlines[UserName]()
        self._near: dict[UserName, None] = {}

    def add(self, names: Iterable[UserName], now: float) -> None:
        """These were made here just now."""
        for name in names:
            if name in self._tries or len(self._tries) < LIMIT:
                self._tries[name] = 0
                self._turns.set(name, now)

    def suspect(self, name: UserName, now: float) -> None:
        """A summary of another node has it, or a name of the same hash: one short search shall tell."""
        if name in self._tries:
            self._turns.set(name, now)
        elif len(self._near) < LIMIT:
            self._near[name] = None

    def due(self, now: float, room: int) -> list[UserName]:
        """Take at most `room` names whose turn it is."""
        taken: list[UserName] = []
        if room > 0:
            for name in self._turns.due(now):
                taken.append(name)
                if len(taken) >= room:
                    break
        return taken

    def suspected(self, room: int) -> list[UserName]:
        """Take at most `room` names to be looked for with a short search."""
        taken = list(self._near)[: max(0, room)]
        for name in taken:
            del self._near[name]
        return taken

    def ended(self, name: UserName, complete: bool, now: float) -> None:
        """A search for it ended: complete, and it is ours alone or the conflict is told; else again, later."""
        tries = self._tries.get(name)
        if tries is None:
            return
        if complete:
            self.drop(name)
            return
        self._tries[name] = tries + 1
        if tries + 1 < TRIES:
            bound = min(LONGEST_WAIT, FIRST_WAIT * 2.0**tries)
            self._turns.set(name, now + 1.0 + self._random.random() * bound)

    def hurry(self, now: float) -> None:
        """A link came up: all have their turn."""
        self.add(list(self._tries), now)

    def drop(self, name: UserName) -> None:
        """It is not ours any more, or confirmed."""
        self._tries.pop(name, None)
        self._turns.drop(name)
        self._near.pop(name, None)

    def next(self) -> float | None:
        """Tell when the next name has its turn."""
        return self._turns.next()

    def __len__(self) -> int:
        return len(self._tries)
