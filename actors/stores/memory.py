"""A store in memory: the same tables without a disk, for tests, simulations and nodes that need not remember."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from actors.ports import Clock
from actors.stores.connection import Connection, DatabaseError, Sqlite3Connection
from actors.stores.home import MOST_IDS
from actors.stores.opening import begin
from actors.stores.schema import migrate
from actors.stores.tables import Sound, TableStore

BALLAST_PAGES = 256


class Disk:
    """What outlives a `MemoryStore`. Hand it to the next one, and that is the same node after a restart.

    A store that is dropped without `close` has crashed: what it had not committed is forgotten.
    """

    def __init__(self) -> None:
        self.connection = Sqlite3Connection(Path(":memory:"))
        self.full = False

    def fill(self) -> None:
        """From now on there is no room for anything new."""
        self.full = True
        self._limit(spare=0)

    def empty(self) -> None:
        """There is room again; the store finds out by itself."""
        self.full = False
        self.connection.execute("PRAGMA max_page_count = 1073741823")

    def release_ballast(self) -> None:
        """A full disk has room for acknowledgements."""
        if self.full:
            self._limit(spare=BALLAST_PAGES)

    def _limit(self, spare: int) -> None:
        row = self.connection.fetchone("PRAGMA page_count")
        pages = row[0] if row else 0
        self.connection.execute(f"PRAGMA max_page_count = {pages + spare}")

    def close(self) -> None:
        """Forget everything."""
        self.connection.close()


class Memory:
    """The place of a database in memory."""

    def __init__(self, disk: Disk | None, realm: str | None, clock: Clock) -> None:
        self._own = disk is None
        self._disk = disk or Disk()
        self._realm = realm
        self._clock = clock

    def open(self) -> Sound:
        """Go on with what the last store had committed."""
        connection = self._disk.connection
        with suppress(DatabaseError):  # there is no transaction unless a store crashed in it
            connection.execute("ROLLBACK")
        migrate(connection)
        return begin(connection, self._realm, self._clock)

    def committed(self, commits: int) -> None:
        """Memory loses no log."""

    def mark_damaged(self) -> None:
        """Memory is not checked."""

    def size(self) -> int:
        """Bytes of the database."""
        row = self._disk.connection.fetchone("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
        return int(row[0]) if row else 0

    def release_room(self) -> None:
        """Let a full disk take acknowledgements."""
        self._disk.release_ballast()

    def hold_room(self) -> bool:
        """Tell whether the disk is full no longer."""
        return not self._disk.full

    def close(self, connection: Connection) -> None:
        """Leave the database to the next store, if there can be one."""
        if self._own:
            self._disk.close()

    def release(self) -> None:
        """Nobody else takes this place meanwhile."""


class MemoryStore(TableStore):
    """Implements `Store`. `data_dir` is not used; a `disk` of one's own makes the mail outlive this object."""

    def __init__(
        self,
        *,
        data_dir: Path | None = None,
        realm: str | None,
        clock: Clock,
        disk: Disk | None = None,
        most_ids: int = MOST_IDS,
    ) -> None:
        super().__init__(Memory(disk, realm, clock), clock, most_ids=most_ids)
