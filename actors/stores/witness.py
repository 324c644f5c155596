"""A witness beside the database: it knows how many commits there were, so that a lost log does not go unnoticed.

Without its log, or with a damaged one, SQLite opens a database as it was some commits ago and says nothing. The number
is written after each commit and never synced: it outlives a kill; after a power cut it may be older than the database,
never newer.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path
from zlib import crc32

_FORMAT = struct.Struct(">QI")


class Witness:
    """The file `DIR/witness`, open while the store is."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "witness", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def read(self) -> int:
        """The number of the last commit that was seen; 0 if it is not known."""
        data = os.pread(self._file, _FORMAT.size, 0)
        if len(data) < _FORMAT.size:
            return 0
        number, total = _FORMAT.unpack(data)
        return int(number) if crc32(data[:8]) == total else 0

    def write(self, number: int) -> None:
        """This commit was done. On a full disk an older number stays: the database may well know more."""
        data = number.to_bytes(8)
        with suppress(OSError):
            os.pwrite(self._file, data + crc32(data).to_bytes(4), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
