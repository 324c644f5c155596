"""The network of real sockets on an asyncio loop, with or without uvloop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from actors.model import Flow
from sip_adapter.domains import is_wildcard
from sip_adapter.large import Dial
from sip_adapter.limits import Limits
from sip_adapter.transport.base import NO_LISTENER, Address, LinkDial, NetworkEvents, first_listener, sent_by
from sip_adapter.transport.tcp import LINK_TIMEOUT, TcpTransport, why
from sip_adapter.transport.udp import UdpListener

MAX_LOCAL = 10_000
"""Peers for which the address of this machine towards them is remembered."""


class AsyncioNetwork:
    """All listeners of an adapter; `open` must run on the loop's thread."""

    def __init__(self) -> None:
        self._udp: dict[int, UdpListener] = {}
        self._tcp: TcpTransport | None = None
        self._addresses: list[Address] = []
        self._via: dict[tuple[str, int], bytes] = {}
        self._local: dict[tuple[str, int, str], bytes] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, addresses: Sequence[Address], events: NetworkEvents, limits: Limits) -> Sequence[Address]:
        """Bind all addresses or none."""
        loop = asyncio.get_running_loop()
        self._tcp = TcpTransport(loop, events, limits)
        try:
            for index, address in enumerate(addresses):
                if address.transport == "udp":
                    self._udp[index] = UdpListener(loop, index, address, events.datagrams)
                    self._addresses.append(self._udp[index].address)
                else:
                    self._addresses.append(self._tcp.listen(index, address))
        except OSError:
            self.close()
            raise
        return self._addresses

    def via(self, flow: Flow) -> bytes:
        """Return the listener's address, on a wildcard the address of this machine towards the peer."""
        key = (flow.transport, flow.listener)
        via = self._via.get(key)
        if via is None:
            address = self._addresses[flow.listener]
            if is_wildcard(address.host):
                return self._via_towards(flow, address.port)
            via = self._via[key] = f"{flow.transport.upper()} ".encode() + address.sent_by
        return via

    def _via_towards(self, flow: Flow, port: int) -> bytes:
        key = (flow.transport, flow.listener, flow.host)
        via = self._local.get(key)
        if via is None:
            if len(self._local) >= MAX_LOCAL:
                self._local.clear()
            local = sent_by(_address_towards(flow), port)
            via = self._local[key] = f"{flow.transport.upper()} ".encode() + local
        return via

    def send(self, packets: Sequence[tuple[Flow, bytes]]) -> Sequence[Flow]:
        """Send each over its listener's socket or its connection."""
        datagrams: dict[int, list[tuple[Flow, bytes]]] = {}
        streams: dict[Flow, list[bytes]] = {}
        failed: list[Flow] = []
        for item in packets:
            flow = item[0]
            if not flow.connection:
                datagrams.setdefault(flow.listener, []).append(item)
            else:
                streams.setdefault(flow, []).append(item[1])
        for flow, parts in streams.items():
            # One write for all: a link to a server has many in one go.
            if self._tcp is None or not self._tcp.send(flow, parts[0] if len(parts) == 1 else b"".join(parts)):
                failed.append(flow)
        for index, batch in datagrams.items():
            listener = self._udp.get(index)
            failed += [flow for flow, _ in batch] if listener is None else listener.send(batch)
        return failed

    def dial(self, dial: Dial) -> None:
        """Connect by TCP."""
        if self._tcp is not None:
            self._tcp.dial(dial)

    def dial_link(self, dial: LinkDial) -> None:
        """Connect by TCP, or resolve the name; the name service may take its time elsewhere."""
        loop, transport = asyncio.get_running_loop(), self._tcp
        if transport is None:
            return
        if not self._addresses:
            loop.call_soon(transport.events.link_dialled, dial.number, None, NO_LISTENER)
        elif dial.address.transport == "tcp":
            transport.dial_link(dial, first_listener(self._addresses, "tcp") or 0)
        else:
            task = loop.create_task(self._find(dial, transport.events))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _find(self, dial: LinkDial, events: NetworkEvents) -> None:
        flow, reason = None, NO_LISTENER
        try:
            async with asyncio.timeout(LINK_TIMEOUT):
                hosts = await _resolve(dial.address)
            ways = ((index, host) for host in hosts for index in self._udp if self._sends(index, host))
            index, host = next(ways, (-1, ""))
            if host:
                flow, reason = Flow("udp", index, host, dial.address.port), ""
        except (OSError, UnicodeError) as error:
            reason = why(error)
        events.link_dialled(dial.number, flow, reason)

    def _sends(self, index: int, host: str) -> bool:
        return (":" in self._addresses[index].host) == (":" in host)

    def close_flow(self, flow: Flow) -> None:
        """Close a connection."""
        if self._tcp is not None and flow.connection:
            self._tcp.close_flow(flow)

    def counts(self) -> dict[str, int]:
        """Return datagrams lost here and connections refused since the last call."""
        lost = 0
        for listener in self._udp.values():
            lost += listener.lost
            listener.lost = 0
        refused = 0
        if self._tcp is not None:
            refused, self._tcp.refused = self._tcp.refused, 0
        return {"sip_datagrams_lost_total": lost, "sip_connections_refused_total": refused}

    def close(self) -> None:
        """Close listeners and connections."""
        for task in self._tasks:
            task.cancel()
        for listener in self._udp.values():
            listener.close()
        self._udp.clear()
        if self._tcp is not None:
            self._tcp.close()


async def _resolve(address: Address) -> list[str]:
    """Return the addresses of a host in their one written form, in the order to try them."""
    try:
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM, flags=flags)  # asks nobody
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
    return [str(target[0]) for *_, target in found]


def _address_towards(flow: Flow) -> str:
    """Ask the routing table (nothing is sent)."""
    family = socket.AF_INET6 if ":" in flow.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((flow.host, flow.port or 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "::1" if family == socket.AF_INET6 else "127.0.0.1"
