"""The rule that no test leaves a thread or an actor, tried on tests that do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CASES = {
    "clean": ("def test(): pass", "1 passed"),
    "thread": (
        "import threading\nstop = threading.Event()\n"
        "def test(): threading.Thread(target=stop.wait, name='stray').start()\n"
        "def test_end(): stop.set()",
        "left behind: thread stray",
    ),
    "actor": (
        "import pykka\nclass Stray(pykka.ThreadingActor): use_daemon_thread = True\ndef test(): Stray.start()",
        "left behind: actor Stray",
    ),
    "warning": ("import warnings\ndef test(): warnings.warn('odd')", "UserWarning: odd"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_behind_fails_the_test(case: str, tmp_path: Path) -> None:
    code, expected = CASES[case]
    (tmp_path / "test_case.py").write_text(code + "\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-c",
        ROOT / "setup.cfg",
        "--rootdir",
        tmp_path,
    ]
    done = subprocess.run(
        [*map(str, command), str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert expected in done.stdout
    assert (done.returncode == 0) is (case == "clean")
