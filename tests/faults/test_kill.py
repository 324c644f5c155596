"""kill -9 at random moments: nothing accepted is lost, nothing is doubled in a mailbox, order holds (D1)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.kill import run_in

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"


@pytest.mark.faults
@pytest.mark.timeout(3600 if FULL else 600)
def test_kill_at_random_moments(tmp_path: Path) -> None:
    run = run_in(tmp_path, kills=1000 if FULL else 25, seed=20)
    sys.stdout.write(run.line("D1") + "\n")
    assert run.verdict.failures == 0, str(run.verdict)
    assert run.verdict.accepted > run.kills
    assert run.with_mail == run.kills
