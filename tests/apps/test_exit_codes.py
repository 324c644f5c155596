"""Every documented exit code of every client command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.client.state import StateFile
from apps.common.exits import Exit
from tests.apps.fake_server import FakeServer, Reply
from tests.apps.nodes import NodeProcess, node_process, run

NOBODY = "127.0.0.1:9"
"""A port that nobody listens at."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """An open node; alice has a password, bob registered once and is away."""
    folder = tmp_path_factory.mktemp("node")
    with pytest.MonkeyPatch.context() as patch, node_process(folder / "data", "--open") as process:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        added = run("user", "add", "alice", "--data", process.data, "--password-stdin", stdin="pw")
        assert added.exit_code == Exit.OK
        assert run("register", "--as", "bob", "--via", process.udp).exit_code == Exit.OK
        assert run("unregister", "--as", "bob", "--via", process.udp).exit_code == Exit.OK
        yield process


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep state files out of the home."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


CASES: list[tuple[str, str, Exit]] = [
    ("send --from alice --to bob --via UDP --password-stdin hi", "pw\n", Exit.OK),
    ("send --from alice --to bob --via TCP --password-stdin hi", "pw\n", Exit.OK),
    ("send --from carol --to bob --via UDP hi", "", Exit.OK),
    ("send --from alice --to bob --via UDP", "", Exit.USAGE),
    ("send --from alice --to bob --via 127.0.0.1 hi", "", Exit.USAGE),
    ("send --from alice --to bob --via UDP --data D --admin http://h:1 hi", "", Exit.USAGE),
    ("send --from alice --to bob --via UDP --password-stdin hi", "\n", Exit.BAD_DATA),
    ("send --from carol --to bob --via UDP LONG", "", Exit.BAD_DATA),
    ("send --from carol --to bob --via TCP LONG", "", Exit.BAD_DATA),
    ("send --from carol --to nobody --via UDP hi", "", Exit.NO_SUCH),
    ("send --from carol --to bob --via udp://NOBODY hi", "", Exit.UNREACHABLE),
    ("send --from carol --to bob --via tcp://NOBODY hi", "", Exit.UNREACHABLE),
    ("send --from carol --to bob --via UDP --wait 0.2 --data DATA hi", "", Exit.NOT_DELIVERED),
    ("send --from carol --to bob --via UDP --wait 0.2 hi", "", Exit.NOT_DELIVERED),
    ("send --from alice --to bob --via UDP hi", "", Exit.REFUSED),
    ("send --from alice --to bob --via UDP --password-stdin hi", "wrong\n", Exit.REFUSED),
    ("listen --as dora --via UDP --timeout 0.1", "", Exit.OK),
    ("listen --as dora --via TCP --timeout 0.1", "", Exit.OK),
    ("listen --via UDP", "", Exit.USAGE),
    ("listen --as dora --via UDP --count 0", "", Exit.USAGE),
    ("listen --as dora --via udp://NOBODY", "", Exit.UNREACHABLE),
    ("listen --as dora --via tcp://NOBODY", "", Exit.UNREACHABLE),
    ("listen --as dora --via UDP --count 1 --timeout 0.1", "", Exit.NOT_DELIVERED),
    ("listen --as alice --via UDP --password-stdin", "wrong\n", Exit.REFUSED),
    ("listen --as dora --via UDP --state LOCKED", "", Exit.CONFIG),
    ("register --as dora --via UDP", "", Exit.OK),
    ("register --as alice --via UDP --password-stdin", "pw\n", Exit.OK),
    ("register --as dora", "", Exit.USAGE),
    ("register --as dora --via udp://NOBODY", "", Exit.UNREACHABLE),
    ("register --as alice --via UDP", "", Exit.REFUSED),
    ("register --as dora --via UDP --state LOCKED", "", Exit.CONFIG),
    ("unregister --as dora --via UDP", "", Exit.OK),
    ("unregister --via UDP", "", Exit.USAGE),
    ("unregister --as dora --via udp://NOBODY", "", Exit.UNREACHABLE),
    ("unregister --as alice --via UDP --password-stdin", "wrong\n", Exit.REFUSED),
    ("inbox bob --data DATA", "", Exit.OK),
    ("inbox bob --admin ADMIN", "", Exit.OK),
    ("inbox --data DATA", "", Exit.USAGE),
    ("inbox nobody --data DATA", "", Exit.NO_SUCH),
    ("inbox bob --data NONE", "", Exit.UNREACHABLE),
    ("inbox bob --admin http://NOBODY", "", Exit.UNREACHABLE),
    ("status --data DATA", "", Exit.OK),
    ("status --data DATA --admin ADMIN", "", Exit.USAGE),
    ("status --admin ftp://h", "", Exit.USAGE),
    ("status --data NONE", "", Exit.UNREACHABLE),
    ("where --data DATA", "", Exit.USAGE),
    ("where no-such-id --data DATA", "", Exit.NO_SUCH),
    ("where id --data NONE", "", Exit.UNREACHABLE),
    ("user list --data DATA", "", Exit.OK),
    ("user show bob --admin ADMIN", "", Exit.OK),
    ("user add eve --data DATA", "", Exit.USAGE),
    ("user add bad/name\x01 --data DATA --password-stdin", "pw", Exit.BAD_DATA),
    ("user add postmaster --data DATA --password-stdin", "pw", Exit.BAD_DATA),
    ("user passwd nobody --data DATA --password-stdin", "pw", Exit.NO_SUCH),
    ("user remove nobody --data DATA", "", Exit.NO_SUCH),
    ("user import NONE --data DATA", "", Exit.NO_SUCH),
    ("user list --data NONE", "", Exit.NO_SUCH),
    ("user list --admin http://NOBODY", "", Exit.UNREACHABLE),
    ("user add alice --data DATA --password-stdin", "pw", Exit.REFUSED),
]


@pytest.mark.parametrize(("line", "stdin", "code"), CASES, ids=[f"{line}={int(code)}" for line, _, code in CASES])
def test_a_command_ends_with_its_documented_code(
    line: str, stdin: str, code: Exit, node: NodeProcess, tmp_path: Path
) -> None:
    locked = StateFile(tmp_path / "locked")
    words = {
        "UDP": node.udp,
        "TCP": node.tcp,
        "DATA": node.data,
        "ADMIN": node.admin,
        "NONE": str(tmp_path / "none"),
        "LOCKED": str(tmp_path / "locked"),
        "LONG": "x" * 70_000,
    }
    arguments = [words.get(word, word.replace("NOBODY", NOBODY)) for word in line.split(" ")]
    try:
        result = run(*arguments, stdin=stdin)
    finally:
        locked.close()
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    if code not in (Exit.OK, Exit.USAGE):
        assert result.stderr.strip(), "it says nothing"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (202, Exit.OK),
        (200, Exit.OK),
        (400, Exit.BAD_DATA),
        (413, Exit.BAD_DATA),
        (415, Exit.BAD_DATA),
        (404, Exit.NO_SUCH),
        (604, Exit.NO_SUCH),
        (401, Exit.REFUSED),
        (407, Exit.REFUSED),
        (403, Exit.REFUSED),
        (603, Exit.REFUSED),
        (480, Exit.UNREACHABLE),
        (500, Exit.UNREACHABLE),
    ],
)
def test_what_each_answer_to_a_message_means(status: int, code: Exit) -> None:
    with FakeServer(lambda _: Reply(status, "Be\x1bcause")) as server:
        result = run("send", "--from", "alice", "--to", "bob", "--via", str(server.via), "hi")
    assert result.exit_code == code
    assert "\x1b" not in result.output


@pytest.mark.parametrize("reply", [Reply(503, headers=((b"Retry-After", b"1"),)), None])
def test_a_server_that_stays_busy_or_silent_is_unreachable(reply: Reply | None) -> None:
    with FakeServer(lambda _: reply) as server:
        result = run("send", "--from", "a", "--to", "b", "--via", str(server.via), "--timeout", "0.3", "hi")
    assert result.exit_code == Exit.UNREACHABLE


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (b"delivered", Exit.OK),
        (b"waiting", Exit.NOT_DELIVERED),
        (b"refused", Exit.REFUSED),
        (b"expired", Exit.REFUSED),
    ],
)
def test_waiting_asks_the_server_over_sip(state: bytes, code: Exit) -> None:
    def answer(request: object) -> Reply:
        if getattr(request, "method", "") == "OPTIONS":
            return Reply(200, "OK", ((b"Angarium-State", state),))
        return Reply(202, "Accepted", ((b"Angarium-Id", b"the-id"),))

    with FakeServer(answer) as server:
        result = run("send", "--from", "a", "--to", "b", "--via", str(server.via), "--wait", "0.1", "hi")
        assert result.exit_code == code
        assert result.stdout == "the-id\n"
        assert {request.get(b"angarium-where") for request in server.requests[1:]} == {b"the-id"}


def test_a_message_is_acknowledged_while_the_sender_waits(node: NodeProcess, tmp_path: Path) -> None:
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "apps.main", "listen", "--as", "frank", "--via", node.udp, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as listener:
        try:
            assert listener.stdout is not None
            assert listener.stderr is not None
            assert listener.stderr.readline().startswith("listening as frank")
            sent = run(
                *("send", "--from", "carol", "--to", "frank", "--via", node.udp),
                *("--wait", "10", "--data", node.data, "hello frank"),
            )
            assert sent.exit_code == Exit.OK
            assert sent.stdout.strip() in listener.stdout.readline()
        finally:
            listener.send_signal(signal.SIGTERM)
            listener.communicate(timeout=15)
    assert listener.returncode == Exit.OK
    told = run("user", "show", "frank", "--data", node.data, "--json")
    assert '"online":false' in told.stdout


def test_a_realm_that_differs_is_78(tmp_path: Path) -> None:
    flags = ("--data", str(tmp_path / "data"), "--password-stdin")
    assert run("user", "add", "a", *flags, "--realm", "one", stdin="pw").exit_code == Exit.OK
    assert run("user", "add", "b", *flags, "--realm", "two", stdin="pw").exit_code == Exit.CONFIG


def test_a_stopped_node_is_unreachable_for_questions(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    assert run("user", "add", "a", "--data", folder, "--password-stdin", stdin="pw").exit_code == Exit.OK
    for question in (("status",), ("inbox", "a"), ("where", "id")):
        assert run(*question, "--data", folder).exit_code == Exit.UNREACHABLE
