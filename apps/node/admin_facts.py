"""What the parts of the admin interface share: whom they ask, and how the node is doing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from actors.messages.client_manager import ListUsers, UsersListed
from actors.messages.monitor import MonitorRead, RaiseAlarm, ReadMonitor
from actors.messages.server_manager import ListNeighbours, NeighboursListed
from actors.messages.storage import ReadStoreStats, StoreStatsRead
from actors.model import Value
from actors.ref import Ref
from actors.storage import FULL_ALARM
from apps.node import admin_views as views
from apps.node.admin_answers import Status
from apps.node.asking import ask_async
from apps.node.wiring import Node

FEW = 1_000
"""Users that may be counted for one answer."""
COUNT_EVERY = 1.0
"""Seconds between two counts: the live connections ask often."""


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


class NodeReader:
    """Questions about the whole node; each raises AskError when an actor does not answer."""

    def __init__(self, facts: NodeFacts, actors: NodeActors) -> None:
        """Take what to tell and whom to ask."""
        self.facts = facts
        self.actors = actors
        self._started = time.monotonic()
        self._online: int | None = None
        self._counted = float("-inf")

    @property
    def uptime(self) -> float:
        """Seconds since the admin interface was made."""
        return time.monotonic() - self._started

    async def status(self) -> Status:
        """Tell who this node is and how it is doing."""
        stats = await self.stats()
        monitor = await self.monitor(0)
        return Status(
            name=self.facts.name,
            realm=self.facts.realm,
            version=self.facts.version,
            addresses=self.facts.addresses,
            pid=os.getpid(),
            uptime_seconds=round(self.uptime, 3),
            rss_bytes=views.rss_bytes(),
            users=stats.users,
            messages=stats.messages,
            oldest_age_seconds=stats.oldest_age,
            store_bytes=stats.bytes,
            damaged=stats.damaged,
            commits=stats.commits,
            online=await self.online(monitor.gauges),
            ready=not obstacles(monitor.alarms),
            alarms=tuple(views.alarm(item) for item in monitor.alarms),
            counters=monitor.counters,
            gauges=monitor.gauges,
        )

    async def stats(self, timeout: float = 5.0) -> StoreStatsRead:
        """Ask Storage how full it is."""
        return await ask_async(self.actors.storage, ReadStoreStats, StoreStatsRead, timeout)

    async def monitor(self, events: int) -> MonitorRead:
        """Ask Monitor for the newest events, alarms and numbers."""

        def command(reply_to: Ref[Any], number: int) -> ReadMonitor:
            return ReadMonitor(reply_to, number, events)

        return await ask_async(self.actors.monitor, command, MonitorRead)

    async def neighbours(self) -> NeighboursListed:
        """Ask ServerManager for its neighbours and the unrouted."""
        return await ask_async(self.actors.server_manager, ListNeighbours, NeighboursListed)

    async def users(
        self, *, after: str = "", limit: int = 1, name: str = "", timeout: float = 5.0, **wanted: Any
    ) -> UsersListed:
        """Ask ClientManager for users by name; `wanted` are other fields of `ListUsers`."""

        def command(reply_to: Ref[Any], number: int) -> ListUsers:
            return ListUsers(reply_to, number, after, limit, name, **wanted)

        return await ask_async(self.actors.client_manager, command, UsersListed, timeout)

    async def online(self, gauges: dict[str, float]) -> int | None:
        """Tell how many users can be reached now: of many as the node counted last, None if it has not yet."""
        if gauges.get("users", 0.0) > FEW:
            return int(gauges["users_online"]) if "users_online" in gauges else None
        if time.monotonic() >= self._counted + COUNT_EVERY:
            listed = await self.users(limit=FEW)
            self._online = sum(info.online for info in listed.users) if listed.total <= FEW else None
            self._counted = time.monotonic()
        return self._online


def obstacles(alarms: Iterable[RaiseAlarm]) -> tuple[str, ...]:
    """Tell which alarms mean that new messages are refused."""
    return tuple(alarm.text for alarm in alarms if alarm.name == FULL_ALARM.name)
