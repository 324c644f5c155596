"""The admin interface's paths about other servers: neighbours and routes."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from actors.messages.router import ReadRoutes, RoutesRead
from actors.messages.server_manager import (
    AddNeighbour,
    ListNeighbours,
    NeighbourDone,
    NeighboursListed,
    RemoveNeighbour,
)
from actors.model import NodeName
from actors.ref import Ref
from apps.common import values
from apps.node import admin_views as views
from apps.node.admin_answers import Named, Neighbours, NewNeighbour, Routes, RouteView
from apps.node.admin_guard import ApiError, json_reply, number, read_body
from apps.node.admin_routes import Parameter, Route
from apps.node.asking import ask_async


class LinksApi:
    """The handlers; `server_manager` and `router` are asked."""

    def __init__(self, server_manager: Ref[Any], router: Ref[Any]) -> None:
        self._server_manager = server_manager
        self._router = router

    def routes(self) -> tuple[Route, ...]:
        """Name the paths."""
        return (
            Route("GET", "/v1/neighbours", self.list, "List neighbours with their queues.", Neighbours),
            Route(
                "POST",
                "/v1/neighbours",
                self.add,
                "Register a neighbour, or give one a new address.",
                Named,
                201,
                NewNeighbour,
                errors=((409, "its name is this server's own, or it needs a secret"),),
            ),
            Route(
                "DELETE",
                "/v1/neighbours/{name}",
                self.remove,
                "Deregister a neighbour; what waits for it is routed anew.",
                Named,
                errors=((404, "there is no such neighbour"),),
            ),
            Route(
                "GET",
                "/v1/routes",
                self.list_routes,
                "Tell what the Router has learned.",
                Routes,
                parameters=(Parameter("limit", "Routes in the answer, 100000 at most.", int, 1000),),
            ),
        )

    async def list(self, _request: web.Request) -> web.Response:
        """List neighbours by name, with their queues, and the unrouted."""
        listed = await ask_async(self._server_manager, ListNeighbours, NeighboursListed)
        return json_reply(Neighbours(listed.node, tuple(map(views.neighbour, listed.neighbours)), listed.unrouted))

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
        return json_reply(Named(item.name), 201)

    async def remove(self, request: web.Request) -> web.Response:
        """Deregister a neighbour."""
        name = NodeName(request.match_info["name"])

        def command(reply_to: Ref[Any], number: int) -> RemoveNeighbour:
            return RemoveNeighbour(reply_to, number, name)

        done = await ask_async(self._server_manager, command, NeighbourDone)
        if done.error:
            raise ApiError(404, "unknown", done.error)
        return json_reply(Named(name))

    async def list_routes(self, request: web.Request) -> web.Response:
        """Tell what the Router has learned."""
        limit = number(request, "limit", 1000, 100_000)

        def command(reply_to: Ref[Any], request_number: int) -> ReadRoutes:
            return ReadRoutes(reply_to, request_number, limit)

        read = await ask_async(self._router, command, RoutesRead)
        routes = tuple(
            RouteView(views.clean(item.name), item.home, item.next_hop, item.epoch, item.hops) for item in read.routes
        )
        return json_reply(Routes(routes, read.names_here, read.learned, read.nodes, read.searches, read.state_bytes))
