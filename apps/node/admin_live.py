"""`/v1/live`: a WebSocket that tells what happens in the node while it happens.

Monitor tells each reader's connection; steps of messages only where a reader wants them, one `tell` a batch, summed up
in the admin thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from actors.messages.monitor import (
    ClearAlarm,
    JourneySteps,
    Level,
    RaiseAlarm,
    ReportEvent,
    Subscribe,
    Unsubscribe,
)
from apps.common.logs import Logs
from apps.node import admin_views as views
from apps.node.admin_facts import NodeReader
from apps.node.admin_feed import FrameQueue, summary
from apps.node.admin_frames import EventFrame, Hello, Stats, frame
from apps.node.admin_guard import ApiError, decimal
from apps.node.admin_routes import Parameter, Route
from apps.node.asking import AskError

TOPICS = ("events", "stats", "steps", "logs")
MAX_READERS = 32
HEARTBEAT = 20.0
"""Seconds between two pings; a reader who does not answer within half of it is gone."""
STEPS_EVERY = 0.2
LEAVE_WITHIN = 1.0
"""Seconds for a reader to take the word that the node stops."""
MAX_BATCHES = 20_000
"""Batches of steps that wait to be summed up; the oldest are lost beyond."""


class LiveApi:
    """The handler, and the open connections."""

    def __init__(self, reader: NodeReader, logs: Logs | None) -> None:
        """Take whom to ask; without logs there is nothing of that topic."""
        self._reader = reader
        self._logs = logs
        self._open: dict[web.WebSocketResponse, asyncio.Transport | None] = {}

    def routes(self) -> tuple[Route, ...]:
        """Name the path."""
        return (
            Route(
                "GET",
                "/v1/live",
                self.live,
                "Open a WebSocket that tells what happens, in frames of JSON told apart by `type`.",
                None,
                101,
                parameters=(
                    Parameter("topics", f"Some of {','.join(TOPICS)}, with commas between.", str, "events,stats"),
                    Parameter("interval", "Seconds between two frames of stats, 0.2 to 60.", float, 1),
                ),
                errors=((400, "no such topic"), (426, "no WebSocket was asked for"), (503, "too many readers")),
            ),
        )

    async def close_all(self, _app: web.Application) -> None:
        """Take leave of all readers; one that has stopped reading cannot hold the node up."""
        sockets = tuple(self._open.items())
        leaving = [asyncio.create_task(_leave(socket)) for socket, _ in sockets]
        if leaving:
            await asyncio.wait(leaving, timeout=LEAVE_WITHIN)
        for _, transport in sockets:
            if transport is not None:
                transport.abort()

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Tell what happens until the reader leaves."""
        topics = wanted_topics(request)
        interval = decimal(request, "interval", 1.0, 0.2, 60.0)
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT, max_msg_size=4096, compress=False)
        if not socket.can_prepare(request).ok:
            raise ApiError(426, "upgrade", "this path is a WebSocket")
        if len(self._open) >= MAX_READERS:
            raise ApiError(503, "busy", f"{MAX_READERS} readers are connected already")
        self._open[socket] = request.transport
        try:
            await socket.prepare(request)
            await Connection(self._reader, self._logs, socket, topics, interval).serve()
        finally:
            self._open.pop(socket, None)
        return socket


async def _leave(socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the node stops")


def wanted_topics(request: web.Request) -> frozenset[str]:
    """Read the topics of the query; 400 for one that does not exist."""
    topics = frozenset(request.query.get("topics", "events,stats").split(","))
    if not topics <= set(TOPICS):
        raise ApiError(400, "bad-data", f"topics are some of {','.join(TOPICS)}")
    return topics


class Connection:
    """One reader: what is told to it, and the tasks that send."""

    def __init__(
        self,
        reader: NodeReader,
        logs: Logs | None,
        socket: web.WebSocketResponse,
        topics: frozenset[str],
        interval: float,
    ) -> None:
        """Take whom to ask, where to send, and what."""
        self._reader = reader
        self._logs = logs
        self._socket = socket
        self._topics = topics
        self._interval = interval
        self._queue = FrameQueue()
        self._batches: deque[JourneySteps] = deque(maxlen=MAX_BATCHES)

    def tell(self, message: ReportEvent | RaiseAlarm | ClearAlarm | JourneySteps) -> None:
        """Take what Monitor tells, in Monitor's thread: as little as possible is done here."""
        if isinstance(message, JourneySteps):
            self._batches.append(message)
        elif "events" in self._topics:
            self._queue.put(message)

    async def serve(self) -> None:
        """Send until the reader leaves."""
        facts = self._reader.facts
        self._queue.put(Hello(node=facts.name, version=facts.version, at=time.time()))
        async with self._subscribed():
            with contextlib.suppress(AskError):  # the first stats tell of it
                for alarm in (await self._reader.monitor(0)).alarms:
                    self._queue.put(alarm)
            try:
                await self._run()
            except* ConnectionError:
                await self._socket.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send())]
            if "stats" in self._topics:
                tasks.append(group.create_task(self._tell_stats()))
            if "steps" in self._topics:
                tasks.append(group.create_task(self._tell_steps()))
            async for _ in self._socket:
                pass  # a reader has nothing to say
            for task in tasks:
                task.cancel()

    @contextlib.asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[None]:
        monitor: Any = self._reader.actors.monitor
        with contextlib.ExitStack() as stack:
            if self._topics & {"events", "steps"}:
                monitor.tell(Subscribe(subscriber=self, steps="steps" in self._topics))
                stack.callback(lambda: monitor.tell(Unsubscribe(subscriber=self)))
            if "logs" in self._topics and self._logs is not None:
                stack.callback(self._logs.recent.subscribe(self._queue.put))
            yield

    async def _send(self) -> None:
        encode = msgspec.json.Encoder().encode
        while True:
            item = await self._queue.get()
            await self._socket.send_str(encode(frame(item)).decode())

    async def _tell_stats(self) -> None:
        while True:
            try:
                self._queue.put(await live_stats(self._reader))
            except AskError as error:
                text = f"the node did not answer: {error}"
                self._queue.put(EventFrame(at=time.time(), level=Level.WARNING, kind="unanswered", text=text))
            await asyncio.sleep(self._interval)

    async def _tell_steps(self) -> None:
        while True:
            await asyncio.sleep(STEPS_EVERY)
            # Monitor's thread goes on appending meanwhile.
            batches = [self._batches.popleft() for _ in range(len(self._batches))]
            if batches:
                self._queue.put(summary(batches, time.time()))


async def live_stats(reader: NodeReader) -> Stats:
    """Ask the actors how the node is doing."""
    store, monitor, links = await asyncio.gather(reader.stats(), reader.monitor(0), reader.neighbours())
    return Stats(
        at=time.time(),
        uptime_seconds=round(reader.uptime, 3),
        rss_bytes=views.rss_bytes(),
        cpu_seconds=round(time.process_time(), 3),
        users=store.users,
        online=await reader.online(monitor.gauges),
        messages=store.messages,
        oldest_age_seconds=store.oldest_age,
        store_bytes=store.bytes,
        unrouted=links.unrouted,
        counters=monitor.counters,
        gauges=monitor.gauges,
        alarms=tuple(map(views.alarm, monitor.alarms)),
        neighbours=tuple(map(views.neighbour, links.neighbours)),
    )
