"""Networks in a thousand seeded worlds keep the promises, and a seed is the same network each time.

With ANGARIUM_FAULTS=full there are a hundred times as many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.simulation.many import ROOT, tell_in_parallel

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"
SEEDS = 100_000 if FULL else 1_000
CHUNK = 10_000 if FULL else 100
SECONDS = 40_000.0 if FULL else 500.0


@pytest.mark.timeout(SECONDS + 10)
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_a_thousand_networks_keep_the_promises(first: int) -> None:
    told = tell_in_parallel(first, first + CHUNK, SECONDS)
    assert told["broken"] == {}
    assert told["stories"] == CHUNK
    # They are worth telling: nodes fall, phones move, and mail gets through all the same.
    assert told["accepted"] >= 3 * CHUNK
    assert told["delivered"] >= 3 * CHUNK
    assert told["crashes"] >= CHUNK / 4
    assert told["moves"] >= CHUNK / 10
    assert CHUNK / 20 <= told["calm"] <= CHUNK / 2


def test_a_seed_is_the_same_network_step_by_step() -> None:
    """Also in another process, whose sets and dictionaries have other hashes."""
    digests = {_digest(17, hashes="1"), _digest(17, hashes="2")}
    assert len(digests) == 1
    assert digests != {_digest(18, hashes="1")}


def _digest(seed: int, hashes: str) -> str:
    command = (sys.executable, "-m", "tests.simulation.many", str(seed))
    environment = {**os.environ, "PYTHONHASHSEED": hashes}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, timeout=60, check=True)
    digest: str = json.loads(done.stdout)
    return digest
