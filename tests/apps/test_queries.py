"""inbox, status and where: what they show to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apps.client.admin_client import AdminClient
from apps.client.where import view
from apps.common.exits import Exit
from apps.common.journey import Journey, TracedStep
from tests.apps.nodes import NodeProcess, node_process, run


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """An open node at which bob is known and away."""
    folder = tmp_path_factory.mktemp("node")
    with pytest.MonkeyPatch.context() as patch, node_process(folder / "data", "--open", "--name", "q") as process:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        assert run("register", "--as", "bob", "--via", process.udp).exit_code == Exit.OK
        assert run("unregister", "--as", "bob", "--via", process.udp).exit_code == Exit.OK
        yield process


@pytest.fixture(scope="module")
def sent(node: NodeProcess) -> str:
    """The id of a message that waits for bob."""
    result = run("send", "--from", "alice", "--to", "bob", "--via", node.tcp, "\x1b]0;owned\x07 hello")
    assert result.exit_code == Exit.OK
    return result.stdout.strip()


def test_status_is_for_people_and_for_programs(node: NodeProcess) -> None:
    text = run("status", "--data", node.data)
    assert text.exit_code == Exit.OK
    assert node.udp in text.stdout
    status = json.loads(run("status", "--admin", node.admin, "--json").stdout)
    assert (status["name"], status["pid"], status["realm"]) == ("q", node.pid, "angarium")
    assert node.udp in status["addresses"]


def test_inbox_shows_what_waits(node: NodeProcess, sent: str) -> None:
    found = json.loads(run("inbox", "bob", "--admin", node.admin, "--json").stdout)
    assert (found["id"], found["from"], found["anyone"]) == (sent, "alice", True)
    assert "body_base64" not in found
    table = run("inbox", "bob", "--data", node.data, "--bodies")
    assert sent in table.stdout
    assert "hello" in table.stdout
    assert "\x1b" not in table.stdout


def test_where_tells_the_journey(node: NodeProcess, sent: str) -> None:
    told = json.loads(run("where", sent, "--data", node.data, "--json").stdout)
    assert (told["state"], told["queue"], told["from"], told["to"]) == ("waiting", "u:bob", "alice", "bob")
    lines = run("where", sent, "--data", node.data).stdout.splitlines()
    assert lines[0].startswith(sent)
    assert "accepted" in lines[1]


@pytest.mark.parametrize(
    ("form", "begins"),
    [
        ("ladder", b"ID  alice -> bob  waiting (for a device of bob)"),
        ("mermaid", b"sequenceDiagram"),
        ("svg", b"<svg "),
        ("json", b"{"),
        ("pcap", b"\xd4\xc3\xb2\xa1"),
    ],
)
def test_where_writes_each_format_to_a_file(
    node: NodeProcess, sent: str, tmp_path: Path, form: str, begins: bytes
) -> None:
    out = tmp_path / "out"
    result = run("where", sent, "--data", node.data, "--format", form, "--out", str(out))
    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert out.read_bytes().startswith(begins.replace(b"ID", sent.encode()))


def test_where_has_the_whole_journey_beside_what_this_node_tells(node: NodeProcess, sent: str) -> None:
    told = json.loads(run("where", sent, "--data", node.data, "--json").stdout)
    assert (told["sender"], told["recipient"], told["nodes"], told["silent"]) == ("alice", "bob", ["q"], [])
    assert told["accepted_at"] == pytest.approx(told["accepted"], abs=1.0)
    assert [(step["node"], step["step"], step["detail"]) for step in told["journey"]] == [("q", "accepted", "")]
    assert (told["reason"], told["size"]) == ("", 16)


def test_what_another_node_tells_wins_over_forwarded() -> None:
    local: dict[str, Any] = {"id": "i", "state": "forwarded", "queue": None, "reason": "to b", "journey": []}
    journey = Journey("i", "alice", "bob", "delivered", 1.0, 2.0, steps=(TracedStep(1.0, "a", "accepted"),))
    told = view(journey, local)
    assert (told["state"], told["reason"], told["from"], told["to"]) == ("delivered", "", "alice", "bob")
    assert (told["accepted"], told["ended"], told["queue"]) == (1.0, 2.0, None)
    assert told["journey"] == [{"at": 1.0, "node": "a", "step": "accepted", "detail": "", "to": ""}]


def test_status_tells_of_neighbours_and_of_mail_without_a_route(
    node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = json.loads(run("status", "--data", node.data, "--json").stdout)
    assert "neighbours" not in run("status", "--data", node.data).stdout
    answer["gauges"] |= {"neighbours": 3.0, "neighbours_up": 2.0, "unrouted": 4.0}
    monkeypatch.setattr(AdminClient, "get", lambda *_: answer)
    lines = [line.split() for line in run("status", "--data", node.data).stdout.splitlines()]
    assert ["neighbours", "2", "of", "3", "up"] in lines
    assert ["without", "a", "route", "4"] in lines
