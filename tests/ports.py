"""Ports of the loopback for programs that must be told one."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"
RANGE = range(10_000, 30_000, 2)
"""Below those that the system gives to whoever asks for any: nobody takes one of these before it is used, or again
while its owner is restarted."""


def free_port() -> int:
    """Find a port that is free over UDP and TCP, and so is the next: a phone may listen there for TLS."""
    for port in random.sample(RANGE, 1000):
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
