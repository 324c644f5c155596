"""The tables of the SQLite store, and the steps that bring an older file up to date."""

from __future__ import annotations

from actors.stores.connection import Connection
from actors.stores.port import NewerStore

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE account (name TEXT PRIMARY KEY, payload BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE device (
    user TEXT NOT NULL, key TEXT NOT NULL, payload BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (user, key));
CREATE TABLE message (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, queue TEXT NOT NULL, expires INTEGER NOT NULL,
    anyone INTEGER NOT NULL, payload BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE INDEX message_queue ON message (queue);
CREATE INDEX message_id ON message (id);
CREATE INDEX message_expires ON message (expires);
CREATE TABLE damaged (source TEXT NOT NULL, at REAL NOT NULL, row BLOB NOT NULL);
"""
"""Version 1. An index on `queue` ends in the row id, which is the seq: it serves in order. Beside these stand the time
slices of `ledger` and `ended`, made and dropped while the node runs."""

LINKS = """
CREATE TABLE neighbour (name TEXT PRIMARY KEY, payload BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE taken (
    node TEXT NOT NULL, incarnation TEXT NOT NULL, row INTEGER NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (node, incarnation, row)) WITHOUT ROWID;
DROP INDEX message_expires;
CREATE INDEX message_expires ON message (expires) WHERE queue >= 'u:';
CREATE INDEX message_expires_elsewhere ON message (expires) WHERE queue < 'u:';
"""
"""Version 2: links between servers. What expires here and what expires on its way elsewhere are asked for apart, and
neither has to look through the other. Mailboxes (`u:`) and arrival queues (`w:`) come after all other queues. Beside
these stand the time slices of `home`."""

MIGRATIONS: tuple[str, ...] = (TABLES, LINKS)
"""Step n brings version n to n + 1; a step, once published, never changes."""

VERSION = len(MIGRATIONS)


def migrate(connection: Connection, migrations: tuple[str, ...] = MIGRATIONS) -> int:
    """Bring the file to the newest version, all steps in one transaction; the version it had. Raises `NewerStore`."""
    row = connection.fetchone("PRAGMA user_version")
    version = int(row[0]) if row else 0
    if version > len(migrations):
        raise NewerStore(
            f"The data folder has schema version {version}, this program knows up to {len(migrations)}. "
            "Use the newer program, or another folder."
        )
    if version < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        for step in migrations[version:]:
            for statement in filter(None, map(str.strip, step.split(";"))):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    return version
