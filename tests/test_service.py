"""The systemd unit: systemd takes it, it lets the node do nothing that it need not, and its settings are ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest

from apps.common.config import load
from apps.common.exits import Exit
from apps.common.process import worth_restarting
from tests.tools import require_tool

UNIT = Path(__file__).parents[1] / "contrib" / "angarium.service"
EXPOSURE = 20
"""Tenths: systemd's own measure of what a service may do; 20 and below is what it calls OK."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that is there: systemd looks whether it is."""
    program = Path(sys.executable).with_name("angarium")
    assert program.exists() or shutil.which("true")
    text = UNIT.read_text()
    assert "ExecStart=/opt/angarium/bin/angarium node\n" in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("/opt/angarium/bin/angarium", str(program if program.exists() else "/bin/true")))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, which needs no running systemd for this."""
    tool = require_tool("systemd-analyze")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_takes_it_without_a_remark(unit: Path) -> None:
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_may_do_little(unit: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}", str(unit))
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_its_settings_are_ours() -> None:
    parser = RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text())
    service = parser["Service"]
    name, _, value = service["Environment"].partition("=")
    config = load({}, {name: value.replace("%S", "/var/lib")}).config
    assert config.data == Path("/var/lib") / service["StateDirectory"]
    assert service["Restart"] == "always"
    given_up = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert given_up == {Exit.USAGE, Exit.CONFIG}
    assert not any(worth_restarting(code) for code in given_up)
    assert worth_restarting(Exit.INTERNAL)
