"""Graphs of networks, and what plain ways of finding a home in them cost."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random

from actors.model import NodeName
from apps.simulated.shapes import Pair, random_graph, scale_free

Graph = dict[NodeName, list[NodeName]]
"""The neighbours of each node."""
DEGREE = 6

SHAPES: dict[str, Callable[[int, int], tuple[Pair, ...]]] = {
    "random": lambda count, seed: random_graph(count, DEGREE, seed),
    "scale-free": lambda count, seed: scale_free(count, DEGREE, seed),
}


def graph_of(pairs: Iterable[Pair], seed: int) -> Graph:
    """Make a graph; neighbours stand in random order, as operators would name them."""
    graph: Graph = {}
    for one, other in pairs:
        graph.setdefault(NodeName(one), []).append(NodeName(other))
        graph.setdefault(NodeName(other), []).append(NodeName(one))
    random = Random(f"neighbours {seed}")
    for others in graph.values():
        random.shuffle(others)
    return graph


def distances(graph: Graph, target: NodeName) -> dict[NodeName, int]:
    """Give the hand-overs from each node to one."""
    found = {target: 0}
    queue = deque((target,))
    while queue:
        node = queue.popleft()
        far = found[node] + 1
        for other in graph[node]:
            if other not in found:
                found[other] = far
                queue.append(other)
    return found


def flood(graph: Graph) -> int:
    """Count the packets of a flood: each node sends to all its neighbours but the one it heard it from first."""
    return sum(map(len, graph.values())) - (len(graph) - 1)


def first_unvisited(graph: Graph, origin: NodeName, home: NodeName) -> int:
    """Count the hand-overs of a message that walks to the first neighbour not yet visited, and back where it is stuck.

    This is the original design without its limit of steps.
    """
    visited = {origin}
    way = [origin]
    steps = 0
    while way[-1] != home:
        ahead = next((node for node in graph[way[-1]] if node not in visited), None)
        if ahead is None:
            way.pop()
        else:
            visited.add(ahead)
            way.append(ahead)
        steps += 1
    return steps
