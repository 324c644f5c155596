"""A server that speaks the protocol of links, and lies: it knows the network's secret, or does not.

`Liar.tell` proves what it says as an honest neighbour would; each lie is then the test's own content.
"""

from __future__ import annotations

import itertools
import secrets
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from actors.messages.links import Alive, Carry, Frame, Hello, LinkContent, Welcome
from actors.messages.server_manager import LinkAnswered
from actors.messages.sip_adapter import LinkRequest
from actors.model import Envelope, MessageId, NodeName, Proof, Routing, Seq, UserName
from actors.state.link_auth import answer_mac, greeting_mac, request_mac, root_key, session_key
from sip_adapter.codec import parse
from sip_adapter.links import decode_answer, encode_request
from sip_adapter.message import Response
from tests.faults.node import NodeProcess
from tests.faults.phones import branch_of, header
from tests.federation.between import whole

WITHIN = 10.0
REALM = "angarium"
INCARNATION = "ab" * 16


class Told(NamedTuple):
    """An answer, and whether it is proved under the session's key."""

    status: int
    proved: bool
    answer: LinkAnswered


class Liar:
    """One server with one connection to a node, and a port at which it answers nobody."""

    def __init__(self, node: NodeProcess, secret: bytes, name: str = "evil") -> None:
        self.node = node
        self.name = NodeName(name)
        self.key = b""
        self.session = ""
        self._root = root_key(secret, REALM)
        self._numbers = itertools.count(1)
        self._waiting = bytearray()
        self._port = socket.create_server(("127.0.0.1", 0))
        self._sock = socket.create_connection(node.tcp, WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sock.close()
        self._port.close()

    # What it says.

    def greet(self, **lies: Any) -> Told:
        """Introduce itself; a session that is granted is used from now on, and proved at once."""
        host, port = self._port.getsockname()
        hello = Hello(
            node=self.name,
            to=NodeName(self.node.name),
            realm=REALM,
            nonce=secrets.token_hex(16),
            address=f"tcp://{host}:{port}",
            incarnation=INCARNATION,
        )
        hello = msgspec.structs.replace(hello, **lies)
        told = self.say(Frame(mac=greeting_mac(self._root, hello)), hello)
        welcome = told.answer.content
        if told.status == 200 and isinstance(welcome, Welcome):
            self.session = welcome.session
            self.key = session_key(self._root, self.name, welcome.node, hello.nonce, welcome.nonce)
            assert self.tell(Alive()).status == 200
        return told

    def tell(self, content: LinkContent) -> Told:
        """Say something, proved, and give the answer."""
        return self.say(self.frame(content), content)

    def frame(self, content: LinkContent, number: int = 0) -> Frame:
        """Prove a content, under the next number if none is given."""
        number = number or next(self._numbers)
        mac = request_mac(self.key, self.session, number, content)
        return Frame(session=self.session, number=number, mac=mac)

    def say(self, frame: Frame, content: LinkContent) -> Told:
        """Say something in a frame, and give the answer."""
        return self.hear(self.send(self.written(frame, content)))

    def written(self, frame: Frame, content: LinkContent) -> bytes:
        """How it stands on the wire."""
        request = LinkRequest(number=1, node=NodeName(self.node.name), frame=frame, content=content, seconds=WITHIN)
        via = b"TCP %s:%d" % (self._port.getsockname()[0].encode(), self._port.getsockname()[1])
        return encode_request(request, REALM, via, secrets.token_hex(16))

    def send(self, packet: bytes) -> bytes:
        """Put bytes on the connection, whatever they are; gives them back."""
        self._sock.sendall(packet)
        return packet

    # What it hears.

    def hear(self, packet: bytes) -> Told:
        """Wait for the final answer to a request."""
        branch = branch_of(packet)
        for heard in self._messages():
            if heard.startswith(b"SIP/2.0 ") and branch_of(heard) == branch and int(heard[8:11]) >= 200:
                message = parse(heard)
                assert isinstance(message, Response)
                return self._judged(decode_answer(1, message))
        raise ConnectionError(f"the connection was closed before {header(packet, 'CSeq')} was answered")

    def _judged(self, answer: LinkAnswered) -> Told:
        frame = answer.frame
        right = answer_mac(self.key, frame.session, frame.number, answer.status, answer.content)
        return Told(answer.status, bool(frame.mac) and frame.session == self.session and frame.mac == right, answer)

    def _messages(self) -> Iterator[bytes]:
        while True:
            yield from whole(self._waiting)
            data = self._sock.recv(65536)
            if not data:
                return
            self._waiting += data

    @property
    def closed(self) -> bool:
        """Tell whether the node has closed the connection; what it said before is read away."""
        try:
            while self._sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except ConnectionResetError:
            pass
        return True


_rows = itertools.count(1)


def carry(sender: str = "eve", recipient: str = "bob", *, routing: dict[str, Any] | None = None, **lies: Any) -> Carry:
    """A message to hand over: honest, but for what is given; `routing` and `lies` change its routing and envelope."""
    honest: dict[str, Any] = {"origin": "evil", "path": ("evil",), "visited": ("evil",), "step": 1}
    row = next(_rows)
    envelope = Envelope(
        id=MessageId(f"1evil00-00000000-{row:x}"),
        sender=UserName(sender),
        recipient=UserName(recipient),
        call_id=b"call-%d" % row,
        headers=((b"Content-Type", b"text/plain"),),
        body=f"{sender}>{recipient} {row}".encode(),
        accepted=1_790_000_000.0,
        proof=Proof.DIGEST,
        routing=Routing(**(honest | (routing or {}))),
    )
    envelope = msgspec.structs.replace(envelope, **lies)
    return Carry(envelope=envelope, life=1000.0, incarnation=INCARNATION, row=Seq(row), floor=Seq(1))
