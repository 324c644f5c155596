"""What a damaged database still holds: rows recognised by their shape and their own checksums."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from actors.model import MessageId
from actors.stores.connection import Row
from actors.stores.pages import Pages
from actors.stores.records import (
    DamagedRow,
    read_account,
    read_device,
    read_message,
    read_meta,
    read_neighbour,
    whole_row,
)

KEY_SIZE = 16
"""Bytes of an ingress key."""


class Carved:
    """Rows found in a damaged database, by table; a later copy of a row replaces an earlier one."""

    def __init__(self) -> None:
        self.meta: dict[str, Row] = {}
        self.accounts: dict[str, Row] = {}
        self.devices: dict[tuple[str, str], Row] = {}
        self.messages: dict[int, Row] = {}
        self.keys: dict[bytes, Row] = {}
        self.ended: dict[str, Row] = {}
        self.neighbours: dict[str, Row] = {}
        self.taken: dict[tuple[str, str, int], Row] = {}
        self.home: dict[MessageId, None] = {}
        self.damaged: list[bytes] = []
        self.last_seq = 0
        """The newest seq that anything speaks of."""

    def drop_ended(self) -> None:
        """Leave out messages whose end was recorded: they were deleted with it."""
        self.messages = {seq: row for seq, row in self.messages.items() if row[1] not in self.ended}

    def add(self, row: Row) -> None:
        """Sort in one row as it was found: table rows begin with their row id, the others come from an index."""
        match row:
            case (int(), None, bytes() as key, str() as name) if len(key) == KEY_SIZE:
                self.keys[key] = (key, name)
            case (int() as seq, None, str(), str(), int(), int(), bytes(), int()):
                self._add_message((seq, *row[2:]))
            case (str() as name, str(), str(), int() | float(), int() | float(), str(), str()) if name:
                self.ended[name] = row
            case (str() as node, str() as incarnation, int() as number, str()):
                self.taken[(node, incarnation, number)] = row
            case (str() as name,):
                self.home[MessageId(name)] = None
            case (int(), str(), str(), bytes(), int()):
                self._add_device(row[1:])
            case (int(), str() as name, bytes(), int()):
                self._add_named(name, row[1:])
            case (int(), *_, bytes(), int()):
                self.damaged.append(whole_row(row))

    def _add_message(self, row: Row) -> None:
        if self._sound(read_message, row):
            self.messages[row[0]] = row
            self.last_seq = max(self.last_seq, row[0])
        else:
            self.damaged.append(whole_row(row))

    def _add_device(self, row: Row) -> None:
        try:
            device = read_device(row)
        except DamagedRow:
            self.damaged.append(whole_row(row))
            return
        self.last_seq = max(self.last_seq, device.since, device.cursor, *device.aside)
        self.devices[row[:2]] = row

    def _add_named(self, name: str, row: Row) -> None:
        if self._sound(read_account, row):
            self.accounts[name] = row
        elif self._sound(read_meta, row):
            self.meta[name] = row
        elif self._sound(read_neighbour, row):
            self.neighbours[name] = row
        else:
            self.damaged.append(whole_row(row))

    def _sound(self, read: Callable[[Row], object], row: Row) -> bool:
        try:
            read(row)
        except DamagedRow:
            return False
        return True


def carve(path: Path, log: Path) -> Carved:
    """All rows that can be read from a database file and its log."""
    carved = Carved()
    for row in Pages(path, log).rows():
        carved.add(row)
    carved.drop_ended()
    return carved
