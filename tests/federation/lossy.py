"""A host on the way of datagrams that loses, repeats, delays and so reorders them, by a seed."""

from __future__ import annotations

import heapq
import itertools
import random
import select
import socket
import threading
import time
from types import TracebackType
from typing import Self

from tests.faults.node import Address


class Lossy:
    """Stands before one UDP address; each source gets a socket of its own there, so that answers find back."""

    def __init__(self, target: Address, *, seed: int, loss: float, repeat: float, jitter: float) -> None:
        """`loss` and `repeat` are shares of all packets, `jitter` the most seconds that one is held."""
        self.loss, self.repeat, self.jitter = loss, repeat, jitter
        self.passed = 0
        """Packets that came to the target or back from it, repeats included."""
        self.lost = 0
        self._target = target
        self._random = random.Random(seed)
        self._front = _socket(target[0])
        self.address: Address = self._front.getsockname()
        self._behind: dict[Address, socket.socket] = {}
        self._due: list[tuple[float, int, socket.socket, Address, bytes]] = []
        self._order = itertools.count()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lossy")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for sock in (self._front, *self._behind.values()):
            sock.close()

    @property
    def url(self) -> str:
        """Where neighbours reach the node through it."""
        return f"udp://{self.address[0]}:{self.address[1]}"

    def _run(self) -> None:
        while not self._ended.is_set():
            ready, _, _ = select.select([self._front, *self._behind.values()], [], [], 0.005)
            for sock in ready:
                self._read(sock)
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                _, _, sock, address, data = heapq.heappop(self._due)
                self.passed += 1
                sock.sendto(data, address)

    def _read(self, sock: socket.socket) -> None:
        while True:
            try:
                data, source = sock.recvfrom(65535)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue  # an ICMP error for an earlier datagram
            if sock is self._front:
                if source not in self._behind:
                    self._behind[source] = _socket(self._target[0])
                self._pass(self._behind[source], self._target, data)
            else:
                back = next(each for each, behind in self._behind.items() if behind is sock)
                self._pass(self._front, back, data)

    def _pass(self, sock: socket.socket, address: Address, data: bytes) -> None:
        if self._random.random() < self.loss:
            self.lost += 1
            return
        for _ in range(2 if self._random.random() < self.repeat else 1):
            due = time.monotonic() + self._random.uniform(0, self.jitter)
            heapq.heappush(self._due, (due, next(self._order), sock, address, data))


def _socket(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock
