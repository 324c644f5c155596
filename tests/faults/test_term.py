"""SIGTERM under load: the node is out within 5 s, and nothing is lost or doubled (A7)."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from pathlib import Path

import pytest

from benchmarks.report import commit
from tests.faults.kill import crowd, settle
from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, judge

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"
TIMES = 50 if FULL else 5
OUT_WITHIN = 5.0


@pytest.mark.faults
@pytest.mark.alone
@pytest.mark.timeout(1800 if FULL else 600)
def test_sigterm_under_load(tmp_path: Path) -> None:
    chance, started = random.Random(7), time.monotonic()
    took: list[float] = []
    with (
        Log(tmp_path / "oracle.log") as log,
        NodeProcess(tmp_path / "data") as node,
        crowd(node, log, seed=7) as exchange,
    ):
        exchange.register()
        exchange.go()
        for _ in range(TIMES):
            time.sleep(chance.uniform(0.1, 0.4))
            took.append(node.terminate(OUT_WITHIN))
            assert node.process is not None
            assert node.process.returncode == 0
            node.restart()
            exchange.hurry()
        exchange.pause()
        settle(exchange, log, node=node)
    verdict = judge(log.facts())
    line = {"id": "A7", "n": TIMES, "failures": verdict.failures, "seconds": round(time.monotonic() - started, 1)}
    sys.stdout.write(json.dumps(line | {"seed": 7, "commit": commit(), "slowest": round(max(took), 3)}) + "\n")
    assert verdict.failures == 0, str(verdict)
    assert verdict.accepted > 0
