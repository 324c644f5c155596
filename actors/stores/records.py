"""Rows of the store as values and back, each with a checksum that is verified whenever it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from actors.messages.storage import SavedNeighbour
from actors.model import Account, Device, Envelope, QueueName, Seq, StoredMessage
from actors.stores.connection import Row

ANYONE_OPEN = 0x2B5D33
ANYONE_CLOSED = 0x54A2CC
"""The slot `anyone` stands outside the checksum, so that it can be closed without reading the body again. So its two
values differ in all their bits, and any other value is damage."""

MESSAGE_COLUMNS = "seq, id, queue, expires, anyone, payload, sum"

_encode = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_device = msgspec.msgpack.Decoder(Device).decode
_decode_account = msgspec.msgpack.Decoder(Account).decode
_decode_neighbour = msgspec.msgpack.Decoder(SavedNeighbour).decode

T = TypeVar("T")


class DamagedRow(Exception):
    """A row does not match its checksum, or cannot be read."""


def checksum(head: str, payload: bytes) -> int:
    """CRC-32 over the columns beside the payload, as text, and the payload: any single flipped bit shows."""
    return crc32(payload, crc32(head.encode()))


def message_row(seq: int, queue: str, expires: int, envelope: Envelope, anyone: bool = True) -> Row:
    """A row of `message`; `expires` is node time in milliseconds."""
    payload = _encode(envelope)
    total = checksum(f"m|{seq}|{envelope.id}|{queue}|{expires}", payload)
    return (seq, envelope.id, queue, expires, ANYONE_OPEN if anyone else ANYONE_CLOSED, payload, total)


def read_message(row: Row) -> StoredMessage:
    """The message of a row in the order of `MESSAGE_COLUMNS`; raises `DamagedRow`."""
    seq, message_id, queue, expires, anyone, payload, total = row
    if anyone not in (ANYONE_OPEN, ANYONE_CLOSED):
        raise DamagedRow("slot")
    _verify(f"m|{seq}|{message_id}|{queue}|{expires}", payload, total)
    envelope = _read(_decode_envelope, payload)
    return StoredMessage(Seq(seq), envelope, anyone == ANYONE_OPEN, expires / 1000)


def queue_of(row: Row) -> QueueName:
    """The queue that a row of `message` stands in."""
    return QueueName(row[2])


def device_row(user: str, device: Device) -> Row:
    """A row of `device`: user, key, payload, sum."""
    payload = _encode(device)
    return (user, device.key, payload, checksum(f"d|{user}|{device.key}", payload))


def read_device(row: Row) -> Device:
    """The device of a row, whatever columns follow; raises `DamagedRow`."""
    user, key, payload, total, *_ = row
    _verify(f"d|{user}|{key}", payload, total)
    return _read(_decode_device, payload)


def account_row(account: Account) -> Row:
    """A row of `account`: name, payload, sum."""
    payload = _encode(account)
    return (account.name, payload, checksum(f"a|{account.name}", payload))


def read_account(row: Row) -> Account:
    """The account of a row, whatever columns follow; raises `DamagedRow`."""
    name, payload, total, *_ = row
    _verify(f"a|{name}", payload, total)
    return _read(_decode_account, payload)


def neighbour_row(neighbour: SavedNeighbour) -> Row:
    """A row of `neighbour`: name, payload, sum."""
    payload = _encode(neighbour)
    return (neighbour.node, payload, checksum(f"n|{neighbour.node}", payload))


def read_neighbour(row: Row) -> SavedNeighbour:
    """The neighbour of a row, whatever columns follow; raises `DamagedRow`."""
    name, payload, total, *_ = row
    _verify(f"n|{name}", payload, total)
    return _read(_decode_neighbour, payload)


def meta_row(name: str, value: bytes) -> Row:
    """A row of `meta`: name, value, sum."""
    return (name, value, checksum(f"x|{name}", value))


def read_meta(row: Row) -> bytes:
    """The value of a row of `meta`; raises `DamagedRow`."""
    name, value, total = row
    _verify(f"x|{name}", value, total)
    assert isinstance(value, bytes)
    return value


def whole_row(row: Row) -> bytes:
    """A damaged row as it was found, to be put aside."""
    return _encode(row)


def _verify(head: str, payload: Any, total: Any) -> None:
    if type(payload) is not bytes or checksum(head, payload) != total:
        raise DamagedRow("checksum")


def _read(decode: Callable[[bytes], T], payload: bytes) -> T:
    try:
        return decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedRow("payload") from error
