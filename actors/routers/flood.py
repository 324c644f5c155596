"""A flood, for comparison and never for production: each search asks every node of the network.

A message has one destination in the Router's contract and one holder on its way, so it is not the message that is
flooded, in copies of which the home would keep one, but the search for its recipient: the costs are the same.
"""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from actors.messages.lifecycle import Wake
from actors.messages.links import RouterContent, SearchAnswer, SearchStep
from actors.messages.router import Claim, Destination, NeighbourDown, NeighbourSilent, RouterCommand, Unknown
from actors.model import Envelope, NodeName, Routing, UserName
from actors.routers.plain import LIMIT, PlainRouter
from actors.state.routing.lapsing import Lapsing
from actors.state.routing.learned import LearnedRoutes

SECONDS = 10.0
"""A search's time."""
AGAIN = 30.0
"""Seconds until an incomplete search is repeated."""
UNKNOWN_LIFE = 60.0


class Asked(msgspec.Struct):
    """What a node remembers of a search: an echo goes back when all that it asked have answered."""

    step: SearchStep
    parent: NodeName
    """Empty at its origin."""
    waiting: set[NodeName]
    answer: SearchAnswer
    over: bool = False
    """The echo has gone; what still comes is for the record only."""


class Flood(PlainRouter):
    """Asks all neighbours, which ask all of theirs; the home's answer comes back the same way, and teaches it."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._learned = LearnedRoutes(LIMIT)
        self._unknown = Lapsing[UserName](LIMIT)
        self._incomplete = Lapsing[UserName](LIMIT)
        self._asked: dict[str, Asked] = {}
        self._ours: dict[UserName, str] = {}
        self._timers: dict[int, str] = {}
        self._repeats: dict[int, UserName] = {}
        self._numbers = itertools.count(1)
        self._born = self.clock.wall()

    def choose(self, envelope: Envelope, routing: Routing) -> Destination:
        """Say where a message goes whose recipient is not here."""
        name, now = envelope.recipient, self.clock.monotonic()
        route = self._learned.get(name, now)
        if route is not None and route.next_hop in self.open(name, routing.visited):
            return self.send(route.next_hop, envelope, routing, home=route.home, epoch=route.epoch)
        if self._unknown.holds(name, now):
            return Unknown()
        if name not in self._ours and not self._incomplete.holds(name, now):
            self._search(name)
        return self.waits()

    def _search(self, name: UserName) -> None:
        search = f"{self.me}-{self._born:.6f}-{next(self._numbers)}"
        self._ours[name] = search
        self._ask(SearchStep(search, name, self.me, budget=0, seconds=SECONDS), NodeName(""))

    def _ask(self, step: SearchStep, parent: NodeName) -> None:
        others = [node for node in self.neighbours if node != parent]
        open_ones = [node for node in others if self.neighbours[node]]
        found = "unknown" if len(open_ones) == len(others) else "incomplete"
        asked = Asked(step, parent, set(open_ones), SearchAnswer(step.search, step.name, found, 0))
        self._asked[step.search] = asked
        deeper = msgspec.structs.replace(step, hops=step.hops + 1)
        self.tell(*((node, deeper) for node in open_ones))
        number = next(self._numbers)
        self._timers[number] = step.search
        self.context.scheduler.after(max(0.0, step.seconds), self.ref, Wake(number))
        self._look(asked)

    def handle(self, message: RouterCommand) -> None:
        """Serve one command."""
        if isinstance(message, Wake) and message.id in self._repeats:
            name = self._repeats.pop(message.id)
            self._incomplete.drop(name)
            self.route_again(name)
        elif isinstance(message, Wake):
            asked = self._asked.pop(self._timers.pop(message.id, ""), None)
            if asked is not None:
                for node in tuple(asked.waiting):
                    self._missed(asked, node)
        elif isinstance(message, NeighbourSilent):
            for item in message.items:
                if isinstance(item, SearchStep) and item.search in self._asked:
                    self._missed(self._asked[item.search], message.node)
        else:
            super().handle(message)
            if isinstance(message, NeighbourDown):
                for asked in tuple(self._asked.values()):
                    self._missed(asked, message.node)

    def said(self, node: NodeName, item: RouterContent) -> None:
        """A search comes by, or an answer to one."""
        if isinstance(item, SearchStep):
            if item.name in self.names:
                self.tell((node, self.answer_for_itself(item)))
            elif item.search in self._asked:
                self.tell((node, SearchAnswer(item.search, item.name, "unknown", 0)))
            else:
                self._ask(item, node)
        elif isinstance(item, SearchAnswer):
            asked = self._asked.get(item.search)
            if asked is not None and node in asked.waiting:
                self._answered(asked, node, item)

    def _answered(self, asked: Asked, node: NodeName, answer: SearchAnswer) -> None:
        asked.waiting.discard(node)
        if answer.found == "found" and answer.home:
            hops = answer.hops + 1
            self._learned.learn(Claim(answer.name, answer.home, answer.epoch), node, hops, self.clock.monotonic())
            asked.answer = msgspec.structs.replace(answer, hops=hops)
        elif answer.found != "unknown" and asked.answer.found == "unknown":
            asked.answer = msgspec.structs.replace(asked.answer, found="incomplete")
        self._look(asked)

    def _missed(self, asked: Asked, node: NodeName) -> None:
        if node in asked.waiting:
            self._answered(asked, node, SearchAnswer(asked.step.search, asked.step.name, "incomplete", 0))

    def _look(self, asked: Asked) -> None:
        """Echo once: at once when it is found, else when nobody is waited for any more."""
        if asked.over or (asked.waiting and asked.answer.found != "found"):
            return
        asked.over = True
        if asked.parent:
            self.tell((asked.parent, asked.answer))
        else:
            self._end(asked.step.name, asked.answer.found)

    def _end(self, name: UserName, found: str) -> None:
        if self._ours.pop(name, None) is None:
            return
        now = self.clock.monotonic()
        if found == "unknown":
            self._unknown.put(name, now + UNKNOWN_LIFE)
        elif found == "incomplete":
            self._incomplete.put(name, now + AGAIN)
            number = next(self._numbers)
            self._repeats[number] = name
            self.context.scheduler.after(AGAIN, self.ref, Wake(number))
            return
        self.route_again(name)
