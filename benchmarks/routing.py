"""What it costs to find the home of a name: `make bench-routing`, or `python -m benchmarks.routing --quick`.

Packets are requests between servers until the home has custody: hand-overs, steps of searches, steps back; what Routers
tell each other beforehand (ways, summaries) is measured apart. Results are printed, one JSON line each, and plotted as
`docs/routing-packets.svg` and `.png`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

import msgspec
from loguru import logger

from actors.model import NodeName, UserName
from actors.state.routing.settings import LEARNED, RUNGS, SEARCH, SUMMARIES, RouterSettings
from benchmarks.report import Figure, commit, show
from benchmarks.routing_actors import ROUTERS, measure
from benchmarks.routing_converged import Converged, Trip
from benchmarks.routing_graphs import SHAPES, Graph, distances, first_unvisited, flood, graph_of
from benchmarks.routing_live import Live, Sent

SEED = 1
USERS = 100
"""Names at each node."""
SIZES = (10, 100, 1_000, 10_000)
LIVE_SIZES = (10, 100, 1_000)
ACTOR_SIZES = (10, 100, 1_000)
UNLIMITED = 10**9

LADDERS: dict[str, tuple[tuple[str, ...], int]] = {
    "ladder": (RUNGS, RouterSettings().search_budget),
    "summaries alone": ((SUMMARIES,), 0),
    "search alone": ((SEARCH,), UNLIMITED),
    "learned alone": ((LEARNED,), 0),
}
"""Rungs, and the budget of a search: alone, it has no limit. Learned routes alone find nobody, others teach them."""


class Row(msgspec.Struct, frozen=True):
    """One line of the comparison: one way of finding homes in one network."""

    shape: str
    nodes: int
    method: str
    first: float
    """Mean packets of a first message."""
    later: float
    """Of the same message again."""
    found: float
    """Part of the first messages that came to their home."""
    headers: int | None = None
    """Bytes of extra headers, at most."""
    messages: int = 0


class Pairs:
    """Nodes at random and users who live at another one."""

    def __init__(self, graph: Graph, seed: int) -> None:
        self._nodes = list(graph)
        self._random = Random(f"pairs {seed}")

    def draw(self, count: int) -> Iterator[tuple[NodeName, int]]:
        """Give so many pairs of a sender's node and a user's number."""
        for _ in range(count):
            origin, home = self._random.sample(range(len(self._nodes)), 2)
            yield self._nodes[origin], home * USERS + self._random.randrange(USERS)


def plain(shape: str, graph: Graph, count: int) -> list[Row]:
    """Measure the ways that need no state: shortest path, flood, and the original design."""
    nodes = list(graph)
    pairs = [(origin, nodes[user // USERS]) for origin, user in Pairs(graph, SEED).draw(count)]
    short = statistics.mean(distances(graph, home)[origin] for origin, home in pairs)
    walked = pairs[: count // 4]
    walks = statistics.mean(first_unvisited(graph, origin, home) for origin, home in walked)
    return [
        Row(shape, len(graph), "shortest path", short, short, 1.0, messages=count),
        Row(shape, len(graph), "flood", flood(graph), flood(graph), 1.0, messages=1),
        Row(shape, len(graph), "original design", walks, walks, 1.0, messages=len(walked)),
    ]


def ladder(shape: str, graph: Graph, method: str, count: int) -> tuple[Row, Converged]:
    """Measure the Router's own state with some of its rungs, in a network at rest."""
    rungs, budget = LADDERS[method]
    network = Converged(graph, USERS * len(graph), RouterSettings(rungs=rungs, search_budget=budget), SEED)
    first: list[Trip] = []
    later: list[Trip] = []
    for origin, user in Pairs(graph, SEED).draw(count):
        first.append(network.send(origin, network.name(user)))
        later.append(network.send(origin, network.name(user)))
    row = Row(
        shape,
        len(graph),
        method,
        first=statistics.mean(trip.packets for trip in first),
        later=statistics.mean(trip.packets for trip in later),
        found=statistics.mean(trip.end == "found" for trip in first),
        headers=max(trip.headers for trip in first),
        messages=count,
    )
    return row, network


def nobody(network: Converged, graph: Graph, count: int) -> dict[str, Figure]:
    """Measure what a name costs that nobody has."""
    trips = [
        network.send(origin, UserName(f"nobody{number}"))
        for number, (origin, _) in enumerate(Pairs(graph, SEED + 1).draw(count))
    ]
    return {
        "packets": statistics.mean(trip.packets for trip in trips),
        "packets_at_most": max(trip.packets for trip in trips),
        "proved_unknown": statistics.mean(trip.end == "unknown" for trip in trips),
        "wrongly_found": sum(trip.end == "found" for trip in trips),
    }


