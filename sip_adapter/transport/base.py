"""What a network is to the adapter: sockets, or a simulation of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from actors.model import Flow
from sip_adapter.framer import Event
from sip_adapter.large import Dial
from sip_adapter.limits import Limits

DEFAULT_PORT = 5060
TRANSPORTS = ("udp", "tcp")
NO_LISTENER = "This node listens on no UDP address that can send there"


class Address(msgspec.Struct, frozen=True):
    """Where to listen, or what was bound: `udp://127.0.0.1:5060`, `tcp://[::1]:5060`; port 0 picks one."""

    transport: str
    host: str
    """An IPv6 address stands here without brackets."""
    port: int

    @property
    def sent_by(self) -> bytes:
        """host:port as in Via."""
        return sent_by(self.host, self.port)

    def __str__(self) -> str:
        return f"{self.transport}://{self.sent_by.decode()}"


def sent_by(host: str, port: int) -> bytes:
    """Return host:port as it stands in Via and URIs."""
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii")


def parse_address(url: str) -> Address:
    """Read a listen address; raises ValueError with a sentence for people."""
    parts = urlsplit(url)
    if parts.scheme not in TRANSPORTS:
        raise ValueError(f"{url}: begins with none of {', '.join(f'{name}://' for name in TRANSPORTS)}")
    if not parts.hostname or parts.path not in ("", "/") or parts.username is not None:
        raise ValueError(f"{url}: is not of the form {parts.scheme}://HOST:PORT")
    return Address(parts.scheme, parts.hostname, DEFAULT_PORT if parts.port is None else parts.port)


def first_listener(addresses: Sequence[Address], transport: str) -> int | None:
    """Return the index of the first address of this transport, None if there is none."""
    return next((index for index, address in enumerate(addresses) if address.transport == transport), None)


class LinkDial(msgspec.Struct, frozen=True):
    """Open a way to another server; the result comes back with the number."""

    number: int
    address: Address
    """Its host may be a name."""


class NetworkEvents(Protocol):
    """Who hears what arrives. None of these raises."""

    def datagrams(self, batch: Sequence[tuple[bytes, Flow]]) -> None:
        """Datagrams that were waiting in one wake-up."""

    def stream_events(self, flow: Flow, events: Sequence[Event]) -> None:
        """What some bytes of a stream completed."""

    def stream_closed(self, flow: Flow) -> None:
        """A connection is gone, whoever closed it."""

    def dialled(self, number: int, flow: Flow | None) -> None:
        """What became of a Dial."""

    def link_dialled(self, number: int, flow: Flow | None, reason: str) -> None:
        """What became of a LinkDial: the flow, whose host is an address, or a reason."""


class Network(Protocol):
    """Sockets. Every method is called on the adapter's thread and none waits."""

    def open(self, addresses: Sequence[Address], events: NetworkEvents, limits: Limits) -> Sequence[Address]:
        """Listen, and return the addresses as they were bound; raises OSError when one cannot be had."""

    def via(self, flow: Flow) -> bytes:
        """Return transport and sent-by of requests over this flow: `UDP 127.0.0.1:5060`."""

    def send(self, packets: Sequence[tuple[Flow, bytes]]) -> Sequence[Flow]:
        """Send all of these and return the flows over which it failed."""

    def dial(self, dial: Dial) -> None:
        """Open a TCP connection to a flow's host and port; `NetworkEvents.dialled` tells the rest."""

    def dial_link(self, dial: LinkDial) -> None:
        """Open a TCP connection to another server, or find its address for datagrams from the first UDP listener that
        can send there; `NetworkEvents.link_dialled` tells the rest, never within this call."""

    def close_flow(self, flow: Flow) -> None:
        """Close a connection; datagram flows have nothing to close."""

    def counts(self) -> dict[str, int]:
        """Return and reset the counts of what happened below the adapter's sight."""

    def close(self) -> None:
        """Close everything."""
