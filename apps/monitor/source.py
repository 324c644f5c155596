"""The way to one node: follows what it tells live, comes back after each break, and carries out actions.

`/v1/live` is read with events and figures as long as the console runs. What costs the node more (the steps of messages,
its log, lists of users) is asked for only while a page wants it (`want`, `unwant`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from apps.common.unix_socket import short_path
from apps.monitor import frames
from apps.monitor.targets import Target
from apps.monitor.view import Latencies, NodeView

LARGEST_FRAME = 8 * 1024 * 1024
TIMEOUT = 10.0
"""Seconds for an ordinary question."""
MOVE_TIMEOUT = 65.0
"""Seconds for a move: the mailbox travels."""
USERS_EVERY = 2.0
USERS_SHOWN = 40
EVENTS_BEFORE = 50
FIRST_LINES = 200
"""Lines of the log that a page begins with."""
EXTRAS = ("steps", "logs", "users")
"""What a page may want."""


class NodeError(Exception):
    """A node did not do what it was asked; the text is one sentence for the person at the console."""


class Backoff:
    """How long to wait before the next try: longer each time, from the beginning after a success."""

    def __init__(self, first: float = 0.25, longest: float = 5.0) -> None:
        """Take the shortest and the longest wait in seconds."""
        self._first = first
        self._longest = longest
        self._next = first

    def failed(self) -> float:
        """Return the wait after a failure."""
        wait, self._next = self._next, min(self._next * 2, self._longest)
        return wait

    def succeeded(self) -> None:
        """Begin anew."""
        self._next = self._first


class NodeSource:
    """One node: `view` is what it told; use it in one event loop, between `start` and `stop`."""

    def __init__(
        self, target: Target, token: str = "", *, latencies: Latencies | None = None, first_wait: float = 0.25
    ) -> None:
        """Take where the node is; nothing is opened yet."""
        self.target = target
        self.view = NodeView(target.label, latencies)
        self._token = token
        self._first_wait = first_wait
        self._wanted: Counter[str] = Counter()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._held = contextlib.ExitStack()

    async def start(self) -> None:
        """Begin to follow the node, also if it does not answer yet."""
        self._tasks["live"] = asyncio.create_task(self._follow("events,stats", main=True))
        self._arrange()

    async def stop(self) -> None:
        """End all connections."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    def want(self, extra: str) -> None:
        """Ask for one of EXTRAS; each call needs an `unwant`."""
        if extra not in EXTRAS:
            raise ValueError(f"{extra!r} is none of {EXTRAS}")
        self._wanted[extra] += 1
        self._arrange()

    def unwant(self, extra: str) -> None:
        """Take back one `want`; the last one ends what it began."""
        self._wanted[extra] -= 1
        self._arrange()

    async def get(self, *path: str, timeout: float = TIMEOUT, **query: str | int) -> Any:
        """Ask; `path` are the parts behind /v1."""
        return await self._ask("GET", path, query, None, timeout)

    async def post(self, *path: str, body: object, timeout: float = TIMEOUT) -> Any:
        """Ask for something new."""
        return await self._ask("POST", path, {}, body, timeout)

    async def put(self, *path: str, body: object) -> Any:
        """Ask for a change."""
        return await self._ask("PUT", path, {}, body, TIMEOUT)

    async def delete(self, *path: str, **query: str | int) -> Any:
        """Ask for a removal."""
        return await self._ask("DELETE", path, query, None, TIMEOUT)

    def _arrange(self) -> None:
        """Start and end the tasks of what pages want; before `start` and after `stop` there are none."""
        if "live" not in self._tasks:
            return
        for extra in EXTRAS:
            if self._wanted[extra] > 0 and extra not in self._tasks:
                work = self._poll_users() if extra == "users" else self._follow(extra)
                self._tasks[extra] = asyncio.create_task(work)
            elif self._wanted[extra] <= 0 and extra in self._tasks:
                self._tasks.pop(extra).cancel()

    async def _follow(self, topics: str, *, main: bool = False) -> None:
        backoff = Backoff(self._first_wait)
        while True:
            try:
                await self._read_live(topics, main, backoff)
                reason = "the node ended the connection"
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                reason = words(error)
            if main:
                self.view.lost(reason, time.time())
            await asyncio.sleep(backoff.failed())

    async def _read_live(self, topics: str, main: bool, backoff: Backoff) -> None:
        address = f"{self.target.base}/v1/live?topics={topics}&interval=1.0"
        known = False
        async with self._open().ws_connect(address, heartbeat=20.0, max_msg_size=LARGEST_FRAME) as live:
            async for message in live:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                backoff.succeeded()
                if not known:
                    known = True
                    await self._what_was_before(topics)
                self._take(message.data, main)

    def _take(self, text: str, main: bool) -> None:
        try:
            frame = frames.decode(text)
        except msgspec.DecodeError:
            self.view.misread += 1
            return
        # The greeting and the alarms come on each connection; the main one alone tells whether the node is there.
        if main or isinstance(frame, frames.Steps | frames.Log | frames.Dropped):
            self.view.take(frame)

    async def _what_was_before(self, topics: str) -> None:
        if topics == "logs":
            await self._lines_before()
        elif topics != "steps" and not self.view.events.count:
            await self._events_before()

    async def _events_before(self) -> None:
        try:
            answer = await self.get("events", limit=EVENTS_BEFORE)
            events = msgspec.convert([{**item, "type": "event"} for item in answer["events"]], list[frames.Event])
        except (NodeError, msgspec.ValidationError, KeyError, TypeError):
            # The page shows what comes from now on.
            self.view.misread += 1
            return
        for event in events:
            self.view.events.add(event)

    async def _lines_before(self) -> None:
        try:
            answer = await self.get("log", limit=FIRST_LINES, after=self.view.last_line)
            lines = msgspec.convert(answer.get("lines", []), list[frames.Log])
        except (NodeError, msgspec.ValidationError, AttributeError):
            # The page shows what comes from now on.
            self.view.misread += 1
            return
        for line in lines:
            self.view.take(line)

    async def _poll_users(self) -> None:
        while True:
            try:
                await self._read_users()
            except (NodeError, msgspec.ValidationError):
                # Why it does not answer is told by the live connection.
                self.view.users = []
            await asyncio.sleep(USERS_EVERY)

    async def _read_users(self) -> None:
        page = await self.users(limit=USERS_SHOWN)
        if page.next is not None:
            online = await self.users(limit=USERS_SHOWN, online=1)
            self.view.users = online.users or page.users
        else:
            self.view.users = page.users
        self.view.users_total = page.total

    async def users(self, **query: str | int) -> frames.Users:
        """List users; the query as `GET /v1/users` takes it."""
        return msgspec.convert(await self._ask("GET", ("users",), query, None, TIMEOUT), frames.Users)

    async def _ask(
        self, method: str, path: tuple[str, ...], query: dict[str, str | int], body: object, timeout: float
    ) -> Any:
        address = f"{self.target.base}/v1/{'/'.join(quote(part, safe='') for part in path)}"
        limit = aiohttp.ClientTimeout(total=timeout)
        session = self._open()
        try:
            async with session.request(
                method, URL(address, encoded=True), params=query, json=body, timeout=limit
            ) as answer:
                status, content = answer.status, await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise NodeError(f"{self.view.title} does not answer: {words(error)}; {self.target.do}") from error
        return _read(status, content, self.view.title)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
            connector: aiohttp.BaseConnector
            if self.target.socket is None:
                connector = aiohttp.TCPConnector()
            else:
                # A path too long for the kernel goes through an open folder; that must exist by now.
                connector = aiohttp.UnixConnector(self._held.enter_context(short_path(self.target.socket)))
            self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        return self._session

    async def _close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        self._held.close()


def _read(status: int, content: bytes, title: str) -> Any:
    try:
        value = msgspec.json.decode(content)
    except msgspec.DecodeError:
        value = None
    if status < 300 and value is not None:
        return value
    detail = cast(dict[str, Any], value).get("detail") if isinstance(value, dict) else None
    raise NodeError(str(detail or f"{title} answered {status}"))


def words(error: BaseException) -> str:
    """Say why a node could not be reached."""
    if isinstance(error, aiohttp.WSServerHandshakeError):
        if error.status in (401, 403):
            return f"it refuses this console (HTTP {error.status}); give --admin-token-file"
        return f"it has no live events (HTTP {error.status})"
    if isinstance(error, FileNotFoundError) or "No such file" in str(error):
        return "there is no such socket"
    if isinstance(error, PermissionError) or "Permission denied" in str(error):
        return "no permission; run the console as the node's user"
    if isinstance(error, aiohttp.ClientConnectorError | ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    return str(error) or type(error).__name__
