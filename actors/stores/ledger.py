"""The ledger of ingress keys: which messages were stored in the last 10 minutes, and under which id.

A message must be stored once however often it arrives (PROTOCOL 2), at any rate. A table ordered by key would have each
message dirty a page of its own: with many rows that was half the work of a commit. So rows are appended in the order
of time, many to a page, and found by a hash table in memory, 12 to 16 bytes a row: `_heads` has, for each slot, the
number of the newest row in it; `_links` has, for each row, half of its hash and the number of the row before it in its
slot. Python's hash of bytes is seeded at start, so nobody can aim at one slot. A start reads the live rows once: one or
two seconds for a million.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from actors.model import MessageId
from actors.stores.connection import Connection, Row

SLICE = 300
"""Seconds of node time in one table; a table is dropped whole."""
KEPT = 600
"""Seconds that a key is remembered at least."""
FEWEST_SLOTS = 1 << 14
MOST_SLOTS = 1 << 24
CHUNK = 10_000
"""Rows read at once at start."""
NUMBER = 0xFFFFFFFF
"""The part of a link that is a row's number, counted from `_base`; 0: no row."""
HASH = NUMBER << 32
"""The part of a link that is of the row's hash."""


class Ledger:
    """Finds and adds keys: `add` inside the caller's transaction, then `settle` after its commit or `roll_back`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.load()

    def load(self) -> None:
        """Read all live rows."""
        self._read_slices()
        self._base = self._firsts[0] - 1 if self._firsts else 0
        self._oldest = 1
        self._links = array("Q")
        self._new_links: list[int] = []
        self._new_heads: dict[int, int] = {}
        rows = self._last(self._names[-1]) - self._base if self._names else 0
        slots = FEWEST_SLOTS
        while slots < min(rows, MOST_SLOTS):
            slots *= 2
        self._heads = array("I", bytes(4 * slots))
        for name, first in zip(self._names, self._firsts, strict=True):
            for start in range(first, self._last(name) + 1, CHUNK):
                self._take(name, start, min(start + CHUNK, self._last(name) + 1))

    def _take(self, name: str, start: int, end: int) -> None:
        """Link rows that are on disk. This loop is most of the time that a start takes."""
        heads, links = self._heads, self._links
        mask = len(heads) - 1
        append = links.append
        links.frombytes(bytes(8 * (start - self._base - 1 - len(links))))
        for number, hashed in enumerate(map(hash, self._keys(name, start, end)), start - self._base):
            slot = hashed & mask
            append(hashed & HASH | heads[slot])
            heads[slot] = number

    def _keys(self, name: str, start: int, end: int) -> list[bytes]:
        """The keys of these rows; an empty one for each that is missing, which only damage brings about."""
        where = f"FROM {name} WHERE number >= {start} AND number < {end}"
        keys = [key for (key,) in self._connection.fetchall(f"SELECT key {where} ORDER BY number")]
        if len(keys) == end - start:
            return keys
        found: dict[int, bytes] = dict(self._connection.fetchall(f"SELECT number, key {where}"))
        return [found.get(number, b"") for number in range(start, end)]

    def find(self, keys: Sequence[bytes], now: float) -> dict[bytes, MessageId]:
        """Which of these keys are known as of node time `now`, and their first ids."""
        heads, links, oldest = self._heads, self._links, self._oldest
        mask = len(heads) - 1
        live = self._live(now)
        known: dict[bytes, MessageId] = {}
        for key in keys:
            hashed = hash(key)
            number = heads[hashed & mask]
            while number >= live:
                link = links[number - oldest]
                if link & HASH == hashed & HASH and (first := self._id(number, key)) is not None:
                    known[key] = first
                    break
                number = link & NUMBER
        return known

    def add(self, keys: Sequence[tuple[bytes, MessageId]], now: float) -> None:
        """Remember keys that are not known yet, as of node time `now`."""
        start = self._base + self._next
        rows: list[Row] = [(number, *key_and_id) for number, key_and_id in enumerate(keys, start)]
        self._link([key for key, _ in keys])
        self._connection.executemany(f"INSERT INTO {self._table(now, start)} VALUES (?, ?, ?)", rows)

    def settle(self) -> None:
        """What was added is on disk: find it from now on."""
        for slot, number in self._new_heads.items():
            self._heads[slot] = number
        self._links.extend(self._new_links)
        self._new_links.clear()
        self._new_heads.clear()
        while len(self._links) > len(self._heads) < MOST_SLOTS:
            # Both halves go on with the same rows: a longer way for the old ones, nothing to read again.
            self._heads += self._heads
        if self._next > NUMBER // 2:
            self.load()

    def roll_back(self) -> None:
        """What was added is not on disk."""
        self._new_links.clear()
        self._new_heads.clear()
        self._read_slices()

    def stale(self, now: float) -> str | None:
        """A table whose every key is older than 10 minutes."""
        name = self._names[0] if self._names else None
        return name if name is not None and _is_stale(name, now) else None

    def forget(self) -> None:
        """The stale table was dropped."""
        self._read_slices()
        oldest = self._firsts[0] - self._base if self._firsts else self._next
        del self._links[: oldest - self._oldest]
        self._oldest = oldest

    @property
    def _next(self) -> int:
        """The number of the next row, counted from `_base`."""
        return self._oldest + len(self._links) + len(self._new_links)

    def _live(self, now: float) -> int:
        """The first row that counts: a table may outlive its time, but a key that lives on swallows real mail."""
        for name, first in zip(self._names, self._firsts, strict=True):
            if not _is_stale(name, now):
                return first - self._base
        return self._next

    def _link(self, keys: Iterable[bytes]) -> None:
        heads, new_heads, new_links = self._heads, self._new_heads, self._new_links
        mask = len(heads) - 1
        for number, key in enumerate(keys, self._next):
            hashed = hash(key)
            slot = hashed & mask
            new_links.append(hashed & HASH | (new_heads.get(slot) or heads[slot]))
            new_heads[slot] = number

    def _id(self, number: int, key: bytes) -> MessageId | None:
        number += self._base
        name = self._names[bisect_right(self._firsts, number) - 1]
        row = self._connection.fetchone(f"SELECT key, id FROM {name} WHERE number = ?", (number,))
        return MessageId(row[1]) if row is not None and row[0] == key else None

    def _table(self, now: float, first: int) -> str:
        """The table for keys as of `now`, made if it is missing. A clock that went back goes on in the newest."""
        period = int(now // SLICE)
        if not self._names or _period(self._names[-1]) < period:
            name = f"ledger_{period}"
            self._connection.execute(
                f"CREATE TABLE {name} (number INTEGER PRIMARY KEY, key BLOB NOT NULL, id TEXT NOT NULL)"
            )
            self._names.append(name)
            self._firsts.append(first)
        return self._names[-1]

    def _read_slices(self) -> None:
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ledger_[0-9]*'"
        found = [(self._first(name), name) for (name,) in self._connection.fetchall(sql)]
        slices = sorted(slice for slice in found if slice[0])
        self._names: list[str] = [name for _, name in slices]
        self._firsts: list[int] = [first for first, _ in slices]

    def _last(self, name: str) -> int:
        row = self._connection.fetchone(f"SELECT max(number) FROM {name}")
        return int(row[0]) if row else 0

    def _first(self, name: str) -> int:
        row = self._connection.fetchone(f"SELECT min(number) FROM {name}")
        return int(row[0] or 0) if row else 0


def _period(name: str) -> int:
    return int(name.removeprefix("ledger_"))


def _is_stale(name: str, now: float) -> bool:
    return (_period(name) + 1) * SLICE + KEPT <= now
