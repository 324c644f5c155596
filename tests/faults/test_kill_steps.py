"""kill -9 at each named step of a message's way (D2), and three planted faults that the oracle must see."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults.kill import KillRun, kill_run
from tests.faults.killers import STEPS
from tests.faults.node import NodeProcess
from tests.faults.oracle import Log
from tests.faults.steps import step_run

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"
PLANTED = Path(__file__).with_name("planted.py")
PARTS = 5
"""Runs over all steps, so that they can go side by side: together each step is hit 5 times, or 50."""
KILLS, RUNS = 3, 8
"""Kills in a run with a planted fault, and runs within which it must be seen."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600 if FULL else 600)]


@pytest.mark.parametrize("part", range(PARTS))
def test_kill_at_each_step(tmp_path: Path, part: int) -> None:
    times = (50 if FULL else 5) // PARTS
    run, hits = step_run(tmp_path, times=times, seed=2 + part)
    sys.stdout.write(run.line("D2") + "\n")
    assert hits == dict.fromkeys(STEPS, times)
    assert run.verdict.failures == 0, str(run.verdict)
    assert run.verdict.accepted > run.kills


def run_planted(folder: Path, *parts: str, seed: int) -> KillRun:
    """A short kill run with a faulty part and phones that hear badly."""
    folder.mkdir()
    with (
        Log(folder / "oracle.log") as log,
        NodeProcess(folder / "data", args=("--open", *parts)) as node,
    ):
        return kill_run(node, log, kills=KILLS, seed=seed, longest=0.4, loss=0.3, settle_within=4.0)


def losses(folder: Path, *parts: str) -> list[str]:
    """Kill runs until the oracle sees a loss: nearly always the first, and a miss is bad luck with all of them."""
    for seed in range(RUNS):
        run = run_planted(folder / str(seed), *parts, seed=seed)
        sys.stdout.write(run.line("D1-planted") + "\n")
        if run.verdict.lost:
            return run.verdict.lost
    return []


def test_the_oracle_sees_an_answer_before_the_commit(tmp_path: Path) -> None:
    assert losses(tmp_path, "--store", f"{PLANTED}:EarlyAnswers")


def test_the_oracle_sees_a_deletion_before_the_devices_answer(tmp_path: Path) -> None:
    assert losses(tmp_path, "--sip-adapter", f"{PLANTED}:HastyAdapter")


def test_the_oracle_sees_a_missing_ledger(tmp_path: Path) -> None:
    run, hits = step_run(tmp_path, times=2, seed=4, steps=("committed",), store="NoLedger")
    sys.stdout.write(run.line("D2-planted") + "\n")
    assert hits == {"committed": 2}
    assert run.verdict.doubled
