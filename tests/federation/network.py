"""Real node processes that are neighbours, on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.faults.node import NodeProcess
from tests.faults.oracle import Log
from tests.faults.phones import wait_until

Nodes = Mapping[str, NodeProcess]
Edge = tuple[str, str]


@contextmanager
def network(
    folder: Path, edges: Iterable[Edge], *, args: Sequence[str] = ("--open",), udp: bool = False
) -> Iterator[dict[str, NodeProcess]]:
    """Start a node for each name in `edges`, linked as they say, and wait until all links are up both ways.

    Of each pair the later one is told of the earlier; that one learns of it by its greeting. `udp`: links are UDP.
    """
    links = list(edges)
    names = list(dict.fromkeys(name for edge in links for name in edge))
    with ExitStack() as stack:
        nodes: dict[str, NodeProcess] = {}
        for name in names:
            told = list(args)
            for one, other in links:
                known = other if one == name else one if other == name else ""
                if known in nodes:
                    told += ["--neighbour", f"{known}={link_address(nodes[known], udp=udp)}"]
            if udp:
                told += ["--link-address", "udp://127.0.0.1:0"]
            nodes[name] = stack.enter_context(NodeProcess(folder / name, args=told, name=name))
        wait_until_linked(nodes, links)
        yield nodes


def link_address(node: NodeProcess, *, udp: bool = False) -> str:
    """Where it takes links."""
    host, port = node.udp if udp else node.tcp
    return f"{'udp' if udp else 'tcp'}://{host}:{port}"


def line(folder: Path, names: str = "abc", **more: Any) -> Any:
    """A line of nodes, by the letters of `names`."""
    return network(folder, list(pairwise(names)), **more)


def neighbours(node: NodeProcess) -> dict[str, dict[str, Any]]:
    """What a node says of its neighbours, by name."""
    return {item["name"]: item for item in node.get("/v1/neighbours")["neighbours"]}


def linked(nodes: Nodes, edges: Iterable[Edge]) -> bool:
    """Tell whether all these links are up both ways."""
    ups = {name: {other for other, item in neighbours(node).items() if item["up"]} for name, node in nodes.items()}
    return all(two in ups[one] and one in ups[two] for one, two in edges)


def wait_until_linked(nodes: Nodes, edges: Iterable[Edge], within: float = 20.0) -> None:
    """Wait until they are."""
    links = list(edges)
    if not wait_until(lambda: linked(nodes, links), within, every=0.1):
        raise TimeoutError(str({name: neighbours(node) for name, node in nodes.items()}))


def custody(nodes: Nodes) -> int:
    """Messages in the custody of all of them."""
    return sum(node.waiting() for node in nodes.values() if node.running)


def delivered(log: Log) -> int:
    """Messages that phones have taken so far."""
    return sum(fact.what == "delivered" for fact in log.facts())
