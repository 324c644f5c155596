"""A disk that loses power: an SQLite file layer (apsw) that keeps what was not synced in memory, and then lets it go.

When the power goes, each sector that was written since the last sync of its file is kept or lost by chance, and a
write may be torn between two sectors. A simulated process ends with it: every later call fails.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from actors.stores.connection import Row, error_of

SECTOR = 512


class PowerCut(Exception):
    """The power is off."""


class Disk:
    """All files of one simulated machine. `cut_in` counts down the writes and syncs to the next cut."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.files: list[CutFile] = []
        self.cut_in = 1 << 60
        self.off = False
        self.lost = 0
        """Sectors that did not reach the platter."""

    def work(self) -> None:
        """One write or sync; the power may go before it."""
        if self.off:
            raise PowerCut
        self.cut_in -= 1
        if self.cut_in <= 0:
            self.off = True
            raise PowerCut

    def restore(self) -> None:
        """Power comes back: what was kept by chance is on the files, the rest is gone."""
        keep = self.chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for file in self.files:
            self.lost += file.settle(lambda: self.chance.random() < keep)
        self.files.clear()
        self.off = False
        self.cut_in = 1 << 60


class CutFile(apsw.VFSFile):
    """A database or its log: reads see every write, the file below only what was synced."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self.path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
        self._seen = bytearray(self.path.read_bytes())
        self._pending: list[tuple[int, bytes | None]] = []
        disk.files.append(self)

    def xRead(self, amount: int, offset: int) -> bytes:
        if self._disk.off:
            raise PowerCut
        return bytes(self._seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self._disk.work()
        if len(self._seen) < offset:
            self._seen.extend(bytes(offset - len(self._seen)))
        self._seen[offset : offset + len(data)] = data
        self._pending += [(offset + at, data[at : at + SECTOR]) for at in range(0, len(data), SECTOR)]

    def xTruncate(self, size: int) -> None:
        self._disk.work()
        del self._seen[size:]
        self._pending.append((size, None))

    def xSync(self, flags: int) -> None:
        self._disk.work()
        self.settle(lambda: True)

    def xFileSize(self) -> int:
        return len(self._seen)

    def settle(self, keep: Callable[[], bool]) -> int:
        """Bring the pending writes that are kept to the file; how many were not."""
        lost = 0
        if not self._pending or not self.path.exists():
            return lost
        with self.path.open("r+b") as file:
            for offset, data in self._pending:
                if not keep():
                    lost += 1
                elif data is None:
                    file.truncate(offset)
                else:
                    file.seek(offset)
                    file.write(data)
        self._pending.clear()
        return lost


class CutVFS(apsw.VFS):
    """Opens databases and logs as `CutFile`s."""

    def __init__(self, name: str, disk: Disk) -> None:
        super().__init__(name, "")
        self._disk = disk

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        if flags[0] & (apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL):
            path = Path(name.filename() if isinstance(name, apsw.URIFilename) else name)
            path.touch(mode=0o600)
            return CutFile(self._disk, name, flags)
        return super().xOpen(name, flags)

    def xDelete(self, name: str, sync: bool) -> None:
        self._disk.work()
        super().xDelete(name, sync)
        self._disk.files = [file for file in self._disk.files if file.path != Path(name)]


class ApswConnection:
    """The connection port on apsw, with two faults that a harness must see.

    `weak` turns `synchronous` off. `hasty` says that a transaction is committed and commits it when the next begins.
    """

    def __init__(self, path: Path, vfs: str, *, weak: bool = False, hasty: bool = False) -> None:
        self._weak = weak
        self._hasty = hasty
        self._connection: apsw.Connection = self._call(lambda: apsw.Connection(str(path), vfs=vfs))

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        if self._weak and "synchronous" in sql:
            sql = "PRAGMA synchronous = OFF"
        if self._hasty and sql == "COMMIT":
            return 0
        self._catch_up(sql)
        before = self._connection.total_changes()
        self._call(lambda: self._connection.execute(sql, tuple(values)).fetchall())
        return self._connection.total_changes() - before

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        before = self._connection.total_changes()
        self._call(lambda: self._connection.executemany(sql, [tuple(row) for row in rows]).fetchall())
        return self._connection.total_changes() - before

    def fetchone(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        rows = self.fetchall(sql, values)
        return rows[0] if rows else None

    def fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        self._catch_up(sql)
        rows: list[Row] = self._call(lambda: self._connection.execute(sql, tuple(values)).fetchall())
        return rows

    def close(self) -> None:
        self._call(self._connection.close)

    def drop(self) -> None:
        """End with the process: nothing more is written, for the power is off."""
        with suppress(PowerCut, apsw.Error):
            self._connection.close(force=True)

    def _catch_up(self, sql: str) -> None:
        if self._hasty and sql.startswith(("BEGIN", "PRAGMA")) and self._connection.in_transaction:
            self._call(lambda: self._connection.execute("COMMIT"))

    @staticmethod
    def _call(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except PowerCut:
            raise
        except apsw.Error as error:
            raise error_of(getattr(error, "result", 1), str(error)) from error
