"""Real node processes that are neighbours, on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

from tests.faults.node import NodeProcess
from tests.faults.oracle import Log
from tests.faults.phones import wait_until

Nodes = Mapping[str, NodeProcess]
Edge = tuple[str, str]
CARRIES = 'link_requests_total{kind="carry"}'


@contextmanager
def network(
    folder: Path,
    edges: Iterable[Edge],
    *,
    args: Sequence[str] = ("--open",),
    udp: Iterable[Edge] | bool = False,
    more: Mapping[str, Sequence[str]] | None = None,
) -> Iterator[dict[str, NodeProcess]]:
    """Start a node for each name in `edges`, linked as they say, and wait until all links are up both ways.

    Of each pair the later one is told of the earlier; that one learns of it by its greeting. `udp`: links that are
    UDP, or all of them; a node whose last link is has itself called back over UDP. `more`: arguments of single nodes.
    """
    links = list(edges)
    datagrams = {frozenset(edge) for edge in (links if udp is True else udp or ())}
    names = list(dict.fromkeys(name for edge in links for name in edge))
    nodes: dict[str, NodeProcess] = {}
    with ExitStack() as stack:
        for name in names:
            told = [*args, *(more or {}).get(name, ())]
            known = [other for other in nodes if (name, other) in links or (other, name) in links]
            for other in known:
                over_udp = frozenset((name, other)) in datagrams
                told += ["--neighbour", f"{other}={link_address(nodes[other], udp=over_udp)}"]
            if known and frozenset((name, known[-1])) in datagrams:
                told += ["--link-address", "udp://127.0.0.1:0"]
            nodes[name] = NodeProcess(folder / name, args=told, name=name)
        start(stack, *nodes.values())
        wait_until_linked(nodes, links)
        yield nodes


def start(stack: ExitStack, *nodes: NodeProcess) -> dict[str, NodeProcess]:
    """Start nodes two by two, to be killed when the stack is unwound; gives them by name."""
    for node in nodes:
        stack.callback(node.kill)
    with ThreadPoolExecutor(2, "starting") as starting:
        list(starting.map(NodeProcess.start, nodes))
    return {node.name: node for node in nodes}


def link_address(node: NodeProcess, *, udp: bool = False) -> str:
    """Where it takes links."""
    host, port = node.udp if udp else node.tcp
    return f"{'udp' if udp else 'tcp'}://{host}:{port}"


def line(folder: Path, names: str = "abc", **more: Any) -> Any:
    """A line of nodes, by the letters of `names`."""
    return network(folder, list(pairwise(names)), **more)


def ring(names: str = "abcd") -> list[Edge]:
    """The edges of a ring."""
    return list(pairwise(names + names[0]))


def mesh(names: str = "abcd") -> list[Edge]:
    """The edges of a mesh: all with all."""
    return list(combinations(names, 2))


def neighbours(node: NodeProcess) -> dict[str, dict[str, Any]]:
    """What a node says of its neighbours, by name."""
    return {item["name"]: item for item in node.get("/v1/neighbours")["neighbours"]}


def linked(nodes: Nodes, edges: Iterable[Edge]) -> bool:
    """Tell whether all these links are up both ways."""
    ups = {name: {other for other, item in neighbours(node).items() if item["up"]} for name, node in nodes.items()}
    return all(two in ups[one] and one in ups[two] for one, two in edges)


def wait_until_linked(nodes: Nodes, edges: Iterable[Edge], within: float = 30.0) -> None:
    """Wait until they are."""
    links = list(edges)
    if not wait_until(lambda: linked(nodes, links), within, every=0.1):
        raise TimeoutError(str({name: neighbours(node) for name, node in nodes.items()}))


def wait_until_known(nodes: Nodes, within: float = 30.0) -> None:
    """Wait until each node knows its way to each other one."""

    def known() -> bool:
        return all(node.get("/v1/routes")["nodes"] == len(nodes) - 1 for node in nodes.values())

    if not wait_until(known, within, every=0.1):
        raise TimeoutError(str({name: node.get("/v1/routes") for name, node in nodes.items()}))


def custody(nodes: Nodes) -> int:
    """Messages in the custody of all of them."""
    return sum(node.waiting() for node in nodes.values() if node.running)


def counter(node: NodeProcess, name: str) -> int:
    """One of a node's counters; 0 if it has not counted yet."""
    return int(node.status()["counters"].get(name, 0))


def counted(nodes: Nodes, name: str) -> int:
    """A counter, all nodes together."""
    return sum(counter(node, name) for node in nodes.values())


def events(node: NodeProcess, kind: str = "") -> list[dict[str, Any]]:
    """What a node told its operators lately, all or of one kind."""
    return [item for item in node.get("/v1/events")["events"] if kind in ("", item["kind"])]


def said(nodes: Nodes) -> str:
    """All that the nodes say of themselves, for whoever looks why a test failed."""
    pages = ("neighbours", "routes", "status", "events")
    return "\n".join(
        f"{name} {page}: {node.get(f'/v1/{page}')}" for name, node in nodes.items() if node.running for page in pages
    )


def delivered(log: Log) -> int:
    """Messages that phones have taken so far."""
    return sum(fact.what == "delivered" for fact in log.facts())
