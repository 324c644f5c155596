"""Rows read straight from the pages of an SQLite file, without its schema, header or interior pages being sound.

The format is https://sqlite.org/fileformat2.html, sections 1.6 (pages), 2.1 (records) and 4 (write-ahead log). What
cannot be read is skipped: who uses this verifies each row by its own checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from actors.stores.connection import Row

PAGE = 4096
TABLE_LEAF = 0x0D
INDEX_LEAF = 0x0A
INDEX_INTERIOR = 0x02
FIRST_HEADER = 100
"""Bytes of the file's header, in front of the first page's own."""
WAL_HEADER = 32
FRAME_HEADER = 24
WAL_MAGIC = 0x377F0682
"""The last bit tells that checksums are big-endian."""
LONGEST = 64 << 20
"""No record is longer; a larger length is damage."""
INTEGER_SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class Pages:
    """The pages of a database file, with the committed part of its log laid over them."""

    def __init__(self, path: Path, log: Path) -> None:
        self._data = path.read_bytes() if path.exists() else b""
        self._log = log.read_bytes() if log.exists() else b""
        self._frames = _committed_frames(self._log)
        self.count = max([len(self._data) // PAGE, *self._frames])

    def page(self, number: int) -> bytes:
        """Page `number`, from 1; empty if there is none."""
        at = self._frames.get(number)
        if at is not None:
            return self._log[at : at + PAGE]
        return self._data[(number - 1) * PAGE : number * PAGE]

    def rows(self) -> Iterator[Row]:
        """Each row found in a table page (its row id first) or an index page (as it is)."""
        for number in range(1, self.count + 1):
            page = self.page(number)
            start = FIRST_HEADER if number == 1 else 0
            if len(page) == PAGE:
                # A page of another kind has no rows, but the byte that says so may be the damaged one.
                kind = page[start] if page[start] in (INDEX_LEAF, INDEX_INTERIOR) else TABLE_LEAF
                yield from self._rows_of(page, start, kind)

    def _rows_of(self, page: bytes, start: int, kind: int) -> Iterator[Row]:
        cells = int.from_bytes(page[start + 3 : start + 5])
        pointers = start + (12 if kind == INDEX_INTERIOR else 8)
        for index in range(min(cells, PAGE // 4)):
            at = pointers + 2 * index
            try:
                yield self._row(page, kind, int.from_bytes(page[at : at + 2]))
            except (IndexError, ValueError, struct.error):
                continue

    def _row(self, page: bytes, kind: int, at: int) -> Row:
        if kind == INDEX_INTERIOR:
            at += 4
        size, at = _varint(page, at)
        if size > LONGEST:
            raise ValueError("length")
        row_id: tuple[int, ...] = ()
        if kind == TABLE_LEAF:
            number, at = _varint(page, at)
            row_id = (number,)
        local = _local_size(size, kind)
        record = page[at : at + local]
        if local < size:
            record += self._overflow(int.from_bytes(page[at + local : at + local + 4]), size - local)
        return (*row_id, *_columns(record))

    def _overflow(self, number: int, size: int) -> bytes:
        parts = []
        while size > 0:
            page = self.page(number)
            if len(page) < PAGE:
                raise ValueError("overflow")
            parts.append(page[4 : 4 + min(size, PAGE - 4)])
            size -= PAGE - 4
            number = int.from_bytes(page[:4])
        return b"".join(parts)


def _local_size(size: int, kind: int) -> int:
    """How much of a record stands in its cell (section 1.6)."""
    most = PAGE - 35 if kind == TABLE_LEAF else (PAGE - 12) * 64 // 255 - 23
    if size <= most:
        return size
    least = (PAGE - 12) * 32 // 255 - 23
    fitting = least + (size - least) % (PAGE - 4)
    return fitting if fitting <= most else least


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    value = value << 8 | data[at + 8]
    return (value - (1 << 64) if value >= 1 << 63 else value), at + 9


def _columns(record: bytes) -> Row:
    end, at = _varint(record, 0)
    body = end
    columns: list[object] = []
    while at < end:
        kind, at = _varint(record, at)
        value, body = _column(record, kind, body)
        columns.append(value)
    if at != end or body > len(record):
        raise ValueError("record")
    return tuple(columns)


def _column(record: bytes, kind: int, at: int) -> tuple[object, int]:
    """The value of a column and where the next begins (section 2.1)."""
    if kind >= 12:
        size = (kind - 12) // 2
        raw = record[at : at + size]
        return (raw.decode() if kind % 2 else raw), at + size
    if kind in INTEGER_SIZES:
        size = INTEGER_SIZES[kind]
        return int.from_bytes(record[at : at + size], signed=True), at + size
    if kind == 7:
        return struct.unpack_from(">d", record, at)[0], at + 8
    if kind in (0, 8, 9):
        return (None, 0, 1)[kind and kind - 7], at
    raise ValueError("serial type")


def _committed_frames(log: bytes) -> dict[int, int]:
    """Where the newest committed image of each page stands in the log (section 4)."""
    if len(log) < WAL_HEADER:
        return {}
    magic, _, size, _, *salts = struct.unpack(">6I", log[:24])
    if magic & ~1 != WAL_MAGIC or size != PAGE:
        return {}
    order = ">" if magic & 1 else "<"
    sums = _sums(log[:24], order, (0, 0))
    if sums != struct.unpack(">2I", log[24:32]):
        return {}
    frames: dict[int, int] = {}
    pending: dict[int, int] = {}
    for at in range(WAL_HEADER, len(log) - FRAME_HEADER - PAGE + 1, FRAME_HEADER + PAGE):
        number, commit, salt1, salt2, sum1, sum2 = struct.unpack(">6I", log[at : at + FRAME_HEADER])
        body = at + FRAME_HEADER
        sums = _sums(log[at : at + 8] + log[body : body + PAGE], order, sums)
        if [salt1, salt2] != salts or sums != (sum1, sum2):
            break
        pending[number] = body
        if commit:
            frames.update(pending)
            pending.clear()
    return frames


def _sums(data: bytes, order: str, start: tuple[int, int]) -> tuple[int, int]:
    """The running checksum of the log (section 4.2)."""
    first, second = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
