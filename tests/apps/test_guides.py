"""What the documentation tells its reader to do comes true: each command is run, each screen is looked at."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.guide import Reader
from tests.tools import require_tool

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "actors", "sip_adapter", "apps")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the source tree, as a reader has it."""
    copy = tmp_path / "angarium"
    copy.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Terminals in which what pip would fetch is there already: no test asks the network for it."""
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        # Without the program itself, which is to be installed, and pip, which each environment brings.
        if not entry.name.startswith(("angarium", "__editable__", "pip", "__pycache__")):
            (libraries / entry.name).symlink_to(entry)
    programs = tmp_path / "bin"
    programs.mkdir()
    # Alone: beside it stands the program as these tests have it, and the reader is to have what he installed.
    (programs / "python3").symlink_to(Path(sys.executable).resolve())
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ANGARIUM_", "XDG_"))}
    return kept | {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "PYTHONPATH": str(libraries),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as a switch: this means "no isolation"
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def test_the_tutorial(tree: Path, environment: dict[str, str]) -> None:
    require_tool("baresip")
    page = (DOCS / "tutorial.md").read_text()
    with Reader(tree, environment) as reader:
        assert reader.follow(page) > 30
    assert not (tree / "try").exists()
