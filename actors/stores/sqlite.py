"""The embedded store: one SQLite file in the data folder, in WAL mode with `synchronous=FULL`.

A command-line tool uses it on a stopped node like this; the folder is locked meanwhile:

    with SqliteStore(data_dir=folder, realm=None, clock=SystemClock()) as store:
        store.commit([SaveAccounts(reply_to=nobody, request=0, accounts=accounts)])
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from actors.ports import Clock
from actors.stores.ballast import Ballast
from actors.stores.connection import Connect, Connection, Sqlite3Connection
from actors.stores.home import MOST_IDS
from actors.stores.lock import FolderLock
from actors.stores.opening import DATABASE, Opening, begin_anew, mark_damaged
from actors.stores.port import Alarm
from actors.stores.tables import Sound, TableStore
from actors.stores.witness import Witness


class Folder:
    """The place of a database on a disk: `Place` in a data folder."""

    def __init__(self, folder: Path, realm: str | None, clock: Clock, connect: Connect) -> None:
        self._folder = folder
        self._opening = Opening(folder, realm, clock, connect)
        self._ballast = Ballast(folder)

    def open(self) -> Sound:
        """Lock the folder and open the database in it."""
        self._lock = FolderLock(self._folder)
        try:
            sound = self._opening.open()
            self._witness = Witness(self._folder)
        except BaseException:
            self._lock.release()
            raise
        try:
            sound = self._testified(sound)
        except BaseException:
            self.release()
            raise
        self._ballast.hold()
        return sound

    def _testified(self, sound: Sound) -> Sound:
        """Ask the witness whether commits are missing; where something was salvaged, the alarm is there already.

        Commits without a witness are a copy that was put into an empty folder.
        """
        seen = self._witness.read()
        missing = seen - sound.commits
        if missing > 0 or (not seen and sound.commits):
            sound = begin_anew(sound)
        self._witness.write(sound.commits)
        if missing <= 0 or sound.opened.alarms:
            return sound
        return sound._replace(opened=msgspec.structs.replace(sound.opened, alarms=(_missing(missing),)))

    def committed(self, commits: int) -> None:
        """Tell the witness."""
        self._witness.write(commits)

    def mark_damaged(self) -> None:
        """Have the next start check the whole database."""
        mark_damaged(self._folder)

    def size(self) -> int:
        """Bytes of the database and its log."""
        return sum(file.stat().st_size for file in self._folder.glob(f"{DATABASE}*"))

    def release_room(self) -> None:
        """Give up the ballast."""
        self._ballast.release()

    def hold_room(self) -> bool:
        """Take the ballast back, if the disk has room again."""
        return self._ballast.hold()

    def close(self, connection: Connection) -> None:
        """Close it: SQLite moves the log into the database."""
        connection.close()

    def release(self) -> None:
        """Free the folder."""
        self._witness.close()
        self._lock.release()


class SqliteStore(TableStore):
    """Implements `Store` in `data_dir`; `realm` None takes whatever the folder has.

    `most_ids` is how many ids of mail from elsewhere it remembers at once (`home`).
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        realm: str | None,
        clock: Clock,
        connect: Connect = Sqlite3Connection,
        most_ids: int = MOST_IDS,
    ) -> None:
        super().__init__(Folder(data_dir, realm, clock, connect), clock, most_ids=most_ids)


def _missing(commits: int) -> Alarm:
    return Alarm(
        "database-damaged",
        f"The newest {commits} commits are missing from the database: its write-ahead log was removed or damaged, "
        "or an older database was put in its place. What was accepted then is lost here.",
        "If you have the file ending in -wal of before, stop the node, put it back and start again.",
    )
