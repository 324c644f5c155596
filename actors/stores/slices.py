"""Tables that are dropped whole: the ledger of ingress keys, and what is remembered of ended messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from actors.model import End, EndedMessage, MessageId, UserName
from actors.stores.connection import Connection, Row

LEDGER_SLICE = 300
"""Seconds of node time in one table of the ledger."""
LEDGER_KEPT = 600
"""Seconds that an ingress key is remembered at least (PROTOCOL 2)."""
ENDED_SLICE = 3_600
ENDED_KEPT = 2 * 86_400
"""Seconds that an end is remembered at least, unless there are more than `ENDED_ROWS`."""
ENDED_SLICE_ROWS = 500_000
ENDED_ROWS = 3_000_000
LOOK_UP = (1, 4, 16, 64, 256)
"""Keys in one look-up: a few sizes, so that a few statements stay prepared."""

INSERT_ENDED = "INSERT OR IGNORE INTO {} VALUES (?, ?, ?, ?, ?, ?, ?)"


class Ledger:
    """Ingress keys of the last 10 minutes and the ids they were stored under, one table for five minutes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.reload()

    def reload(self) -> None:
        """Read from the database which slices there are: at start and after a roll-back."""
        self._slices = sorted(_numbers(self._connection, "ledger"))

    def find(self, keys: Sequence[bytes]) -> dict[bytes, MessageId]:
        """Which of these keys are known, and their first ids."""
        known: dict[bytes, MessageId] = {}
        for number in self._slices:
            for some in _padded(keys):
                marks = ",".join("?" * len(some))
                sql = f"SELECT key, id FROM ledger_{number} WHERE key IN ({marks})"
                known.update(self._connection.fetchall(sql, some))
        return known

    def add(self, rows: Iterable[tuple[bytes, MessageId]], now: float) -> None:
        """Remember keys as of node time `now`, inside the caller's transaction."""
        number = int(now // LEDGER_SLICE)
        # A clock that stands or went back (a restored file) goes on in the newest slice.
        if self._slices and number < self._slices[-1]:
            number = self._slices[-1]
        if number not in self._slices:
            self._connection.execute(
                f"CREATE TABLE ledger_{number} (key BLOB PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID"
            )
            self._slices.append(number)
        self._connection.executemany(f"INSERT OR IGNORE INTO ledger_{number} VALUES (?, ?)", rows)

    def stale(self, now: float) -> list[str]:
        """Tables whose every key is older than 10 minutes."""
        return [f"ledger_{n}" for n in self._slices if (n + 1) * LEDGER_SLICE + LEDGER_KEPT <= now]


class EndedLog:
    """Messages that ended: two days of them, and a few million at most; the oldest slice goes first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.reload()

    def reload(self) -> None:
        """Read from the database which slices there are, when they began and how long they are."""
        self._slices = [
            (number, self._started(number), self._rows(number))
            for number in sorted(_numbers(self._connection, "ended"))
        ]

    def add(self, rows: Sequence[Row], now: float) -> None:
        """Remember ends (rows by `ended_row`) as of node time `now`, inside the caller's transaction."""
        number, started, count = self._slices[-1] if self._slices else (0, 0.0, ENDED_SLICE_ROWS)
        if count >= ENDED_SLICE_ROWS or now - started >= ENDED_SLICE:
            number, started, count = number + 1, now, 0
            self._connection.execute(
                f"CREATE TABLE ended_{number} (id TEXT PRIMARY KEY, sender TEXT, recipient TEXT, accepted REAL,"
                " ended REAL, end TEXT, reason TEXT)"
            )
            # The row with the empty id says when the slice began.
            first = ("", "", "", 0.0, started, "", "")
            self._connection.execute(INSERT_ENDED.format(f"ended_{number}"), first)
            self._slices.append((number, started, count))
        self._connection.executemany(INSERT_ENDED.format(f"ended_{number}"), rows)
        self._slices[-1] = (number, started, count + len(rows))

    def find(self, message_id: MessageId) -> EndedMessage | None:
        """How a message ended; the first end counts."""
        for number, _, _ in self._slices if message_id else ():
            row = self._connection.fetchone(f"SELECT * FROM ended_{number} WHERE id = ?", (message_id,))
            if row is not None:
                name, sender, recipient, accepted, ended, end, reason = row
                return EndedMessage(name, sender, recipient, accepted, ended, End(end), reason)
        return None

    def stale(self, now: float) -> list[str]:
        """Tables that are older than two days, and the oldest of too many rows."""
        tables = []
        total = sum(count for _, _, count in self._slices)
        for number, started, count in self._slices[:-1]:
            if total > ENDED_ROWS or now - started > ENDED_KEPT + ENDED_SLICE:
                tables.append(f"ended_{number}")
                total -= count
        return tables

    def _started(self, number: int) -> float:
        row = self._connection.fetchone(f"SELECT ended FROM ended_{number} WHERE id = ''")
        return float(row[0]) if row else 0.0

    def _rows(self, number: int) -> int:
        row = self._connection.fetchone(f"SELECT max(rowid) FROM ended_{number}")
        return int(row[0] or 0) if row else 0


def ended_row(
    message_id: MessageId, sender: UserName, recipient: UserName, accepted: float, ended: float, end: End, reason: str
) -> Row:
    """A row of an ended slice."""
    return (message_id, sender, recipient, accepted, ended, end.value, reason)


def _numbers(connection: Connection, kind: str) -> list[int]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ?"
    return [int(name.removeprefix(f"{kind}_")) for (name,) in connection.fetchall(sql, (f"{kind}_[0-9]*",))]


def _padded(keys: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
    """The keys in portions of `LOOK_UP` sizes, the last filled up by repeating a key."""
    largest = LOOK_UP[-1]
    for start in range(0, len(keys), largest):
        some = list(keys[start : start + largest])
        size = next(size for size in LOOK_UP if size >= len(some))
        yield some + [some[0]] * (size - len(some))
