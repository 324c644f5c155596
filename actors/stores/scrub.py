"""A walk over a large database that was not checked at its start: a message must not be hidden by a damaged index."""

from __future__ import annotations

from actors.model import Seq
from actors.stores.connection import Connection, DatabaseDamaged
from actors.stores.reader import Reader

ROWS = 200
"""Rows of one step: about a millisecond."""


class Scrub:
    """Reads every message by its number, step by step, and asks the index of its queue whether it knows it."""

    def __init__(self, connection: Connection, reader: Reader, last: Seq) -> None:
        self._connection = connection
        self._reader = reader
        self._after = Seq(0)
        self._last = last
        """What is stored later needs no check."""

    @property
    def done(self) -> bool:
        """Tell whether all was read."""
        return self._after >= self._last

    def step(self) -> None:
        """Read some rows; damaged ones are put aside. Raises `DatabaseDamaged` if the index lacks one."""
        sql = "SELECT 1 FROM message INDEXED BY message_queue WHERE queue = ? AND seq = ?"
        sound, self._after = self._reader.by_number(self._after, ROWS, self._last)
        for queue, seq in sound:
            if self._connection.fetchone(sql, (queue, seq)) is None:
                raise DatabaseDamaged("an index lacks a row")
