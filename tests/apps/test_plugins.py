"""Replacements by module, by file and by entry point; and what a wrong name is told."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from actors.router import Router
from apps.common.exits import Exit, Failure
from apps.node import plugins
from apps.node.plugins import group, load_class


def test_by_module() -> None:
    assert load_class("router", "actors.router:Router") is Router


def test_by_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from actors.router import Router\nclass Mine(Router):\n    pass\n")
    found = load_class("router", f"{file}:Mine")
    assert issubclass(found, Router)
    assert found.__module__ == "angarium_plugin_mine"


def test_a_module_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "of_this_folder.py").write_text("class Mine:\n    pass\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in sys.path if path])
    assert load_class("store", "of_this_folder:Mine").__name__ == "Mine"


@pytest.mark.parametrize(
    ("role", "name"), [("router", "angarium.routers"), ("storage", "angarium.storages"), ("store", "angarium.stores")]
)
def test_entry_point_groups(role: str, name: str) -> None:
    assert group(role) == name


def with_entry_points(monkeypatch: pytest.MonkeyPatch, *points: EntryPoint) -> None:
    def entry_points(**which: Any) -> EntryPoints:
        return EntryPoints(points).select(**which)

    monkeypatch.setattr(plugins, "entry_points", entry_points)


def test_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_points(monkeypatch, EntryPoint("plain", "actors.router:Router", "angarium.routers"))
    assert load_class("router", "plain") is Router


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("plian", "no entry point of that name in angarium.routers (plain, wrong)"),
        ("no.such.module:Router", "No module named"),
        ("actors.router:Ruter", "actors.router has no class Ruter"),
        ("actors.router:annotations", "actors.router has no class annotations"),
        ("nowhere.py:Router", "there is no such file"),
        ("wrong", "the entry point is no class"),
    ],
)
def test_a_wrong_name_is_told_what_was_looked_for(name: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_entry_points(
        monkeypatch,
        EntryPoint("plain", "actors.router:Router", "angarium.routers"),
        EntryPoint("wrong", "actors.base:start_actor", "angarium.routers"),
    )
    with pytest.raises(Failure) as caught:
        load_class("router", name)
    assert caught.value.exit_code == Exit.CONFIG
    assert why in caught.value.message
