"""Relays: requests between far ends, handed on node by node, and their answers handed back (PROTOCOL 21, 24).

Each hop decides for itself where a relay goes next, waits a little shorter than the one before, and writes nothing
down: an answer that does not come in time is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import msgspec

from actors.messages.client_manager import DeliveriesEnded, DeliveryResult, RelayArrived, RelaysArrived
from actors.messages.links import AskJourney, Relay, RelayedDelivery, Reply, ToldJourney
from actors.messages.requests import OutboundRequest
from actors.messages.router import FindNames, Found, NamesFound
from actors.messages.server_manager import AnswerRelay, AskFar, FarAnswered, LinkAnswered, LinkRequested, NodeWays
from actors.model import NodeName
from actors.server_manager.core import Core, Timer
from actors.server_manager.journeys import Journeys
from actors.server_manager.links import Links

HOP_SECONDS = 0.1
"""Each hop waits so much shorter than the one before it, so that its own answer still counts there."""
DELIVERY_SECONDS = 36.0
"""How long a delivery is waited for: the edge answers 408 by itself after Timer F, 32 s."""
LONGEST = 60.0
"""However long a neighbour says that somebody waits: what is open here ends some time."""
MAX_PATH = 30
MAX_OPEN = 4096
"""Relays at most that wait here for ClientManager's answers."""
MAX_IN_FLIGHT = 1024
"""Relays at most under way to one neighbour."""
NO_REPLY = Reply()


class Outcome(NamedTuple):
    """How a relay ended."""

    status: int
    reason: str = ""
    answered: bool = True
    """Somebody did answer, be it only that it goes on nowhere."""
    reply: Reply = NO_REPLY
    retry_after: int = 0


class Errand(NamedTuple):
    """A relay on its way through this node."""

    relay: Relay
    deadline: float
    """Monotonic."""
    finish: Callable[[Outcome], None]


