"""Other Routers by their entry points, and one of a user's own, in networks of real nodes: mail arrives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.network import Edge, custody, delivered, network, ring, said

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
EXAMPLE = f"{Path(__file__).resolve().parents[2] / 'examples' / 'custom_router.py'}:QuietRouter"
LINE = [("a", "b"), ("b", "c")]


@pytest.mark.parametrize(
    ("router", "edges"),
    [("first-unvisited", ring("abc")), ("flood", ring("abc")), (EXAMPLE, LINE)],
    ids=["first-unvisited", "flood", "custom"],
)
def test_mail_arrives(tmp_path: Path, router: str, edges: list[Edge]) -> None:
    with network(tmp_path, edges, args=("--open", "--router", router)) as nodes, Log(tmp_path / "log") as log:
        pairs = [("a", "b"), ("b", "a"), ("a", "c"), ("c", "a"), ("b", "c")]
        phones = [Phone(f"at-{name}", node.udp, log) for name, node in nodes.items()]
        senders = [Sender(f"at-{one}", f"at-{two}", nodes[one].udp, log, pace=0.1) for one, two in pairs]
        senders.append(Sender("boss", "at-c", nodes["a"].udp, log, pace=0.1))
        with Exchange(phones, senders) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: delivered(log) >= 50, 60.0), said(nodes)
            exchange.pause()
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)
        verdict = judge(log.facts())
        assert (verdict.lost, verdict.doubled, verdict.unasked) == ([], [], [])
        of = {fact.body.partition(" ")[0] for fact in log.facts() if fact.what == "delivered"}
        assert of >= {f"at-{one}>at-{two}" for one, two in pairs}
        # The example has nobody for the boss; the others know nothing of him.
        assert ("boss>at-c" in of) == (router != EXAMPLE)
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
