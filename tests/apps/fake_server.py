"""A SIP server over UDP in a thread whose every answer the test decides."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import msgspec

from apps.common.values import Listen, Transport
from sip_adapter.codec import Request, Response, parse, response
from sip_adapter.errors import Header, SipError


class Reply(msgspec.Struct, frozen=True):
    """What to answer."""

    status: int
    reason: str = "Because"
    headers: tuple[Header, ...] = ()


class FakeServer:
    """Answers each request as `answer` says (None: not at all), and keeps what came."""

    def __init__(self, answer: Callable[[Request], Reply | None]) -> None:
        self._answer = answer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._source: tuple[str, int] = ("127.0.0.1", 9)
        self.via = Listen(Transport.UDP, "127.0.0.1", self._socket.getsockname()[1])
        self.requests: list[Request] = []
        self.raw: list[bytes] = []
        self._responses: list[Response] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closer:
            closer.sendto(b"stop", ("127.0.0.1", self.via.port))
        self._thread.join()
        self._socket.close()

    def push(self, data: bytes) -> None:
        """Send a request to whoever asked last."""
        self._socket.sendto(data, self._source)

    def response(self, number: int, timeout: float = 30.0) -> Response:
        """Wait for the n-th response to what was pushed, from 0."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._responses) > number, timeout), "no response came"
            return self._responses[number]

    def _run(self) -> None:
        while True:
            data, source = self._socket.recvfrom(65536)
            if data == b"stop":
                return
            try:
                message = parse(data)
            except SipError:
                continue  # a keep-alive
            if isinstance(message, Response):
                with self._changed:
                    self._responses.append(message)
                    self._changed.notify_all()
                continue
            self._source = source
            self.requests.append(message)
            self.raw.append(data)
            reply = self._answer(message)
            if reply is not None:
                answer = response(message, reply.status, reply.reason, to_tag=b"t", extra=reply.headers)
                self._socket.sendto(answer, source)


def accept_all(request: Request) -> Reply:
    """Take registrations and messages."""
    if request.method == "MESSAGE":
        return Reply(202, "Accepted", ((b"Angarium-Id", b"id-1"),))
    contact = request.get(b"contact")
    return Reply(200, "OK", ((b"Contact", contact),) if contact else ())


def incoming(number: int, body: bytes = b"hello", *, user: str = "bob", message_id: str | None = None) -> bytes:
    """Write a MESSAGE from alice as a node sends it; the number makes it another one."""
    identity = message_id or f"id-{number}"
    lines = [
        f"MESSAGE sip:{user}@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{number}",
        "From: <sip:alice@127.0.0.1>;tag=a",
        f"To: <sip:{user}@127.0.0.1>",
        f"Call-ID: call-{number}",
        "CSeq: 1 MESSAGE",
        "Content-Type: text/plain",
        f"Angarium-Id: {identity}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
