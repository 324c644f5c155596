"""Ports of the loopback for programs that must be told one."""

from __future__ import annotations

import os
import random
import socket
from itertools import cycle

HOST = "127.0.0.1"
RANGE = range(10_000, 30_000, 2)
"""Below those that the system gives to whoever asks for any: nobody takes one of these before it is used, or again
while its owner is restarted."""
SHARES = 8
"""Workers of one test run side by side, each with ports of its own."""


def share(worker: str) -> range:
    """Return the ports of a worker of pytest-xdist: `gw0`, `gw1`, ... or, without workers, nothing."""
    number = int(worker.removeprefix("gw") or 0) % SHARES
    return RANGE[number::SHARES]


_MINE = share(os.environ.get("PYTEST_XDIST_WORKER", ""))
# In turn, so that none is given twice before the first one listens there.
_turn = cycle(random.sample(_MINE, len(_MINE)))


def free_port() -> int:
    """Find a port that is free over UDP and TCP, and so is the next: a phone may listen there for TLS."""
    for port in (next(_turn) for _ in _MINE):
        if _is_free(port) and _is_free(port + 1):
            return port
    raise OSError("no free port on the loopback")


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind((HOST, port))
            except OSError:
                return False
    return True
