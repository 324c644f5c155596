"""A node process with parts of one's own: by file, by module of the current folder, and by entry point."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.apps.real_node import Exchanged, exchange, started_in_vain, url
from tests.faults.node import NodeProcess

ACTORS = {
    "client-manager": ("actors.client_manager.actor", "ClientManager", "angarium-client_manager"),
    "router": ("actors.router", "Router", "angarium-router"),
    "storage": ("actors.storage", "Storage", "angarium-storage"),
    "monitor": ("actors.monitor", "Monitor", "angarium-monitor"),
    "sip-adapter": ("sip_adapter.adapter", "SipAdapter", "angarium-loop"),
}
"""What each flag replaces, and the thread that a replacement lives on: its own, or with the sockets."""
STORE = ("actors.stores.sqlite", "SqliteStore")
FLAGS = (*ACTORS, "store")

HEAD = """
import os
import threading
from actors.base import ActorBase

def say(line):
    os.write(2, line.encode() + b"\\n")
"""
"""Each line is one write: `print` makes two, and those of actors that start at the same time would mix."""

ACTOR = """
from {module} import {base}

class My{base}({base}):
    def on_start(self):
        say("My{base} serves on " + threading.current_thread().name)
        super().on_start()
"""
REST = """
from actors.stores.sqlite import SqliteStore

class MySqliteStore(SqliteStore):
    def commit(self, commands):
        say("MySqliteStore commits")
        return super().commit(commands)

class Nothing:
    pass

class Modest(ActorBase):
    def __init__(self, *, context):
        super().__init__(context=context)

    def handle(self, message):
        pass

class Unlucky(Router):
    def on_start(self):
        raise ValueError("no luck today")

def function():
    pass
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a module of replacements and a broken one."""
    parts = [ACTOR.format(module=module, base=base) for module, base, _ in ACTORS.values()]
    (tmp_path / "my_parts.py").write_text("".join([HEAD, *parts, REST]))
    (tmp_path / "broken.py").write_text("class Broken(:\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mine(flag: str) -> str:
    return f"My{STORE[1] if flag == 'store' else ACTORS[flag][1]}"


def said(flag: str) -> str:
    """What a replacement leaves in the process's errors."""
    return "MySqliteStore commits" if flag == "store" else f"{mine(flag)} serves on {ACTORS[flag][2]}"


def serves(node: NodeProcess, text: str = "hello") -> None:
    """It does what a node does."""
    assert exchange(url("udp", node.udp), text) == Exchanged(202, (text.encode(),))


@pytest.mark.parametrize("flag", FLAGS)
def test_a_class_in_a_file(flag: str, folder: Path) -> None:
    with NodeProcess(folder / "data", args=("--open", f"--{flag}", f"my_parts.py:{mine(flag)}")) as node:
        serves(node)
        assert node.status()["online"] == 0
        node.terminate(within=10)
        assert node.process is not None
        assert node.process.returncode == 0
    lines = node.errors.read_text().splitlines()
    assert [other for other in FLAGS if said(other) in lines] == [flag]


def test_all_of_them_from_a_module_of_the_current_folder(folder: Path) -> None:
    args = [word for flag in FLAGS for word in (f"--{flag}", f"my_parts:{mine(flag)}")]
    with NodeProcess(folder / "data", args=("--open", *args)) as node:
        serves(node, "first")
        node.kill()
        node.restart()
        serves(node, "second")
        assert node.waiting() == 0
    lines = node.errors.read_text().splitlines()
    # A start has one line of each actor, and the node was started twice.
    assert [lines.count(said(flag)) for flag in ACTORS] == [2] * len(ACTORS)
    assert said("store") in lines


@pytest.mark.parametrize("store", ["sqlite", "memory"])
def test_what_we_ship_by_its_entry_points(store: str, folder: Path) -> None:
    args = [word for flag in ACTORS for word in (f"--{flag}", "default")]
    with NodeProcess(folder / "data", args=("--open", "--store", store, *args)) as node:
        serves(node)
        files = [path for path in node.data.iterdir() if path.is_file()]
        databases = [path for path in files if path.read_bytes().startswith(b"SQLite format 3")]
        assert bool(databases) == (store == "sqlite")


def test_an_entry_point_of_another_package(folder: Path) -> None:
    about = folder / "site" / "quiet-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[angarium.routers]\nquiet = my_parts:MyRouter\n")
    env = {"PYTHONPATH": f"{folder / 'site'}:{folder}"}
    with NodeProcess(folder / "data", args=("--open", "--router", "quiet"), env=env) as node:
        serves(node)
    assert said("router") in node.errors.read_text().splitlines()


@pytest.mark.parametrize(
    ("flag", "name", "why"),
    [
        ("client-manager", "nobody", "no entry point of that name in angarium.client_managers (default)"),
        ("store", "nowhere", "no entry point of that name in angarium.stores (memory, sqlite)"),
        ("monitor", "no_such_module:Monitor", "No module named 'no_such_module'"),
        ("storage", "missing.py:Storage", "there is no such file"),
        ("sip-adapter", "my_parts.py:Missing", "my_parts.py has no class Missing"),
        ("router", "my_parts:function", "my_parts has no class function"),
        ("router", "broken.py:Broken", "SyntaxError"),
        ("router", "my_parts.py:Nothing", "it does not derive from actors.base.ActorBase"),
        ("store", "my_parts.py:Nothing", "it lacks close, commit"),
        ("monitor", ":", "names nothing"),
    ],
)
def test_a_wrong_name_is_one_clear_line_and_78(flag: str, name: str, why: str, folder: Path) -> None:
    code, errors = started_in_vain(folder / "data", "--open", f"--{flag}", name)
    assert code == 78, errors
    (line,) = errors.splitlines()
    assert line.startswith("angarium: ")
    assert flag in line
    assert name.partition(":")[0] in line
    assert why in line


@pytest.mark.parametrize(
    ("name", "why"),
    [("my_parts.py:Modest", "unexpected keyword argument"), ("my_parts.py:Unlucky", "router stopped")],
)
def test_a_replacement_that_cannot_start_is_78_and_not_a_node_without_it(name: str, why: str, folder: Path) -> None:
    code, errors = started_in_vain(folder / "data", "--open", "--router", name)
    assert code == 78, errors
    last = errors.splitlines()[-1]
    assert last.startswith("angarium: the node cannot start: ")
    assert why in last
    assert "choose another class" in last
