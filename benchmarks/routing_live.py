"""A network in motion, made of the Routers' own state: links come, nodes restart, and all that Routers tell is counted.

Virtual time; each link takes a hundredth of a second. Bytes are those of the requests on the wire, as encoded by the
border; answers to them (some 250 bytes each) are not counted.
"""

from __future__ import annotations

import heapq
import itertools
from random import Random

import msgspec

from actors.messages.links import Frame, LinkContent, RouterContent, Routes, SearchAnswer, SearchStep
from actors.messages.router import Refused, RouteFailed, ToMailbox, ToNeighbour, Unknown
from actors.messages.sip_adapter import LinkRequest
from actors.model import Envelope, MessageId, NodeName, Proof, UserName
from actors.state.routing.network import Network
from actors.state.routing.settings import RouterSettings
from benchmarks.routing_graphs import Graph
from sip_adapter.links import encode_request

DELAY = 0.01
LARGEST = 30_000
"""Bytes of contents in one request."""
FRAME = Frame("0" * 32, 100_000, "0" * 32)
EMPTY = Routes(())


class Sent(msgspec.Struct):
    """A message that is under way, and what it has cost."""

    envelope: Envelope
    node: NodeName
    came_from: NodeName = NodeName("")
    packets: int = 0
    began: float = 0.0
    ended: float = -1.0
    unknown: bool = False


