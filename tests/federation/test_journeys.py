"""A message's journey, told by servers in a line; what became of it, told to its sender at the other end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apps.common.exits import Exit
from tests.apps.nodes import run
from tests.faults.node import NodeProcess
from tests.faults.phones import wait_until
from tests.federation.network import Nodes, line, neighbours, wait_until_known

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Servers a, b and c in a line; each knows its way to each other."""
    folder = tmp_path_factory.mktemp("line")
    with pytest.MonkeyPatch.context() as patch, line(folder) as started:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        wait_until_known(started)
        yield started


def via(node: NodeProcess) -> str:
    host, port = node.udp
    return f"udp://{host}:{port}"


@contextmanager
def listening(user: str, node: NodeProcess) -> Iterator[None]:
    command = [sys.executable, "-m", "apps.main", "listen", "--as", user, "--via", via(node), "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ
    ) as listener:
        try:
            assert listener.stderr is not None
            assert listener.stderr.readline().startswith(f"listening as {user}")
            yield
        finally:
            listener.send_signal(signal.SIGTERM)
            listener.communicate(timeout=15)


def where(message: str, node: NodeProcess) -> dict[str, Any]:
    result = run("where", message, "--data", str(node.data), "--json")
    assert result.exit_code == Exit.OK, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_each_server_tells_the_whole_journey_and_the_sender_hears_of_its_end(nodes: Nodes, tmp_path: Path) -> None:
    with listening("carol", nodes["c"]):
        sent = run("send", "--from", "alice", "--to", "carol", "--via", via(nodes["a"]), "--wait", "20", "hello")
        assert sent.exit_code == Exit.OK, sent.output
    message = sent.stdout.strip()
    assert wait_until(lambda: len(where(message, nodes["a"])["journey"]) >= 7, 10.0)
    for node in nodes.values():
        told = where(message, node)
        steps = [(step["node"], step["step"], step["to"]) for step in told["journey"]]
        device = steps[-1][2] if steps[-1][1] != "ended" else steps[-2][2]
        assert (told["state"], told["from"], told["to"]) == ("delivered", "alice", "carol")
        assert {
            ("a", "accepted", ""),
            ("a", "forwarded", "b"),
            ("b", "stored", ""),
            ("b", "forwarded", "c"),
            ("c", "stored", ""),
            ("c", "sent", device),
            ("c", "acknowledged", device),
        } <= set(steps)
        assert (sorted(told["nodes"]), told["silent"]) == (["a", "b", "c"], [])
    assert run("where", "no-such-id", "--data", str(nodes["b"].data)).exit_code == Exit.NO_SUCH
    capture = tmp_path / "journey.pcap"
    assert (
        run("where", message, "--data", str(nodes["b"].data), "--format", "pcap", "--out", str(capture)).exit_code == 0
    )
    assert capture.read_bytes().count(b"MESSAGE sip:carol@angarium SIP/2.0") == 4


def test_a_server_that_is_stopped_is_named_silent(nodes: Nodes) -> None:
    assert run("register", "--as", "carol", "--via", via(nodes["c"])).exit_code == Exit.OK
    assert run("unregister", "--as", "carol", "--via", via(nodes["c"])).exit_code == Exit.OK
    sent = run("send", "--from", "alice", "--to", "carol", "--via", via(nodes["a"]), "hello")
    message = sent.stdout.strip()
    assert wait_until(lambda: where(message, nodes["a"])["reason"] == "for a device of carol", 20.0)
    nodes["c"].kill()
    assert wait_until(lambda: not neighbours(nodes["b"])["c"]["up"], 20.0)
    told = where(message, nodes["a"])
    assert (told["state"], told["reason"]) == ("forwarded", "to c")
    assert [item["node"] for item in told["silent"]] == ["c"]
    assert all(item["reason"] for item in told["silent"])
    text = run("where", message, "--data", str(nodes["a"].data)).stdout
    assert "server c is silent" in text
    waited = run("send", "--from", "alice", "--to", "carol", "--via", via(nodes["a"]), "--wait", "1", "again")
    assert waited.exit_code == Exit.NOT_DELIVERED
    held = where(waited.stdout.strip(), nodes["a"])
    assert held["state"] == "waiting"
    assert held["reason"] in ("for server b", "for server c", "for a way to its recipient"), held
    assert any(step["step"] == "waiting" for step in held["journey"]), held
