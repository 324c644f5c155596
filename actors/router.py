"""Router: says where each message goes."""

from __future__ import annotations

from typing import assert_never

from actors.base import ActorBase, Context
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.monitor import CountFacts, SetGauges
from actors.messages.router import (
    FindNames,
    Found,
    GrantOrigin,
    MessagesRouted,
    NameAnswer,
    NamesAreGone,
    NamesAreOurs,
    NamesFound,
    NamesLiveAt,
    NeighbourDown,
    NeighbourSaid,
    NeighbourSilent,
    NeighbourUp,
    ReadRoutes,
    RouteFailed,
    RouteMessages,
    RouterCommand,
    RoutesRead,
    Unknown,
)
from actors.ref import Ref
from actors.state.routing_table import RoutingTable

AGAIN = 0.2
"""Seconds until names that could not be taken in are told again."""


class Router(ActorBase[RouterCommand]):
    """Sees every message of the node once, and answers at once from its table."""

    name = "router"

    def __init__(self, *, context: Context, monitor: Ref[CountFacts | SetGauges]) -> None:
        super().__init__(context=context)
        self._monitor = monitor
        self._table = RoutingTable()
        self._unknown = 0
        self._told_size = -1

    def handle(self, message: RouterCommand) -> None:
        """Serve one command."""
        match message:
            case RouteMessages():
                self._route(message)
            case NamesAreOurs():
                self._table.add(message.names)
            case NamesAreGone():
                self._table.remove(message.names)
            case FindNames():
                self._find(message)
            case ReadRoutes():
                here = len(self._table)
                message.reply_to.tell(RoutesRead(message.request, (), here, 0, 0, 0, 0))
            case NamesLiveAt() | GrantOrigin() | NeighbourUp() | NeighbourDown():
                pass  # a node alone
            case NeighbourSaid() | NeighbourSilent() | RouteFailed():
                pass
            case CommandFailed() | Wake() | Ping():
                pass  # no timers here; the base answers pings
            case _:
                assert_never(message)

    def _route(self, message: RouteMessages) -> None:
        destinations = self._table.route(message.envelopes)
        message.reply_to.tell(MessagesRouted(request=message.request, destinations=destinations))
        self._unknown += sum(type(destination) is Unknown for destination in destinations)

    def _find(self, message: FindNames) -> None:
        answers = tuple(
            NameAnswer(name, Found.HERE if name in self._table and not message.elsewhere else Found.UNKNOWN)
            for name in message.names
        )
        message.reply_to.tell(NamesFound(message.request, answers))

    def recover(self, message: RouterCommand, error: Exception) -> None:
        """Names that were not taken in are told again, or their users would be unknown until the next start."""
        if isinstance(message, NamesAreOurs | NamesAreGone):
            self.context.scheduler.after(AGAIN, self.ref, message)
        else:
            super().recover(message, error)

    def flush(self) -> None:
        """Tell the monitor what changed since the last flush."""
        unknown, self._unknown = self._unknown, 0
        if unknown:
            self._monitor.tell(CountFacts(counts=(("routes_unknown_total", float(unknown)),)))
        size = len(self._table)
        if size != self._told_size:
            self._told_size = size
            self._monitor.tell(SetGauges(gauges=(("names_here", float(size)),)))
