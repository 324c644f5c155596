"""The way that each message took, as the nodes tell it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.faults.node import NodeFailed, NodeProcess
from tests.faults.oracle import Log
from tests.federation.network import Nodes

Step = Mapping[str, str]


def accepted(log: Log) -> list[tuple[str, str]]:
    """Id and sender of each message that was accepted, in order."""
    return [(fact.id, fact.body.partition(">")[0]) for fact in log.facts() if fact.what == "accepted"]


def journey(node: NodeProcess, message: str) -> Sequence[Step]:
    """What a node knows of a message's way; nothing, if it was never there."""
    try:
        steps: list[Step] = node.get(f"/v1/messages/{message}")["journey"]
    except NodeFailed as error:
        if " 404 " not in str(error):
            raise
        return []
    return steps


def stays(origin: str, journeys: Mapping[str, Sequence[Step]]) -> Counter[str]:
    """How often each node had a message in its custody."""
    taken = Counter([origin])
    for node, steps in journeys.items():
        taken[node] += sum(step["step"] == "stored" and step["detail"].startswith("from ") for step in steps)
    return +taken


def ways(nodes: Nodes, log: Log) -> list[Counter[str]]:
    """The same for all messages of a log, their senders being called by their node: `at-NODE`."""
    return [
        stays(sender.removeprefix("at-"), {name: journey(node, message) for name, node in nodes.items()})
        for message, sender in accepted(log)
    ]


def hand_overs(taken: Iterable[Counter[str]]) -> int:
    """Hand-overs from node to node: each message was taken by the first without one."""
    return sum(each.total() - 1 for each in taken)


def revisits(taken: Iterable[Counter[str]]) -> Iterator[Counter[str]]:
    """Yield what was at one node twice."""
    return (each for each in taken if max(each.values()) > 1)