class Live:
    """Nodes with users, as `Converged` names them. Call `join` once, then `run`."""

    def __init__(self, graph: Graph, users: int, settings: RouterSettings, seed: int) -> None:
        self.graph = graph
        self.now = 0.0
        self.bytes = 0
        self.requests = 0
        self.ways = 0
        """Claims told, one for each node in a `Routes`."""
        self.packets = 0
        """Steps of searches and back."""
        self._settings = settings
        self._random = Random(f"live {seed}")
        self._each = users // len(graph)
        self._place = {node: at for at, node in enumerate(graph)}
        self._nodes: dict[NodeName, Network] = {}
        self._lives: dict[NodeName, int] = dict.fromkeys(graph, 0)
        self._links: set[tuple[NodeName, NodeName]] = set()
        self._events: list[tuple[float, int, tuple[object, ...]]] = []
        self._numbers = itertools.count()
        self._wakes: dict[NodeName, float] = {}
        self._waiting: dict[NodeName, list[Sent]] = {}
        self._under_way: dict[int, Sent] = {}
        self._sizes: dict[int, tuple[RouterContent, int]] = {}
        self._overhead = len(encode_request(_request(EMPTY), "angarium", b"TCP 10.0.0.1:5060", "0" * 32)) - len(
            msgspec.json.encode(EMPTY)
        )

    def join(self, seconds: float) -> None:
        """Start all nodes and links within so many seconds, at random."""
        for node in self.graph:
            self._start(node)
        for one, others in self.graph.items():
            for other in others:
                self._at(self._random.random() * seconds, "up", one, other)

    def restart(self, node: NodeName, seconds: float) -> None:
        """A node loses all it knew, and is back after a while; its neighbours notice both at once."""
        for other in self.graph[node]:
            for pair in ((node, other), (other, node)):
                if pair in self._links:
                    self._links.discard(pair)
                    self._nodes[pair[0]].neighbour_down(pair[1], False, self.now)
                    self._work(pair[0])
        del self._nodes[node]
        self._lives[node] += 1
        self._at(seconds, "start", node)

    def send(self, origin: NodeName, name: UserName) -> Sent:
        """Put a message under way; messages at a node that restarts wait on its disk."""
        number = next(self._numbers)
        envelope = Envelope(
            MessageId(f"m{number}"), UserName(f"s{number}"), name, b"9f-1@u", (), b"hello", 1.8e9, Proof.OPEN
        )
        sent = Sent(envelope, origin, began=self.now)
        self._route(sent)
        return sent

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            self._happen(event)
        self.now = until

    def networks(self) -> list[Network]:
        """Give what the running nodes know."""
        return list(self._nodes.values())

    def running(self) -> list[NodeName]:
        """List the nodes that run."""
        return list(self._nodes)

    def forget_counts(self) -> None:
        """Count from here."""
        self.bytes = self.requests = self.ways = self.packets = 0

    # What happens.

    def _at(self, after: float, *event: object) -> None:
        heapq.heappush(self._events, (self.now + after, next(self._numbers), event))

    def _happen(self, event: tuple[object, ...]) -> None:
        match event:
            case "told", str(source), str(target), items if (source, target) in self._links:
                network = self._nodes[NodeName(target)]
                for item in items:  # type: ignore[attr-defined]
                    network.said(NodeName(source), item, self.now)
                self._work(NodeName(target))
            case "wake", str(node), at if self._wakes.get(NodeName(node)) == at:
                del self._wakes[NodeName(node)]
                self._work(NodeName(node))
            case "up", str(one), str(other) if one in self._nodes and other in self._nodes:
                self._up(NodeName(one), NodeName(other))
            case "start", str(node):
                self._start(NodeName(node))
                for other in self.graph[NodeName(node)]:
                    self._at(0.1, "up", node, other)
                    self._at(0.1, "up", other, node)
            case "arrive", int(number):
                self._arrive(self._under_way.pop(number))
            case _:
                pass  # overtaken by what happened since

    def _start(self, node: NodeName) -> None:
        settings = msgspec.structs.replace(self._settings, node=node)
        network = self._nodes[node] = Network(settings, self._random, self.now)
        at = self._place[node] * self._each
        network.ours(tuple([UserName(f"u{user}") for user in range(at, at + self._each)]), (), False, self.now)
        for other in self.graph[node]:
            network.neighbour_down(other, False, self.now)
        self._again(node, ())

    def _up(self, one: NodeName, other: NodeName) -> None:
        if (one, other) not in self._links:
            self._links.add((one, other))
            self._nodes[one].neighbour_up(other, self.now)
            self._work(one)

    def _work(self, node: NodeName) -> None:
        """Let a node do what is due, send what it tells, and note when it is due next."""
        network = self._nodes.get(node)
        if network is None or self._wakes.get(node, self.now + 1) <= self.now:
            return
        network.work(self.now)
        told, network.told.neighbours = network.told.neighbours, []
        network.told.ways.clear()
        together: dict[NodeName, list[RouterContent]] = {}
        for target, item in told:
            together.setdefault(target, []).append(item)
        for target, items in together.items():
            self._at(DELAY, "told", node, target, items)
            self._count(items)
        again = network.told.take_again()
        if again is not None:
            self._again(node, again)
        due = network.next_deadline()
        if due is not None and due < self._wakes.get(node, float("inf")):
            due = max(due, self.now + 0.001)
            self._wakes[node] = due
            self._at(due - self.now, "wake", node, due)

    def _count(self, items: list[RouterContent]) -> None:
        """Count what goes to one neighbour: what fits goes in one request."""
        size = 0
        for item in items:
            if isinstance(item, SearchStep | SearchAnswer):
                self.packets += 1
            else:
                size += self._size(item)
                self.ways += len(item.items) if isinstance(item, Routes) else 0
        if size:
            requests = -(-size // LARGEST)
            self.requests += requests
            self.bytes += size + requests * self._overhead

    def _size(self, item: RouterContent) -> int:
        # The same object is told to many: measured once while it lives.
        known = self._sizes.get(id(item))
        if known is None or known[0] is not item:
            if len(self._sizes) > 20_000:
                self._sizes.clear()
            known = self._sizes[id(item)] = (item, len(msgspec.json.encode(item)))
        return known[1]

    # Messages.

    def _again(self, node: NodeName, names: tuple[UserName, ...]) -> None:
        for sent in self._waiting.pop(node, []):
            if names and sent.envelope.recipient not in names:
                self._waiting.setdefault(node, []).append(sent)
            else:
                self._route(sent)

    def _route(self, sent: Sent) -> None:
        network = self._nodes.get(sent.node)
        place = network.ladder.route(sent.envelope, NodeName(""), self.now) if network is not None else None
        match place:
            case ToMailbox():
                sent.ended = self.now
            case Unknown():
                sent.ended, sent.unknown = self.now, True
            case ToNeighbour() if (sent.node, place.node) in self._links:
                number = next(self._numbers)
                sent.packets += 1
                self._under_way[number] = sent
                sent.came_from, sent.node, sent.envelope = sent.node, place.node, place.envelope
                self._at(DELAY, "arrive", number)
            case _:
                self._waiting.setdefault(sent.node, []).append(sent)
        if network is not None:
            self._work(sent.node)

    def _arrive(self, sent: Sent) -> None:
        """The next node takes it, refuses it, or is gone: then it is still at the one before."""
        here, before = sent.node, sent.came_from
        network = self._nodes.get(here)
        if network is None:
            sent.node = before
            self._waiting.setdefault(before, []).append(sent)
            return
        place = network.ladder.route(sent.envelope, before, self.now)
        if isinstance(place, Refused | Unknown):
            status = place.status if isinstance(place, Refused) else 404
            routing = sent.envelope.routing
            home = NodeName(routing.home) if routing is not None else NodeName("")
            sent.node = before
            holder = self._nodes.get(before)
            if holder is not None:
                holder.ladder.failed(RouteFailed(here, sent.envelope.recipient, home, status), self.now)
        self._route(sent)


def _request(content: LinkContent) -> LinkRequest:
    return LinkRequest(1, NodeName("n1234"), FRAME, content, 5.0)
