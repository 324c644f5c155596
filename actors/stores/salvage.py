"""A damaged database is put aside, and what can be read of it goes into a new one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from actors.stores.arriving import changed, write_arriving
from actors.stores.carve import Carved, carve
from actors.stores.connection import Connection
from actors.stores.ended import EndedLog
from actors.stores.home import HomeLedger, longest_life
from actors.stores.ledger import Ledger
from actors.stores.meta import DAY, Mark, Meta, mark_of, node_time_now
from actors.stores.port import Alarm
from actors.stores.records import read_account, read_meta
from actors.stores.schema import migrate


def salvage(path: Path, connect: Callable[[Path], Connection], why: str, wall: float) -> Alarm:
    """Replace the database by a new one with all rows that match their checksums; says what it did.

    The new one is complete before the old is moved, so that an end at any moment loses nothing.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    _remove(unfinished)
    connection = connect(unfinished)
    try:
        migrate(connection)
        saved, damaged = _copy(carve(path, _log(path)), connection, wall)
    finally:
        connection.close()
    os.replace(unfinished, _salvaged(path))
    aside = finish_swap(path, wall)
    return Alarm(
        "database-damaged",
        f"The database was damaged ({why}). {saved} rows were saved into a new one, {damaged} damaged rows put aside; "
        f"the old one is kept as {aside}.",
        "Check the disk. Mail that could not be read is in the old file; senders may be told to send again. "
        "Some mail that was delivered already may be delivered once more, under its old id.",
    )


def finish_swap(path: Path, wall: float = 0.0) -> str:
    """Put the old files aside and the salvaged database in their place; again after an end half-way."""
    if not _salvaged(path).exists():
        return ""
    number = int(wall)
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for old, name in ((path, aside), (_log(path), Path(f"{aside}-wal"))):
        if old.exists():
            os.link(old, name)
    _log(path).unlink(missing_ok=True)
    os.replace(_salvaged(path), path)
    _sync(path.parent)
    return aside.name


def _copy(carved: Carved, connection: Connection, wall: float) -> tuple[int, int]:
    """Write what was carved; how many rows are saved, and how many were damaged."""
    damaged = [("salvage", wall, row) for row in carved.damaged]
    connection.execute("BEGIN IMMEDIATE")
    saved = 0
    for table, rows in (
        ("meta", carved.meta.values()),
        ("account", carved.accounts.values()),
        ("device", carved.devices.values()),
        ("message", carved.messages.values()),
        ("neighbour", carved.neighbours.values()),
        ("taken", carved.taken.values()),
        ("damaged", damaged),
    ):
        columns = next((len(row) for row in rows), 0)
        connection.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * columns)})", rows) if rows else 0
        saved += len(rows)
    meta = Meta(connection)
    mark = mark_of(_value(carved, "mark"))
    meta.put("mark", Mark(mark.commits, max(carved.last_seq, mark.last_seq)).saved())
    now = node_time_now(_value(carved, "clock"), wall)
    if carved.keys:
        Ledger(connection).add(list(carved.keys.values()), now)
    if carved.ended:
        EndedLog(connection).add(list(carved.ended.values()), now)
    if carved.home:
        life = longest_life(_value(carved, "home"))
        HomeLedger(connection, meta).add(carved.home, life * DAY, now)
    write_arriving(meta, changed({}, map(read_account, carved.accounts.values())))
    connection.execute("COMMIT")
    return saved - len(damaged), len(damaged)


def _value(carved: Carved, name: str) -> bytes | None:
    row = carved.meta.get(name)
    return None if row is None else read_meta(row)


def _salvaged(path: Path) -> Path:
    return path.with_name(f"{path.name}.salvaged")


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _remove(path: Path) -> None:
    for old in (path, _log(path), path.with_name(f"{path.name}-journal")):
        old.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
