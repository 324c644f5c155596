"""`angarium neighbour` at nodes that run: commands make and change a network, and no mail is lost by it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.faults.node import NodeProcess, angarium
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.between import Between, Manner
from tests.federation.network import (
    custody,
    delivered,
    link_address,
    neighbours,
    said,
    start,
    wait_until_known,
    wait_until_linked,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
TRIANGLE = [("a", "b"), ("b", "c"), ("c", "a")]


def neighbour(*words: str, data: Path | None = None, code: int = 0) -> str:
    """Run the command; gives what it printed."""
    command = [*angarium(), "neighbour", *words, *([] if data is None else ["--data", str(data)])]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout


def listed(node: NodeProcess) -> dict[str, dict[str, Any]]:
    """What `neighbour list --json` says, by name."""
    lines = neighbour("list", "--json", data=node.data).splitlines()
    return {item["name"]: item for item in map(json.loads, lines)}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, NodeProcess]]:
    """Three nodes with one secret, and no links."""
    folder = tmp_path_factory.mktemp("command")
    neighbour("secret", str(folder / "secret"))
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    neighbour("secret", str(folder / "secret"), code=77)
    args = ["--open", "--neighbour-secret-file", str(folder / "secret")]
    with ExitStack() as stack:
        yield start(stack, *(NodeProcess(folder / name, args=args, name=name) for name in "abc"))


def test_a_network_is_made_by_commands(nodes: dict[str, NodeProcess]) -> None:
    assert listed(nodes["a"]) == {}
    for one, other in TRIANGLE:
        neighbour("add", other, link_address(nodes[other]), data=nodes[one].data)
    wait_until_linked(nodes, TRIANGLE)
    found = listed(nodes["a"])
    assert {name: (item["origin"], item["up"]) for name, item in found.items()} == {
        "b": ("command", True),
        "c": ("greeting", True),
    }
    assert "up" in neighbour("list", data=nodes["a"].data)
    neighbour("add", "a", link_address(nodes["a"]), data=nodes["a"].data, code=77)
    neighbour("add", "d", "tcp://nowhere", data=nodes["a"].data)
    neighbour("remove", "d", data=nodes["a"].data)
    neighbour("remove", "d", data=nodes["a"].data, code=66)
    neighbour("add", "d", "http://127.0.0.1", data=nodes["a"].data, code=65)


def test_it_is_remembered(nodes: dict[str, NodeProcess]) -> None:
    nodes["a"].kill()
    assert {item["origin"] for item in listed(nodes["a"]).values()} == {"command", "greeting"}  # it asks the disk
    nodes["a"].restart()
    wait_until_linked(nodes, TRIANGLE)
    assert {name: item["origin"] for name, item in listed(nodes["a"]).items()} == {"b": "command", "c": "greeting"}


def test_what_waits_for_one_that_is_removed_goes_another_way(nodes: dict[str, NodeProcess], tmp_path: Path) -> None:
    a, c = nodes["a"], nodes["c"]
    wait_until_known(nodes)
    with Between(c.tcp) as way, Log(tmp_path / "oracle.log") as log:
        neighbour("add", "c", way.url, data=a.data)  # a new address for one that is known
        assert wait_until(lambda: way.connections > 0 and neighbours(a)["c"]["up"], 20.0)
        with Exchange([Phone("carol", c.udp, log)], [Sender("alice", "carol", a.udp, log, pace=0.05)]) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: delivered(log) >= 5, 30.0), said(nodes)
            way.behave(Manner.DEAF)
            # One message is in doubt, so it stays with c, and all behind it wait, though there is a way by b.
            assert wait_until(lambda: not neighbours(a)["c"]["up"], 30.0)
            assert wait_until(lambda: neighbours(a)["c"]["in_doubt"] == 1 and a.waiting() >= 5, 30.0), said(nodes)
            neighbour("remove", "c", data=a.data)
            before = delivered(log)
            assert wait_until(lambda: delivered(log) >= before + 20, 30.0), said(nodes)
            exchange.pause()
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 30.0), said(nodes)
        verdict = judge(log.facts())  # of order the queues of two ways can promise nothing
        assert (verdict.lost, verdict.doubled, verdict.unasked) == ([], [], [])
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
        assert "c" not in listed(a)
        assert neighbours(nodes["b"])["a"]["sent"] == 0
        assert wait_until(lambda: "remove" in neighbours(c)["a"]["reason"], 30.0), said(nodes)


def test_one_that_was_removed_stays_away_after_a_restart(nodes: dict[str, NodeProcess]) -> None:
    a, c = nodes["a"], nodes["c"]
    a.kill()
    c.kill()
    a.restart()
    c.restart()
    wait_until_linked(nodes, [("a", "b"), ("b", "c")])
    assert wait_until(lambda: "remove" in neighbours(c)["a"]["reason"], 40.0), said(nodes)
    assert "c" not in listed(a)
    # It may come back by the word of the operator.
    neighbour("add", "c", link_address(nodes["c"]), data=a.data)
    wait_until_linked(nodes, TRIANGLE, 40.0)
