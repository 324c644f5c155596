"""inbox, status and where: what they show to people and to programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from apps.client.admin_client import AdminClient
from apps.client.queries import ladder
from apps.common.exits import Exit
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


def test_a_ladder_has_a_rung_a_step() -> None:
    steps = [{"at": 10.0, "step": "accepted", "detail": ""}, {"at": 10.5, "step": "sent", "detail": "instance:1"}]
    told = {"id": "i", "from": "alice", "to": "bob", "state": "refused", "reason": "415", "journey": steps}
    lines = ladder(told)
    assert lines[0] == "i  alice -> bob  refused (415)"
    assert lines[1].startswith("  |- ")
    assert lines[2].endswith("+0.500 s  sent  instance:1")


@pytest.mark.parametrize(
    ("queue", "state", "head"),
    [
        ("u:bob", "waiting", "i  alice -> bob  waiting"),
        ("n:b", "waiting", "i  alice -> bob  waiting (for server b)"),
        ("?", "waiting", "i  alice -> bob  waiting (for a way to its recipient)"),
    ],
)
def test_a_ladder_says_what_a_message_waits_for(queue: str, state: str, head: str) -> None:
    told = {"id": "i", "from": "alice", "to": "bob", "state": state, "reason": "", "queue": queue, "journey": []}
    assert ladder(told) == [head]


def test_a_ladder_of_a_message_that_passed_names_the_next_server() -> None:
    told = {"id": "i", "state": "forwarded", "reason": "to b", "queue": None}
    assert ladder({**told, "journey": []}) == ["i  forwarded (to b)"]


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
