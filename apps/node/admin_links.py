"""The admin interface's paths about other servers: neighbours, routes, and users that move."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from actors.messages.client_manager import CommandDone, MoveUser
from actors.messages.router import ReadRoutes, RoutesRead
from actors.messages.server_manager import (
    AddNeighbour,
    ListNeighbours,
    NeighbourDone,
    NeighbourInfo,
    NeighboursListed,
    RemoveNeighbour,
)
from actors.model import NodeName, UserName, Value
from actors.ref import Ref
from apps.common import values
from apps.node.admin_guard import ApiError, json_reply, number, read_body
from apps.node.admin_views import View, clean
from apps.node.asking import ask_async

MOVE_TIMEOUT = 60.0
"""Seconds for a move: the mailbox travels. Where it was decided it goes on after that."""


class NewNeighbour(Value, frozen=True):
    """A neighbour to register."""

    name: str
    address: str


class Move(Value, frozen=True):
    """Where a user is to live."""

    to: str


class LinksApi:
    """The handlers; `server_manager`, `router` and `client_manager` are asked."""

    def __init__(self, server_manager: Ref[Any], router: Ref[Any], client_manager: Ref[Any]) -> None:
        self._server_manager = server_manager
        self._router = router
        self._client_manager = client_manager

    def add_to(self, app: web.Application) -> None:
        """Add the paths."""
        app.router.add_get("/v1/neighbours", self.list)
        app.router.add_post("/v1/neighbours", self.add)
        app.router.add_delete("/v1/neighbours/{name}", self.remove)
        app.router.add_get("/v1/routes", self.routes)
        app.router.add_post("/v1/users/{name}/move", self.move)

    async def list(self, _request: web.Request) -> web.Response:
        """List neighbours by name, with their queues, and the unrouted."""
        listed = await ask_async(self._server_manager, ListNeighbours, NeighboursListed)
        view = {
            "node": listed.node,
            "neighbours": [neighbour(item) for item in listed.neighbours],
            "unrouted": listed.unrouted,
        }
        return json_reply(view)

    async def add(self, request: web.Request) -> web.Response:
        """Register a neighbour, or give one a new address."""
        new = await read_body(request, NewNeighbour)
        try:
            item = values.neighbour(f"{new.name}={new.address}")
        except ValueError as error:
            raise ApiError(400, "bad-data", str(error)) from None

        def command(reply_to: Ref[Any], number: int) -> AddNeighbour:
            return AddNeighbour(reply_to, number, NodeName(item.name), str(item.address))

        done = await ask_async(self._server_manager, command, NeighbourDone)
        if done.error:
            raise ApiError(409, "refused", done.error)
        return json_reply({"name": item.name}, status=201)

    async def remove(self, request: web.Request) -> web.Response:
        """Deregister a neighbour."""
        name = NodeName(request.match_info["name"])

        def command(reply_to: Ref[Any], number: int) -> RemoveNeighbour:
            return RemoveNeighbour(reply_to, number, name)

        done = await ask_async(self._server_manager, command, NeighbourDone)
        if done.error:
            raise ApiError(404, "unknown", done.error)
        return json_reply({"name": name})

    async def routes(self, request: web.Request) -> web.Response:
        """Tell what the Router has learned."""
        limit = number(request, "limit", 1000, 100_000)

        def command(reply_to: Ref[Any], request_number: int) -> ReadRoutes:
            return ReadRoutes(reply_to, request_number, limit)

        read = await ask_async(self._router, command, RoutesRead)
        view = {
            "routes": [
                {
                    "name": clean(route.name),
                    "home": route.home,
                    "next_hop": route.next_hop,
                    "epoch": route.epoch,
                    "hops": route.hops,
                }
                for route in read.routes
            ],
            "names_here": read.names_here,
            "learned": read.learned,
            "nodes": read.nodes,
            "searches": read.searches,
            "state_bytes": read.state_bytes,
        }
        return json_reply(view)

    async def move(self, request: web.Request) -> web.Response:
        """Move a user to another node; answers when his last mail is there."""
        name = request.match_info["name"]
        move = await read_body(request, Move)
        try:
            to = values.node_name(move.to)
        except ValueError as error:
            raise ApiError(400, "bad-data", str(error)) from None

        def command(reply_to: Ref[Any], number: int) -> MoveUser:
            return MoveUser(reply_to, number, UserName(name), NodeName(to))

        done = await ask_async(self._client_manager, command, CommandDone, MOVE_TIMEOUT)
        if done.error == "unknown":
            raise ApiError(404, "unknown", done.detail or f"there is no user {name!r} here")
        if done.error in ("exists", "refused"):
            raise ApiError(409, done.error, done.detail or f"{to} does not take {name!r}")
        if done.error:
            raise ApiError(503, "failed", done.detail or done.error)
        return json_reply({"name": name, "home": to})


def neighbour(item: NeighbourInfo) -> View:
    """Show a neighbour."""
    return {
        "name": item.node,
        "address": item.address,
        "origin": item.origin,
        "up": item.up,
        "hears_us": item.hears_us,
        "since_seconds_ago": round(max(0.0, time.time() - item.since), 3),
        "reason": item.reason,
        "waiting": item.waiting,
        "in_flight": item.in_flight,
        "in_doubt": item.in_doubt,
        "oldest_age_seconds": item.oldest,
        "sent": item.sent,
        "received": item.received,
    }
