"""Many datagrams by one system call: `recvmmsg` and `sendmmsg` of Linux, through ctypes.

Python's own socket calls give up the interpreter at each datagram, and beside a busy thread wait for it as often:
that, not the kernel, was most of the price of a packet. Here it is given up once a batch.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Sequence

BATCH = 64
"""Datagrams of one call."""
SIZE = 65536
"""Bytes kept for each; memory that no datagram touches is never made real."""

_HEADER = struct.Struct("@PIxxxxPNPNixxxxIxxxx")
"""struct mmsghdr: name, its length, iovec, how many, control, its length, flags; then the datagram's length."""
_LENGTH = (_HEADER.size - 8) // 4
_NAME_LENGTH = 2
_STEP = _HEADER.size // 4
_PORT = struct.Struct("!H")


def _load() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux") or struct.calcsize("P") != 8:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "recvmmsg") or not hasattr(library, "sendmmsg"):
        return None
    library.recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
    library.sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    return library


_LIBRARY = _load()


def available() -> bool:
    """Tell whether this system has these calls."""
    return _LIBRARY is not None


class DatagramBatches:
    """The buffers of one socket; used by one thread."""

    def __init__(self, bound: socket.socket) -> None:
        """`bound` is a non-blocking UDP socket that outlives this."""
        assert _LIBRARY is not None
        self._library = _LIBRARY
        self._fd = bound.fileno()
        self._six = bound.family == socket.AF_INET6
        self._name_size = 28 if self._six else 16
        self._buffer = ctypes.create_string_buffer(BATCH * SIZE)
        self._data = memoryview(self._buffer).cast("B")
        self._names, self._in = self._vector(self._buffer)
        self._fresh = self._in.raw
        self._in_words = memoryview(self._in).cast("B").cast("I")
        self._name_bytes = memoryview(self._names).cast("B")
        self._iovecs = ctypes.create_string_buffer(BATCH * 16)
        self._targets, self._out = self._vector(None)

    def _vector(self, data: ctypes.Array[ctypes.c_char] | None) -> tuple[ctypes.Array[ctypes.c_char], ...]:
        """Headers whose names lie in a buffer of their own; with `data`, whose datagrams lie there."""
        names = ctypes.create_string_buffer(BATCH * self._name_size)
        headers = ctypes.create_string_buffer(BATCH * _HEADER.size)
        iovecs = ctypes.create_string_buffer(BATCH * 16) if data is not None else self._iovecs
        for place in range(BATCH):
            if data is not None:
                struct.pack_into("@PN", iovecs, place * 16, ctypes.addressof(data) + place * SIZE, SIZE)
            name = ctypes.addressof(names) + place * self._name_size
            iovec = ctypes.addressof(iovecs) + place * 16
            _HEADER.pack_into(headers, place * _HEADER.size, name, self._name_size, iovec, 1, 0, 0, 0, 0)
        if data is not None:
            self._in_iovecs = iovecs  # kept alive: the headers point there
        return names, headers

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Take what is there, up to `BATCH`: (datagram, source as the kernel writes it). Raises OSError."""
        ctypes.memmove(self._in, self._fresh, len(self._fresh))
        count = self._library.recvmmsg(self._fd, self._in, BATCH, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        lengths = self._in_words[_LENGTH::_STEP].tolist()
        data, names, width = self._data, self._name_bytes, self._name_size
        return [
            (
                data[place * SIZE : place * SIZE + lengths[place]].tobytes(),
                names[place * width : place * width + width].tobytes(),
            )
            for place in range(count)
        ]

    def send(self, packets: Sequence[bytes], targets: Sequence[bytes]) -> int:
        """Send up to `BATCH` packets, each to its `name`; how many went. Raises OSError if the first cannot."""
        blob = b"".join(packets)
        base = ctypes.cast(ctypes.c_char_p(blob), ctypes.c_void_p).value or 0
        parts: list[int] = []
        for packet in packets:
            size = len(packet)
            parts += (base, size)
            base += size
        struct.pack_into(f"@{len(parts)}N", self._iovecs, 0, *parts)
        addresses = b"".join(targets)
        ctypes.memmove(self._targets, addresses, len(addresses))
        count: int = self._library.sendmmsg(self._fd, self._out, len(packets), socket.MSG_DONTWAIT)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return count

    def name(self, host: str, port: int) -> bytes:
        """Write an address as the kernel wants it; raises OSError if `host` is no literal of the socket's family."""
        if self._six:
            return (
                _native(socket.AF_INET6)
                + _PORT.pack(port)
                + bytes(4)
                + socket.inet_pton(socket.AF_INET6, host)
                + bytes(4)
            )
        return _native(socket.AF_INET) + _PORT.pack(port) + socket.inet_pton(socket.AF_INET, host) + bytes(8)

    def address(self, name: bytes) -> tuple[str, int]:
        """Read host and port of an address that the kernel wrote."""
        (port,) = _PORT.unpack_from(name, 2)
        if self._six:
            return socket.inet_ntop(socket.AF_INET6, name[8:24]), port
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port


def _native(family: int) -> bytes:
    return struct.pack("@H", family)
