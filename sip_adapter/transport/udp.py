"""SIP over UDP: one non-blocking socket per listener, read in batches straight from the loop's reader."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence

from actors.model import Flow
from sip_adapter.transport.base import Address

BATCH = 64
"""Datagrams taken in one wake-up, so that sending and the actors get their turn."""
DATAGRAM_MAX = 65535
RECEIVE_BUFFER = 16 * 1024 * 1024
"""Bytes asked of the kernel: overload shows here as loss first (it grants what net.core.rmem_max allows)."""
MAX_UNSENT = 4096
"""Datagrams that wait for room in the socket; beyond that the oldest is lost, as on the way."""
MAX_FLOWS = 65536
"""Flows kept by source address, so that a datagram costs no new one."""

Batch = Callable[[Sequence[tuple[bytes, Flow]]], None]
SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class UdpListener:
    """A bound socket that hands on what arrives and sends what it is given."""

    def __init__(self, loop: asyncio.AbstractEventLoop, index: int, address: Address, received: Batch) -> None:
        """Bind; `index` goes into flows; `received` gets each batch. Raises OSError."""
        self._loop = loop
        self._index = index
        self._received = received
        self._flows: dict[SocketAddress, Flow] = {}
        self._unsent: deque[tuple[bytes, tuple[str, int]]] = deque()
        self.lost = 0
        """Datagrams dropped for want of room."""
        self._socket = _bind(address)
        host, port = self._socket.getsockname()[:2]
        self.address = Address("udp", host, port)
        self._receive = self._socket.recvfrom
        self._send = self._socket.sendto
        loop.add_reader(self._socket, self._readable)

    def send(self, flow: Flow, packet: bytes) -> bool:
        """Send a datagram now or as soon as the socket has room; False if it cannot be sent at all."""
        target = (flow.host, flow.port)
        if self._unsent:
            self._keep(packet, target)
            return True
        try:
            self._send(packet, target)
        except (BlockingIOError, InterruptedError):
            self._keep(packet, target)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop reading and close the socket; what is unsent is lost, as on the way."""
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._unsent.clear()
        self._socket.close()

    def _readable(self) -> None:
        receive, flows = self._receive, self._flows
        batch: list[tuple[bytes, Flow]] = []
        try:
            for _ in range(BATCH):
                data, source = receive(DATAGRAM_MAX)
                batch.append((data, flows.get(source) or self._new_flow(source)))
        except (BlockingIOError, InterruptedError):
            pass  # the socket is empty
        except OSError:
            self.lost += 1  # an error of an earlier send, reported on the next call
        if batch:
            self._received(batch)

    def _new_flow(self, source: SocketAddress) -> Flow:
        if len(self._flows) >= MAX_FLOWS:
            self._flows.clear()
        flow = Flow("udp", self._index, source[0], source[1])
        self._flows[source] = flow
        return flow

    def _keep(self, packet: bytes, target: tuple[str, int]) -> None:
        if not self._unsent:
            self._loop.add_writer(self._socket, self._writable)
        if len(self._unsent) >= MAX_UNSENT:
            self._unsent.popleft()
            self.lost += 1
        self._unsent.append((packet, target))

    def _writable(self) -> None:
        while self._unsent:
            try:
                self._send(*self._unsent[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.lost += 1
            self._unsent.popleft()
        self._loop.remove_writer(self._socket)


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