def state(network: Converged, graph: Graph) -> dict[str, Figure]:
    """Measure the encoded state of the node with a typical number of neighbours, and of the one with most."""
    by_degree = sorted(graph, key=lambda node: len(graph[node]))
    figures: dict[str, Figure] = {}
    for which, node in (("typical", by_degree[len(by_degree) // 2]), ("most", by_degree[-1])):
        full = network.full(node)
        figures[f"{which}_neighbours"] = len(graph[node])
        figures[f"{which}_bytes"] = full.state_bytes()
        name = network.name(USERS)
        began = time.perf_counter()
        for _ in range(20):
            full.summaries.candidates(name)
        figures[f"{which}_candidates_ms"] = (time.perf_counter() - began) / 20 * 1e3
    return figures


def traffic(graph: Graph, minutes: int) -> tuple[dict[str, Figure], dict[str, Figure]]:
    """Measure what Routers tell each other: when all start at once, at rest, and while nodes restart."""
    live = Live(graph, USERS * len(graph), RouterSettings(), SEED)
    nodes = len(graph)
    live.join(1.0)
    live.run(60.0)
    figures: dict[str, Figure] = {
        "start_bytes": live.bytes / nodes,
        "start_requests": live.requests / nodes,
        "all_know_all": all(network.nodes_known == nodes - 1 for network in live.networks()),
    }
    live.forget_counts()
    live.run(600.0)
    figures["rest_bytes_a_minute"] = live.bytes / nodes / 10
    figures["rest_requests_a_minute"] = live.requests / nodes / 10
    return figures, restarts(live, graph, minutes)


def restarts(live: Live, graph: Graph, minutes: int) -> dict[str, Figure]:
    """Let one node of a hundred restart each minute while messages go."""
    nodes = len(graph)
    pairs = Pairs(graph, SEED + 2)
    random = Random(f"restarts {SEED}")
    sent: list[tuple[Sent, int]] = []
    live.forget_counts()
    down = 0
    for _ in range(minutes * 60):
        if random.random() < max(1.0, nodes / 100) / 60:
            live.restart(random.choice(live.running()), 2.0)
            down += 1
        for origin, user in pairs.draw(5):
            home = list(graph)[user // USERS]
            sent.append((live.send(origin, UserName(f"u{user}")), distances(graph, home)[origin]))
        live.run(1.0)
    moving = live.bytes, live.requests
    live.run(60.0)
    return {
        "restarts": down,
        "messages": len(sent),
        "arrived": sum(one.ended >= 0 and not one.unknown for one, _ in sent),
        "wrongly_unknown": sum(one.unknown for one, _ in sent),
        "packets": statistics.mean(one.packets for one, _ in sent) + live.packets / len(sent),
        "shortest_path_without_restarts": statistics.mean(short for _, short in sent),
        "longest_seconds": max(one.ended - one.began for one, _ in sent),
        "bytes_a_minute": moving[0] / nodes / minutes,
        "requests_a_minute": moving[1] / nodes / minutes,
    }


def table(rows: Iterable[Row]) -> None:
    """Print rows for people."""
    print(f"\n{'network':<11}{'nodes':>7}  {'method':<17}{'first':>10}{'later':>10}{'found':>8}{'headers':>9}")
    for row in rows:
        first, later = (f"{mean:,.2f}" if row.found else "-" for mean in (row.first, row.later))
        headers = str(row.headers or "-")
        print(f"{row.shape:<11}{row.nodes:>7,}  {row.method:<17}{first:>10}{later:>10}{row.found:>8.1%}{headers:>9}")


def counts(quick: bool, method: str, nodes: int) -> int:
    """Say how many messages a measurement takes; searches without a limit are long."""
    searches = {10: 300, 100: 100, 1_000: 40, 10_000: 6}
    most = searches[nodes] if method == "search alone" else 1_000 if nodes < 10_000 else 500
    return max(3, most // 10) if quick else most


def compare(sizes: Iterable[int], quick: bool) -> list[Row]:
    """Compare all ways of finding homes in networks at rest."""
    rows: list[Row] = []
    for shape in SHAPES:
        for nodes in sizes:
            graph = graph_of(SHAPES[shape](nodes, SEED), SEED)
            found = plain(shape, graph, counts(quick, "shortest path", nodes))
            for method in LADDERS:
                row, network = ladder(shape, graph, method, counts(quick, method, nodes))
                found.append(row)
                if method == "ladder":
                    show(f"nobody-{shape}-{nodes}", nobody(network, graph, 5 if quick else 50))
                    show(f"state-{shape}-{nodes}", state(network, graph))
            table(found)
            for row in found:
                print(json.dumps({"id": "routing", **msgspec.to_builtins(row), "commit": commit()}), flush=True)
            rows += found
    return rows


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 1,000 nodes, a tenth of the messages, no plots")
    parser.add_argument("--only", choices=("compare", "traffic", "actors"), action="append", help="only this part")
    parser.add_argument("--plots", type=Path, default=Path("docs"), help="folder for the plots")
    given = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "compare": lambda: _compare(given.quick, given.plots),
        "traffic": lambda: _traffic(given.quick),
        "actors": lambda: _actors(given.quick),
    }
    for part in given.only or parts:
        parts[part]()


def _compare(quick: bool, folder: Path) -> None:
    rows = compare(SIZES[:3] if quick else SIZES, quick)
    if not quick:
        from benchmarks.routing_plots import plot  # matplotlib is wanted for this alone

        plot(rows, folder)


def _traffic(quick: bool) -> None:
    for nodes in LIVE_SIZES[:2] if quick else LIVE_SIZES:
        graph = graph_of(SHAPES["random"](nodes, SEED), SEED)
        told, moving = traffic(graph, 1 if quick else 2)
        show(f"told-{nodes}", told)
        show(f"restarts-{nodes}", moving)


def _actors(quick: bool) -> None:
    logger.remove()  # a thousand links that stand are no news here
    for nodes in ACTOR_SIZES[:2] if quick else ACTOR_SIZES:
        links = SHAPES["random"](nodes, SEED)
        for method in ROUTERS:
            if method == "ladder":
                count = min(500, nodes * 5)
            else:
                count = 20 if nodes < 1_000 else 5
            got = measure(links, method, users=10, count=count)
            show(f"actors-{nodes}-{method.replace(' ', '-')}", got)


if __name__ == "__main__":
    main()
