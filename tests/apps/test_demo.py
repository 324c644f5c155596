"""`angarium demo` as a person runs it: it shows each step, leaves nothing behind, and says when a step fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from apps import demo_stage
from apps.common.exits import Exit
from tests.apps.nodes import run


@pytest.fixture(autouse=True)
def own_temp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let temporary folders be made here."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_the_demo_shows_that_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    result = run("demo")
    assert result.exit_code == Exit.OK, result.output
    lines = result.stdout.splitlines()
    for step in ("killed with -9", "started again", "keeps it on disk", "nobody has a second copy"):
        assert any(step in line for line in lines), step
    assert list(tmp_path.iterdir()) == []


def test_three_servers_show_it_too_with_the_middle_one_killed(tmp_path: Path) -> None:
    result = run("demo", "--nodes", "3")
    assert result.exit_code == Exit.OK, result.output
    lines = result.stdout.splitlines()
    for step in ("a - b - c", "b                killed with -9", "keeps it on disk: b is down", "went on by itself"):
        assert any(step in line for line in lines), step
    assert any("nobody has a second copy" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_does_not_start_is_a_clear_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_arguments: object, **settings: object) -> subprocess.Popen[str]:
        return subprocess.Popen(["sh", "-c", "echo no room >&2"], text=True, stdout=-1, stderr=settings["stderr"])  # type: ignore[call-overload,no-any-return]  # the caller's own file

    class Broken:
        PIPE = subprocess.PIPE
        Popen = staticmethod(broken)

    monkeypatch.setattr(demo_stage, "subprocess", Broken)
    result = run("demo")
    assert result.exit_code == Exit.INTERNAL
    assert "starting the node" in result.stderr
    assert "no room" in result.stderr
    assert list(tmp_path.iterdir()) == []
