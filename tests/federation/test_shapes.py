"""Rings and meshes: everybody writes to everybody, no message is at a node twice, each hand-over costs one request."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.network import (
    CARRIES,
    Edge,
    Nodes,
    counted,
    custody,
    delivered,
    mesh,
    network,
    ring,
    said,
    wait_until_known,
    wait_until_linked,
)
from tests.federation.ways import accepted, hand_overs, revisits, stays, ways

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
REPEATS = "sip_retransmissions_sent_total"
EACH = 4
"""Messages from each phone to each other one, at least, in each part."""


class Shape(NamedTuple):
    """Four nodes."""

    nodes: dict[str, NodeProcess]
    edges: list[Edge]
    longest: int
    """Hand-overs between the two that are farthest apart."""


def everybody(nodes: Nodes, log: Log, names: str = "abcd", who: str = "at") -> Exchange:
    """A phone at each node, and senders to all others."""
    phones = [Phone(f"{who}-{name}", nodes[name].udp, log) for name in names]
    senders = [
        Sender(f"{who}-{one}", f"{who}-{two}", nodes[one].udp, log, pace=0.05) for one, two in permutations(names, 2)
    ]
    return Exchange(phones, senders)


def exchange_messages(nodes: Nodes, exchange: Exchange, log: Log, each: int) -> None:
    """Have each sender send so many at least, and wait until all has arrived."""
    before = delivered(log)
    exchange.go()
    assert wait_until(lambda: delivered(log) >= before + each * len(exchange.senders), 60.0), said(nodes)
    exchange.pause()
    assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)


@pytest.fixture(scope="module", params=["ring", "mesh"])
def shape(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shape]:
    edges, longest = {"ring": (ring(), 2), "mesh": (mesh(), 1)}[request.param]
    with network(tmp_path_factory.mktemp("shape"), edges) as nodes:
        wait_until_known(nodes)
        yield Shape(nodes, edges, longest)


def test_everybody_writes_to_everybody(shape: Shape, tmp_path: Path) -> None:
    nodes = shape.nodes
    with Log(tmp_path / "oracle.log") as log, everybody(nodes, log) as exchange:
        exchange.register()
        exchange_messages(nodes, exchange, log, 1)
        assert judge(log.facts()).failures == 0
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
        first = len(accepted(log))
        # Now all routes are known: each hand-over is one request, but for repeats.
        before = counted(nodes, CARRIES) + counted(nodes, REPEATS)
        exchange_messages(nodes, exchange, log, EACH)
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
        assert judge(log.facts()).failures == 0
        requests = counted(nodes, CARRIES) + counted(nodes, REPEATS) - before
        taken = ways(nodes, log)
    assert not list(revisits(taken))
    later = taken[first:]
    assert max(each.total() - 1 for each in later) == shape.longest
    assert len(later) >= EACH * 12
    assert requests == hand_overs(later)


def test_mail_goes_round_a_node_that_is_down(shape: Shape, tmp_path: Path) -> None:
    nodes = shape.nodes
    with Log(tmp_path / "oracle.log") as log, everybody(nodes, log, "ac", "past") as exchange:
        exchange.register()
        exchange_messages(nodes, exchange, log, 1)
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
        nodes["b"].kill()
        exchange_messages(nodes, exchange, log, 10)
        # What is on the wire to a node that is killed stays in doubt until it is back.
        exchange.go()
        nodes["d"].kill()
        for name in "bd":
            nodes[name].restart()
        wait_until_linked(nodes, shape.edges)
        exchange.pause()
        assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
        verdict = judge(log.facts())
        assert (verdict.lost, verdict.doubled, verdict.unasked) == ([], [], [])


def test_a_second_stay_would_be_seen() -> None:
    passed = {"step": "stored", "detail": "from a"}
    once = stays("a", {"a": [{"step": "accepted", "detail": ""}], "b": [passed, {"step": "forwarded", "detail": "c"}]})
    twice = stays("a", {"a": [{"step": "stored", "detail": "from b"}], "b": [passed]})
    assert (dict(once), hand_overs([once, twice])) == ({"a": 1, "b": 1}, 3)
    assert list(revisits([once, twice])) == [twice]
