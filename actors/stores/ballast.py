"""Space held back on the disk, so that a full one still takes acknowledgements (SQLite needs room to delete, too)."""

from __future__ import annotations

import os
from pathlib import Path

SIZE = 4 << 20
SPARE = 4 << 20
"""Beyond the ballast this much must be free before new messages are taken again."""


class Ballast:
    """A file of `size` bytes that is given up on a full disk and made again when there is room."""

    def __init__(self, folder: Path, size: int = SIZE) -> None:
        self._folder = folder
        self._path = folder / "ballast"
        self._size = size

    def hold(self) -> bool:
        """Make the file unless it is there; False if that would leave less than `SPARE` free."""
        if self._held():
            return True
        if self._free() < self._size + SPARE:
            return False
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, self._size)
        except OSError:
            os.ftruncate(file, 0)
            return False
        finally:
            os.close(file)
        return True

    def release(self) -> None:
        """Give the space back to the disk."""
        self._path.unlink(missing_ok=True)

    def _held(self) -> bool:
        try:
            return self._path.stat().st_size >= self._size
        except FileNotFoundError:
            return False

    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize
