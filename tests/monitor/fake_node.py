"""A stand-in for a node's admin interface: it tells what a test gives it, and notes what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import WSCloseCode, web

from tests.ports import HOST

STATS: dict[str, Any] = {
    "type": "stats",
    "at": 1000.0,
    "uptime_seconds": 5.0,
    "rss_bytes": 50_000_000,
    "cpu_seconds": 1.0,
    "users": 2,
    "online": 1,
    "messages": 3,
    "oldest_age_seconds": 12.0,
    "store_bytes": 4096,
    "unrouted": 0,
    "counters": {},
    "gauges": {},
    "alarms": [],
    "neighbours": [],
}


def user(name: str, *, contact: str = "", home: str | None = None) -> dict[str, Any]:
    """Make a user as `/v1/users` shows one."""
    binding = {"contact": contact, "transport": "udp", "host": HOST, "port": 5062, "expires_in_seconds": 60.0}
    device = {"key": f"contact:{contact}", "seen_seconds_ago": 1.0, "bindings": [binding]}
    return {
        "name": name,
        "online": bool(contact),
        "in_flight": 0,
        "has_password": True,
        "home": home,
        "devices": [device] if contact else [],
    }


class FakeNode:
    """Serves in the running loop."""

    def __init__(self, name: str = "a") -> None:
        """Nothing is opened yet."""
        self.name = name
        self.token = ""
        self.port = 0
        self.stats = dict(STATS)
        self.frames: list[dict[str, Any]] = []
        """Told to each new connection after the greeting."""
        self.users: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, Any]] = {}
        """`METHOD /path` -> status and JSON, before what is built in."""
        self.asked: list[tuple[str, str, Any]] = []
        self.topics: list[str] = []
        """Of the live connections that stand."""
        self._live: list[tuple[web.WebSocketResponse, str]] = []
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"

    async def start(self) -> None:
        """Listen; again at the same port after a stop."""
        app = web.Application()
        app.router.add_get("/v1/live", self._serve_live)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End all connections."""
        for live, _ in list(self._live):
            await live.close(code=WSCloseCode.GOING_AWAY)
        if self._runner is not None:
            await self._runner.cleanup()

    async def tell(self, frame: dict[str, Any] | str, topic: str = "events") -> None:
        """Send a frame (or any text) to the connections with that topic."""
        for live, topics in list(self._live):
            if topic in topics.split(","):
                await (live.send_str(frame) if isinstance(frame, str) else live.send_json(frame))

    async def _serve_live(self, request: web.Request) -> web.StreamResponse:
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "refused", "detail": "no token"}, status=401)
        live = web.WebSocketResponse()
        await live.prepare(request)
        topics = request.query.get("topics", "events,stats")
        self._live.append((live, topics))
        self.topics.append(topics)
        try:
            await live.send_json({"type": "hello", "node": self.name, "version": "1", "at": 1000.0})
            for frame in [self.stats, *self.frames] if "stats" in topics else []:
                await live.send_json(frame)
            async for _ in live:
                pass
        finally:
            self._live.remove((live, topics))
            self.topics.remove(topics)
        return live

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        key = f"{request.method} {request.path}"
        if key in self.answers:
            status, answer = self.answers[key]
            return web.json_response(answer, status=status)
        if key == "GET /v1/users":
            part = request.query.get("q", "")
            found = [item for item in self.users if part in item["name"]]
            return web.json_response({"users": found, "total": len(self.users), "next": None})
        empty = {"GET /v1/events": "events", "GET /v1/log": "lines", "GET /v1/queues": "queues"}
        if key in empty:
            return web.json_response({empty[key]: []})
        if key == "GET /v1/log-level":
            return web.json_response({"level": "info", "debug": False})
        return web.json_response({"error": "unknown", "detail": "there is no such thing"}, status=404)


@contextmanager
def beside(node: FakeNode) -> Iterator[asyncio.AbstractEventLoop]:
    """Serve it in a thread of its own; what is sent there goes through the loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake node")
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(node.start(), loop).result(10)
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(node.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
