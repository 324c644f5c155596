"""Opening the database: is it sound, whose is it, what time is it there. Start-up is recovery; there is no other."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from actors.model import Seq
from actors.ports import Clock
from actors.stores.connection import Connect, Connection, DatabaseDamaged, DatabaseError, DatabaseFull
from actors.stores.meta import Meta, mark_of, node_time_now, settled_realm
from actors.stores.port import Alarm, Opened, StoreError
from actors.stores.records import DamagedRow
from actors.stores.salvage import finish_swap, salvage
from actors.stores.schema import migrate
from actors.stores.tables import Sound

DATABASE = "angarium.db"
WAL = f"{DATABASE}-wal"
MARKER = "damaged"
"""A file of this name asks for a full check at the next start."""
CHECKED_SIZE = 48 << 20
"""Up to this size in bytes a database is checked in full at every start; a larger one while the node runs, or at the
start after a read found damage."""
WAL_HEADER = 32
MAGIC = b"SQLite format 3\x00"
PAGE = 4096

NAMES = ("node_key", "realm", "clock", "mark", "incarnation", "home", "arriving")
"""What `Meta` may have: damage in one of them is found at the start."""

PRAGMAS = (
    f"page_size = {PAGE}",
    "locking_mode = EXCLUSIVE",  # one process only: the log's index stays in memory, no -shm file to run out of disk
    "journal_mode = WAL",
    "synchronous = FULL",
    "wal_autocheckpoint = 0",  # SQLite would swallow its errors: `SqliteStore.tend` does it
    "cache_size = -32000",
    "secure_delete = ON",
)


def mark_damaged(folder: Path) -> None:
    """Have the next start check the whole database."""
    (folder / MARKER).touch()


class Opening:
    """Opens the database of a data folder whose lock the caller holds."""

    def __init__(self, folder: Path, realm: str | None, clock: Clock, connect: Connect) -> None:
        self._path = folder / DATABASE
        self._wal = folder / WAL
        self._marker = folder / MARKER
        self._realm = realm
        self._clock = clock
        self._connect = connect

    def open(self) -> Sound:
        """Open it, or what can be salvaged of it. Raises `StoreError`."""
        try:
            finish_swap(self._path)
            return self._open()
        except (DatabaseError, OSError) as error:
            raise StoreError(
                f"Cannot open the database {self._path}: {error}. Look at the disk and the rights on the folder."
            ) from error

    def _open(self) -> Sound:
        alarms: tuple[Alarm, ...] = ()
        try:
            self._refuse_headless()
            connection = self._sound_connection()
        except (DatabaseDamaged, DamagedRow) as error:
            alarms = (salvage(self._path, self._connect_configured, str(error), self._clock.wall()),)
            connection = self._sound_connection()
        self._marker.unlink(missing_ok=True)
        try:
            sound = begin(connection, self._realm, self._clock, alarms)
            return sound._replace(checked=self._checked)
        except (DatabaseError, StoreError):
            connection.close()
            raise

    def _has_log(self) -> bool:
        return self._wal.exists() and self._wal.stat().st_size >= WAL_HEADER

    def _refuse_headless(self) -> None:
        """SQLite deletes the log of an empty database and ignores a file without header: not with mail in them."""
        if self._path.with_name(f"{DATABASE}-journal").exists():
            return  # the power went while the database was made: SQLite takes it back
        size = self._path.stat().st_size if self._path.exists() else 0
        if size == 0 and self._has_log():
            raise DatabaseDamaged("the database file is empty, its log is not")
        if size:
            with self._path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise DatabaseDamaged("the header of the database file is damaged")

    def _sound_connection(self) -> Connection:
        connection = self._connect_configured(self._path)
        try:
            self._checked = self._marker.exists() or self._path.stat().st_size <= CHECKED_SIZE
            if migrate(connection) > 0 and self._checked:
                _check(connection)
            meta = Meta(connection)
            for name in NAMES:
                meta.get(name)
        except (DatabaseError, DamagedRow, StoreError):
            connection.close()
            raise
        return connection

    def _connect_configured(self, path: Path) -> Connection:
        """A connection to the file, made private if new, with every setting in place."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = self._connect(path)
        try:
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except DatabaseError:
            connection.close()
            raise
        return connection


def begin(connection: Connection, wanted_realm: str | None, clock: Clock, alarms: tuple[Alarm, ...] = ()) -> Sound:
    """Read what a database remembers of itself, or settle it in a new one. Raises `RealmMismatch`."""
    meta = Meta(connection)
    realm = settled_realm(meta.get("realm"), wanted_realm)
    node_key = meta.get("node_key") or secrets.token_bytes(32)
    row = connection.fetchone("SELECT max(seq) FROM message")
    mark = mark_of(meta.get("mark"))
    last_seq = max(mark.last_seq, (row and row[0]) or 0)
    node_time = node_time_now(meta.get("clock"), clock.wall())
    incarnation = meta.get("incarnation") or new_incarnation()
    if None in map(meta.get, ("realm", "node_key", "incarnation")):  # else nothing is written: a full disk may start
        connection.execute("BEGIN IMMEDIATE")
        meta.put("realm", realm.encode())
        meta.put("node_key", node_key)
        meta.put("incarnation", incarnation)
        connection.execute("COMMIT")
    opened = Opened(
        node_key, realm, node_time - clock.monotonic(), Seq(last_seq), alarms, incarnation=incarnation.decode()
    )
    return Sound(connection, opened, mark.commits)


def begin_anew(sound: Sound) -> Sound:
    """Give a database that is older than it should be another incarnation: it counts the same rows once more.

    Before the witness forgets how new it should be. On a full disk it has the other one for this run only. Raises
    `StoreError`.
    """
    incarnation = new_incarnation()
    try:
        with suppress(DatabaseFull):
            Meta(sound.connection).put("incarnation", incarnation)
    except DatabaseError as error:
        sound.connection.close()
        raise StoreError(f"Cannot write to the database: {error}. Look at the disk.") from error
    return sound._replace(opened=msgspec.structs.replace(sound.opened, incarnation=incarnation.decode()))


def new_incarnation() -> bytes:
    """A name that no other data folder has, in hex."""
    return secrets.token_hex(8).encode()


def _check(connection: Connection) -> None:
    row = connection.fetchone("PRAGMA integrity_check(1)")
    if row is None or row[0] != "ok":
        raise DatabaseDamaged(str(row[0]) if row else "no answer to the integrity check")
