"""Plain SIP phones over UDP for fault runs: senders that wait for each answer, receivers that remember branches.

They share no code with the product. All of them live on one thread, so that they go on while a node is down.
"""

from __future__ import annotations

import random
import re
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from tests.faults.oracle import Log

Address = tuple[str, int]

T1 = 0.5
T2 = 4.0
TIMER_F = 64 * T1
"""RFC 3261 17.1.2.2."""
EXPIRES = 7200
BACKLOG = 200
"""Senders pause while more than this many accepted messages have not arrived: phones are slower than senders."""


def header(message: bytes, name: str) -> str:
    """Return the first header of that name, or nothing."""
    found = re.search(rb"(?im)^" + name.encode() + rb"[ \t]*:[ \t]*([^\r\n]*)", message.partition(b"\r\n\r\n")[0])
    return found.group(1).decode() if found else ""


def branch_of(message: bytes) -> str:
    """Return the branch of the topmost Via."""
    found = re.search(r";branch=([^;,\s]+)", header(message, "Via"))
    return found.group(1) if found else ""


def answer_to(request: bytes, status: str = "200 OK") -> bytes:
    """Make an answer (RFC 3261 8.2.6)."""
    head = request.partition(b"\r\n\r\n")[0].decode()
    lines = [f"SIP/2.0 {status}"]
    for line in head.split("\r\n")[1:]:
        name = line.partition(":")[0].strip().lower()
        if name in ("via", "from", "call-id", "cseq"):
            lines.append(line)
        elif name == "to":
            lines.append(line if ";tag=" in line else line + ";tag=phone")
    return ("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode()


class Endpoint(Protocol):
    """Something with a socket and deadlines that the exchange serves."""

    sock: socket.socket

    def received(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram."""

    def tick(self, now: float) -> None:
        """Do what is due."""


def _socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


class Phone:
    """A receiver: absorbs retransmissions by branch, answers 200 after a moment, registers only when it is told to."""

    def __init__(
        self, user: str, node: Address, log: Log, *, seed: int = 0, hold: float = 0.01, loss: float = 0.0
    ) -> None:
        self.user = user
        self.node = node
        self.log = log
        self.hold = hold
        """At most this many seconds pass before it answers."""
        self.loss = loss
        """Share of messages that are lost on the way to it."""
        self.absorbed = 0
        """Retransmissions it answered again without showing them to its user."""
        self.registered = threading.Event()
        self.sock = _socket(node[0])
        self._random = random.Random(f"{seed}-{user}")
        self._answers: dict[str, bytes | None] = {}
        self._due: list[tuple[float, bytes, Address]] = []
        self._cseq = 0

    def register(self, expires: int = EXPIRES) -> None:
        """Send one REGISTER; `registered` tells of its 200."""
        self.registered.clear()
        self._cseq += 1
        host, port = self.sock.getsockname()
        text = (
            f"REGISTER sip:{self.node[0]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKreg{port}{self._cseq}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.user}@{self.node[0]}>;tag=reg\r\n"
            f"To: <sip:{self.user}@{self.node[0]}>\r\nCall-ID: reg-{self.user}-{port}\r\n"
            f"CSeq: {self._cseq} REGISTER\r\nContact: <sip:{self.user}@{host}:{port}>\r\n"
            f"Expires: {expires}\r\nContent-Length: 0\r\n\r\n"
        )
        self.sock.sendto(text.encode(), self.node)

    def received(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram; a new message is answered after a random moment."""
        if data.startswith(b"SIP/2.0 200"):
            self.registered.set()
        elif data.startswith(b"OPTIONS "):
            self.sock.sendto(answer_to(data), source)
        elif data.startswith(b"MESSAGE ") and self._random.random() >= self.loss:
            branch = branch_of(data)
            if branch in self._answers:
                self.absorbed += 1
                answer = self._answers[branch]
                if answer is not None:
                    self.sock.sendto(answer, source)
                return
            self._answers[branch] = None
            self._due.append((now + self._random.uniform(0, self.hold), data, source))

    def tick(self, now: float) -> None:
        """Answer what is due: from that moment it is delivered."""
        for item in [item for item in self._due if item[0] <= now]:
            self._due.remove(item)
            _, data, source = item
            branch = branch_of(data)
            answer = self._answers[branch] = answer_to(data)
            body = data.partition(b"\r\n\r\n")[2].decode()
            self.log.add("delivered", body, header(data, "Angarium-Id"), branch)
            self.sock.sendto(answer, source)


class Sender:
    """Sends one message after the other to one recipient, each after the answer to the one before."""

    def __init__(self, user: str, recipient: str, node: Address, log: Log, *, pace: float = 0.0) -> None:
        self.user = user
        self.recipient = recipient
        self.node = node
        self.log = log
        self.pace = pace
        """Seconds between an answer and the next message."""
        self.active = threading.Event()
        """Set: it goes on with the next message."""
        self.idle = True
        """It waits for no answer."""
        self.sock = _socket(node[0])
        self._number = 0
        self._request = b""
        self._body = ""
        self._branch = ""
        self._started = self._next = self._wait = self._pause = 0.0

    def received(self, data: bytes, source: Address, now: float) -> None:
        """Take the answer to the message in flight."""
        if self.idle or not data.startswith(b"SIP/2.0 ") or branch_of(data) != self._branch:
            return
        status = int(data[8:11])
        if status < 200:
            return
        self.idle = True
        self._pause = now + self.pace
        if status == 202:
            self.log.add("accepted", self._body, header(data, "Angarium-Id"))
        else:
            self.log.add("refused", self._body)
            self._pause = now + min(float(header(data, "Retry-After") or 0), 0.5)

    def tick(self, now: float) -> None:
        """Send the next message, or the last one again."""
        if self.idle:
            if self.active.is_set() and now >= self._pause and self.log.outstanding() < BACKLOG:
                self._send(now)
        elif now - self._started > TIMER_F:
            self.log.add("unanswered", self._body)
            self.idle = True
        elif now >= self._next:
            self.sock.sendto(self._request, self.node)
            self._wait = min(self._wait * 2, T2)
            self._next = now + self._wait

    def hurry(self) -> None:
        """Repeat an unanswered message at once, as if its timer had just fired."""
        self._next = 0.0

    def _send(self, now: float) -> None:
        self._number += 1
        host, port = self.sock.getsockname()
        self._body = f"{self.user}>{self.recipient} {self._number}"
        self._branch = f"z9hG4bK{port}x{self._number}"
        self._request = (
            f"MESSAGE sip:{self.recipient}@{self.node[0]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch={self._branch}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:{self.user}@{self.node[0]}>;tag=t{self._number}\r\n"
            f"To: <sip:{self.recipient}@{self.node[0]}>\r\nCall-ID: {self.user}-{port}-{self._number}\r\n"
            f"CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {len(self._body)}\r\n\r\n{self._body}"
        ).encode()
        self.log.add("sent", self._body)
        self.idle = False
        self._started, self._wait, self._next = now, T1, now + T1
        self.sock.sendto(self._request, self.node)


class Exchange:
    """The thread that serves phones and senders."""

    TICK = 0.002
    """Seconds between two looks at the deadlines."""

    def __init__(self, phones: Iterable[Phone], senders: Iterable[Sender]) -> None:
        self.phones = list(phones)
        self.senders = list(senders)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="phones")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        endpoints: list[Endpoint] = [*self.phones, *self.senders]
        for endpoint in endpoints:
            endpoint.sock.close()

    def register(self, within: float = 30.0) -> None:
        """Register every phone and wait for the answers."""
        deadline = time.monotonic() + within
        for phone in self.phones:
            while True:
                phone.register()
                if phone.registered.wait(T1):
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{phone.user} got no 200 to its REGISTER")

    def go(self) -> None:
        """Let the senders send."""
        for sender in self.senders:
            sender.active.set()

    def pause(self) -> None:
        """Let each sender finish the message it has in flight, and send no more."""
        for sender in self.senders:
            sender.active.clear()

    def lose_nothing(self) -> None:
        """Let the phones hear all from now on."""
        for phone in self.phones:
            phone.loss = 0.0

    def hurry(self) -> None:
        """Let each sender repeat now what is unanswered."""
        for sender in self.senders:
            sender.hurry()

    @property
    def absorbed(self) -> int:
        """Count the retransmissions that the phones absorbed."""
        return sum(phone.absorbed for phone in self.phones)

    @property
    def quiet(self) -> bool:
        """Tell whether no sender waits for an answer."""
        return all(sender.idle for sender in self.senders)

    def _serve(self) -> None:
        endpoints: list[Endpoint] = [*self.phones, *self.senders]
        with selectors.DefaultSelector() as selector:
            for endpoint in endpoints:
                selector.register(endpoint.sock, selectors.EVENT_READ, endpoint)
            while not self._ended.is_set():
                for key, _ in selector.select(self.TICK):
                    self._read(key.data)
                now = time.monotonic()
                for endpoint in endpoints:
                    endpoint.tick(now)

    @staticmethod
    def _read(endpoint: Endpoint) -> None:
        while True:
            try:
                data, source = endpoint.sock.recvfrom(65535)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                # The node is down: an ICMP error came back for an earlier datagram.
                continue
            endpoint.received(data, source, time.monotonic())


def wait_until(done: object, within: float, every: float = 0.01) -> bool:
    """Ask `done()` again and again until it is true; false after `within` seconds."""
    assert callable(done)
    deadline = time.monotonic() + within
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
