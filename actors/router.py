"""Router: says where each message goes, and exchanges with the Routers of neighbours what that takes."""

from __future__ import annotations

from random import Random
from typing import assert_never

from actors.base import ActorBase, Context
from actors.messages.client_manager import ClaimConflicts
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.monitor import CountFacts, SetGauges
from actors.messages.router import (
    Destination,
    FindNames,
    GrantOrigin,
    MailKept,
    MessagesRouted,
    NamesAreGone,
    NamesAreOurs,
    NamesFound,
    NamesLiveAt,
    NeighbourDown,
    NeighbourSaid,
    NeighbourSilent,
    NeighbourUp,
    NotKept,
    ReadRoutes,
    RouteFailed,
    RouteMessages,
    RouterCommand,
    RoutesRead,
    Searching,
    Unknown,
)
from actors.messages.server_manager import NodeWays, RouteAgain, TellNeighbours
from actors.ref import Ref
from actors.state.routing.network import Network
from actors.state.routing.order import Order
from actors.state.routing.settings import RouterSettings
from actors.state.routing_table import HERE, NOBODY

AGAIN = 0.2
"""Seconds until what could not be taken in is tried again."""
RETRY = Wake(-1)

News = NamesAreOurs | NamesAreGone | NamesLiveAt | NeighbourUp | NeighbourDown
"""What nobody tells twice: were it not taken in, users would be unknown, neighbours unused until the next start."""


