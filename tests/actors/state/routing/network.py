"""Networks of node tables and summaries: graphs, and a seeded simulation of links with delays, losses and falls."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Iterable
from random import Random

from actors.messages.links import NodeRoute, Summary, SummaryWanted
from actors.model import NodeName
from actors.state.routing.nodes import NO_WAY, NodeTable
from actors.state.routing.summaries import Summaries

Edge = frozenset[NodeName]
Graph = dict[NodeName, set[NodeName]]
Content = NodeRoute | Summary | SummaryWanted


def names(count: int) -> list[NodeName]:
    return [NodeName(f"n{number}") for number in range(count)]


def graph_of(edges: Iterable[tuple[NodeName, NodeName]], nodes: Iterable[NodeName] = ()) -> Graph:
    graph: Graph = {node: set() for node in nodes}
    for one, other in edges:
        graph.setdefault(one, set()).add(other)
        graph.setdefault(other, set()).add(one)
    return graph


def line(count: int) -> Graph:
    nodes = names(count)
    return graph_of(itertools.pairwise(nodes))


def ring(count: int) -> Graph:
    nodes = names(count)
    return graph_of([*itertools.pairwise(nodes), (nodes[-1], nodes[0])])


def random_graph(random: Random, count: int, degree: float) -> Graph:
    """Make a connected graph: a random tree, and edges at random up to the mean degree."""
    nodes = names(count)
    edges = {frozenset((nodes[at], nodes[random.randrange(at)])) for at in range(1, count)}
    wanted = min(int(count * degree / 2), count * (count - 1) // 2)
    while len(edges) < wanted:
        edges.add(frozenset(random.sample(nodes, 2)))
    ordered = sorted(tuple(sorted(edge)) for edge in edges)
    return graph_of(((one, other) for one, other in ordered), nodes)


def distances(graph: Graph, target: NodeName) -> dict[NodeName, int]:
    found = {target: 0}
    queue = deque([target])
    while queue:
        node = queue.popleft()
        for other in graph.get(node, ()):
            if other not in found:
                found[other] = found[node] + 1
                queue.append(other)
    return found


class Network:
    """Node tables and summaries over links; one link is two, one each way, each in order, as over TCP."""

    def __init__(self, random: Random, nodes: Iterable[NodeName], *, loss: float = 0.0, reorder: bool = False) -> None:
        self.random = random
        self.loss = loss
        self.reorder = reorder
        self.now = 0.0
        self.graph: Graph = {node: set() for node in nodes}
        self.tables: dict[NodeName, NodeTable] = {}
        self.summaries: dict[NodeName, Summaries] = {}
        self.told = 0
        self._up: dict[tuple[NodeName, NodeName], int] = {}
        self._sessions = itertools.count(1)
        self._events: list[tuple[float, int, tuple[object, ...]]] = []
        self._numbers = itertools.count()
        self._last: dict[tuple[NodeName, NodeName], float] = {}
        for node in self.graph:
            self.start(node)

    def start(self, node: NodeName) -> None:
        """Begin a node's life with empty tables; its links must be down."""
        self.summaries[node] = Summaries(node, version=self.random.getrandbits(30))
        version_of = self.summaries[node].version_of
        self.tables[node] = NodeTable(node, version_of=version_of, now=self.now + self.random.random())
        self.at(self.now + self.random.random(), "tick", node)

    def at(self, when: float, *event: object) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def connect(self, one: NodeName, other: NodeName, delay: float = 1.0) -> None:
        self.graph[one].add(other)
        self.graph[other].add(one)
        for pair in ((one, other), (other, one)):
            self.at(self.now + self.random.random() * delay, "up", *pair)

    def cut(self, one: NodeName, other: NodeName, delay: float = 1.0) -> None:
        self.graph[one].discard(other)
        self.graph[other].discard(one)
        for pair in ((one, other), (other, one)):
            self._up[pair] = 0  # what is under way is lost
            self.at(self.now + self.random.random() * delay, "down", *pair)

    def restart(self, node: NodeName) -> None:
        """End a node's life; both ends of its links know before it begins anew."""
        others = sorted(self.graph[node])
        for other in others:
            self.cut(node, other, delay=0.0)
        self.run(self.now + 0.01)
        self.start(node)
        for other in others:
            self.connect(node, other)

    def build(self, graph: Graph) -> None:
        for node, others in graph.items():
            for other in sorted(others):
                if node < other:
                    self.connect(node, other)

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.step()
        self.now = until

    def step(self) -> None:
        """Let the next thing happen."""
        self.now, _, event = heapq.heappop(self._events)
        match event:
            case "tick", node:
                self._tick(NodeName(str(node)))
            case "up", one, other if other in self.graph[NodeName(str(one))]:
                self._link(NodeName(str(one)), NodeName(str(other)))
            case "down", one, other if not self._up.get((NodeName(str(one)), NodeName(str(other)))):
                self._fall(NodeName(str(one)), NodeName(str(other)))
            case kind, session, source, target, tuple(items):
                pair = (NodeName(str(source)), NodeName(str(target)))
                if self._up.get(pair) == session:
                    (self._deliver if kind == "content" else self._silent)(*pair, items)
            case _:
                pass  # overtaken by what happened since

    def quiet(self, most: float = 2000.0) -> None:
        """Let everything be told, up to the next refresh or two."""
        self.run(self.now + most)

    def _link(self, one: NodeName, other: NodeName) -> None:
        if not self._up.get((one, other)):
            self._up[one, other] = next(self._sessions)
            self.tables[one].neighbour_up(other, self.now)
            self._moved(one)

    def _fall(self, one: NodeName, other: NodeName) -> None:
        self.tables[one].neighbour_down(other, self.now)
        self.summaries[one].neighbour_down(other)
        self._moved(one)

    def _moved(self, node: NodeName) -> None:
        self.summaries[node].follow(self.tables[node].take_way_changes())

    def _tick(self, node: NodeName) -> None:
        out: dict[NodeName, tuple[Content, ...]] = {}
        for neighbour, routes in self.tables[node].take_updates(self.now).items():
            out[neighbour] = routes
        for neighbour, contents in self.summaries[node].take_updates(self.now).items():
            out[neighbour] = (*out.get(neighbour, ()), *contents)
        for neighbour, items in out.items():
            self._send(node, neighbour, items)
        # A table is asked now and then; the virtual time between is long where nothing is to be told.
        pending = self.tables[node].pending or self.summaries[node].pending
        self.at(self.now + (0.5 if pending or self.now < 60 else 2.0) * (0.5 + self.random.random()), "tick", node)

    def _send(self, source: NodeName, target: NodeName, items: tuple[Content, ...]) -> None:
        self.told += len(items)
        session = self._up.get((source, target), 0)
        if not session:
            return
        if self.random.random() < self.loss:
            if self.random.random() < 0.7:  # mostly that is noticed
                self.at(self.now + 5.0, "silent", session, source, target, items)
            return
        when = self.now + self.random.random() * 2.0
        if not self.reorder:
            when = max(when, self._last.get((source, target), 0.0))
            self._last[source, target] = when
        self.at(when, "content", session, source, target, items)

    def _deliver(self, source: NodeName, target: NodeName, items: tuple[Content, ...]) -> None:
        routes = tuple(item for item in items if isinstance(item, NodeRoute))
        self.tables[target].heard(source, routes, self.now)
        self._moved(target)
        self.summaries[target].told(source, routes)
        for item in items:
            if isinstance(item, Summary):
                self.summaries[target].heard(source, item)
            elif isinstance(item, SummaryWanted):
                self._send(target, source, self.summaries[target].answer(source, item))

    def _silent(self, source: NodeName, target: NodeName, items: tuple[Content, ...]) -> None:
        self.tables[source].silent(target, [item for item in items if isinstance(item, NodeRoute)])
        self.summaries[source].silent(target, [item for item in items if not isinstance(item, NodeRoute)])

    # What must hold.

    def check_no_circle(self) -> None:
        """Follow next hops from everywhere to everywhere: none comes back to where it was."""
        for target in self.graph:
            safe = {target}
            for start in self.graph:
                trail: list[NodeName] = []
                node: NodeName | None = start
                while node is not None and node not in safe:
                    assert node not in trail, f"to {target} in a circle: {trail} {node}"
                    trail.append(node)
                    node = self.tables[node].way(target)
                safe.update(trail)

    def check_shortest(self) -> None:
        """Every way there is was found, and is a shortest one."""
        for target in self.graph:
            wanted = distances(self.graph, target)
            for node in self.graph:
                table = self.tables[node]
                assert table.hops(target) == wanted.get(node, NO_WAY), f"{node} to {target}"
                hop = table.way(target)
                if node == target or node not in wanted:
                    assert hop is None
                else:
                    assert hop is not None
                    assert wanted[hop] == wanted[node] - 1

    def check_summaries(self) -> None:
        """Every node has the newest summary of every node it can reach."""
        for target in self.graph:
            newest = self.summaries[target].version
            for node in distances(self.graph, target):
                assert self.summaries[node].version_of(target) == newest, f"{node} of {target}"
