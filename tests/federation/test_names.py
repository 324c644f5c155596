"""Names nobody has, names whose home is down, and a name with two homes, in networks of real nodes (rules 22, 23)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from apps.common.exits import Exit
from tests.faults.node import NodeProcess, angarium
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.between import Between, Manner
from tests.federation.network import (
    counted,
    custody,
    delivered,
    line,
    said,
    start,
    wait_until_known,
    wait_until_linked,
)
from tests.interop.accounts import import_users
from tests.interop.ours import receive

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
PASSWORDS = {"a": {"alice": "wonderland"}, "b": {}, "c": {"carol": "singer"}}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of alice's one phone."""
    return tmp_path_factory.mktemp("alice") / "state"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, NodeProcess]]:
    """A line of closed nodes: alice lives at a, carol at c."""
    folder = tmp_path_factory.mktemp("closed")
    for name, passwords in PASSWORDS.items():
        if passwords:
            import_users(folder / name, passwords)
    with line(folder, args=()) as nodes:
        wait_until_known(nodes)
        yield nodes


def from_alice(nodes: dict[str, NodeProcess], to: str, text: str) -> int:
    """Send as alice; gives the exit code."""
    host, port = nodes["a"].udp
    command = [*angarium(), "send", "--from", "alice", "--to", to, "--via", f"udp://{host}:{port}", "--password-stdin"]
    done = subprocess.run(
        [*command, text], input="wonderland\n", text=True, capture_output=True, timeout=60, check=False
    )
    return done.returncode


def test_what_nobody_has_is_refused_or_told_once(closed: dict[str, NodeProcess], state: Path) -> None:
    """The first message may be taken while the search goes on: then alice is told. Later ones are refused at once."""
    first = from_alice(closed, "nobody", "hello?")
    assert first in (Exit.OK, Exit.NO_SUCH)
    assert wait_until(lambda: counted(closed, 'searches_total{found="unknown"}') >= 1, 30.0), said(closed)
    assert from_alice(closed, "nobody", "hello again?") == Exit.NO_SUCH
    assert from_alice(closed, "alice", "note to myself") == Exit.OK
    got = receive(closed["a"], "alice", state, count=2 if first == Exit.OK else 1, password="wonderland")
    senders = [item["from"] for item in got]
    assert sorted(senders) == (["alice", "postmaster"] if first == Exit.OK else ["alice"])
    assert wait_until(lambda: custody(closed) == 0, 20.0), said(closed)


def test_while_a_node_is_down_nobody_is_unknown(closed: dict[str, NodeProcess], state: Path, tmp_path: Path) -> None:
    """Perhaps he lives there: his mail waits, and ends when all have been asked. Mail for who does live there comes."""
    c = closed["c"]
    c.kill()
    assert wait_until(lambda: said({"b": closed["b"]}).count("'up': False") == 1, 30.0)
    assert from_alice(closed, "noone", "are you there?") == Exit.OK
    assert from_alice(closed, "carol", "wake up") == Exit.OK
    assert wait_until(lambda: counted({"a": closed["a"]}, 'searches_total{found="incomplete"}') >= 1, 30.0)
    assert custody({name: closed[name] for name in "ab"}) == 2
    c.restart()
    got = receive(c, "carol", tmp_path / "carol", password="singer")
    assert [(item["from"], item["body"]) for item in got] == [("alice", "wake up")]
    (notice,) = receive(closed["a"], "alice", state, password="wonderland")
    assert notice["from"] == "postmaster"
    assert "noone" in notice["body"]
    assert wait_until(lambda: custody(closed) == 0, 20.0), said(closed)


def test_two_homes_of_a_name_become_one(tmp_path: Path) -> None:
    """The same new name is registered at both ends of a link that is cut; then the link is whole again."""
    with ExitStack() as stack:
        a, b = (NodeProcess(tmp_path / name, name=name) for name in "ab")
        ways = to_a, to_b = [stack.enter_context(Between(node.tcp)) for node in (a, b)]
        a.args += ["--neighbour", f"b={to_b.url}"]
        b.args += ["--neighbour", f"a={to_a.url}"]
        nodes = start(stack, a, b)
        wait_until_linked(nodes, [("a", "b")])
        for way in ways:
            way.behave(Manner.CUT)
        with Log(tmp_path / "oracle.log") as log:
            phones = [Phone("zed", node.udp, log, seed=number) for number, node in enumerate((a, b))]
            senders = [Sender(f"at-{node.name}", "zed", node.udp, log, pace=0.05) for node in (a, b)]
            with Exchange(phones, senders) as exchange:
                exchange.register()
                assert homes(nodes, "zed") == ["a", "b"]
                exchange.go()
                assert wait_until(lambda: delivered(log) >= 10, 30.0)
                for way in ways:
                    way.behave(Manner.HONEST)
                assert wait_until(lambda: len(homes(nodes, "zed")) == 1, 60.0), said(nodes)
                before = delivered(log)
                assert wait_until(lambda: delivered(log) >= before + 20, 30.0), said(nodes)
                exchange.pause()
                assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)
                assert wait_until(lambda: custody(nodes) == 0, 30.0), said(nodes)  # both phones have each message
            verdict = judge(log.facts())
            assert (verdict.lost, verdict.doubled, verdict.unasked) == ([], [], [])


def homes(nodes: dict[str, NodeProcess], user: str) -> list[str]:
    """The nodes that take themselves for his home."""
    return [name for name, node in nodes.items() if user in [item["name"] for item in node.get("/v1/users")["users"]]]
