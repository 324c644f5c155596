"""No message overtakes an earlier one to the same recipient that waits in the queue of the unrouted.

Once a search has ended the waiting messages move on, in order; meanwhile new ones have to queue up behind them. The
Router knows how many it sent there: each `Searching` is one more, each that was routed anew out of there is one less.
One that was sent there and then not stored is told too. Should a word of that be lost, by a failure of its teller, the
count stays too high: later messages take a detour, until nothing has come out of there for `FORGET` seconds.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.messages.router import Destination, Searching, ToMailbox, ToNeighbour
from actors.model import UserName

FORGET = 15.0
"""More than a submission may take to be stored (PROTOCOL 5)."""
LIMIT = 100_000
WAITS = Searching()


class _Waiting:
    """How many messages to one recipient stand there."""

    __slots__ = ("count", "held_since")

    def __init__(self) -> None:
        self.count = 0
        self.held_since: float | None = None
        """When a message was first kept from overtaking after the last one came out."""


class Order:
    """Counts what waits, by recipient. Times are monotonic seconds."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._names: dict[UserName, _Waiting] = {}
        self._unread = False

    def __bool__(self) -> bool:
        """Tell whether anything waits."""
        return bool(self._names) or self._unread

    def kept(self, names: Iterable[UserName], *, more: bool) -> None:
        """These were found there on disk, a name for each message; while there is `more`, nobody knows for whom."""
        for name in names:
            self._more(name, self._names.get(name))
        self._unread = more

    def not_kept(self, names: Iterable[UserName]) -> None:
        """These were sent there and not stored, a name for each message."""
        for name in names:
            waiting = self._names.get(name)
            if waiting is not None:
                self._less(name, waiting)

    def place(self, name: UserName, place: Destination, now: float, *, kept: bool) -> Destination:
        """Give the place that a message may go to now; `kept`: it comes out of the queue of the unrouted."""
        waiting = self._names.get(name)
        if kept:
            if waiting is not None:
                waiting.held_since = None
                if not isinstance(place, Searching):
                    self._less(name, waiting)
            return place
        if isinstance(place, Searching):
            self._more(name, waiting)
        elif waiting is None and self._unread and isinstance(place, ToNeighbour):
            self._more(name, waiting)
            return WAITS
        elif waiting is not None and isinstance(place, (ToNeighbour, ToMailbox)):
            if waiting.held_since is None:
                waiting.held_since = now
            if now - waiting.held_since <= FORGET:
                self._more(name, waiting)
                return WAITS
            del self._names[name]
        return place

    def _more(self, name: UserName, waiting: _Waiting | None) -> None:
        if waiting is None:
            if len(self._names) >= self._limit:
                return
            waiting = self._names[name] = _Waiting()
        waiting.count += 1

    def _less(self, name: UserName, waiting: _Waiting) -> None:
        waiting.count -= 1
        if waiting.count <= 0:
            del self._names[name]
