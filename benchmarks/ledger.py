"""End to end with a long ledger: the keys of millions of messages of the last minutes are on disk already."""

from __future__ import annotations

import os

from actors.model import MessageId
from actors.runtime import SystemClock
from actors.stores.connection import Sqlite3Connection
from actors.stores.ledger import Ledger
from actors.stores.opening import DATABASE
from actors.stores.sqlite import SqliteStore
from benchmarks.end_to_end import figures, probe
from benchmarks.report import Figure
from benchmarks.stage import stage
from tests.faults.node import NodeProcess

CHUNK = 50_000


def fill_ledger(node: NodeProcess, rows: int) -> None:
    """Write `rows` random keys into the ledger of a stopped node, as new as the store's own time."""
    clock = SystemClock()
    node.data.mkdir(parents=True, exist_ok=True)
    store = SqliteStore(data_dir=node.data, realm=None, clock=clock)
    now = store.open().node_offset + clock.monotonic()
    store.close()
    connection = Sqlite3Connection(node.data / DATABASE)
    try:
        ledger = Ledger(connection)
        for start in range(0, rows, CHUNK):
            keys = [(os.urandom(16), MessageId(f"bench-{number}")) for number in range(start, min(start + CHUNK, rows))]
            connection.execute("BEGIN IMMEDIATE")
            ledger.add(keys, now)
            connection.execute("COMMIT")
            ledger.settle()
    finally:
        connection.close()


def with_ledger(rows: int, rate: int, seconds: float) -> dict[str, Figure]:
    """One probe at `rate` on a node whose ledger has `rows` rows."""
    with stage(prepare=lambda node: fill_ledger(node, rows)) as on:
        memory = on.node.resident_mb()
        result = probe(on, rate, seconds)
    return {"ledger_rows": rows, "resident_mb": memory, **figures(result)}
