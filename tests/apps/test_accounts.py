"""`angarium user`: the same outcome whether the node runs or is stopped, and no secret in what it prints."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.client.accounts import read_line
from apps.common.exits import Exit
from tests.apps.nodes import node_process, run

SECRET = "open,sesame"


@pytest.fixture(params=["stopped", "running"])
def data(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A data folder with alice in it, of a node that runs or not."""
    folder = str(tmp_path / "data")
    assert run("user", "add", "alice", "--data", folder, "--password-stdin", stdin=f"{SECRET}\n").exit_code == Exit.OK
    if request.param == "stopped":
        yield folder
    else:
        with node_process(tmp_path / "data"):
            yield folder


def names(folder: str) -> list[str]:
    result = run("user", "list", "--data", folder, "--json")
    assert result.exit_code == Exit.OK
    return [json.loads(line)["name"] for line in result.stdout.splitlines()]


def test_users_are_added_changed_shown_and_removed(data: str, tmp_path: Path) -> None:
    assert run("user", "add", "bob", "--data", data, "--password-stdin", stdin="pw").exit_code == Exit.OK
    assert run("user", "add", "bob", "--data", data, "--password-stdin", stdin="pw").exit_code == Exit.REFUSED
    assert run("user", "passwd", "bob", "--data", data, "--password-stdin", stdin="other").exit_code == Exit.OK
    assert run("user", "passwd", "zed", "--data", data, "--password-stdin", stdin="pw").exit_code == Exit.NO_SUCH
    assert names(data) == ["alice", "bob"]
    shown = run("user", "show", "bob", "--data", data, "--json")
    assert json.loads(shown.stdout)["has_password"] is True
    assert run("user", "show", "zed", "--data", data).exit_code == Exit.NO_SUCH
    assert run("user", "remove", "bob", "--data", data).exit_code == Exit.OK
    assert run("user", "remove", "bob", "--data", data).exit_code == Exit.NO_SUCH
    assert names(data) == ["alice"]


def test_a_file_is_imported_whole_or_not_at_all(data: str, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text("# names\n\nbob, pw\r\n  carol,  a,b \nalice, new\n", "utf-8")
    bad = tmp_path / "bad"
    bad.write_text("dora, pw\ngeheim1\neve,\nbad name, geheim2\ndora, geheim3\n", "utf-8")
    refused = run("user", "import", str(bad), "--data", data)
    assert refused.exit_code == Exit.BAD_DATA
    for line in ("line 2", "line 3", "line 4", "line 5"):
        assert line in refused.stderr
    assert "geheim" not in refused.output
    assert names(data) == ["alice"]
    assert run("user", "import", str(good), "--data", data).exit_code == Exit.OK
    assert names(data) == ["alice", "bob", "carol"]
    assert run("user", "import", str(tmp_path / "none"), "--data", data).exit_code == Exit.NO_SUCH


def test_no_command_prints_a_secret(data: str) -> None:
    outputs = [
        run("user", "list", "--data", data),
        run("user", "list", "--data", data, "--json"),
        run("user", "show", "alice", "--data", data),
        run("user", "add", "alice", "--data", data, "--password-stdin", stdin=SECRET),
        run("user", "passwd", "alice", "--data", data, "--password-stdin", stdin=f"{SECRET}\x01"),
        run("status", "--data", data, "--json"),
    ]
    for output in outputs:
        assert SECRET not in output.output
        assert "ha1" not in output.output


def test_passwords_stand_nowhere_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert run("user", "add", "alice", "--data", str(folder), "--password-stdin", stdin=SECRET).exit_code == Exit.OK
    for file in folder.iterdir():
        assert SECRET.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_the_realm_of_a_folder_stays(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    flags = ("--data", folder, "--password-stdin")
    assert run("user", "add", "alice", *flags, "--realm", "one", stdin="pw").exit_code == Exit.OK
    assert run("user", "add", "bob", *flags, stdin="pw").exit_code == Exit.OK
    assert run("user", "add", "carol", *flags, "--realm", "two", stdin="pw").exit_code == Exit.CONFIG
    assert names(folder) == ["alice", "bob"]


def test_a_mistaken_folder_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert run("user", "list", "--data", str(folder)).exit_code == Exit.NO_SUCH
    assert not folder.exists()


def test_a_damaged_folder_is_no_crash(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_text("no folder")
    assert run("user", "add", "a", "--data", str(folder), "--password-stdin", stdin="pw").exit_code == Exit.USAGE


def test_removing_a_user_tells_the_senders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "data"
    for name in ("alice", "bob"):
        added = run("user", "add", name, "--data", str(folder), "--password-stdin", stdin="pw")
        assert added.exit_code == Exit.OK
    with node_process(folder) as node:
        sent = run("send", "--from", "alice", "--to", "bob", "--via", node.udp, "--password-stdin", "hello", stdin="pw")
        assert sent.exit_code == Exit.OK
    assert run("user", "remove", "bob", "--data", str(folder)).exit_code == Exit.OK
    with node_process(folder) as node:
        told = run("where", sent.stdout.strip(), "--data", str(folder), "--json")
        assert json.loads(told.stdout)["state"] == "undeliverable"
        notices = run("inbox", "alice", "--data", str(folder), "--json")
        assert [json.loads(line)["from"] for line in notices.stdout.splitlines()] == ["postmaster"]


def test_a_password_is_asked_for_twice_and_not_echoed(tmp_path: Path) -> None:
    folder = str(tmp_path / "data")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "apps.main", "user", "add", "alice", "--data", folder]
    shown = b""
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        for prompt in (b"Password: ", b"Again: "):
            while not shown.endswith(prompt):
                shown += os.read(ours, 1)
            os.write(ours, SECRET.encode() + b"\n")
        with contextlib.suppress(OSError):  # Linux tells the end of a terminal so
            while more := os.read(ours, 1024):
                shown += more
        assert process.wait(30) == Exit.OK
    os.close(ours)
    assert SECRET.encode() not in shown
    assert names(folder) == ["alice"]


def test_a_password_may_hold_commas() -> None:
    assert read_line("alice, a,b") == ("alice", "a,b")


def test_the_store_is_readable_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert run("user", "add", "alice", "--data", str(folder), "--password-stdin", stdin="pw").exit_code == Exit.OK
    database = sqlite3.connect(folder / "angarium.db")
    try:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        database.close()
