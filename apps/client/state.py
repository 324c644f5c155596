"""The state file of a receiving client: its device's name, and each message once, committed before the 200.

SQLite in WAL mode with `synchronous=FULL`, as the node's own store: what was answered is on disk.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import msgspec

from apps.client.session import Incoming
from apps.common.exits import Exit, Failure
from apps.common.values import Listen

KEPT = 30 * 86400.0
"""Seconds that a printed message stays in the file: far longer than a network repeats one."""
LONGEST_NAME = 200
"""Bytes of a file name before it is cut."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    at REAL NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    printed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS unprinted ON messages (number) WHERE printed = 0;
"""


class Kept(msgspec.Struct, frozen=True):
    """A message in the file."""

    number: int
    """Order of arrival."""
    message: Incoming
    at: float
    """When it was committed here, Unix seconds."""


def default_path(user: str, via: Listen) -> Path:
    """Return the file of this user at this server, in the folder for state of the XDG specification."""
    base = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    name = quote(f"{user}@{via.host}:{via.port}", safe="@:")
    if len(name) > LONGEST_NAME:
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    return folder / "angarium" / f"{name}.sqlite"


class StateFile:
    """An open state file; its lock keeps out a second listener of the same device."""

    def __init__(self, path: Path) -> None:
        """Open or make it; a Failure says why it cannot be used."""
        self.path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(path)
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from error
        try:
            self._database = _open(path)
        except (sqlite3.Error, OSError) as error:
            os.close(self._lock)
            raise _unusable(path, str(error)) from error

    def close(self) -> None:
        """Close the file and free its lock."""
        self._database.close()
        os.close(self._lock)

    @property
    def instance(self) -> str:
        """The URN that names this device for as long as the file lives (RFC 5626 4.1)."""
        value = self._get("instance")
        if not value:
            value = f"urn:uuid:{uuid.uuid4()}"
            self._put("instance", value)
        return value

    @property
    def local_port(self) -> int:
        """The UDP port that this device used last, 0 if none."""
        return int(self._get("local_port") or 0)

    @local_port.setter
    def local_port(self, port: int) -> None:
        if port != self.local_port:
            self._put("local_port", str(port))

    def _get(self, key: str) -> str:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return "" if row is None else str(row[0])

    def _put(self, key: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def add(self, message: Incoming) -> bool:
        """Commit a message; False if it is there already."""
        done = self._database.execute(
            "INSERT OR IGNORE INTO messages (id, sender, recipient, at, content_type, body) VALUES (?, ?, ?, ?, ?, ?)",
            (
                message.id,
                message.sender,
                message.recipient,
                time.time(),
                message.content_type,
                message.body,
            ),
        )
        return done.rowcount == 1

    def unprinted(self, limit: int) -> list[Kept]:
        """Return the oldest messages that were not printed yet."""
        rows = self._database.execute(
            "SELECT number, id, sender, recipient, at, content_type, body FROM messages"
            " WHERE printed = 0 ORDER BY number LIMIT ?",
            (limit,),
        )
        return [
            Kept(number, Incoming(id_, sender, recipient, content_type, body), at)
            for number, id_, sender, recipient, at, content_type, body in rows
        ]

    def mark_printed(self, messages: Sequence[Kept]) -> None:
        """Note that these were printed, in one commit."""
        if messages:
            marks = ",".join("?" * len(messages))
            self._database.execute(
                f"UPDATE messages SET printed = 1 WHERE number IN ({marks})",
                [kept.number for kept in messages],
            )


def _lock(path: Path) -> int:
    """Lock a file beside: closing a second handle of the database itself would drop SQLite's own locks."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Failure(
            f"another angarium listens with the state file {path}",
            do="end it, or name another file with --state (chat: --history)",
            code=Exit.CONFIG,
        ) from None
    return lock


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(_SCHEMA)
        database.execute("DELETE FROM messages WHERE printed = 1 AND at < ?", (time.time() - KEPT,))
    except sqlite3.Error:
        database.close()
        raise
    return database


def _unusable(path: Path, why: str) -> Failure:
    return Failure(
        f"cannot use the state file {path}", why=why, do="name another with --state (chat: --history)", code=Exit.CONFIG
    )
