"""The data folder: private, and held by one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from actors.stores.port import LockedError, StoreError


class FolderLock:
    """Holds `DIR/lock` from construction to `release`; the kernel frees it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"Cannot use the data folder {folder}: {error.strerror}. Choose another one.") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise LockedError(
                f"The data folder {folder} is in use by process {holder}. Stop that one, or choose another folder."
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Free the folder."""
        os.close(self._file)
