"""What the bare machine can do, for comparison in the same run: UDP echoes and durable SQLite commits a second."""

from __future__ import annotations

import multiprocessing
import socket
import sqlite3
import tempfile
import time
from pathlib import Path

WINDOW = 32
"""Datagrams under way at once."""
SIZE = 400
"""Bytes of a datagram: about a MESSAGE."""


def _echo(sock: socket.socket) -> None:
    while True:
        data, source = sock.recvfrom(2048)
        if not data:
            return
        sock.sendto(data, source)


def udp_echoes(seconds: float = 2.0) -> float:
    """Echoes a second between two plain blocking sockets in two processes on 127.0.0.1."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
    ):
        far.bind(("127.0.0.1", 0))
        near.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        near.settimeout(5.0)
        process = multiprocessing.get_context("fork").Process(target=_echo, args=(far,), daemon=True)
        process.start()
        data, count = b"x" * SIZE, 0
        started = time.monotonic()
        for _ in range(WINDOW):
            near.send(data)
        while time.monotonic() - started < seconds:
            near.recv(2048)
            near.send(data)
            count += 1
        took = time.monotonic() - started
        near.send(b"")
        process.join(5.0)
        return count / took


def commits(seconds: float = 2.0, *, rows: int = 1) -> float:
    """Commits a second of `rows` inserted rows each: WAL, `synchronous=FULL`, in the folder for temporary files."""
    with tempfile.TemporaryDirectory(prefix="angarium-bench-") as folder:
        database = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("CREATE TABLE message (seq INTEGER PRIMARY KEY, body BLOB)")
            batch = [(b"x" * SIZE,)] * rows
            count, started = 0, time.monotonic()
            while time.monotonic() - started < seconds:
                database.execute("BEGIN")
                database.executemany("INSERT INTO message (body) VALUES (?)", batch)
                database.execute("COMMIT")
                count += 1
            return count / (time.monotonic() - started)
        finally:
            database.close()
