"""The root command: what it lists, loads and answers when something is wrong."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from apps import commands
from apps.commands import COMMANDS, Entry, angarium
from apps.common.exits import Exit, Failure

HEAVY = ("aiohttp", "asyncio", "loguru", "pykka", "rich", "rich_click", "sqlite3", "uvloop")


@pytest.fixture
def greet(monkeypatch: pytest.MonkeyPatch) -> str:
    """A command `greet` that fails as it is told."""

    @click.command()
    @click.option("--code", type=int, default=0)
    def greet(code: int) -> None:
        """Greet."""
        if code:
            raise Failure("cannot greet", why="nobody\nis there", do="come again", code=Exit(code))
        click.echo("hello")

    module = ModuleType("greetings")
    module.__dict__["greet"] = greet
    monkeypatch.setitem(sys.modules, "greetings", module)
    monkeypatch.setitem(COMMANDS, "greet", Entry("greetings:greet", "Greet."))
    return "greet"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command_without_importing_one(flag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "load", lambda name: pytest.fail(f"{name} was imported"))
    result = CliRunner().invoke(angarium, [flag])
    assert result.exit_code == Exit.OK
    for name, entry in COMMANDS.items():
        assert name in result.stdout
        assert entry.help in result.stdout


def test_version_is_answered_before_the_libraries_are_imported() -> None:
    code = (
        "import sys; sys.argv = ['angarium', '--version']; from apps.main import main; main();"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    version, imported = done.stdout.splitlines()
    assert version.startswith("angarium ")
    assert imported == "[]"
    assert CliRunner().invoke(angarium, ["--version"]).stdout.strip() == version


def test_a_command_runs(greet: str) -> None:
    assert CliRunner().invoke(angarium, [greet]).stdout == "hello\n"


@pytest.mark.parametrize("code", [code for code in Exit if code is not Exit.OK])
def test_a_failure_is_one_line_on_stderr_and_its_code(greet: str, code: Exit) -> None:
    result = CliRunner().invoke(angarium, [greet, "--code", str(int(code))])
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr == "angarium: cannot greet: nobody is there; come again\n"


def test_a_slip_of_the_pen_gets_a_suggestion() -> None:
    result = CliRunner().invoke(angarium, ["lisen"])
    assert result.exit_code == Exit.USAGE
    assert "Did you mean 'listen'?" in result.stderr


def test_wrong_usage_of_a_command_is_code_2(greet: str) -> None:
    assert CliRunner().invoke(angarium, [greet, "--loud"]).exit_code == Exit.USAGE


def test_a_missing_module_breaks_only_its_command(greet: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "lost", Entry("apps.nowhere:lost", "Lost."))
    lost = CliRunner().invoke(angarium, ["lost"])
    assert lost.exit_code == Exit.INTERNAL
    assert "apps.nowhere" in lost.stderr
    assert CliRunner().invoke(angarium, [greet]).exit_code == Exit.OK
    assert CliRunner().invoke(angarium, ["-h"]).exit_code == Exit.OK


def test_a_fault_nobody_expected_is_code_70() -> None:
    code = (
        "import sys; sys.argv = ['angarium', 'demo']; import apps.commands as c, apps.main\n"
        "c.COMMANDS['demo'] = c.Entry('apps.common.exits:Exit', '')\n"
        "apps.main.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == Exit.INTERNAL
    assert done.stderr.endswith("internal error; please report it with the lines above\n")


def test_commands_complete_in_the_shell() -> None:
    environ = {"_ANGARIUM_COMPLETE": "bash_complete", "COMP_WORDS": "angarium st", "COMP_CWORD": "1"}
    result = CliRunner().invoke(angarium, [], prog_name="angarium", env=environ)
    assert "plain,status" in result.output
