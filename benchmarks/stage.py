"""A node as a user starts it, with its phones, in a folder that goes away afterwards."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.receiver import Receiver
from tests.faults.node import NodeProcess


class Stage(msgspec.Struct):
    """A running node and the phones that are to receive."""

    node: NodeProcess
    receiver: Receiver


@contextmanager
def stage(
    *,
    users: int = 100,
    args: Sequence[str] = (),
    folder: Path | None = None,
    prepare: Callable[[NodeProcess], None] | None = None,
) -> Iterator[Stage]:
    """Start a node in open mode and register `users` phones; `prepare` runs before the node starts."""
    place = Path(tempfile.mkdtemp(prefix="angarium-bench-", dir=folder))
    node = NodeProcess(place / "data", args=("--open", *args))
    try:
        if prepare is not None:
            prepare(node)
        node.start()
        receiver = Receiver(node.udp)
        try:
            if users:
                receiver.register(users)
            yield Stage(node, receiver)
        finally:
            receiver.close()
    finally:
        node.kill()
        shutil.rmtree(place)


def wait_until_empty(node: NodeProcess, within: float) -> int:
    """Return what is still in the node's custody once it is empty, or `within` seconds have passed."""
    deadline = time.monotonic() + within
    while True:
        left = node.waiting()
        if left == 0 or time.monotonic() >= deadline:
            return left
        time.sleep(0.1)