class Relays:
    """Hands relays on, gives those for this node to ClientManager, and brings each answer back.

    Only what is asked about a message is answered here.
    """

    def __init__(self, core: Core, links: Links) -> None:
        self._core = core
        self._links = links
        self._journeys = Journeys(core, links.all_up)
        self._ways: dict[NodeName, NodeName] = {}
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[Errand, Timer]] = {}
        self._in_flight: dict[NodeName, int] = {}
        self._arrived: list[RelayArrived] = []
        self._results: list[DeliveryResult] = []

    # Where relays come from.

    def ask(self, command: AskFar) -> None:
        """Our ClientManager asks a far end."""
        relay = Relay(
            origin=self._core.node,
            content=command.content,
            to=command.to,
            user=command.user,
            seconds=command.seconds,
        )
        self._go(Errand(relay, self._core.now() + command.seconds, partial(_tell_asker, command)))

    def deliver(self, request: OutboundRequest) -> None:
        """Our ClientManager sends a request to a phone at another node."""
        *nodes, token = (part.decode() for part in request.route)
        route = tuple(NodeName(node) for node in nodes)
        content = RelayedDelivery(request=msgspec.structs.replace(request, route=()), token=token)
        relay = Relay(origin=self._core.node, content=content, route=route, seconds=DELIVERY_SECONDS)
        self._go(Errand(relay, self._core.now() + DELIVERY_SECONDS, partial(self._delivered, request.delivery)))

    def not_delivered(self, request: OutboundRequest, error: Exception) -> None:
        """It could not even be tried."""
        self._delivered(request.delivery, Outcome(503, "failed", answered=False))

    def arrived(self, node: NodeName, request: LinkRequested, relay: Relay) -> None:
        """A neighbour hands a relay on to us."""
        me, path = self._core.node, relay.path
        finish = partial(self._answer_back, request)
        if not path or path[-1] != node or path[0] != relay.origin:
            finish(Outcome(403, "That is not the way it came"))
        elif me in path or len(path) > MAX_PATH:
            finish(Outcome(482, "It was here already"))
        elif relay.route and relay.route[0] != me:
            finish(Outcome(404, f"This is {me}, not {relay.route[0]}"))
        else:
            deadline = self._core.now() + min(relay.seconds, LONGEST)
            if relay.route:
                errand = Errand(msgspec.structs.replace(relay, route=relay.route[1:]), deadline, finish)
                if not errand.relay.route:
                    self._here(errand)
                    return
            else:
                errand = Errand(relay, deadline, finish)
            self._go(errand)

    # Where they go.

    def ways(self, message: NodeWays) -> None:
        """The Router knows other ways now."""
        for node, way in message.ways:
            if way:
                self._ways[node] = way
            else:
                self._ways.pop(node, None)

    def _go(self, errand: Errand) -> None:
        relay = errand.relay
        if relay.route:
            self._send(errand, relay.route[0])
        elif relay.user:
            self._find(errand)
        elif relay.to == self._core.node:
            self._here(errand)
        else:
            self._to_node(errand)

    def _to_node(self, errand: Errand) -> None:
        way = self._way(errand.relay)
        if way is None:
            errand.finish(self._no_way(errand.relay.to))
        else:
            self._send(errand, way)

    def _way(self, relay: Relay) -> NodeName | None:
        if self._links.up(relay.to):
            return relay.to
        way = self._ways.get(relay.to)
        return way if way is not None and self._links.up(way) and way not in relay.path else None

    def _find(self, errand: Errand) -> None:
        core, relay = self._core, errand.relay
        number = core.expect(
            partial(self._found, errand),
            lambda reason: errand.finish(Outcome(503, reason, answered=False)),
        )
        core.refs.router.tell(FindNames(reply_to=core.refs.me, request=number, names=(relay.user,), visited=relay.path))

    def _found(self, errand: Errand, message: NamesFound) -> None:
        """Our own Router knows best, unless what the one before knew, which is in `to`, is newer."""
        answer, relay = message.answers[0], errand.relay
        if answer.found is Found.HERE:
            self._here(errand)
        elif relay.to not in ("", self._core.node) and relay.epoch > answer.epoch:
            self._to_node(errand)
        elif answer.found is Found.ELSEWHERE and answer.next_hop:
            there = msgspec.structs.replace(relay, to=answer.home, epoch=answer.epoch)
            self._send(Errand(there, errand.deadline, errand.finish), answer.next_hop)
        elif relay.to and relay.to != self._core.node:
            self._to_node(errand)
        elif answer.found is Found.ELSEWHERE and answer.epoch and relay.path:
            # The way there may lead back: whoever asks is told, and asks there.
            moved = Reply(home=answer.home, epoch=answer.epoch)
            errand.finish(Outcome(404, f"He lives at {answer.home}", reply=moved))
        elif answer.found is Found.ELSEWHERE:
            errand.finish(self._no_way(answer.home))
        else:
            errand.finish(Outcome(404, "No such user here, and no way to one"))

    def _send(self, errand: Errand, node: NodeName) -> None:
        core, relay = self._core, errand.relay
        left = errand.deadline - core.now()
        if left <= HOP_SECONDS:
            errand.finish(Outcome(503, "No time left", answered=False))
        elif not self._links.up(node) or self._in_flight.get(node, 0) >= MAX_IN_FLIGHT:
            errand.finish(self._no_way(node))
        else:
            seconds = round(left - HOP_SECONDS, 3)
            further = msgspec.structs.replace(relay, path=(*relay.path, core.node), seconds=seconds)
            self._links.send(node, further, partial(self._answered, errand, node), left)
            self._in_flight[node] = self._in_flight.get(node, 0) + 1

    def _here(self, errand: Errand) -> None:
        """This node is the far end."""
        if len(self._open) >= MAX_OPEN:
            errand.finish(self._no_way(self._core.node))
            return
        if isinstance(errand.relay.content, AskJourney):
            self._journeys.ask(errand.relay.content, partial(self._told, errand))
            return
        number, relay = next(self._numbers), errand.relay
        timer = self._core.after(errand.deadline - self._core.now(), partial(self._expire, number))
        self._open[number] = (errand, timer)
        self._arrived.append(RelayArrived(relay=number, origin=relay.origin, path=relay.path, content=relay.content))

    # How they end.

    def _told(self, errand: Errand, journey: ToldJourney | None) -> None:
        """What is known here of a message goes back to whoever asked."""
        if journey is None:
            errand.finish(Outcome(503, "The store does not answer", answered=False))
        else:
            errand.finish(Outcome(200, reply=Reply(home=self._core.node, journey=journey)))

    def answer(self, answer: AnswerRelay) -> None:
        """ClientManager answers a relay; one that nobody waits for any more is forgotten."""
        errand, timer = self._open.pop(answer.relay, (None, None))
        if errand is None or timer is None:
            return
        timer.cancel()
        errand.finish(Outcome(answer.status, answer.reason, True, answer.reply, answer.retry_after))

    def not_answered(self, answer: AnswerRelay, error: Exception) -> None:
        """Its answer could not be handed back: whoever waits for it ends by himself."""
        self._open.pop(answer.relay, None)

    def _expire(self, number: int) -> None:
        errand, _ = self._open.pop(number, (None, None))
        if errand is not None:
            errand.finish(Outcome(503, "No answer", answered=False))

    def _answered(self, errand: Errand, node: NodeName, answer: LinkAnswered) -> None:
        left = self._in_flight.pop(node) - 1
        if left:
            self._in_flight[node] = left
        if not answer.answered:
            status, reason = (513, answer.reason) if answer.status == 513 else (503, f"No answer from {node}")
            errand.finish(Outcome(status, reason, answered=False))
            return
        reply = answer.content if isinstance(answer.content, Reply) else NO_REPLY
        reached = answer.status not in (408, 503)
        errand.finish(Outcome(answer.status, answer.reason, reached, reply, answer.retry_after))

    def _no_way(self, node: NodeName) -> Outcome:
        retry_after = self._core.random.randint(1, 5)
        return Outcome(503, f"No way to {node} now", answered=False, retry_after=retry_after)

    def _answer_back(self, request: LinkRequested, outcome: Outcome) -> None:
        content = None if outcome.reply == NO_REPLY else outcome.reply
        self._links.answer(request, outcome.status, outcome.reason, content, outcome.retry_after)

    def _delivered(self, delivery: int, outcome: Outcome) -> None:
        """What a node between answers is no word of the phone: the edge puts its name to that."""
        phones = not outcome.answered or bool(outcome.reply.home)
        status = outcome.status if phones else 503
        self._results.append(DeliveryResult(delivery, status, outcome.answered and phones, outcome.retry_after))

    def flush(self) -> None:
        """Hand to ClientManager what is for it."""
        if self._arrived:
            arrived, self._arrived = tuple(self._arrived), []
            self._core.refs.client_manager.tell(RelaysArrived(items=arrived))
        if self._results:
            results, self._results = tuple(self._results), []
            self._core.refs.client_manager.tell(DeliveriesEnded(items=results))


def _tell_asker(command: AskFar, outcome: Outcome) -> None:
    """Nodes between have a say only in where there is no way on: 404."""
    far = bool(outcome.reply.home) or outcome.status == 404 or not outcome.answered
    command.reply_to.tell(
        FarAnswered(
            request=command.request,
            status=outcome.status if far else 503,
            reason=outcome.reason,
            answered=outcome.answered and far,
            reply=outcome.reply,
            retry_after=outcome.retry_after,
        )
    )
