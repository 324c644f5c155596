"""First messages in networks of whole nodes: the real actors, joined above the codec, under the seeded scheduler."""

from __future__ import annotations

from typing import Any

from actors.base import ActorBase
from actors.router import Router
from actors.routers.first_unvisited import FirstUnvisited
from actors.routers.flood import Flood
from apps.simulated.large import LargeNetwork
from apps.simulated.shapes import Pair
from benchmarks.report import Figure

ROUTERS: dict[str, type[ActorBase[Any]]] = {
    "ladder": Router,
    "original design": FirstUnvisited,
    "flood": Flood,
}


def measure(links: tuple[Pair, ...], method: str, *, users: int, count: int) -> dict[str, Figure]:
    """Let nodes get to know each other, then send so many users a message, and each of them another one.

    Of the original design, a message may come no farther than the limit of steps; of a flood, answers count too.
    """
    with LargeNetwork(links=links, users=users, router=ROUTERS[method]) as network:
        network.start()
        learning = network.learn(measure=method == "ladder")
        pairs = network.draw_pairs(count)
        first, later = network.send(pairs), network.send(pairs)
        nodes = len(network.names)
        figures: dict[str, Figure] = {
            "messages": first.messages,
            "found": first.found,
            "first_message": first.mean,
            "later_message": later.mean,
            "extra_header_bytes": max(first.extra_bytes, later.extra_bytes),
            "failures": len(network.ears.failures),
        }
        if method == "ladder":
            figures["state_bytes"] = network.routes(network.names[nodes // 2]).state_bytes
            figures["start_seconds"] = learning.seconds
            figures["start_requests_a_node"] = sum(learning.requests.values()) / nodes
            figures["start_bytes_a_node"] = sum(learning.bytes.values()) / nodes
    return figures
