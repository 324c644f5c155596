"""What the admin interface answers: paths under /v1, health and metrics, each a question to the actors."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any, TypeVar

from aiohttp import web

from actors.messages.client_manager import (
    AddUser,
    AddUsers,
    CommandDone,
    ListUsers,
    RemoveUser,
    UserInfo,
    UsersListed,
)
from actors.messages.monitor import JourneyRead, MonitorRead, RaiseAlarm, ReadJourney, ReadMonitor
from actors.messages.storage import (
    MessageStateRead,
    QueueRead,
    ReadMessageState,
    ReadQueue,
    ReadStoreStats,
    StoreStatsRead,
)
from actors.model import MessageId, Seq, UserName, Value, mailbox_queue
from actors.ref import Ref
from actors.storage import FULL_ALARM
from apps.common import users
from apps.node import admin_views as views
from apps.node.admin_guard import ApiError, guard, json_reply, number, read_body
from apps.node.admin_links import LinksApi
from apps.node.asking import AskError, ask_async
from apps.node.wiring import Node

MAX_PAGE = 10_000
FEW = 1_000
"""Users that may be counted for one answer."""
MAX_UPLOAD = 64 * 1024 * 1024
"""Bytes of one request: an import of a few hundred thousand users."""
MANY_TIMEOUT = 60.0
"""Seconds for a command about many users or messages."""
T = TypeVar("T")


class NodeFacts(Value, frozen=True):
    """What does not change while a node runs."""

    name: str
    realm: str
    version: str
    addresses: tuple[str, ...]


class NodeActors(Value, frozen=True):
    """Whom the admin interface asks."""

    client_manager: Ref[Any]
    server_manager: Ref[Any]
    router: Ref[Any]
    storage: Ref[Any]
    monitor: Ref[Any]


def node_actors(node: Node) -> NodeActors:
    """Name those of a node."""
    return NodeActors(
        client_manager=node.client_manager,
        server_manager=node.server_manager,
        router=node.router,
        storage=node.storage,
        monitor=node.monitor,
    )


class NewUser(Value, frozen=True):
    """A user to add, with a password or with both of its hashes."""

    name: str
    password: str = ""
    ha1_md5: str = ""
    ha1_sha256: str = ""
    replace: bool = False


class ImportUsers(Value, frozen=True):
    """Users to create or replace, all in one commit."""

    users: tuple[NewUser, ...]


class AdminApi:
    """The handlers of one node."""

    def __init__(self, facts: NodeFacts, actors: NodeActors) -> None:
        """Take what to tell and whom to ask."""
        self._facts = facts
        self._actors = actors
        self._started = time.monotonic()

    def app(self) -> web.Application:
        """Make the application; call it in the server's thread."""
        app = web.Application(middlewares=[guard], client_max_size=MAX_UPLOAD)
        app.router.add_get("/v1/status", self.status)
        app.router.add_get("/v1/users", self.list_users)
        app.router.add_post("/v1/users", self.add_user)
        app.router.add_post("/v1/users/import", self.import_users)
        app.router.add_get("/v1/users/{name}", self.show_user)
        app.router.add_delete("/v1/users/{name}", self.remove_user)
        app.router.add_get("/v1/mailboxes/{name}", self.mailbox)
        app.router.add_get("/v1/messages/{id}", self.message)
        app.router.add_get("/v1/events", self.events)
        LinksApi(self._actors.server_manager, self._actors.router, self._actors.client_manager).add_to(app)
        app.router.add_get("/livez", self.live)
        app.router.add_get("/readyz", self.ready)
        app.router.add_get("/metrics", self.metrics)
        return app

    async def status(self, _request: web.Request) -> web.Response:
        """Tell who this node is and how it is doing."""
        stats = await ask_async(self._actors.storage, ReadStoreStats, StoreStatsRead)
        monitor = await self._read_monitor(0)
        status = {
            "name": self._facts.name,
            "realm": self._facts.realm,
            "version": self._facts.version,
            "addresses": self._facts.addresses,
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "rss_bytes": views.rss_bytes(),
            **views.store(stats),
            "online": await self._online(monitor.gauges),
            "ready": not _obstacles(monitor.alarms),
            "alarms": [views.alarm(item) for item in monitor.alarms],
            "counters": monitor.counters,
            "gauges": monitor.gauges,
        }
        return json_reply(status)

    async def list_users(self, request: web.Request) -> web.Response:
        """List users by name, a page at a time: `next` is the `after` of the next page, or null."""
        limit = number(request, "limit", 1000, MAX_PAGE)
        listed = await self._list(after=request.query.get("after", ""), limit=limit)
        page = [views.user(info, listed.node_time) for info in listed.users]
        more = len(listed.users) == limit
        return json_reply({"users": page, "total": listed.total, "next": listed.users[-1].name if more else None})

    async def show_user(self, request: web.Request) -> web.Response:
        """Tell what is known of one user."""
        info, node_time = await self._find(request.match_info["name"])
        return json_reply(views.user(info, node_time))

    async def add_user(self, request: web.Request) -> web.Response:
        """Create a user, or with `replace` set an existing one's password."""
        new = await read_body(request, NewUser)
        name, md5, sha256 = self._hashed(new)

        def command(reply_to: Ref[Any], number: int) -> AddUser:
            return AddUser(reply_to, number, name, md5, sha256, new.replace)

        _done(await ask_async(self._actors.client_manager, command, CommandDone), name)
        return json_reply({"name": name}, 200 if new.replace else 201)

    async def import_users(self, request: web.Request) -> web.Response:
        """Create or replace many users in one commit."""
        items = tuple(self._hashed(new) for new in (await read_body(request, ImportUsers)).users)

        def command(reply_to: Ref[Any], number: int) -> AddUsers:
            return AddUsers(reply_to, number, items)

        _done(await ask_async(self._actors.client_manager, command, CommandDone, MANY_TIMEOUT), "")
        return json_reply({"users": len(items)})

    async def remove_user(self, request: web.Request) -> web.Response:
        """Remove a user; what waits for him ends, and its senders are told."""
        name = UserName(request.match_info["name"])

        def command(reply_to: Ref[Any], number: int) -> RemoveUser:
            return RemoveUser(reply_to, number, name)

        _done(await ask_async(self._actors.client_manager, command, CommandDone, MANY_TIMEOUT), name)
        return json_reply({"name": name})

    async def mailbox(self, request: web.Request) -> web.Response:
        """List what waits for a user, oldest first; bodies only with `bodies=1`; `home`: he has moved there."""
        info, node_time = await self._find(request.match_info["name"])
        limit = number(request, "limit", 100, 1000)
        after = Seq(number(request, "after", 0, 2**62))

        def command(reply_to: Ref[Any], number: int) -> ReadQueue:
            return ReadQueue(reply_to, number, mailbox_queue(info.name), after, limit)

        read = await ask_async(self._actors.storage, command, QueueRead)
        bodies = request.query.get("bodies") == "1"
        messages = [views.waiting(item, node_time, bodies) for item in read.messages]
        return json_reply({"name": info.name, "messages": messages, "more": read.more, "home": info.home or None})

    async def message(self, request: web.Request) -> web.Response:
        """Tell where a message is and what happened to it."""
        wanted = MessageId(request.match_info["id"])

        def ask_state(reply_to: Ref[Any], number: int) -> ReadMessageState:
            return ReadMessageState(reply_to, number, wanted)

        def ask_journey(reply_to: Ref[Any], number: int) -> ReadJourney:
            return ReadJourney(reply_to, number, wanted)

        state = await ask_async(self._actors.storage, ask_state, MessageStateRead)
        journey = await ask_async(self._actors.monitor, ask_journey, JourneyRead)
        told = views.message(wanted, state, journey.steps)
        if told["state"] == views.UNKNOWN:
            told |= {"error": "unknown", "detail": f"this node knows no message {told['id']}"}
            return json_reply(told, 404)
        return json_reply(told)

    async def events(self, request: web.Request) -> web.Response:
        """List recent events, newest last."""
        monitor = await self._read_monitor(number(request, "limit", 100, 1000))
        return json_reply({"events": [views.event(item) for item in monitor.events]})

    async def live(self, _request: web.Request) -> web.Response:
        """Answer: the process serves."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """Tell whether the node takes messages, and if not, why."""
        reasons: list[str] = []
        try:
            reasons += _obstacles((await self._read_monitor(0)).alarms)
            await ask_async(self._actors.storage, ReadStoreStats, StoreStatsRead, 2.0)
            await self._list(limit=1, timeout=2.0)
        except AskError as error:
            reasons.append(str(error))
        return json_reply({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Give counters and gauges as Prometheus reads them."""
        from apps.node.admin_metrics import CONTENT_TYPE, exposition

        stats = await ask_async(self._actors.storage, ReadStoreStats, StoreStatsRead)
        monitor = await self._read_monitor(0)
        gauges = {
            **monitor.gauges,
            **views.store_gauges(stats),
            "process_resident_memory_bytes": float(views.rss_bytes()),
            "uptime_seconds": time.monotonic() - self._started,
            "alarms": float(len(monitor.alarms)),
        }
        body = exposition(monitor.counters, gauges)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _read_monitor(self, limit: int) -> MonitorRead:
        def command(reply_to: Ref[Any], number: int) -> ReadMonitor:
            return ReadMonitor(reply_to, number, limit)

        return await ask_async(self._actors.monitor, command, MonitorRead)

    async def _online(self, gauges: dict[str, float]) -> int | None:
        """Tell how many users can be reached now; None where nobody counts them and they are many."""
        if "users_online" in gauges:
            return int(gauges["users_online"])
        listed = await self._list(limit=FEW)
        return sum(info.online for info in listed.users) if listed.total <= FEW else None

    async def _list(self, *, after: str = "", limit: int = 1, name: str = "", timeout: float = 5.0) -> UsersListed:
        def command(reply_to: Ref[Any], number: int) -> ListUsers:
            return ListUsers(reply_to, number, after, limit, name)

        return await ask_async(self._actors.client_manager, command, UsersListed, timeout)

    async def _find(self, name: str) -> tuple[UserInfo, float]:
        listed = await self._list(name=name)
        if not listed.users:
            raise ApiError(404, "unknown", f"there is no user {name!r} here")
        return listed.users[0], listed.node_time

    def _hashed(self, new: NewUser) -> tuple[UserName, str, str]:
        try:
            name = users.user_name(new.name)
            if new.ha1_md5 and new.ha1_sha256:
                return UserName(name), new.ha1_md5, new.ha1_sha256
            return UserName(name), *users.hashes(name, self._facts.realm, users.password(new.password))
        except ValueError as error:
            raise ApiError(400, "bad-data", str(error)) from None


def _obstacles(alarms: Iterable[RaiseAlarm]) -> list[str]:
    """Tell which alarms mean that new messages are refused."""
    return [alarm.text for alarm in alarms if alarm.name == FULL_ALARM.name]


def _done(done: CommandDone, name: str) -> None:
    """Raise the answer that a command's outcome deserves."""
    if done.error == "exists":
        raise ApiError(409, "exists", done.detail or f"there is a user {name!r} already")
    if done.error == "unknown":
        raise ApiError(404, "unknown", done.detail or f"there is no user {name!r} here")
    if done.error == "refused":
        raise ApiError(403, "refused", done.detail or "the node refused")
    if done.error:
        raise ApiError(503, "failed", done.detail or done.error)
