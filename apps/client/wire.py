"""The sockets of a client: one UDP or TCP way to one server, whole SIP messages in and out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from abc import ABC, abstractmethod
from typing import Protocol, cast

from apps.common.values import Listen, Transport
from sip_adapter.codec import Request, Response, parse
from sip_adapter.errors import SipError
from sip_adapter.framer import KeepAlive, StreamFramer

LARGEST_DATAGRAM = 65_507
PING = b"\r\n\r\n"


class Unreachable(Exception):
    """The server cannot be reached, or did not answer in time."""


class TooLarge(Exception):
    """The message does not fit one datagram."""


class Receiver(Protocol):
    """Who takes what a connection brings."""

    def message(self, message: Request | Response) -> None:
        """One whole message came."""

    def lost(self, reason: str) -> None:
        """The connection is gone, or a datagram was refused."""


class Connection(ABC):
    """A way to one server."""

    reliable: bool
    """No retransmissions are needed (RFC 3261 17.1.2.2)."""

    def __init__(self, local: tuple[str, int], peer: tuple[str, int]) -> None:
        """Take both ends' addresses, as they are."""
        self.local = local
        self.peer = peer

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send one message; what goes wrong is told to the receiver."""

    @abstractmethod
    def close(self) -> None:
        """Close; the receiver hears nothing more."""


class UdpConnection(Connection):
    """A connected UDP socket: only the server's datagrams come in."""

    reliable = False

    def __init__(self, transport: asyncio.DatagramTransport) -> None:
        """Wrap an open transport."""
        super().__init__(_end(transport, "sockname"), _end(transport, "peername"))
        self._transport = transport

    def send(self, data: bytes) -> None:
        """Send one datagram."""
        if len(data) > LARGEST_DATAGRAM:
            raise TooLarge(f"{len(data)} bytes do not fit one UDP datagram")
        self._transport.sendto(data)

    def close(self) -> None:
        """Close the socket."""
        self._transport.abort()


class TcpConnection(Connection):
    """A TCP connection to the server."""

    reliable = True

    def __init__(self, transport: asyncio.Transport) -> None:
        """Wrap an open transport."""
        super().__init__(_end(transport, "sockname"), _end(transport, "peername"))
        self._transport = transport

    def send(self, data: bytes) -> None:
        """Write one message."""
        self._transport.write(data)

    def close(self) -> None:
        """Send what is written, then close."""
        self._transport.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def datagram_received(self, data: bytes, _source: object) -> None:
        try:
            message = parse(data)
        except SipError:
            return  # noise, or a keep-alive: nobody to answer
        self._receiver.message(message)

    def error_received(self, error: Exception) -> None:
        self._receiver.lost(_words(error))


class _Stream(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        for event in self._framer.feed(data):
            if isinstance(event, KeepAlive):
                self._transport.write(b"\r\n")
            elif not isinstance(event, SipError):
                self._receiver.message(event)
        if self._framer.closed:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._receiver.lost("the connection was closed" if error is None else _words(error))


async def connect(via: Listen, receiver: Receiver, timeout: float, local_port: int = 0) -> Connection:
    """Open a way to the server, over UDP from a local port of choice if it is free; raises Unreachable."""
    try:
        async with asyncio.timeout(timeout):
            if via.transport is Transport.UDP:
                return await _udp(via, receiver, local_port)
            loop = asyncio.get_running_loop()
            stream, _ = await loop.create_connection(lambda: _Stream(receiver), via.host, via.port)
            return TcpConnection(stream)
    except TimeoutError:
        raise Unreachable(f"no connection within {timeout:g} s") from None
    except OSError as error:
        raise Unreachable(_words(error)) from error


async def _udp(via: Listen, receiver: Receiver, local_port: int) -> Connection:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(via.host, via.port, type=socket.SOCK_DGRAM)
    family, address = found[0][0], found[0][4]
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        udp.setblocking(False)
        with contextlib.suppress(OSError):  # taken by another program: then any port will do
            udp.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", local_port))
        udp.connect(address)
        datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(receiver), sock=udp)
    except OSError:
        udp.close()
        raise
    return UdpConnection(datagrams)


def _end(transport: asyncio.BaseTransport, which: str) -> tuple[str, int]:
    address = transport.get_extra_info(which)
    return str(address[0]), int(address[1])


def _words(error: Exception) -> str:
    """Put an operating system's error into words."""
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
