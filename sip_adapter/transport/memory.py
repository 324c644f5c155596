"""A network in memory: nodes and phones by address, datagrams and streams, no socket and no time of its own.

Everything on its way passes through `carry`, which may deliver it now, later, twice or never; without one it
waits in a queue until `run`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from actors.model import Flow
from sip_adapter.framer import StreamFramer
from sip_adapter.large import Dial
from sip_adapter.limits import Limits
from sip_adapter.transport.base import NO_LISTENER, Address, LinkDial, NetworkEvents, first_listener, sent_by

Place = tuple[str, int]
Deliver = Callable[[], None]
Receive = Callable[[bytes], None]
FIRST_PORT = 49152


class Phone(Protocol):
    """Whoever is at the other end of a node's network."""

    def datagram(self, data: bytes, source: Place) -> None:
        """A datagram arrived."""


class MemoryStream:
    """One end of a connection."""

    def __init__(self, memory: Memory, local: Place, peer: Place) -> None:
        self.local = local
        self.peer = peer
        self.heard = bytearray()
        """All bytes that arrived, unless somebody else hears them."""
        self.closed = False
        self._memory = memory
        self._other: MemoryStream | None = None
        self._receive: Receive = self.heard.extend
        self._lost: Callable[[], None] = lambda: None

    def send(self, data: bytes) -> None:
        """Send bytes; after either side closed they are lost."""
        other = self._other
        if other is not None and not self.closed:
            self._memory.carry(lambda: None if other.closed else other._receive(data))

    def close(self) -> None:
        """Close both ends; the other side hears of it after what was sent."""
        other = self._other
        if not self.closed:
            self.closed = True
            if other is not None:
                self._memory.carry(other._end)

    def _end(self) -> None:
        if not self.closed:
            self.closed = True
            self._lost()

    def _join(self, other: MemoryStream) -> None:
        self._other, other._other = other, self


class Memory:
    """The medium: who is where, and what is on its way."""

    def __init__(self, carry: Callable[[Deliver], None] | None = None) -> None:
        self._waiting: deque[Deliver] = deque()
        self.carry: Callable[[Deliver], None] = carry or self._waiting.append
        self.phones: dict[Place, Phone] = {}
        """Who hears datagrams."""
        self.listening: dict[Place, Callable[[MemoryStream], Receive | None]] = {}
        """Who takes connections."""
        self._last_port = FIRST_PORT - 1

    def run(self) -> None:
        """Deliver what waits, and what that causes."""
        while self._waiting:
            self._waiting.popleft()()

    def send(self, data: bytes, source: Place, target: Place) -> None:
        """Send a datagram from one place to another; nobody there: it is lost."""

        def deliver() -> None:
            phone = self.phones.get(target)
            if phone is not None:
                phone.datagram(data, source)

        self.carry(deliver)

    def connect(self, source: Place, target: Place) -> MemoryStream | None:
        """Open a stream and return its near end; None: refused."""
        accept = self.listening.get(target)
        if accept is None:
            return None
        near, far = MemoryStream(self, source, target), MemoryStream(self, target, source)
        near._join(far)
        receive = accept(far)
        if receive is None:
            return None
        far._receive = receive
        return near

    def free_port(self) -> int:
        """Return a port that nobody has."""
        self._last_port += 1
        return self._last_port


