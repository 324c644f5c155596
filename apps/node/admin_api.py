"""What the admin interface answers: paths under /v1, health and metrics, each a question to the actors."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web
from msgspec.structs import replace

from actors.messages.monitor import JourneyRead, ReadJourney
from actors.messages.storage import MessageStateRead, ReadMessageState
from actors.model import MessageId
from actors.ref import Ref
from apps.common.logs import Logs
from apps.node import admin_views as views
from apps.node.admin_answers import Events, MessageView, Readiness, Status
from apps.node.admin_bindings import BindingsApi
from apps.node.admin_facts import NodeActors, NodeFacts, NodeReader, obstacles
from apps.node.admin_guard import guard, json_reply, number
from apps.node.admin_journeys import JourneysApi
from apps.node.admin_links import LinksApi
from apps.node.admin_live import LiveApi
from apps.node.admin_logs import LogsApi
from apps.node.admin_queues import QueuesApi
from apps.node.admin_routes import Parameter, Route, serve
from apps.node.admin_users import UsersApi
from apps.node.asking import AskError, ask_async
from apps.node.openapi import OpenApi

MAX_UPLOAD = 64 * 1024 * 1024
"""Bytes of one request: an import of a few hundred thousand users."""


class AdminApi:
    """The handlers of one node, and the table of all paths."""

    def __init__(self, facts: NodeFacts, actors: NodeActors, logs: Logs | None = None, token: str = "") -> None:
        """Take what to tell and whom to ask; without logs the paths about them are not served.

        `token`: must be shown over TCP; without one only this machine may ask there.
        """
        self._token = token
        self._reader = NodeReader(facts, actors)
        self._logs = logs
        self._actors = actors
        self._live = LiveApi(self._reader, logs)

    def app(self) -> web.Application:
        """Make the application; call it in the server's thread."""
        app = web.Application(middlewares=[guard(self._token)], client_max_size=MAX_UPLOAD)
        app.on_shutdown.append(self._live.close_all)
        table = self.table()
        serve(app, (*table, *OpenApi(self._reader.facts.version).routes(table)))
        return app

    def table(self) -> tuple[Route, ...]:
        """Name all paths that are served, but for the one that describes them."""
        return (
            *self.routes(),
            *self._live.routes(),
            *UsersApi(self._reader).routes(),
            *BindingsApi(self._reader).routes(),
            *QueuesApi(self._reader).routes(),
            *LinksApi(self._actors.server_manager, self._actors.router).routes(),
            *JourneysApi(self._actors.server_manager).routes(),
            *(LogsApi(self._logs).routes() if self._logs is not None else ()),
        )

    def routes(self) -> tuple[Route, ...]:
        """Name the paths about the node and its messages."""
        return (
            Route("GET", "/v1/status", self.status, "Tell who this node is and how it is doing.", Status),
            Route(
                "GET",
                "/v1/messages/{id}",
                self.message,
                "Tell where a message is and what happened to it.",
                MessageView,
                errors=((404, "this node knows no such message"),),
            ),
            Route(
                "GET",
                "/v1/events",
                self.events,
                "List recent events, newest last.",
                Events,
                parameters=(Parameter("limit", "Events in the answer, 1000 at most.", int, 100),),
            ),
            Route("GET", "/livez", self.live, "Answer as long as the process serves.", None),
            Route(
                "GET",
                "/readyz",
                self.ready,
                "Tell whether the node takes messages.",
                Readiness,
                also=(503,),
            ),
            Route("GET", "/metrics", self.metrics, "Give counters and gauges as Prometheus reads them.", None),
        )

    async def status(self, _request: web.Request) -> web.Response:
        """Tell who this node is and how it is doing."""
        return json_reply(await self._reader.status())

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
        if told.state == views.UNKNOWN:
            return json_reply(replace(told, error="unknown", detail=f"this node knows no message {told.id}"), 404)
        return json_reply(told)

    async def events(self, request: web.Request) -> web.Response:
        """List recent events, newest last."""
        monitor = await self._reader.monitor(number(request, "limit", 100, 1000))
        return json_reply(Events(tuple(map(views.event, monitor.events))))

    async def live(self, _request: web.Request) -> web.Response:
        """Answer: the process serves."""
        return web.Response(text="ok\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """Tell whether the node takes messages, and if not, why."""
        reasons: tuple[str, ...] = ()
        try:
            reasons = obstacles((await self._reader.monitor(0)).alarms)
            await self._reader.stats(2.0)
            await self._reader.users(timeout=2.0)
        except AskError as error:
            reasons = (*reasons, str(error))
        return json_reply(Readiness(not reasons, reasons), 503 if reasons else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Give counters and gauges as Prometheus reads them."""
        from apps.node.admin_metrics import CONTENT_TYPE, exposition

        stats = await self._reader.stats()
        monitor = await self._reader.monitor(0)
        gauges = {
            **monitor.gauges,
            **views.store_gauges(stats),
            "process_resident_memory_bytes": float(views.rss_bytes()),
            "uptime_seconds": self._reader.uptime,
            "alarms": float(len(monitor.alarms)),
        }
        links = await self._reader.neighbours()
        for item in links.neighbours:
            gauges[f'neighbour_messages{{neighbour="{item.node}"}}'] = float(item.waiting)
        body = exposition({**monitor.counters, "process_cpu_seconds_total": time.process_time()}, gauges)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})
