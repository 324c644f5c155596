"""`angarium log` and the paths behind it, on a real node: its lines, their filters, its level, its threads."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.client import admin_client
from apps.common.exits import Exit, Failure
from apps.common.logs import DEBUG_LOG, PROGRAM_LOG
from apps.node.process import THREADS_FILE
from tests.apps.nodes import NodeProcess, node_process, run

WITHIN = 20.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """An open node at which bob is known and away."""
    folder = tmp_path_factory.mktemp("node")
    with pytest.MonkeyPatch.context() as patch, node_process(folder / "data", "--open") as process:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        assert run("register", "--as", "bob", "--via", process.udp).exit_code == Exit.OK
        assert run("unregister", "--as", "bob", "--via", process.udp).exit_code == Exit.OK
        yield process


def send(node: NodeProcess, via: str = "") -> str:
    """Send bob a message; return its id."""
    result = run("send", "--from", "alice", "--to", "bob", "--via", via or node.tcp, "hello")
    assert result.exit_code == Exit.OK, result.output
    return result.stdout.strip()


def becomes(true: Callable[[], bool]) -> bool:
    """Wait until it is true."""
    deadline = time.monotonic() + WITHIN
    while not true():
        if time.monotonic() > deadline:
            return False
        select.select([], [], [], 0.02)
    return True


def test_an_accepted_message_has_no_line_until_details_are_wanted(node: NodeProcess) -> None:
    program, debug = Path(node.data) / PROGRAM_LOG, Path(node.data) / DEBUG_LOG
    quiet = send(node)
    assert not debug.exists()
    assert quiet not in program.read_text()
    on = run("log", "level", "--debug", "on", "--data", node.data)
    assert on.exit_code == Exit.OK
    loud = {send(node, node.udp), send(node)}
    off = json.loads(run("log", "--admin", node.admin, "level", "--debug", "off", "--json").stdout)
    assert off == {"level": "info", "debug": False}
    again = send(node)
    for message in loud:
        lines = [line for line in debug.read_text().splitlines() if f"message_id={message}" in line]
        for place in (
            "sip_adapter: to ",
            "router: hears RouteMessages",
            "storage: hears StoreMessages",
            "monitor: accepted",
        ):
            assert any(place in line for line in lines), (place, lines)
    text = debug.read_text() + program.read_text()
    assert again not in text
    assert not any(message in program.read_text() for message in loud)
    (one, *_) = loud
    found = [
        json.loads(line) for line in run("log", "--data", node.data, "--contains", one, "--json").stdout.splitlines()
    ]
    assert {line["fields"]["message_id"] for line in found} == {one}
    assert {line["level"] for line in found} == {"debug"}
    assert run("log", "--data", node.data, "--contains", one, "--level", "info").stdout == ""


def test_the_level_changes_without_a_restart(node: NodeProcess) -> None:
    client = admin_client.of_data(Path(node.data))
    assert client.put("log-level", body={"level": "error"}) == {"level": "error", "debug": False}
    assert client.put("log-level", body={"level": "info"}) == {"level": "info", "debug": False}
    told = run("log", "--data", node.data, "-n", "1")
    assert "the program log keeps info and above, the debug log is off" in told.stdout
    assert run("log", "level", "--data", node.data).stdout.split() == ["program", "log", "info", "debug", "log", "off"]
    for body in ({"level": "loud"}, {"debug": "yes"}):
        with pytest.raises(Failure) as failed:
            client.put("log-level", body=body)
        assert failed.value.exit_code == Exit.BAD_DATA
    for query in ({"level": "loud"}, {"limit": "x"}, {"contains": "x" * 201}):
        with pytest.raises(Failure):
            client.get("log", **query)
    assert run("log", "level", "loud").exit_code == Exit.USAGE
    assert run("log", "--data", f"{node.data}/none").exit_code == Exit.UNREACHABLE


def test_a_refusal_is_a_warning_with_what_is_bound_to_it(node: NodeProcess) -> None:
    assert run("send", "--from", "alice", "--to", "nobody-\u202e", "--via", node.tcp, "hi").exit_code == Exit.NO_SUCH
    assert run("send", "--from", "alice", "--to", "nobody", "--via", node.tcp, "hi").exit_code == Exit.NO_SUCH
    client = admin_client.of_data(Path(node.data))
    lines = [line for line in client.get("log", contains="nobody")["lines"] if line["level"] == "warning"]
    about = [(line["fields"]["kind"], line["fields"]["user"]) for line in lines]
    assert about == [("refused", "alice")] * 2
    assert all(line["fields"]["message_id"] for line in lines)
    assert "\u202e" not in run("log", "--data", node.data).stdout
    assert r"\u202e" in run("log", "--data", node.data, "--level", "warning").stdout


def test_follow_goes_on_with_new_lines(node: NodeProcess) -> None:
    command = [sys.executable, "-m", "apps.main", "log", "--follow", "-n", "0", "--json", "--data", node.data]
    with subprocess.Popen([*command, "--level", "info"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        client = admin_client.of_data(Path(node.data))
        try:
            deadline = time.monotonic() + WITHIN
            while not select.select([process.stdout], [], [], 0.2)[0] and time.monotonic() < deadline:
                client.put("log-level", body={"level": "info"})
            assert "keeps info" in json.loads(process.stdout.readline())["message"]
        finally:
            process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN) == Exit.OK


def test_a_signal_shows_where_its_threads_stand_and_it_serves_on(node: NodeProcess) -> None:
    dump = Path(node.data) / THREADS_FILE
    assert dump.read_text() == ""
    for times in (1, 2):
        os.kill(node.pid, signal.SIGUSR1)
        assert becomes(lambda n=times: dump.read_text().count("Current thread") == n)  # type: ignore[misc]
    assert "actors/" in dump.read_text() or "pykka" in dump.read_text()
    assert send(node)
