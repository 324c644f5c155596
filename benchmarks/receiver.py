"""A hundred phones on one UDP socket, in a process of their own: registered, answering, counting.

Commands come on stdin and answers go to stdout, one JSON line each, so that the load generator's process
shares nothing with it. A body is `RUN NUMBER SECONDS MICROSECONDS padding`; seen numbers are kept per run.
`python -m benchmarks.receiver HOST PORT` is started by `Receiver`.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from array import array
from typing import Any

from sip_adapter.transport.mmsg import DatagramBatches

PAUSE = 0.0005
"""Seconds between two looks at the socket: a wake-up per datagram would cost more than its answer."""
_COPIED = re.compile(rb"\r\n(?:Via|From|Call-ID|CSeq): [^\r\n]*+")
_TO = re.compile(rb"\r\nTo: [^\r\n]*+")


def _ok(head: bytes) -> bytes:
    """Make the 200 to a request of the node, which writes header names in full (RFC 3261 8.2.6.2)."""
    to = _TO.search(head)
    if to is None:
        raise ValueError(f"no To in {head!r}")
    copied = b"".join(_COPIED.findall(head))
    return b"SIP/2.0 200 OK%b%b;tag=r\r\nContent-Length: 0\r\n\r\n" % (copied, to.group())


class _Run:
    """What arrived of one run."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.repeats = 0
        self.delays = array("d")
        self.first = self.last = time.time()


class _Phones:
    """The phones' socket and what it received."""

    def __init__(self, node: tuple[str, int]) -> None:
        self.node = node
        self.runs: dict[bytes, _Run] = {}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind((node[0], 0))
        self.sock.setblocking(False)
        self.batches = DatagramBatches(self.sock)
        self.port: int = self.sock.getsockname()[1]
        self.cseq = int(time.time())
        self.registered: set[int] = set()
        self.serial = os.urandom(4).hex()

    def read(self) -> None:
        """Take what has arrived, at most one batch of datagrams, and answer it."""
        now = time.time()
        try:
            arrived = self.batches.receive()
        except BlockingIOError:
            return
        answers: list[bytes] = []
        sources: list[bytes] = []
        for data, source in arrived:
            if data.startswith((b"MESSAGE ", b"OPTIONS ")):
                head, _, body = data.partition(b"\r\n\r\n")
                answers.append(_ok(head))
                sources.append(source)
                if body:
                    self._count(body, now)
            elif data.startswith(b"SIP/2.0 200"):
                found = re.search(rb"Call-ID: *r-(\d+)-", data, re.IGNORECASE)
                if found:
                    self.registered.add(int(found.group(1)))
        sent = 0
        while sent < len(answers):
            sent += self.batches.send(answers[sent:], sources[sent:])

    def _count(self, body: bytes, now: float) -> None:
        words = body.split(b" ", 4)
        run = self.runs.get(words[0])
        if run is None:
            run = self.runs[words[0]] = _Run()
        number = int(words[1])
        run.last = now
        if number in run.seen:
            run.repeats += 1
            return
        run.seen.add(number)
        # SIPp writes nothing for a zero.
        run.delays.append(now - float(words[2]) - float(words[3] or 0) * 1e-6)

    def register(self, count: int, expires: int, first: int = 0) -> int:
        """Register users u{first} and on at this socket (0 seconds: away); return how many got a 200."""
        self.registered.clear()
        self.cseq += 1
        wanted = set(range(first, first + count))
        for _ in range(40):
            for number in sorted(wanted - self.registered):
                self.sock.sendto(self._register(number, expires), self.node)
                self.read()
            deadline = time.monotonic() + 0.5
            while not wanted <= self.registered and time.monotonic() < deadline:
                select.select([self.sock], [], [], 0.05)
                self.read()
            if wanted <= self.registered:
                break
        return len(wanted & self.registered)

    def _register(self, number: int, expires: int) -> bytes:
        host, port = self.node
        text = (
            f"REGISTER sip:{host}:{port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{self.port};rport;branch=z9hG4bK{self.serial}{self.cseq}x{number}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:u{number}@{host}>;tag=r\r\nTo: <sip:u{number}@{host}>\r\n"
            f"Call-ID: r-{number}-{self.serial}\r\nCSeq: {self.cseq} REGISTER\r\n"
            f"Contact: <sip:u{number}@{host}:{self.port}>\r\nExpires: {expires}\r\nContent-Length: 0\r\n\r\n"
        )
        return text.encode()

    def report(self, name: str) -> dict[str, Any]:
        """Say what arrived of a run: counts, seconds of delay at p50 and p99, first and last arrival."""
        run = self.runs.get(name.encode()) or _Run()
        delays = sorted(run.delays)
        return {
            "unique": len(run.seen),
            "repeats": run.repeats,
            "p50": delays[len(delays) // 2] if delays else 0.0,
            "p99": delays[len(delays) * 99 // 100] if delays else 0.0,
            "max": delays[-1] if delays else 0.0,
            "first": run.first,
            "last": run.last,
        }


def serve(node: tuple[str, int]) -> None:
    """Answer until stdin ends."""
    phones = _Phones(node)
    poll = select.epoll()
    poll.register(phones.sock, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN | select.EPOLLHUP)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == phones.sock.fileno():
                phones.read()
                time.sleep(PAUSE)
                continue
            line = sys.stdin.readline()
            if not line:
                return
            command = json.loads(line)
            answer: Any
            if command["do"] == "register":
                answer = phones.register(command["count"], command["expires"], command["first"])
            elif command["do"] == "port":
                answer = phones.port
            elif command["do"] == "cpu":
                answer = time.process_time()
            else:
                answer = phones.report(command["run"])
            print(json.dumps(answer), flush=True)


class Receiver:
    """The other side: starts the phones' process and speaks with it."""

    def __init__(self, node: tuple[str, int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.receiver", node[0], str(node[1])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the receiver's process ended")
        return json.loads(line)

    def register(self, count: int, *, expires: int = 3600, first: int = 0) -> None:
        """Register users u{first} and on at the phones' socket; `expires=0` sends them away."""
        got = self._ask(do="register", count=count, expires=expires, first=first)
        if got != count:
            raise RuntimeError(f"only {got} of {count} registrations were answered 200")

    def report(self, run: str) -> dict[str, Any]:
        """Say what arrived of a run."""
        answer = self._ask(do="report", run=run)
        assert isinstance(answer, dict)
        return answer

    def cpu_seconds(self) -> float:
        """Processor time the phones have used."""
        return float(self._ask(do="cpu"))

    def close(self) -> None:
        """End the phones' process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


if __name__ == "__main__":
    serve((sys.argv[1], int(sys.argv[2])))
