"""The base of plain Routers: all of the contract but the choice of the next server."""

from __future__ import annotations

from abc import abstractmethod
from random import Random
from typing import Any

import msgspec

from actors.base import ActorBase, Context
from actors.messages import router as messages
from actors.messages.links import RouterContent, SearchAnswer, SearchStep
from actors.messages.router import (
    Destination,
    Found,
    NameAnswer,
    Refused,
    RouterCommand,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import RouteAgain, TellNeighbours
from actors.model import MAX_STEPS, POSTMASTER, Envelope, NodeName, Routing, UserName
from actors.ref import Ref
from actors.state.routing.lapsing import Lapsing
from actors.state.routing.settings import RouterSettings

SHUN = 30.0
"""Seconds for which a neighbour that refused a message for a name gets no other for it."""
LIMIT = 10_000


class PlainRouter(ActorBase[RouterCommand]):
    """Knows the names of this node and the state of its neighbours, refuses what must not be taken, and answers all
    questions by that; `choose` says where a message for a name that is not here goes.

    It is not trusted with more: what its `choose` cannot place waits (`Searching`) until a link comes up.
    """

    name = "router"

    def __init__(
        self,
        *,
        context: Context,
        monitor: Ref[Any],
        client_manager: Ref[Any] | None = None,
        server_manager: Ref[Any] | None = None,
        settings: RouterSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(context=context)
        self.settings = settings or RouterSettings()
        self.me = self.settings.node
        self.names: dict[UserName, int] = {POSTMASTER: 1}
        """Users whose home is here, with the epochs of their claims."""
        self.neighbours: dict[NodeName, bool] = {}
        """Registered neighbours in the order they were heard of, and whether each is up."""
        self._server_manager = server_manager
        self._grants = Lapsing[tuple[UserName, NodeName]](LIMIT)
        self._shunned = Lapsing[tuple[UserName, NodeName]](LIMIT)

    @abstractmethod
    def choose(self, envelope: Envelope, routing: Routing) -> Destination:
        """Say where a message goes whose recipient is not here; `routing` is its state before this node's step."""

    def handle(self, message: RouterCommand) -> None:
        """Serve one command."""
        match message:
            case messages.RouteMessages():
                places = tuple([self.place(envelope, message.arrived_from) for envelope in message.envelopes])
                message.reply_to.tell(messages.MessagesRouted(message.request, places))
            case messages.FindNames():
                self.find(message)
            case messages.ReadRoutes():
                message.reply_to.tell(messages.RoutesRead(message.request, (), len(self.names) - 1, 0, 0, 0, 0))
            case messages.NeighbourSaid():
                for item in message.items:
                    self.said(message.node, item)
            case _:
                self._note(message)

    def _note(self, message: RouterCommand) -> None:
        match message:
            case messages.NamesAreOurs():
                self.names.update(zip(message.names, message.epochs or (1,) * len(message.names), strict=True))
            case messages.NamesAreGone():
                for name in set(message.names) - {POSTMASTER}:
                    self.names.pop(name, None)
            case messages.GrantOrigin():
                self._grants.extend((message.name, message.node), self.clock.monotonic() + message.seconds)
            case messages.NeighbourUp():
                self.neighbours[message.node] = True
                self.route_again()
            case messages.NeighbourDown():
                self.neighbours[message.node] = False
                if message.removed:
                    del self.neighbours[message.node]
            case messages.RouteFailed():
                self._shunned.put((message.name, message.node), self.clock.monotonic() + SHUN)
            case _:
                pass  # claims, silence, timers: of no use to a plain one

    def place(self, envelope: Envelope, arrived_from: NodeName) -> Destination:
        """Say where one message goes; `arrived_from` is the neighbour that it came from, if it came from one."""
        routing = envelope.routing or Routing(origin=arrived_from or self.me)
        if arrived_from:
            if self.me in routing.visited:
                return Refused(482, "Loop Detected")
            if routing.step >= MAX_STEPS:
                return Refused(483, "Too Many Hops")
            if self._claims_ours(envelope, routing):
                return Refused(403, "Its sender is at home here, and did not send it there")
        if envelope.recipient in self.names:
            return ToMailbox()
        if not self.neighbours:
            return Unknown()
        if not arrived_from and routing.path and routing.path[-1] == self.me:
            # It has a route of ours already, which did not do: take our step back.
            routing = msgspec.structs.replace(
                routing, path=routing.path[:-1], visited=routing.visited[:-1], step=max(0, routing.step - 1)
            )
        return self.choose(envelope, routing)

    # What a Router may do.

    def open(self, name: UserName, avoid: tuple[str, ...] = ()) -> list[NodeName]:
        """List the neighbours that are up, but for those to avoid and those that refused a message for this name."""
        now = self.clock.monotonic()
        return [
            node
            for node, up in self.neighbours.items()
            if up and node not in avoid and not self._shunned.holds((name, node), now)
        ]

    def send(self, node: NodeName, envelope: Envelope, routing: Routing, **changes: Any) -> Destination:
        """Give a message a neighbour: path, visited list and steps grow by this node, `changes` are made before."""
        if routing.step + 1 >= MAX_STEPS:
            return Unknown("It came too far")
        routing = msgspec.structs.replace(routing, **changes)
        onward = msgspec.structs.replace(
            routing,
            path=(*routing.path, self.me),
            visited=(*routing.visited, self.me),
            step=routing.step + 1,
        )
        return ToNeighbour(node, msgspec.structs.replace(envelope, routing=onward))

    def tell(self, *items: tuple[NodeName, RouterContent]) -> None:
        """Tell Routers of neighbours that are up."""
        open_ones = tuple([item for item in items if self.neighbours.get(item[0])])
        if self._server_manager is not None and open_ones:
            self._server_manager.tell(TellNeighbours(open_ones))

    def route_again(self, *names: UserName) -> None:
        """Have the messages for these names, or all that wait, asked about again."""
        if self._server_manager is not None:
            self._server_manager.tell(RouteAgain(names))

    # What others may hear, unless a subclass knows better.

    def find(self, question: messages.FindNames) -> None:
        """Answer at once: it is here, or there is nobody else, or this Router cannot tell."""
        here = set() if question.elsewhere else set(self.names)
        other = Found.INCOMPLETE if self.neighbours else Found.UNKNOWN
        answers = tuple(NameAnswer(name, Found.HERE if name in here else other) for name in question.names)
        question.reply_to.tell(messages.NamesFound(question.request, answers))

    def said(self, node: NodeName, item: RouterContent) -> None:
        """A neighbour's Router says something: a search is answered for this node alone."""
        if isinstance(item, SearchStep):
            self.tell((node, self.answer_for_itself(item)))

    def answer_for_itself(self, step: SearchStep) -> SearchAnswer:
        """Answer a search without asking further: so others hold it for incomplete, unless there is nobody else."""
        epoch = self.names.get(step.name)
        if epoch is not None:
            return SearchAnswer(step.search, step.name, "found", step.budget, self.me, epoch)
        return SearchAnswer(
            step.search, step.name, "incomplete" if len(self.neighbours) > 1 else "unknown", step.budget
        )

    def _claims_ours(self, envelope: Envelope, routing: Routing) -> bool:
        sender = envelope.sender
        if sender not in self.names or sender == POSTMASTER or routing.origin == self.me:
            return False
        return not self._grants.holds((sender, NodeName(routing.origin)), self.clock.monotonic())

    def waits(self) -> Destination:
        """Have a message wait until it makes sense to ask again."""
        return Searching()
