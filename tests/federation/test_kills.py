"""Every node of a line is killed in turn while mail flows both ways: nothing lost, nothing doubled (D5)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.node import angarium
from tests.federation.kills import Nodes, federated_run

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"
pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if FULL else 240)]


def test_every_node_is_killed_in_turn(tmp_path: Path) -> None:
    run = federated_run(tmp_path, kills=500 if FULL else 12, seed=5, messages=2_000 if FULL else 600)
    sys.stdout.write(run.line() + "\n")
    assert run.verdict.failures == 0, str(run.verdict)
    assert run.left == 0


def test_with_a_user_who_moved(tmp_path: Path) -> None:
    run = federated_run(tmp_path, kills=200 if FULL else 6, seed=6, messages=2_000 if FULL else 400, before=move_c0)
    sys.stdout.write(run.line() + "\n")
    assert run.verdict.failures == 0, str(run.verdict)
    assert run.left == 0


def move_c0(nodes: Nodes) -> None:
    """Let the user c0 move from c to a, with mail on its way to him; his phone stays where it is."""
    command = [*angarium(), "user", "move", "c0", "--to", "a", "--data", str(nodes["c"].data)]
    done = subprocess.run(command, capture_output=True, timeout=90, check=False, text=True)
    assert done.returncode == 0, done.stderr
