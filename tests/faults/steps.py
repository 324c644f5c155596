"""Kill runs at named steps (D2): the node is made of parts that kill it when a message passes there."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.kill import KillRun, crowd, settle
from tests.faults.killers import STEPS
from tests.faults.node import NodeFailed, NodeProcess
from tests.faults.oracle import Log, judge

KILLERS = Path(__file__).with_name("killers.py")
HIT_WITHIN = 60.0
MOST = 40
"""Times a step is passed before it kills, at most."""


def step_run(
    folder: Path, *, times: int, seed: int, steps: Sequence[str] = STEPS, store: str = "KillingStore"
) -> tuple[KillRun, dict[str, int]]:
    """Have the node kill itself `times` times at each step; return the run and how often each step was hit."""
    parts = ["--client-manager", f"{KILLERS}:KillingClients", "--sip-adapter", f"{KILLERS}:KillingAdapter"]
    parts += ["--store", f"{KILLERS}:{store}"]
    chance = random.Random(seed)
    hits = dict.fromkeys(steps, 0)
    started, with_mail = time.monotonic(), 0
    with Log(folder / "oracle.log") as log, NodeProcess(folder / "data") as node:
        with crowd(node, log, seed=seed) as exchange:
            exchange.register()
            exchange.go()
            for step in [*steps] * times:
                node.kill()
                node.args = ["--open", *parts]
                died = _die_at(node, step, chance.randrange(MOST), exchange.hurry)
                hits[step] += died
                with_mail += log.outstanding() > 0
            node.kill()
            node.args = ["--open"]
            node.start()
            exchange.hurry()
            exchange.pause()
            settle(exchange, log, node=node)
            absorbed = exchange.absorbed
        verdict = judge(log.facts())
    kills = times * len(steps)
    return KillRun(kills, with_mail, absorbed, time.monotonic() - started, seed, verdict), hits


def _die_at(node: NodeProcess, step: str, after: int, started: object) -> bool:
    """Start the node with its killer set; true if it died there by itself."""
    assert callable(started)
    node.env |= {"ANGARIUM_KILL_STEP": step, "ANGARIUM_KILL_AFTER": str(after)}
    try:
        node.start()
        started()
        return node.wait(HIT_WITHIN) == -signal.SIGKILL
    except NodeFailed as error:
        # What waited from before took it there before it said that it serves.
        if error.code != -signal.SIGKILL:
            raise
        return True
