"""SIP over TCP (RFC 3261 18.3): a protocol per connection, bounded in number, bytes and idleness."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from typing import cast

from actors.model import Flow
from sip_adapter.framer import StreamFramer
from sip_adapter.large import Dial
from sip_adapter.limits import Limits
from sip_adapter.transport.base import Address, LinkDial, NetworkEvents

BACKLOG = 1024
LINK_TIMEOUT = 5.0
"""Seconds until a server that does not take a connection counts as unreachable."""
DIAL_TIMEOUT = 2.0
"""Seconds: a phone that takes connections takes them at once."""
SWEEP = 10.0
"""Seconds between looks at idle connections."""
UNPROVEN = 120.0
"""Seconds that a connection may live without one whole message."""
IDLE = 3700.0
"""Seconds without a byte before a connection is closed: more than the usual hour between registrations."""
PARTIAL = 32.0
"""Seconds that a message may take from its first byte to its last."""


class Connection(asyncio.Protocol):
    """One stream: bytes to events, bounded both ways."""

    def __init__(self, owner: TcpTransport, flow_of: Callable[[tuple[str, int]], Flow], link: bool = False) -> None:
        """`link`: dialled to another server; there is always room for it."""
        self._owner = owner
        self._flow_of = flow_of
        limits = owner.limits
        self._framer = StreamFramer(limits.max_head, limits.max_body, limits.max_link_body)
        self._max_unsent = limits.max_link_unsent if link else limits.max_unsent
        self._link = link
        self._transport: asyncio.Transport | None = None
        self.flow: Flow | None = None
        self.opened = owner.loop.time()
        self.heard = self.opened
        self.proven = False
        """A whole message arrived."""
        self.partial_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Name the flow, or refuse the connection if there are too many."""
        stream = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        peer = stream.get_extra_info("peername")
        if not peer or not (self._link or self._owner.has_room()):
            self._owner.refused += 1
            stream.abort()
            return
        self._transport = stream
        self.flow = self._flow_of((peer[0], peer[1]))
        self._owner.connections[self.flow.connection] = self

    def data_received(self, data: bytes) -> None:
        """Frame the bytes and hand on what they complete."""
        if self.flow is None:
            return
        now = self._owner.loop.time()
        self.heard = now
        events = self._framer.feed(data)
        if events:
            self.proven = True
            self.partial_since = None
            self._owner.events.stream_events(self.flow, events)
        elif self.partial_since is None:
            self.partial_since = now

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it is gone."""
        if self.flow is not None and self._owner.connections.pop(self.flow.connection, None) is not None:
            self._owner.events.stream_closed(self.flow)

    def send(self, packet: bytes) -> bool:
        """Write; a reader too slow to take it loses the connection."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() + len(packet) > self._max_unsent:
            transport.abort()
            return False
        transport.write(packet)
        return True

    def close(self) -> None:
        """Write what is left, then close."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float) -> bool:
        """Tell whether it has been silent, or in the middle of a message, for too long."""
        if self.partial_since is not None and now - self.partial_since > PARTIAL:
            return True
        return now - self.heard > IDLE or (not self.proven and now - self.opened > UNPROVEN)


class TcpTransport:
    """Listeners and connections over TCP."""

    def __init__(self, loop: asyncio.AbstractEventLoop, events: NetworkEvents, limits: Limits) -> None:
        self.loop = loop
        self.events = events
        self.limits = limits
        self.connections: dict[int, Connection] = {}
        """By number, the oldest first."""
        self.refused = 0
        """Connections refused for want of room."""
        self._last = 0
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def listen(self, index: int, address: Address) -> Address:
        """Bind now, accept from the loop's next turn on. Raises OSError."""
        bound = _bind(address)
        self._sockets.append(bound)
        self._start(self._serve(bound, index))
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(SWEEP, self._sweep)
        host, port = bound.getsockname()[:2]
        return Address("tcp", host, port)

    def has_room(self) -> bool:
        """Tell whether one more connection is taken; the oldest that never sent a message makes room."""
        if len(self.connections) < self.limits.max_connections:
            return True
        idle = next((old for old in self.connections.values() if not old.proven), None)
        if idle is None or idle.flow is None:
            return False
        idle.abort()
        del self.connections[idle.flow.connection]
        return True

    def send(self, flow: Flow, packet: bytes) -> bool:
        """Send over this very connection; False if it is gone."""
        connection = self.connections.get(flow.connection)
        return connection is not None and connection.send(packet)

    def dial(self, dial: Dial) -> None:
        """Connect within DIAL_TIMEOUT."""
        if self._closed:
            return
        self._start(self._dial(dial))

    def dial_link(self, dial: LinkDial, index: int) -> None:
        """Connect to another server within LINK_TIMEOUT, for the listener of this index."""
        if not self._closed:
            self._start(self._dial_link(dial, index))

    def close_flow(self, flow: Flow) -> None:
        """Close a connection after what was written to it."""
        connection = self.connections.get(flow.connection)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close everything at once."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._tasks:
            task.cancel()
        for server in self._servers:
            server.close()
        for bound in self._sockets:
            bound.close()
        for connection in tuple(self.connections.values()):
            connection.abort()
        self.connections.clear()

    def _new_flow(self, index: int, peer: tuple[str, int]) -> Flow:
        self._last += 1
        return Flow("tcp", index, peer[0], peer[1], self._last)

    async def _serve(self, bound: socket.socket, index: int) -> None:
        def accepted() -> Connection:
            return Connection(self, lambda peer: self._new_flow(index, peer))

        server = await self.loop.create_server(accepted, sock=bound, backlog=BACKLOG)
        if self._closed:
            server.close()
        else:
            self._servers.append(server)

    async def _dial(self, dial: Dial) -> None:
        flow = dial.flow

        def made() -> Connection:
            return Connection(self, lambda peer: self._new_flow(flow.listener, (flow.host, flow.port)))

        connected: Flow | None = None
        try:
            async with asyncio.timeout(DIAL_TIMEOUT):
                _, connection = await self.loop.create_connection(made, flow.host, flow.port)
            connection.proven = True
            connected = connection.flow
        except OSError:
            pass  # refused or unreachable: told below
        self.events.dialled(dial.number, connected)

    async def _dial_link(self, dial: LinkDial, index: int) -> None:
        def made() -> Connection:
            return Connection(self, lambda peer: self._new_flow(index, peer), link=True)

        flow, reason = None, "Connection lost"
        try:
            async with asyncio.timeout(LINK_TIMEOUT):
                _, connection = await self.loop.create_connection(made, dial.address.host, dial.address.port)
            connection.proven = True
            if connection.flow is not None and connection.flow.connection in self.connections:
                flow, reason = connection.flow, ""
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that DNS cannot have
            reason = why(error)
        self.events.link_dialled(dial.number, flow, reason)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in tuple(self.connections.values()):
            if connection.overdue(now):
                connection.abort()
        self._sweeper = self.loop.call_later(SWEEP, self._sweep)


def why(error: Exception) -> str:
    """Say in a few words why a server cannot be reached."""
    if isinstance(error, TimeoutError):
        return "No answer to the attempt to connect"
    if isinstance(error, socket.gaierror) or not isinstance(error, OSError) or not error.errno:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return os.strerror(error.errno)


def _bind(address: Address) -> socket.socket:
    family, _, _, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        bound.bind(target)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
