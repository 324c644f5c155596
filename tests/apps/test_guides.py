"""What the documentation tells its reader to do comes true: each command is run, each screen is looked at."""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path

import pytest

from apps.node.admin_metrics import PREFIX
from apps.node.metric_names import ABOUT
from tests.faults.node import angarium
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
def home(tmp_path: Path) -> dict[str, str]:
    """Terminals of somebody who has nothing yet."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ANGARIUM_", "XDG_"))}
    return kept | {"HOME": str(tmp_path / "home"), "TERM": "xterm-256color"}


@pytest.fixture
def without_network(tmp_path: Path, home: dict[str, str]) -> dict[str, str]:
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
    return home | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(libraries),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as a switch: this means "no isolation"
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def test_the_tutorial(tree: Path, without_network: dict[str, str]) -> None:
    require_tool("baresip")
    page = (DOCS / "tutorial.md").read_text()
    with Reader(tree, without_network) as reader:
        assert reader.follow(page) > 30
    assert not (tree / "try").exists()


PROGRAMS = {
    "clients": ("baresip", "sipp", "sipsak"),
    "howto-backup": (),
    "howto-move": (),
    "howto-prometheus": ("curl",),
}
"""Pages, and what their readers need beside ours."""


@pytest.mark.parametrize("page", PROGRAMS)
def test_a_guide(page: str, tmp_path: Path, home: dict[str, str]) -> None:
    for program in PROGRAMS[page]:
        require_tool(program)
    # What they read of the source tree.
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    text = (DOCS / f"{page}.md").read_text()
    with Reader(tmp_path, home | {"PATH": f"{Path(angarium()[0]).parent}:{os.environ['PATH']}"}) as reader:
        assert reader.follow(text) > 5


def test_what_the_guides_watch_is_counted() -> None:
    text = (DOCS / "howto-prometheus.md").read_text()
    names = set(re.findall(rf"{PREFIX}([a-z_]+)", text))
    assert len(names) > 8
    assert names - set(ABOUT) == set()


def test_what_prometheus_reads_is_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    pages = re.findall(r"^```yaml\n(.*?)^```", (DOCS / "howto-prometheus.md").read_text(), re.MULTILINE | re.DOTALL)
    scrape, rules = map(yaml.safe_load, pages)
    assert [job["job_name"] for job in scrape["scrape_configs"]] == ["angarium"]
    assert all({"alert", "expr"} <= set(rule) for group in rules["groups"] for rule in group["rules"])
