"""The home's ledger: ids of messages that came from other servers into mailboxes here, so that none comes in twice.

On its way a message may be doubled; at its home it must not (PROTOCOL 17). An id is kept for the longest life of a
message and two days, in tables of a day each, which are dropped whole. Ids begin with a time, so they are written
almost in order: a table in the order of ids is cheap then. Where no more ids can be kept, mail is refused rather than
an id forgotten early.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import msgspec

from actors.model import MessageId
from actors.stores.connection import Connection, fetch_in
from actors.stores.meta import DAY, Meta

SLICE = DAY
"""Seconds of node time in one table."""
LONGEST_LIFE = 5
"""Days that messages are taken to live at least; a longer life is believed when it is seen."""
LONGEST_BELIEVED = 90
SPARE = 2
"""Days that an id is kept beyond that."""
MOST_IDS = 50_000_000
"""About 2.5 GB."""
NAME = "home"
"""The value of `Meta` that tells of each table: number, rows (if it is not the newest), days of life."""


class Slice:
    """One table."""

    def __init__(self, number: int, rows: int, life: int) -> None:
        self.number = number
        self.rows = rows
        self.life = life

    @property
    def table(self) -> str:
        """Its name."""
        return f"home_{self.number}"

    def is_stale(self, now: float) -> bool:
        """Tell whether no id in it counts any more."""
        return (self.number + 1) * SLICE + (self.life + SPARE) * DAY <= now


class HomeLedger:
    """Finds ids; `add` and `take_back` inside the caller's transaction, then `settle` or `roll_back`."""

    def __init__(self, connection: Connection, meta: Meta, most: int = MOST_IDS) -> None:
        self._connection = connection
        self._meta = meta
        self._most = most
        self._changed = False
        self.reload()

    def reload(self) -> None:
        """Read which tables there are."""
        saved = self._meta.get(NAME)
        told = {number: (rows, life) for number, rows, life in _told(saved)}
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'home_[0-9]*'"
        numbers = sorted(int(name.removeprefix("home_")) for (name,) in self._connection.fetchall(sql))
        self._slices = [Slice(number, *told.get(number, (0, LONGEST_LIFE))) for number in numbers]
        for some in self._slices:
            if some.number not in told or some is self._slices[-1]:
                some.rows = self._count(some)

    @property
    def room(self) -> int:
        """How many more ids can be kept."""
        return self._most - sum(some.rows for some in self._slices)

    def find(self, ids: Iterable[MessageId]) -> set[MessageId]:
        """Which of these were stored here before."""
        wanted = list(dict.fromkeys(ids))
        found: set[MessageId] = set()
        for some in reversed(self._slices):
            rows = fetch_in(self._connection, f"SELECT id FROM {some.table} WHERE id", wanted)
            found.update(name for (name,) in rows)
        return found

    def add(self, ids: Iterable[MessageId], life: float, now: float) -> None:
        """Remember ids that are not known yet, of messages that live at most `life` seconds from node time `now`."""
        self._changed = True
        newest = self._newest(now, min(ceil(life / DAY), LONGEST_BELIEVED))
        rows = [(name,) for name in ids]
        self._connection.executemany(f"INSERT OR IGNORE INTO {newest.table} VALUES (?)", rows)
        newest.rows += len(rows)

    def take_back(self, ids: Iterable[MessageId]) -> None:
        """These messages moved away from here with their user, and may come back with him."""
        rows = [(name,) for name in ids]
        self._changed = True
        for some in self._slices if rows else ():
            some.rows -= self._connection.executemany(f"DELETE FROM {some.table} WHERE id = ?", rows)

    def settle(self) -> None:
        """What was changed is on disk."""
        self._changed = False

    def roll_back(self) -> None:
        """What was changed is not on disk."""
        if self._changed:
            self.reload()
            self._changed = False

    def stale(self, now: float) -> str | None:
        """A table whose ids need not be kept any longer."""
        return next((some.table for some in self._slices if some.is_stale(now)), None)

    def _newest(self, now: float, life: int) -> Slice:
        """The table for ids as of `now`, made if it is missing. A clock that went back goes on in the newest."""
        number = int(now // SLICE)
        if not self._slices or self._slices[-1].number < number:
            new = Slice(number, 0, max(life, LONGEST_LIFE))
            self._connection.execute(f"CREATE TABLE {new.table} (id TEXT PRIMARY KEY) WITHOUT ROWID")
            self._slices.append(new)
            self._tell()
        newest = self._slices[-1]
        if newest.life < life:
            newest.life = life
            self._tell()
        return newest

    def _tell(self) -> None:
        told = [(some.number, some.rows, some.life) for some in self._slices]
        self._meta.put(NAME, msgspec.msgpack.encode(told))

    def _count(self, some: Slice) -> int:
        row = self._connection.fetchone(f"SELECT count(*) FROM {some.table}")
        return int(row[0]) if row else 0


def longest_life(saved: bytes | None) -> int:
    """The longest life in days that a saved value of `Meta` tells of."""
    return max((life for _, _, life in _told(saved)), default=LONGEST_LIFE)


def _told(saved: bytes | None) -> list[tuple[int, int, int]]:
    return msgspec.msgpack.decode(saved, type=list[tuple[int, int, int]]) if saved else []
