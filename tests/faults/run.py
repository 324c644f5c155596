"""Kill runs by hand: `python -m tests.faults.run --kills 1000 --seed 7` prints one JSON line."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.kill import run_in


def main() -> int:
    """Run and tell; the exit code is 1 if the run failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="angarium-kills-"))
    run = run_in(folder, kills=given.kills, seed=given.seed)
    sys.stdout.write(run.line("D1") + "\n")
    if run.verdict.failures:
        sys.stderr.write(f"{run.verdict}\nthe log and the node's data are kept in {folder}\n")
    else:
        shutil.rmtree(folder)
    return int(run.verdict.failures > 0 or run.with_mail < run.kills)


if __name__ == "__main__":
    sys.exit(main())
