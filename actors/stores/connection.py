"""The connection port below the SQLite store, and `sqlite3` behind it."""

from __future__ import annotations

import re
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

Row = tuple[Any, ...]

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
"""Numbers of rows that one statement writes: few, so that all stay prepared. What is between two sizes takes the
greater, its last row repeated: a row that is there already is ignored, as is a key that is gone."""
_INSERT = re.compile(r"INSERT (OR \w+ )?INTO (.*) VALUES (\((?:\?, )*\?\))")
_DELETE = re.compile(r"(DELETE FROM \w+ WHERE \w+) = \?")

FULL = 13
CORRUPT = 11
NOT_A_DATABASE = 26
IO_ERROR = 10
READ_ONLY = 8
CANNOT_OPEN = 14


class DatabaseError(Exception):
    """A statement failed; the transaction can be rolled back."""


class DatabaseFull(DatabaseError):
    """No room on the disk (SQLITE_FULL)."""


class DatabaseDamaged(DatabaseError):
    """The file is no sound database (SQLITE_CORRUPT, SQLITE_NOTADB)."""


class DatabaseFailed(DatabaseError):
    """The disk failed (SQLITE_IOERR and its like): what is durable is unknown."""


def error_of(code: int, text: str) -> DatabaseError:
    """Translate a result code of SQLite (https://sqlite.org/rescode.html); extended codes by their low byte."""
    primary = code & 0xFF
    if primary == FULL:
        return DatabaseFull(text)
    if primary in (CORRUPT, NOT_A_DATABASE):
        return DatabaseDamaged(text)
    if primary in (IO_ERROR, READ_ONLY, CANNOT_OPEN):
        return DatabaseFailed(text)
    return DatabaseError(f"{text} (SQLite code {code})")


class Connection(Protocol):
    """One open database. Transactions are begun and ended by statements. Errors are `DatabaseError`s."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; the number of rows it changed."""

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run one statement for each row; the number of rows changed."""

    def fetchone(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query."""

    def fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""

    def close(self) -> None:
        """Close it."""


class Wide(NamedTuple):
    """A statement for many rows at once."""

    statements: dict[int, str]
    strict: bool
    """A row that is there already is an error, as it was for the statement of one row."""


def fetch_in(connection: Connection, head: str, keys: Sequence[Any]) -> list[Row]:
    """All rows of a query `SELECT ... WHERE column` for any of these keys, some of `SIZES` by one statement."""
    rows: list[Row] = []
    for at in range(0, len(keys), SIZES[-1]):
        some = keys[at : at + SIZES[-1]]
        size = SIZES[bisect_left(SIZES, len(some))]
        values = list(some) + [some[-1]] * (size - len(some))
        rows += connection.fetchall(f"{head} IN ({', '.join('?' * size)})", values)
    return rows


Connect = Callable[[Path], Connection]
"""Opens the database in a file, which is made if it is missing."""


class Sqlite3Connection:
    """The standard library's `sqlite3`, without its own idea of transactions."""

    def __init__(self, path: Path) -> None:
        try:
            # Opened where errors can be told to a person, then used by one actor's thread alone.
            self._connection = sqlite3.connect(
                path, isolation_level=None, cached_statements=512, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _translated(error) from error

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; the number of rows it changed."""
        try:
            return self._connection.execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise _translated(error) from error

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run one statement for each row; the number of rows changed.

        `sqlite3` gives up the interpreter at every row, and beside busy threads waits for it as often: so rows are
        inserted, and deleted by key, many by one statement.
        """
        rows = list(rows)
        wide = _widened(sql) if len(rows) > 1 else None
        try:
            if wide is None:
                return self._connection.executemany(sql, rows).rowcount
            return sum(self._write(wide, rows[at : at + SIZES[-1]]) for at in range(0, len(rows), SIZES[-1]))
        except sqlite3.Error as error:
            raise _translated(error) from error

    def _write(self, wide: Wide, rows: list[Sequence[Any]]) -> int:
        size = SIZES[bisect_left(SIZES, len(rows))]
        values = list(chain.from_iterable(rows))
        values += list(rows[-1]) * (size - len(rows))
        written = self._connection.execute(wide.statements[size], values).rowcount
        if wide.strict and written != len(rows):
            raise DatabaseError(f"{len(rows) - written} of {len(rows)} rows were there already")
        return written

    def fetchone(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query."""
        rows = self.fetchall(sql, values)
        return rows[0] if rows else None

    def fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query. Text that is no UTF-8 is damage: it is read so that its checksum tells."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            if hasattr(error, "sqlite_errorcode"):
                raise _translated(error) from error
        self._connection.text_factory = _any_text
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _translated(error) from error
        finally:
            self._connection.text_factory = str

    def close(self) -> None:
        """Close it; the last one to close moves the log into the database file."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise _translated(error) from error


@lru_cache(maxsize=64)
def _widened(sql: str) -> Wide | None:
    """The statement for each number of rows in `SIZES`; None if it cannot take more than one."""
    insert = _INSERT.fullmatch(sql)
    if insert is not None:
        conflict, table, values = insert.groups()
        head = f"INSERT {conflict or 'OR IGNORE '}INTO {table} VALUES "
        return Wide({size: head + ", ".join([values] * size) for size in SIZES}, strict=conflict is None)
    delete = _DELETE.fullmatch(sql)
    if delete is not None:
        return Wide({size: f"{delete[1]} IN ({', '.join('?' * size)})" for size in SIZES}, strict=False)
    return None


def _any_text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def _translated(error: sqlite3.Error) -> DatabaseError:
    return error_of(getattr(error, "sqlite_errorcode", 0), str(error))
