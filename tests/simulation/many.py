"""Tells the stories of many networks in a process of its own: `python -m tests.simulation.many FIRST LAST [STEP]`.

Prints one JSON object: what happened in all of them, and the violations by seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from typing import Any

from loguru import logger

from apps.simulated.network_story import tell

PROCESSES = 2
ROOT = Path(__file__).parents[2]
KEYS = ("sent", "accepted", "delivered", "repeats", "crashes", "moves", "steps")


def tell_all(seeds: range) -> dict[str, Any]:
    """Tell the stories of these seeds."""
    logger.disable("actors")
    sums: Counter[str] = Counter()
    broken: dict[int, list[str]] = {}
    for seed in seeds:
        outcome = tell(seed)
        sums.update({key: getattr(outcome, key) for key in KEYS})
        sums["calm"] += outcome.calm
        sums["stories"] += 1
        if outcome.violations:
            broken[seed] = list(outcome.violations)
    return {"broken": broken, **sums}


def tell_in_parallel(first: int, last: int, timeout: float) -> dict[str, Any]:
    """Tell them in as many processes as there are cores on a small machine; raises if one of these fails."""
    started = [
        subprocess.Popen(
            (sys.executable, "-m", "tests.simulation.many", str(first + at), str(last), str(PROCESSES)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        for at in range(PROCESSES)
    ]
    told: dict[str, Any] = {"broken": {}}
    try:
        for process in started:
            text, _ = process.communicate(timeout=timeout)
            assert process.returncode == 0, f"a story failed, see its traceback above ({first} to {last})"
            part = json.loads(text)
            told["broken"] |= part.pop("broken")
            for key, value in part.items():
                told[key] = told.get(key, 0) + value
    finally:
        for process in started:
            process.kill()
            process.wait()
    return told


def digest_of(seed: int) -> str:
    """Tell one story and name it, step by step."""
    logger.disable("actors")
    return blake2b(repr(tell(seed, record=True)).encode(), digest_size=16).hexdigest()


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    sys.stdout.write(json.dumps(digest_of(*numbers) if len(numbers) == 1 else tell_all(range(*numbers))))
