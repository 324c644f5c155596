"""A network at rest, made of the Routers' own state: no actors, no time, and tables made only where a message comes.

What a node would know of all others after a while is told it just before it is asked, and only of those nodes that
matter for the name in question: those whose summary has its hash. All others play no part in the decision.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from random import Random

import msgspec

from actors.messages.links import Carry, Frame, NodeRoute, RouterContent, Routes, SearchAnswer, SearchStep, Summary
from actors.messages.router import Destination, Refused, RouteFailed, ToMailbox, ToNeighbour, Unknown
from actors.messages.sip_adapter import LinkRequest
from actors.model import Envelope, MessageId, NodeName, Proof, Seq, UserName
from actors.state.routing.hash_index import HashIndex
from actors.state.routing.name_hashes import name_hash, pack
from actors.state.routing.network import Network
from actors.state.routing.settings import RouterSettings
from benchmarks.routing_graphs import Graph, distances
from sip_adapter.links import encode_request

VERSION = 7
"""Of every summary."""
TRIES = 4
"""How often a message asks for a route at one node until it is left waiting there."""
FRAME = Frame("0" * 32, 100_000, "0" * 32)


class Trip(msgspec.Struct):
    """What became of one message."""

    packets: int = 0
    """Requests between servers: hand-overs, steps of searches, steps back."""
    hops: int = 0
    """Hand-overs."""
    end: str = "waiting"
    """`found`, `unknown` or `waiting`."""
    headers: int = 0
    """Bytes of extra headers at the hand-over that had most."""


class Converged:
    """A graph with users at its nodes. Names are `u0`, `u1`, ...; each node has as many."""

    def __init__(self, graph: Graph, users: int, settings: RouterSettings, seed: int) -> None:
        self.graph = graph
        self.users = users
        self._settings = settings
        self._random = Random(f"converged {seed}")
        self._homes = list(graph)
        self._place = {node: at for at, node in enumerate(self._homes)}
        self._networks: dict[NodeName, Network] = {}
        self._told: dict[NodeName, set[NodeName]] = {}
        self._index = HashIndex()
        each = users // len(graph)
        for at, node in enumerate(self._homes):
            self._index.put(node, frozenset(name_hash(self.name(at * each + user)) for user in range(each)))
        self._each = each
        self._distances = lru_cache(maxsize=256)(lambda node: distances(graph, node))
        self._now = 0.0
        self._trips = 0

    def name(self, user: int) -> UserName:
        """Name a user by number."""
        return UserName(f"u{user}")

    def home(self, user: int) -> NodeName:
        """Tell where a user lives."""
        return self._homes[user // self._each]

    def shortest(self, origin: NodeName, user: int) -> int:
        """Give the hand-overs of the shortest way."""
        return self._distances(self.home(user))[origin]

    def send(self, origin: NodeName, name: UserName) -> Trip:
        """Let a message go from a node to the home of a name."""
        self._now += 1.0
        self._trips += 1
        sender = UserName(f"sender{self._trips}")
        envelope = Envelope(MessageId("01k0-7zq1-1"), sender, name, b"9f-1@u", (), b"hello", 1.8e9, Proof.OPEN)
        trip = Trip()
        node, tries = origin, 0
        place = self._route(node, envelope, NodeName(""))
        while tries < TRIES:
            if isinstance(place, ToMailbox | Unknown):
                trip.end = "found" if isinstance(place, ToMailbox) else "unknown"
                break
            if not isinstance(place, ToNeighbour):
                tries += 1
                trip.packets += self._search(node, name)
                place = self._route(node, envelope, NodeName(""))
                continue
            trip.packets += 1
            trip.headers = max(trip.headers, header_bytes(place.envelope))
            there = self._route(place.node, place.envelope, node)
            if isinstance(there, Refused | Unknown):
                tries += 1
                self._refused(node, place, there)
                place = self._route(node, envelope, NodeName(""))
            else:
                trip.hops += 1
                node, envelope, tries, place = place.node, place.envelope, 0, there
        self._networks[node].wanted.drop(name)  # no search of it disturbs the next measurement
        return trip

    def _route(self, node: NodeName, envelope: Envelope, source: NodeName) -> Destination:
        return self._node(node, envelope.recipient).ladder.route(envelope, source, self._now)

    def _refused(self, node: NodeName, place: ToNeighbour, answer: Refused | Unknown) -> None:
        """The next node did not take it: the one that has it must know, as from a ServerManager."""
        routing = place.envelope.routing
        home = NodeName(routing.home) if routing is not None else NodeName("")
        status = answer.status if isinstance(answer, Refused) else 404
        failed = RouteFailed(place.node, place.envelope.recipient, home, status)
        self._networks[node].ladder.failed(failed, self._now)

    def _search(self, node: NodeName, name: UserName) -> int:
        """Let searches begin and walk until nothing is under way; gives the packets that took."""
        packets = 0
        queue: deque[tuple[NodeName, NodeName, RouterContent]] = deque()
        self._work(node, queue)
        while queue:
            source, target, content = queue.popleft()
            if isinstance(content, SearchStep | SearchAnswer):
                packets += content.name == name  # not those that confirm names of a node's own
                self._node(target, name).said(source, content, self._now)
                self._work(target, queue)
        return packets

    def _work(self, node: NodeName, queue: deque[tuple[NodeName, NodeName, RouterContent]]) -> None:
        network = self._networks[node]
        network.work(self._now)
        queue.extend((node, target, content) for target, content in network.told.neighbours)
        network.told.neighbours.clear()
        network.told.ways.clear()
        network.told.again.clear()

    # What a node knows.

    def _node(self, node: NodeName, name: UserName) -> Network:
        """Give a node that knows what matters for a name."""
        network = self._networks.get(node)
        if network is None:
            settings = msgspec.structs.replace(self._settings, node=node)
            network = self._networks[node] = Network(settings, self._random, self._now)
            at = self._place[node] * self._each
            network.ours(tuple(map(self.name, range(at, at + self._each))), (), False, self._now)
            self._told[node] = set()
            for neighbour in self.graph[node]:
                network.neighbour_up(neighbour, self._now)
        if "summaries" in self._settings.rungs:
            for holder in self._index.find(name_hash(name)):
                if holder != node and holder not in self._told[node]:
                    self._told[node].add(holder)
                    self.tell(network, node, (holder,))
        return network

    def tell(self, network: Network, node: NodeName, holders: tuple[NodeName, ...]) -> None:
        """Tell a node what its neighbours know of the ways to some others, and the summaries of these."""
        for neighbour in self.graph[node]:
            items = [NodeRoute(holder, 1, self._distances(holder)[neighbour], VERSION) for holder in holders]
            network.said(neighbour, Routes(tuple(items)), self._now)
        for holder in holders:
            whole = Summary(holder, VERSION, 0, pack(self._index.get(holder)))
            network.said(self.graph[node][0], whole, self._now)

    def full(self, node: NodeName) -> Network:
        """Make a node that knows all there is to know."""
        network = Network(msgspec.structs.replace(self._settings, node=node), self._random, 0.0)
        for neighbour in self.graph[node]:
            network.neighbour_up(neighbour, 0.0)
        ways = {neighbour: distances(self.graph, neighbour) for neighbour in self.graph[node]}
        for neighbour, far in ways.items():
            items = [NodeRoute(other, 1, hops, VERSION) for other, hops in far.items() if other != node]
            network.said(neighbour, Routes(tuple(items)), 0.0)
        for other in self.graph:
            if other != node:
                network.said(self.graph[node][0], Summary(other, VERSION, 0, pack(self._index.get(other))), 0.0)
        return network


def header_bytes(envelope: Envelope) -> int:
    """Count the bytes of the extra headers with which a message goes over a link, the authentication included."""
    carry = Carry(envelope, 86_400.0, "0" * 16, Seq(123_456), Seq(123_400))
    wire = encode_request(LinkRequest(1, NodeName("x"), FRAME, carry, 10.0), "angarium", b"TCP 10.0.0.1:5060", "0" * 32)
    head = wire.partition(b"\r\n\r\n")[0]
    return sum(len(line) + 2 for line in head.split(b"\r\n") if line.startswith(b"Angarium-"))