class MemoryNetwork:
    """The network of one adapter in a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._addresses: list[Address] = []
        self._events: NetworkEvents | None = None
        self._limits = Limits()
        self._streams: dict[int, MemoryStream] = {}
        self._last = 0

    def open(self, addresses: Sequence[Address], events: NetworkEvents, limits: Limits) -> Sequence[Address]:
        """Take the addresses; raises OSError if one is taken."""
        memory = self._memory
        self._events, self._limits = events, limits
        for index, asked in enumerate(addresses):
            address = Address(asked.transport, asked.host, asked.port or memory.free_port())
            place = (address.host, address.port)
            if place in (memory.phones if address.transport == "udp" else memory.listening):
                raise OSError(f"{address} is in use")
            if address.transport == "udp":
                memory.phones[place] = _Listener(self, index)
            else:
                memory.listening[place] = self._accepting(index)
            self._addresses.append(address)
        return self._addresses

    def via(self, flow: Flow) -> bytes:
        """Return the listener's address."""
        address = self._addresses[flow.listener]
        return flow.transport.upper().encode() + b" " + sent_by(address.host, address.port)

    def send(self, packets: Sequence[tuple[Flow, bytes]]) -> Sequence[Flow]:
        """Send all; only streams that are gone fail."""
        failed: list[Flow] = []
        for flow, packet in packets:
            if flow.connection == 0:
                address = self._addresses[flow.listener]
                self._memory.send(packet, (address.host, address.port), (flow.host, flow.port))
            elif (stream := self._streams.get(flow.connection)) is not None:
                stream.send(packet)
            else:
                failed.append(flow)
        return failed

    def dial(self, dial: Dial) -> None:
        """Connect to a phone that takes connections."""
        self._memory.carry(lambda: self._dial(dial))

    def dial_link(self, dial: LinkDial) -> None:
        """Connect to a server, or name the flow of datagrams to it."""
        self._memory.carry(lambda: self._dial_link(dial))

    def close_flow(self, flow: Flow) -> None:
        """Close a connection."""
        stream = self._streams.get(flow.connection)
        if stream is not None:
            stream.close()
            self._gone(flow)

    def counts(self) -> dict[str, int]:
        """Nothing happens below the adapter's sight."""
        return {}

    def close(self) -> None:
        """Leave the memory."""
        for address in self._addresses:
            book = self._memory.phones if address.transport == "udp" else self._memory.listening
            book.pop((address.host, address.port), None)
        self._addresses.clear()
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
        self._events = None

    def arrived(self, index: int, data: bytes, source: Place) -> None:
        """Hand on a datagram."""
        if self._events is not None:
            self._events.datagrams(((data, Flow("udp", index, *source)),))

    def _accepting(self, index: int) -> Callable[[MemoryStream], Receive | None]:
        def accept(stream: MemoryStream) -> Receive | None:
            return self._take(stream, index, stream.peer)[1]

        return accept

    def _dial_link(self, dial: LinkDial) -> None:
        if self._events is None:
            return
        index = first_listener(self._addresses, dial.address.transport)
        target = (dial.address.host, dial.address.port)
        if dial.address.transport == "udp":
            flow = None if index is None else Flow("udp", index, *target)
            self._events.link_dialled(dial.number, flow, NO_LISTENER if flow is None else "")
            return
        local = self._addresses[0].host if self._addresses else "0.0.0.0"
        stream = self._memory.connect((local, self._memory.free_port()), target)
        if stream is None:
            self._events.link_dialled(dial.number, None, "Connection refused")
            return
        opened, stream._receive = self._take(stream, index or 0, target)
        self._events.link_dialled(dial.number, opened, "")

    def _dial(self, dial: Dial) -> None:
        if self._events is None:
            return
        local = self._addresses[dial.flow.listener]
        target = (dial.flow.host, dial.flow.port)
        stream = self._memory.connect((local.host, self._memory.free_port()), target)
        if stream is None:
            self._events.dialled(dial.number, None)
            return
        flow, stream._receive = self._take(stream, dial.flow.listener, target)
        self._events.dialled(dial.number, flow)

    def _take(self, stream: MemoryStream, index: int, peer: Place) -> tuple[Flow, Receive]:
        self._last += 1
        flow = Flow("tcp", index, *peer, self._last)
        limits = self._limits
        framer = StreamFramer(limits.max_head, limits.max_body, limits.max_link_body)
        self._streams[flow.connection] = stream
        stream._lost = lambda: self._gone(flow)

        def receive(data: bytes) -> None:
            events = framer.feed(data)
            if events and self._events is not None:
                self._events.stream_events(flow, events)

        return flow, receive

    def _gone(self, flow: Flow) -> None:
        if self._streams.pop(flow.connection, None) is not None and self._events is not None:
            self._events.stream_closed(flow)


class _Listener:
    """A node's end of datagrams."""

    def __init__(self, network: MemoryNetwork, index: int) -> None:
        self._network = network
        self._index = index

    def datagram(self, data: bytes, source: Place) -> None:
        """Hand on to the network."""
        self._network.arrived(self._index, data, source)
