"""SIP over UDP: one non-blocking socket per listener, read in batches straight from the loop's reader."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from actors.model import Flow
from sip_adapter.transport.base import Address
from sip_adapter.transport.mmsg import BATCH, DatagramBatches, available

DATAGRAM_MAX = 65535
RECEIVE_BUFFER = 16 * 1024 * 1024
"""Bytes asked of the kernel: overload shows here as loss first (it grants what net.core.rmem_max allows)."""
MAX_UNSENT = 4096
"""Datagrams that wait for room in the socket; beyond that the oldest is lost, as on the way."""
MAX_FLOWS = 65536
"""Flows kept by source address, so that a datagram costs no new one."""

Batch = Callable[[Sequence[tuple[bytes, Flow]]], None]


class UdpListener:
    """A bound socket that hands on what arrives and sends what it is given, in batches."""

    def __init__(self, loop: asyncio.AbstractEventLoop, index: int, address: Address, received: Batch) -> None:
        """Bind; `index` goes into flows; `received` gets each batch. Raises OSError."""
        self._loop = loop
        self._index = index
        self._received = received
        self._flows: dict[bytes, Flow] = {}
        self._names: dict[Flow, bytes] = {}
        self._unsent: deque[tuple[bytes, bytes]] = deque()
        self.lost = 0
        """Datagrams dropped for want of room."""
        self._socket = _bind(address)
        host, port = self._socket.getsockname()[:2]
        self.address = Address("udp", host, port)
        self._batches: Datagrams = DatagramBatches(self._socket) if available() else PlainDatagrams(self._socket)
        loop.add_reader(self._socket, self._readable)

    def send(self, packets: Sequence[tuple[Flow, bytes]]) -> Sequence[Flow]:
        """Send datagrams now or as soon as the socket has room; the flows of those that cannot be sent at all."""
        failed: list[Flow] = []
        ready: list[tuple[bytes, bytes]] = []
        names = self._names
        for flow, packet in packets:
            name = names.get(flow) or self._new_name(flow)
            if name:
                ready.append((packet, name))
            else:
                failed.append(flow)
        if self._unsent:
            self._keep(ready)
        else:
            failed += [self._flow(name) for name in self._send(ready)]
        return failed

    def close(self) -> None:
        """Stop reading and close the socket; what is unsent is lost, as on the way."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._unsent.clear()
        self._socket.close()

    def _readable(self) -> None:
        try:
            arrived = self._batches.receive()
        except (BlockingIOError, InterruptedError):
            return  # the socket is empty
        except OSError:
            self.lost += 1  # an error of an earlier send, reported on the next call
            return
        flows = self._flows
        self._received([(data, flows.get(name) or self._flow(name)) for data, name in arrived])

    def _flow(self, name: bytes) -> Flow:
        flow = self._flows.get(name)
        if flow is None:
            if len(self._flows) >= MAX_FLOWS:
                self._flows.clear()
            flow = self._flows[name] = Flow("udp", self._index, *self._batches.address(name))
        return flow

    def _new_name(self, flow: Flow) -> bytes:
        """The kernel's form of a flow's address; empty if it has none here (a name, the other family)."""
        if len(self._names) >= MAX_FLOWS:
            self._names.clear()
        try:
            name = self._batches.name(flow.host, flow.port)
        except (OSError, ValueError, OverflowError, struct.error):
            return b""
        self._names[flow] = name
        return name

    def _send(self, ready: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
        """Send in batches; what finds no room is kept, the addresses that cannot be sent to are returned."""
        failed: list[bytes] = []
        place = 0
        while place < len(ready):
            batch = ready[place : place + BATCH]
            try:
                place += self._batches.send([packet for packet, _ in batch], [name for _, name in batch])
            except (BlockingIOError, InterruptedError):
                self._keep(ready[place:])
                break
            except OSError:
                failed.append(ready[place][1])
                place += 1
        return failed

    def _keep(self, packets: Iterable[tuple[bytes, bytes]]) -> None:
        if not self._unsent:
            self._loop.add_writer(self._socket, self._writable)
        for packet in packets:
            if len(self._unsent) >= MAX_UNSENT:
                self._unsent.popleft()
                self.lost += 1
            self._unsent.append(packet)

    def _writable(self) -> None:
        self._loop.remove_writer(self._socket)
        waiting = list(self._unsent)
        self._unsent.clear()
        self.lost += len(self._send(waiting))


class Datagrams(Protocol):
    """How a socket's datagrams are taken and sent, several at a time."""

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Take what is there: (datagram, source name). Raises OSError."""

    def send(self, packets: Sequence[bytes], targets: Sequence[bytes]) -> int:
        """Send packets to names; how many went. Raises OSError if the first cannot."""

    def name(self, host: str, port: int) -> bytes:
        """Write an address. Raises OSError."""

    def address(self, name: bytes) -> tuple[str, int]:
        """Read one."""


class PlainDatagrams:
    """One datagram a call, where the system knows no better."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._family = bound.family

    def receive(self) -> list[tuple[bytes, bytes]]:
        """Take what is there, up to `BATCH`."""
        arrived: list[tuple[bytes, bytes]] = []
        try:
            for _ in range(BATCH):
                data, source = self._socket.recvfrom(DATAGRAM_MAX)
                arrived.append((data, f"{source[1]} {source[0]}".encode()))
        except (BlockingIOError, InterruptedError):
            if not arrived:
                raise
        return arrived

    def send(self, packets: Sequence[bytes], targets: Sequence[bytes]) -> int:
        """Send the first of them."""
        host, port = self.address(targets[0])
        self._socket.sendto(packets[0], (host, port))
        return 1

    def name(self, host: str, port: int) -> bytes:
        """Write port and host, once it is sure that they are an address of this family."""
        socket.inet_pton(self._family, host)
        return f"{port} {host}".encode()

    def address(self, name: bytes) -> tuple[str, int]:
        """Read them."""
        port, _, host = name.decode().partition(" ")
        return host, int(port)


def _bind(address: Address) -> socket.socket:
    family, _, _, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        bound.setblocking(False)
        bound.bind(target)
    except OSError:
        bound.close()
        raise
    return bound
