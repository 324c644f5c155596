"""What the data folder remembers of itself: realm, node key, newest seq, node time."""

from __future__ import annotations

from typing import NamedTuple

from actors.stores.connection import Connection
from actors.stores.port import RealmMismatch
from actors.stores.records import meta_row, read_meta

DEFAULT_REALM = "angarium"
DAY = 86_400.0


class Meta:
    """Small named values; raises `DamagedRow` for one that does not match its checksum."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> bytes | None:
        """The value of that name, None if it was never put."""
        row = self._connection.fetchone("SELECT name, value, sum FROM meta WHERE name = ?", (name,))
        return None if row is None else read_meta(row)

    def put(self, name: str, value: bytes) -> None:
        """Set a value, inside the caller's transaction or alone."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", meta_row(name, value))


def settled_realm(stored: bytes | None, wanted: str | None) -> str:
    """The realm of a folder: what is stored, else what is wanted. Raises `RealmMismatch` if they differ."""
    if stored is None:
        return wanted or DEFAULT_REALM
    realm = stored.decode()
    if wanted is not None and wanted != realm:
        raise RealmMismatch(
            f"The data folder belongs to realm '{realm}', not '{wanted}': its passwords are good for that realm only. "
            f"Use --realm {realm}, or another folder."
        )
    return realm


def node_time_saved(node: float, wall: float) -> bytes:
    """The pair of clocks as a value of `Meta`."""
    return f"{node:.3f} {wall:.3f}".encode()


def node_time_now(saved: bytes | None, wall: float) -> float:
    """Node time at start: where the last run ended, plus the wall-clock time since, from 0 to one day (PROTOCOL 15)."""
    if saved is None:
        return 0.0
    node_then, wall_then = map(float, saved.split())
    return node_then + min(max(wall - wall_then, 0.0), DAY)


class Mark(NamedTuple):
    """How far a store has got; written by each commit."""

    commits: int = 0
    last_seq: int = 0

    def saved(self) -> bytes:
        """As a value of `Meta`."""
        return f"{self.commits} {self.last_seq}".encode()


def mark_of(saved: bytes | None) -> Mark:
    """The mark that was saved."""
    return Mark(*map(int, saved.split())) if saved else Mark()
