"""What is remembered of messages that ended: two days of them, and a few million at most."""

from __future__ import annotations

from collections.abc import Sequence

from actors.model import End, EndedMessage, MessageId, Value
from actors.stores.connection import Connection, Row

SLICE = 3_600
"""Seconds of node time in one table; a table is dropped whole."""
SLICE_ROWS = 500_000
"""A table of so many rows is full earlier."""
KEPT = 2 * 86_400
"""Seconds that an end is remembered at least, unless there are more than `MOST_ROWS`."""
MOST_ROWS = 3_000_000
MARK = ""
"""The id of the row that says when its table began and, once it is full, how many rows it has."""

END_TEXT = {end: end.value for end in End}
"""Plain strings: SQLite's binding takes a slow path for an enum."""


class Slice(Value, frozen=True, gc=False):
    """One table."""

    number: int
    started: float
    rows: int

    @property
    def table(self) -> str:
        """Its name."""
        return f"ended_{self.number}"


class EndedLog:
    """Finds and adds ends: `add` inside the caller's transaction; `reload` after a roll-back or a drop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.reload()

    def reload(self) -> None:
        """Read which slices there are."""
        sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'ended_[0-9]*'"
        names = [name for (name,) in self._connection.fetchall(sql)]
        numbers = sorted(int(name.removeprefix("ended_")) for name in names)
        self._slices = [self._slice(number, newest=number == numbers[-1]) for number in numbers]

    def add(self, rows: Sequence[Row], now: float) -> None:
        """Remember ends (id, sender, recipient, accepted, ended, end, reason) as of node time `now`."""
        if not self._slices or self._slices[-1].rows >= SLICE_ROWS or now - self._slices[-1].started >= SLICE:
            self._begin_slice(now)
        newest = self._slices[-1]
        self._connection.executemany(_insert(newest), rows)
        self._slices[-1] = Slice(newest.number, newest.started, newest.rows + len(rows))

    def find(self, message_id: MessageId) -> EndedMessage | None:
        """How a message ended; the first end counts."""
        for some in self._slices if message_id != MARK else ():
            row = self._connection.fetchone(f"SELECT * FROM {some.table} WHERE id = ?", (message_id,))
            if row is not None:
                name, sender, recipient, accepted, ended, end, reason = row
                return EndedMessage(name, sender, recipient, accepted, ended, End(end), reason)
        return None

    def stale(self, now: float) -> str | None:
        """The oldest table, if it is older than two days or there are too many rows."""
        if len(self._slices) < 2:
            return None
        oldest = self._slices[0]
        old = now - oldest.started > KEPT + SLICE
        return oldest.table if old or sum(some.rows for some in self._slices) > MOST_ROWS else None

    def _begin_slice(self, now: float) -> None:
        number = 1
        if self._slices:
            full = self._slices[-1]
            number = full.number + 1
            self._connection.execute(f"UPDATE {full.table} SET accepted = ? WHERE id = ?", (full.rows, MARK))
        new = Slice(number, now, 0)
        self._connection.execute(
            f"CREATE TABLE {new.table} (id TEXT PRIMARY KEY, sender TEXT, recipient TEXT, accepted REAL,"
            " ended REAL, end TEXT, reason TEXT) WITHOUT ROWID"
        )
        self._connection.execute(_insert(new), (MARK, "", "", 0.0, now, "", ""))
        self._slices.append(new)

    def _slice(self, number: int, *, newest: bool) -> Slice:
        row = self._connection.fetchone(f"SELECT ended, accepted FROM ended_{number} WHERE id = ?", (MARK,))
        started, rows = row or (0.0, SLICE_ROWS)
        if newest:
            counted = self._connection.fetchone(f"SELECT count(*) FROM ended_{number}")
            rows = counted[0] if counted else 0
        return Slice(number, started, int(rows))


def _insert(some: Slice) -> str:
    return f"INSERT OR IGNORE INTO {some.table} VALUES (?, ?, ?, ?, ?, ?, ?)"
