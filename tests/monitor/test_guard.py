"""Who may open the console, and how its command refuses."""

from __future__ import annotations

import base64
import importlib.util
import socket
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from apps.commands import angarium
from apps.common.exits import Exit
from apps.monitor.guard import refusal


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:8080"}, 0),
        ({"host": "localhost:8080", "origin": "http://localhost:8080"}, 0),
        ({"host": "[::1]:8080"}, 0),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8080"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "http://evil.example"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:9999"}, 403),
        ({"host": "127.0.0.1:8080", "origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_on_loopback_only_its_own_pages_get_in(headers: dict[str, str], status: int) -> None:
    assert refusal(headers, "") == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic("token"), 0),
        (basic("Token"), 401),
        (basic(""), 401),
        ("", 401),
        ("Basic ###", 401),
        ("Bearer token", 401),
    ],
)
def test_elsewhere_the_token_is_the_password(authorization: str, status: int) -> None:
    assert refusal({"host": "console.example", "authorization": authorization}, "token") == status


def run(*args: str) -> Result:
    return CliRunner().invoke(angarium, ["monitor", *args])


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "nicegui" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    done = run()
    assert done.exit_code == Exit.CONFIG
    assert "pip install 'angarium[gui]'" in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_beyond_this_machine_it_wants_a_token(tmp_path: Path) -> None:
    assert run("--listen", "0.0.0.0:8080").exit_code == Exit.CONFIG
    empty = tmp_path / "token"
    empty.write_text("\n")
    done = run("--listen", "0.0.0.0:8080", "--admin-token-file", str(empty))
    assert (done.exit_code, "openssl rand" in done.output) == (Exit.CONFIG, True)


def test_an_address_in_use_and_a_wrong_one_are_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (done.exit_code, "choose another" in done.output) == (Exit.CONFIG, True)
    assert run("--node", "ftp://x").exit_code == Exit.USAGE
