"""Names that messages wait for: when to look for each, and whom to wake when something becomes known.

A name is wanted while somebody asks about it: after each search that ended without an end for its messages those who
hold them are told to ask again, and a name that nobody asked about until its next turn is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random
from typing import Protocol

from actors.model import NodeName, UserName
from actors.state.routing.lapsing import Lapsing
from actors.state.timers import Deadlines

LIMIT = 100_000
"""Names wanted at most; messages for others wait all the same, and are asked about now and then."""
FIRST_WAIT = 5.0
LONGEST_WAIT = 600.0
"""Seconds from one search to the next for the same name: full jitter up to a bound that doubles (PROTOCOL 22)."""
A_MINUTE = 10
"""Searches that one sender causes at once within a minute."""
SENDERS = 10_000
NOWHERE = NodeName("")


class WantedName:
    """How it stands with one name."""

    __slots__ = ("asked", "home", "searching", "tries")

    def __init__(self) -> None:
        self.asked = True
        """Somebody asked since its last turn."""
        self.home = NOWHERE
        """Known, but there is no way to it."""
        self.searching = False
        self.tries = 0


class Senders:
    """How many searches each sender caused lately: so many a minute in the mean, and so many may come at once."""

    def __init__(self, a_minute: int = A_MINUTE) -> None:
        self._pause = 60.0 / a_minute
        self._free = Lapsing[UserName](SENDERS)

    def charge(self, sender: UserName, now: float) -> float:
        """Charge a sender for one search; gives the seconds that it has to wait."""
        until = self._free.until(sender, now) or now
        self._free.put(sender, until + self._pause)
        return max(0.0, until - now - 60.0 + self._pause)


class Noticed(Protocol):
    """Who watches out for names in what others tell: `state.routing.summaries`."""

    def watch(self, name: UserName) -> None:
        """Notice when somebody seems to have this name."""

    def unwatch(self, name: UserName) -> None:
        """Notice it no longer."""


class WantedNames:
    """Which names are to be looked for, and when. Times are monotonic seconds."""

    def __init__(self, random: Random, noticed: Noticed | None = None, limit: int = LIMIT) -> None:
        self._noticed = noticed
        self._random = random
        self._limit = limit
        self._names: dict[UserName, WantedName] = {}
        self._turns = Deadlines[UserName]()
        self._senders = Senders()
        self._homes: dict[NodeName, set[UserName]] = {}
        self.overflowed = False
        """Somebody asked about a name that found no room: all must be asked about again some time."""

    def want(self, name: UserName, sender: UserName, now: float, *, home: NodeName = NOWHERE, wait: float) -> None:
        """A message for this name waits; its first search is due in `wait` seconds, later if its sender causes many."""
        wanted = self._names.get(name)
        if wanted is not None:
            wanted.asked = True
            self._await(name, wanted, home)
            return
        if len(self._names) >= self._limit:
            self.overflowed = True
            return
        self._names[name] = wanted = WantedName()
        if self._noticed is not None:
            self._noticed.watch(name)
        self._await(name, wanted, home)
        self._turns.set(name, now + max(wait, self._senders.charge(sender, now)))

    def _await(self, name: UserName, wanted: WantedName, home: NodeName) -> None:
        if wanted.home != home:
            self._leave(name, wanted)
            wanted.home = home
            if home:
                self._homes.setdefault(home, set()).add(name)

    def _leave(self, name: UserName, wanted: WantedName) -> None:
        if wanted.home:
            names = self._homes[wanted.home]
            names.discard(name)
            if not names:
                del self._homes[wanted.home]

    def due(self, now: float, room: int) -> list[UserName]:
        """Take at most `room` names whose turn it is; each is being searched for from now on."""
        taken: list[UserName] = []
        if room <= 0:
            return taken
        for name in self._turns.due(now):
            wanted = self._names[name]
            if not wanted.asked:
                self.drop(name)
                continue
            wanted.asked = False
            wanted.searching = True
            taken.append(name)
            if len(taken) >= room:
                break
        return taken

    def failed(self, name: UserName, now: float) -> bool:
        """A search for it ended incomplete: the next one comes later. Tells whether the name is wanted."""
        wanted = self._names.get(name)
        if wanted is None:
            return False
        wanted.searching = False
        bound = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(wanted.tries, 10))
        wanted.tries += 1
        # Never at once: who holds the messages must have had the time to ask again.
        self._turns.set(name, now + 1.0 + self._random.random() * bound)
        return True

    def hurry(self, now: float) -> None:
        """A link came up: all that are not just searched for have their turn now, without back-off."""
        for name, wanted in self._names.items():
            if not wanted.searching:
                wanted.tries = 0
                wanted.asked = True
                self._turns.set(name, now)

    def drop(self, name: UserName) -> bool:
        """Something is known now, nobody needs to look any more; tells whether it was wanted."""
        wanted = self._names.pop(name, None)
        if wanted is None:
            return False
        self._leave(name, wanted)
        self._turns.drop(name)
        if self._noticed is not None:
            self._noticed.unwatch(name)
        return True

    def waiting_for(self, homes: Iterable[NodeName]) -> list[UserName]:
        """List names whose homes these are, and which wait for a way there."""
        return [name for home in homes for name in sorted(self._homes.get(home, ()))]

    def homes(self) -> list[NodeName]:
        """List homes that names wait for."""
        return list(self._homes)

    def next(self) -> float | None:
        """Tell when the next name has its turn."""
        return self._turns.next()

    def __iter__(self) -> Iterator[UserName]:
        return iter(self._names)

    def __contains__(self, name: UserName) -> bool:
        return name in self._names

    def __len__(self) -> int:
        return len(self._names)
