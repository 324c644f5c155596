"""A host on the way to a node: hands on what neighbours say over TCP, or does something worse."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Iterator
from enum import Enum, auto
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.faults.node import Address

WITHIN = 10.0
NONSENSE = b"\x16\x03\x01\x02\x00 SIP/9.9 999 what\r\n\r\n\x00\xff" * 3
_LENGTH = re.compile(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*(\d+)")


class Manner(Enum):
    """What it does."""

    HONEST = auto()
    DEAF = auto()
    """Takes connections and bytes, and hands on none."""
    FLAPPING = auto()
    """Takes connections, and closes them at once."""
    NONSENSE = auto()
    """Answers whatever it is told with what is no SIP."""
    CUT = auto()
    """Takes no connections."""


class Spoken(NamedTuple):
    """What becomes of a message on its way: what goes on, and what goes back."""

    onward: bytes = b""
    back: bytes = b""


Ear = Callable[[bytes], Spoken]
"""Given a whole message."""


def hand_on(message: bytes) -> Spoken:
    """The honest way."""
    return Spoken(onward=message)


class Between:
    """One such host, in a thread of its own, before one address."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.manner = Manner.HONEST
        self.connections = 0
        """Taken so far."""
        self.on_request: Ear = hand_on
        """What to do with each message on its way to the target."""
        self.on_answer: Ear = hand_on
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="between")
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.StreamWriter, None] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.address: Address = (target[0], 0)

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN)
        self._loop.close()

    @property
    def url(self) -> str:
        """Where neighbours reach the node through it."""
        return f"tcp://{self.address[0]}:{self.address[1]}"

    def behave(self, manner: Manner) -> None:
        """Do that from now on. Connections that stand are lost, but for a host that turns deaf: it keeps them."""
        self._do(self._behave(manner))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(WITHIN)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, *self.address)
        self.address = self._server.sockets[0].getsockname()[:2]

    async def _behave(self, manner: Manner) -> None:
        self.manner = manner
        if manner is Manner.CUT and self._server is not None:
            self._server.close()
            self._server = None
        if manner is not Manner.DEAF:
            for writer in self._open:
                writer.transport.abort()
        if manner is not Manner.CUT and self._server is None:
            await self._listen()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self.manner is Manner.FLAPPING:
            writer.transport.abort()
            return
        self._open[writer] = None
        try:
            there_reader, there_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._open.pop(writer, None)
        self._open |= {writer: None, there_writer: None}
        try:
            await self._pass_on(reader, writer, there_reader, there_writer)
        finally:
            for each in (writer, there_writer):
                self._open.pop(each, None)
                each.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        there_reader: asyncio.StreamReader,
        there_writer: asyncio.StreamWriter,
    ) -> None:
        ways = [
            asyncio.create_task(self._pump(reader, there_writer, writer, lambda heard: self.on_request(heard))),
            asyncio.create_task(self._pump(there_reader, writer, there_writer, lambda heard: self.on_answer(heard))),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(
        self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter, back: asyncio.StreamWriter, ear: Ear
    ) -> None:
        waiting = bytearray()
        while True:
            try:
                data = await reader.read(65536)
            except OSError:
                return
            if not data:
                return
            if self.manner is Manner.NONSENSE:
                back.write(NONSENSE)
            elif self.manner is Manner.HONEST:
                waiting += data
                for message in whole(waiting):
                    spoken = ear(message)
                    onward.write(spoken.onward)
                    back.write(spoken.back)


def whole(waiting: bytearray) -> Iterator[bytes]:
    """Take the whole messages out of a stream's bytes (RFC 3261 18.3); line ends between them count as one each."""
    while waiting:
        head = waiting.find(b"\r\n\r\n")
        end = 2
        if not waiting.startswith(b"\r\n"):
            if head < 0:
                return
            length = _LENGTH.search(waiting, 0, head)
            end = head + 4 + (int(length[1]) if length is not None else 0)
            if len(waiting) < end:
                return
        message = bytes(waiting[:end])
        del waiting[:end]
        yield message
