"""One SipAdapter between phones and probes: over loopback sockets, or in memory under virtual time."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

from actors.base import ActorBase, start_actor
from actors.messages.client_manager import DeliveriesEnded, DeliveryResult, FlowsSeen, RegisterContacts, SubmitMessages
from actors.messages.lifecycle import Listening
from actors.messages.requests import Answer, OutboundRequest, Registration, Submission
from actors.messages.sip_adapter import AnswerRequests, SendRequests
from actors.model import Flow
from actors.ref import ActorRef
from actors.runtime import LoopRuntime, SystemClock, ThreadScheduler
from actors.simulation import Simulation
from actors.testing import Probe, actor_context
from sip_adapter.codec import Request, Response, parse, response
from sip_adapter.domains import Domains
from sip_adapter.limits import Limits
from sip_adapter.transport.memory import Memory, MemoryNetwork, MemoryStream
from sip_adapter.transport.sockets import AsyncioNetwork
from tests.sip_adapter.packets import REALM, packet

TIMEOUT = 5.0
M = TypeVar("M")
Place = tuple[str, int]
Packet = Request | Response


class Line(Protocol):
    """A phone's end of a socket or connection to the adapter."""

    place: Place

    def send(self, data: bytes) -> None:
        """Send a datagram, or bytes on a stream."""

    def read(self) -> bytes:
        """Return the next message as it came."""


class Border:
    """The adapter under test with the probes round it; what both worlds share."""

    def __init__(self) -> None:
        self.client_manager, self.monitor, self.supervisor = Probe("client_manager"), Probe("monitor"), Probe("superv.")
        self.server_manager = Probe("server_manager")
        self.ready = Probe("ready")
        self.ref: ActorRef[Any]
        self.addresses: tuple[str, ...] = ()
        self._numbers = itertools.count(1)

    def start(self, kind: type[ActorBase[Any]], listen: tuple[str, ...], limits: Limits | None = None) -> None:
        """Start an adapter and wait until it listens."""
        self.launch(kind, listen, limits)
        self.run()
        self.addresses = self.ready.expect(Listening).addresses

    def launch(self, kind: type[ActorBase[Any]], listen: tuple[str, ...], limits: Limits | None = None) -> None:
        """Start an adapter, whatever comes of it."""
        raise NotImplementedError

    def run(self) -> None:
        """Let happen what can happen now."""

    def udp(self) -> Line:
        """Return a phone that speaks UDP to the first address."""
        raise NotImplementedError

    def tcp(self) -> Line:
        """Return a phone with a connection to the second address."""
        raise NotImplementedError

    def takes_connections(self, line: Line) -> Callable[[], Line]:
        """Let the phone take connections at the place of its datagrams; the result waits for one."""
        raise NotImplementedError

    def hang_up(self, line: Line) -> None:
        """Close the phone's connection."""
        raise NotImplementedError

    def is_closed(self, line: Line) -> bool:
        """Tell whether the adapter has closed this connection."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop the adapter."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop all, and fail if the adapter contained an exception."""
        raise NotImplementedError

    def contained(self) -> None:
        for failure in self.supervisor.take_all():
            raise AssertionError(failure.trace)

    def place(self, index: int) -> Place:
        """Host and port of an address that was bound."""
        host, _, port = self.addresses[index].partition("://")[2].rpartition(":")
        return host, int(port)

    def hears(self, kind: type[M], where: Callable[[M], bool] | None = None) -> M:
        """What ClientManager is told next of this type."""
        self.run()
        return self.client_manager.expect(kind, where=where)

    def links_hear(self, kind: type[M]) -> M:
        """What ServerManager is told next of this type."""
        self.run()
        return self.server_manager.expect(kind)

    def tell(self, message: Any) -> None:
        """Tell the adapter something."""
        self.ref.tell(message)
        self.run()

    def answer(self, transaction: Any, status: int, **more: Any) -> None:
        """Answer one request."""
        self.tell(AnswerRequests(items=(Answer(transaction=transaction, status=status, **more),)))

    def deliver(self, *items: OutboundRequest) -> None:
        """Send requests to devices."""
        self.tell(SendRequests(items=items))

    def flow(self, line: Line) -> Flow:
        """The flow of a phone that speaks UDP."""
        return Flow("udp", 0, *line.place)

    def response(self, line: Line, data: bytes | None = None) -> Response:
        """Send something, if given, and return the response that comes next."""
        if data is not None:
            line.send(data)
        found = self._parsed(line)
        assert isinstance(found, Response), found
        return found

    def request(self, line: Line) -> Request:
        """Return the request that comes next."""
        found = self._parsed(line)
        assert isinstance(found, Request), found
        return found

    def silent(self, line: Line) -> None:
        """Fail if anything is on its way to the phone: an OPTIONS is answered next, then nothing came before it."""
        name = f"silent-{next(self._numbers)}"
        line.send(packet("OPTIONS", call_id=name, via=f"SIP/2.0/UDP 10.0.0.7;branch=z9hG4bK{name};rport", body=b""))
        self.run()
        data = line.read()
        assert name.encode() in data, data

    def untold(self, *kinds: type[Any]) -> None:
        """Fail if ClientManager or ServerManager was told something of these types that nobody took."""
        self.run()
        for kind in kinds:
            self.client_manager.expect_none(kind)
            self.server_manager.expect_none(kind)

    def _parsed(self, line: Line) -> Packet:
        self.run()
        return parse(line.read())


# Short ways.


def submitted(border: Border, line: Line, data: bytes | None = None) -> Submission:
    """Send a MESSAGE, and return what ClientManager is told of it."""
    line.send(packet() if data is None else data)
    (item,) = border.hears(SubmitMessages).items
    return item


def registered(border: Border, line: Line, data: bytes) -> Registration:
    line.send(data)
    (item,) = border.hears(RegisterContacts).items
    return item


def result(border: Border) -> DeliveryResult:
    (item,) = border.hears(DeliveriesEnded).items
    return item


def replied(request: Request, status: int, reason: str = "Reason", **more: Any) -> bytes:
    return response(request, status, reason, to_tag=b"phone", **more)


def fresh(number: int) -> bytes:
    """A MESSAGE that is no repeat."""
    via = f"SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK{number};rport"
    return packet(call_id=f"c{number}", via=via)


def reached(border: Border, transport: str) -> tuple[Line, Flow]:
    """Return a phone, and the flow over which it is reached."""
    if transport == "udp":
        line = border.udp()
        return line, border.flow(line)
    line = border.tcp()
    line.send(b"\r\n\r\n")
    (flow,) = border.hears(FlowsSeen).flows
    assert line.read() == b"\r\n"
    return line, flow


# Over sockets.


class Socket:
    """A phone's socket."""

    def __init__(self, opened: socket.socket) -> None:
        opened.settimeout(TIMEOUT)
        self.opened = opened
        self.place: Place = opened.getsockname()[:2]
        self._rest = b""

    def send(self, data: bytes) -> None:
        self.opened.sendall(data)

    def read(self) -> bytes:
        if self.opened.type == socket.SOCK_DGRAM:
            return self.opened.recv(65535)
        data, self._rest = self._rest, b""
        while (end := end_of_message(data)) is None:
            more = self.opened.recv(65535)
            assert more, "the connection was closed"
            data += more
        self._rest = data[end:]
        return data[:end]


def end_of_message(data: bytes) -> int | None:
    """Return where the first message of a stream ends, None if not yet; a keep-alive's answer is a message."""
    if data.startswith(b"\r\n"):
        return 2
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return None
    length = re.search(rb"\r\nContent-Length: *([0-9]+)", data[:head])
    end = head + 4 + (int(length[1]) if length else 0)
    return end if len(data) >= end else None


class Loopback(Border):
    """An adapter with sockets on 127.0.0.1, on the network's loop."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._scheduler = ThreadScheduler()

    def launch(self, kind: type[ActorBase[Any]], listen: tuple[str, ...], limits: Limits | None = None) -> None:
        self.ref = start_actor(
            kind,
            LoopRuntime(asyncio.new_event_loop),
            actor_context(SystemClock(), self._scheduler, self.supervisor),
            network=AsyncioNetwork(),
            client_manager=self.client_manager,
            server_manager=self.server_manager,
            monitor=self.monitor,
            domains=Domains(REALM),
            realm=REALM,
            listen=listen,
            ready=self.ready,
            limits=limits,
        )

    def udp(self) -> Line:
        phone = self._stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        phone.bind(("127.0.0.1", 0))
        phone.connect(self.place(0))
        return Socket(phone)

    def tcp(self) -> Line:
        return Socket(self._stack.enter_context(socket.create_connection(self.place(1), TIMEOUT)))

    def takes_connections(self, line: Line) -> Callable[[], Line]:
        listener = self._stack.enter_context(socket.create_server(line.place))
        listener.settimeout(TIMEOUT)
        return lambda: Socket(self._stack.enter_context(listener.accept()[0]))

    def hang_up(self, line: Line) -> None:
        assert isinstance(line, Socket)
        line.opened.close()

    def is_closed(self, line: Line) -> bool:
        assert isinstance(line, Socket)
        try:
            return line.opened.recv(1) == b""
        except ConnectionResetError:
            return True

    def stop(self) -> None:
        self.ref.pykka_ref.stop(timeout=TIMEOUT)

    def close(self) -> None:
        self.stop()
        self._stack.close()
        self._scheduler.stop()
        self.contained()


# In memory.


class MemoryLine:
    """A phone in memory."""

    def __init__(self, memory: Memory, place: Place, server: Place, stream: MemoryStream | None = None) -> None:
        self.place = place
        self.stream = stream
        self._memory = memory
        self._server = server
        self._heard: deque[bytes] = deque()
        if stream is None:
            memory.phones[place] = self

    def datagram(self, data: bytes, source: Place) -> None:
        assert source == self._server
        self._heard.append(data)

    def send(self, data: bytes) -> None:
        if self.stream is not None:
            self.stream.send(data)
        else:
            self._memory.send(data, self.place, self._server)

    def read(self) -> bytes:
        if self.stream is None:
            assert self._heard, "nothing came"
            return self._heard.popleft()
        end = end_of_message(bytes(self.stream.heard))
        assert end is not None, f"nothing whole came: {self.stream.heard!r}"
        data = bytes(self.stream.heard[:end])
        del self.stream.heard[:end]
        return data


class InMemory(Border):
    """An adapter in a simulation: time moves by `pass_time` only."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        self.simulation = Simulation(seed)
        self._waiting: deque[Callable[[], None]] = deque()
        self.memory = Memory(self._waiting.append)
        self._hosts = itertools.count(1)

    def launch(self, kind: type[ActorBase[Any]], listen: tuple[str, ...], limits: Limits | None = None) -> None:
        self.ref = start_actor(
            kind,
            self.simulation.runtime,
            actor_context(self.simulation.clock, self.simulation.scheduler, self.supervisor),
            network=MemoryNetwork(self.memory),
            client_manager=self.client_manager,
            server_manager=self.server_manager,
            monitor=self.monitor,
            domains=Domains(REALM),
            realm=REALM,
            listen=listen,
            ready=self.ready,
            limits=limits,
        )

    def run(self) -> None:
        self.simulation.settle()
        while self._waiting:
            self._waiting.popleft()()
            self.simulation.settle()

    def pass_time(self, seconds: float) -> None:
        """Move time on in small steps, so that packets travel meanwhile."""
        for _ in range(round(seconds / 0.05)):
            self.simulation.run_for(0.05)
            self.run()

    def udp(self) -> Line:
        return MemoryLine(self.memory, (f"10.1.0.{next(self._hosts)}", 5060), self.place(0))

    def tcp(self) -> Line:
        place = (f"10.1.0.{next(self._hosts)}", 40000)
        stream = self.memory.connect(place, self.place(1))
        assert stream is not None
        return MemoryLine(self.memory, place, self.place(1), stream)

    def takes_connections(self, line: Line) -> Callable[[], Line]:
        taken: list[MemoryLine] = []

        def accept(stream: MemoryStream) -> Callable[[bytes], None]:
            taken.append(MemoryLine(self.memory, line.place, stream.peer, stream))
            return stream.heard.extend

        self.memory.listening[line.place] = accept

        def wait() -> Line:
            self.run()
            return taken.pop()

        return wait

    def hang_up(self, line: Line) -> None:
        assert isinstance(line, MemoryLine)
        assert line.stream is not None
        line.stream.close()

    def is_closed(self, line: Line) -> bool:
        assert isinstance(line, MemoryLine)
        assert line.stream is not None
        self.run()
        return line.stream.closed

    def stop(self) -> None:
        self.ref.pykka_ref.stop(block=False)
        self.run()

    def close(self) -> None:
        self.simulation.close()
        self.contained()
