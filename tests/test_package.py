"""The package as a stranger gets it: built, installed in an empty virtual environment, used elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "actors", "sip_adapter", "apps")


def run(*command: str | Path, cwd: Path, seconds: float = 300) -> str:
    """Run outside the tree, without this environment's settings; return stdout, fail with all output."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ANGARIUM_"))}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree to build from, so that nothing is left in the tree and nothing stale gets in."""
    copy = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `pip` builds it."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source, cwd=out)
    (built,) = out.glob("angarium-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `angarium` program of a new environment that holds the wheel and what it asks for, nothing else."""
    home = tmp_path_factory.mktemp("empty")
    venv.create(home, with_pip=True)
    run(home / "bin" / "python", "-m", "pip", "install", "--quiet", wheel, cwd=home)
    return home / "bin" / "angarium"


def test_the_wheel_holds_what_we_ship_and_no_more(source: Path, wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"actors", "sip_adapter", "apps"}
    shipped = {str(path.relative_to(source)) for top in SOURCES[4:] for path in (source / top).rglob("*.py")}
    assert shipped - set(names) == set(), "a folder without __init__.py is not packed"
    assert "apps/py.typed" in names
    assert any(name.endswith("/LICENSE") for name in names)


def test_it_runs_elsewhere(installed: Path, tmp_path: Path) -> None:
    assert run(installed, "--version", cwd=tmp_path).startswith("angarium ")
    assert "demo" in run(installed, "--help", cwd=tmp_path)


def test_the_demo_passes_elsewhere(installed: Path, tmp_path: Path) -> None:
    run(installed, "demo", cwd=tmp_path, seconds=60)
    assert list(tmp_path.iterdir()) == [], "the demo leaves nothing where it was started"