class Router(ActorBase[RouterCommand]):
    """Sees every message of the node once, and answers at once by what it knows (see `state.routing`).

    A node alone needs no more than `context` and `monitor`.
    """

    name = "router"

    def __init__(
        self,
        *,
        context: Context,
        monitor: Ref[CountFacts | SetGauges],
        client_manager: Ref[ClaimConflicts] | None = None,
        server_manager: Ref[RouteAgain | NodeWays | TellNeighbours] | None = None,
        settings: RouterSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(context=context)
        self._monitor = monitor
        self._client_manager = client_manager
        self._server_manager = server_manager
        self._network = Network(settings or RouterSettings(), random or Random(), self.clock.monotonic())
        self._order = Order()
        self._unknown = 0
        self._searching = 0
        self._told_gauges: dict[str, float] = {}
        self._missed: list[RouterCommand] = []
        """News that could not be taken in, and what came behind it: without it users are unknown who are not."""
        self._wake_id = 0
        self._wake_at: float | None = None
        self._heard = False
        """Something was heard since the last flush that may have to be told or done."""
        self._news = False
        """The monitor has something to hear."""

    def handle(self, message: RouterCommand) -> None:
        """Serve one command."""
        if self._missed and not isinstance(message, Wake):
            self._missed.append(message)
        else:
            self._serve(message)

    def _serve(self, message: RouterCommand) -> None:  # noqa: C901 - the whole mailbox at a glance
        match message:
            case RouteMessages():
                self._route(message)
            case NeighbourSaid() | NeighbourSilent() | NeighbourUp() | NeighbourDown():
                self._hear(message)
            case NamesAreOurs() | NamesAreGone() | NamesLiveAt() | GrantOrigin():
                self._learn(message)
            case FindNames():
                self._heard = True
                self._network.find(message, self.clock.monotonic())
            case MailKept():
                self._order.kept(message.names, more=message.more)
            case NotKept():
                self._order.not_kept(message.names)
            case RouteFailed():
                self._network.ladder.failed(message, self.clock.monotonic())
            case ReadRoutes():
                self._read(message)
            case Wake(id=RETRY.id):
                self._retry()
            case Wake():
                if message.id == self._wake_id:
                    self._wake_at = None
                    self._heard = True
            case CommandFailed() | Ping():
                pass  # it asks nobody; the base answers pings
            case _:
                assert_never(message)

    # Messages.

    def _route(self, message: RouteMessages) -> None:
        """Most are for users here: one look-up each. What is not climbs the ladder."""
        network = self._network
        if message.arrived_from:
            now = self.clock.monotonic()
            route = network.ladder.route
            places = tuple([route(envelope, message.arrived_from, now) for envelope in message.envelopes])
            places = self._in_order(message, places)
        else:
            places = network.table.route(message.envelopes)
            if NOBODY in places and network.ladder.neighbours:
                places = self._in_order(message, self._climb(message, places))
            elif self._order:
                places = self._in_order(message, places)
        message.reply_to.tell(MessagesRouted(request=message.request, destinations=places))
        if places.count(HERE) < len(places):
            self._count(places)

    def _count(self, places: tuple[Destination, ...]) -> None:
        self._unknown += sum(type(place) is Unknown for place in places)
        self._searching += sum(type(place) is Searching for place in places)
        self._news = True
        self._heard = self._heard or self._searching > 0

    def _in_order(self, message: RouteMessages, places: tuple[Destination, ...]) -> tuple[Destination, ...]:
        """Have none overtake what waits for its recipient."""
        now = self.clock.monotonic()
        return tuple(
            [
                self._order.place(envelope.recipient, place, now, kept=message.kept)
                for envelope, place in zip(message.envelopes, places, strict=True)
            ]
        )

    def _climb(self, message: RouteMessages, places: tuple[Destination, ...]) -> tuple[Destination, ...]:
        now = self.clock.monotonic()
        route = self._network.ladder.route
        return tuple(
            [
                route(envelope, message.arrived_from, now) if place is NOBODY else place
                for envelope, place in zip(message.envelopes, places, strict=True)
            ]
        )

    # What is heard.

    def _hear(self, message: NeighbourSaid | NeighbourSilent | NeighbourUp | NeighbourDown) -> None:
        now = self.clock.monotonic()
        network = self._network
        self._heard = True
        match message:
            case NeighbourSaid():
                network.heard(message.node, message.items, now)
            case NeighbourSilent():
                for item in message.items:
                    network.silent(message.node, item, now)
            case NeighbourUp():
                network.neighbour_up(message.node, now)
            case NeighbourDown():
                network.neighbour_down(message.node, message.removed, now)

    def _learn(self, message: NamesAreOurs | NamesAreGone | NamesLiveAt | GrantOrigin) -> None:
        now = self.clock.monotonic()
        network = self._network
        self._heard = self._heard or bool(network.ladder.neighbours)
        self._news = True
        match message:
            case NamesAreOurs():
                network.ours(message.names, message.epochs, message.fresh, now)
            case NamesAreGone():
                network.gone(message.names)
            case NamesLiveAt():
                network.claimed(message.claims, now)
            case GrantOrigin():
                network.ladder.grants.extend((message.name, message.node), now + message.seconds)

    def _read(self, message: ReadRoutes) -> None:
        network = self._network
        message.reply_to.tell(
            RoutesRead(
                request=message.request,
                routes=network.routes(message.limit, self.clock.monotonic()),
                names_here=len(network.table),
                learned=len(network.ladder.learned),
                nodes=network.nodes_known,
                searches=network.lookout.running,
                state_bytes=network.state_bytes(),
            )
        )

    def recover(self, message: RouterCommand, error: Exception) -> None:
        """Take news in a little later, and have time go on."""
        if isinstance(message, News):
            self._miss(message)
        elif isinstance(message, Wake):
            self._wake_at = None
            self._heard = True
            if self._missed:
                self.context.scheduler.after(AGAIN, self.ref, RETRY)
        else:
            super().recover(message, error)

    def _miss(self, message: News) -> None:
        if not self._missed:
            self.context.scheduler.after(AGAIN, self.ref, RETRY)
        self._missed.append(message)

    def _retry(self) -> None:
        missed, self._missed = self._missed, []
        self.each(missed, self._serve, self.recover)

    # What is told.

    def flush(self) -> None:
        """Do what is due, and tell others what changed since the last flush."""
        if self._heard:
            self._heard = False
            self._network.work(self.clock.monotonic())
            self._tell()
            self._set_timer()
            self._news = True
        if self._news:
            self._news = False
            self._tell_monitor()

    def _tell(self) -> None:
        told = self._network.told
        answers, told.answers = told.answers, []
        for question, found in answers:
            question.reply_to.tell(NamesFound(question.request, found))
        conflicts, told.conflicts = told.conflicts, []
        if conflicts and self._client_manager is not None:
            self._client_manager.tell(ClaimConflicts(tuple(conflicts)))
        contents, told.neighbours = told.neighbours, []
        ways, told.ways = told.ways, []
        again = told.take_again()
        if self._server_manager is None:
            return
        if ways:
            self._server_manager.tell(NodeWays(tuple(ways)))
        if contents:
            self._server_manager.tell(TellNeighbours(tuple(contents)))
        if again is not None:
            self._server_manager.tell(RouteAgain(again))

    def _set_timer(self) -> None:
        """Have one timer for the earliest thing that is due; an earlier one makes the older stale."""
        at = self._network.next_deadline()
        if at is None or (self._wake_at is not None and self._wake_at <= at):
            return
        self._wake_id += 1
        self._wake_at = at
        self.context.scheduler.after(max(0.0, at - self.clock.monotonic()), self.ref, Wake(self._wake_id))

    def _tell_monitor(self) -> None:
        counts, self._network.told.counts = self._network.told.counts, {}
        if self._unknown:
            counts["routes_unknown_total"] = float(self._unknown)
        if self._searching:
            counts["routes_searching_total"] = float(self._searching)
        self._unknown = self._searching = 0
        if counts:
            self._monitor.tell(CountFacts(counts=tuple(counts.items())))
        gauges = {"names_here": float(len(self._network.table))}
        if self._network.ladder.neighbours:
            gauges["names_wanted"] = float(len(self._network.wanted))
            gauges["routes_learned"] = float(len(self._network.ladder.learned))
            gauges["nodes_known"] = float(self._network.nodes_known)
        changed = tuple((name, value) for name, value in gauges.items() if self._told_gauges.get(name) != value)
        if changed:
            self._told_gauges = gauges
            self._monitor.tell(SetGauges(gauges=changed))
