"""The admin interface's path about a message's journey over several nodes."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from actors.messages.server_manager import ListNeighbours, NeighboursListed
from actors.model import MessageId
from actors.ref import Ref
from actors.state.trail import UNKNOWN
from apps.common.journey import Journey
from apps.node.admin_guard import json_reply
from apps.node.admin_routes import Parameter, Route
from apps.node.admin_views import clean
from apps.node.asking import ask_async
from apps.node.journeys import alone, asker, walk


class JourneysApi:
    """The handler; `server_manager` is asked, and asks the others."""

    def __init__(self, server_manager: Ref[Any]) -> None:
        self._server_manager = server_manager

    def routes(self) -> tuple[Route, ...]:
        """List the paths."""
        return (
            Route(
                "GET",
                "/v1/journeys/{id}",
                self.journey,
                "Where a message is and how it got there, as all nodes that had to do with it tell; takes up to 5 s.",
                Journey,
                parameters=(Parameter("nodes", "1: ask other nodes too; 0: this one only", bool, 1),),
                errors=(
                    (404, "all nodes answered, and none knows the message"),
                    (503, "no node that answered knows the message, but some were silent: `silent` names them"),
                ),
            ),
        )

    async def journey(self, request: web.Request) -> web.Response:
        """Ask this node and, unless `nodes=0`, all that it leads to."""
        message = MessageId(clean(request.match_info["id"]))
        listed = await ask_async(self._server_manager, ListNeighbours, NeighboursListed)
        ask = asker(self._server_manager, message)
        here_only = request.query.get("nodes") == "0"
        found = await (alone(message, listed.node, ask) if here_only else walk(message, listed.node, ask))
        view = msgspec.to_builtins(found)
        if found.state == UNKNOWN and not found.steps:
            names = ", ".join(item.node for item in found.silent)
            if names:
                detail = f"no node that answers knows a message {found.id}, but these were silent: {names}"
                return json_reply(view | {"error": "incomplete", "detail": detail}, 503)
            return json_reply(view | {"error": "unknown", "detail": f"no node knows a message {found.id}"}, 404)
        return json_reply(view)
