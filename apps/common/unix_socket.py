"""Addresses of Unix sockets that lie in folders of any depth: the kernel takes at most 107 bytes of path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LONGEST = 107
"""Bytes of a socket's path, `sun_path` without its closing zero (unix(7))."""


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Yield a path to the same socket that the kernel takes; it is valid inside the block only."""
    if len(os.fsencode(path)) <= LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
