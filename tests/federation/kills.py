"""Nodes of a line are killed in turn while mail flows both ways through all of them (D5)."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import commit
from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, Verdict, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.network import custody, line, wait_until_linked

Nodes = Mapping[str, NodeProcess]
EDGES = (("a", "b"), ("b", "c"))
PAIRS = 4
"""Phones, and senders to them, at each end."""
PACE = 0.01
LINKED = 60.0
"""Seconds until all links are up again: the longest back-off, and some."""
SETTLE = 60.0
"""Seconds without progress until what has not arrived is lost."""


@dataclass(frozen=True)
class FederatedRun:
    """How a run went."""

    kills: int
    sent: int
    seconds: float
    seed: int
    left: int
    """Messages in the nodes' custody at the end."""
    verdict: Verdict

    def line(self) -> str:
        """The run as one JSON line."""
        verdict = self.verdict
        return json.dumps(
            {
                "id": "D5",
                "n": self.kills,
                "failures": verdict.failures + self.left,
                "seconds": round(self.seconds, 1),
                "seed": self.seed,
                "commit": commit(),
                "accepted": verdict.accepted,
                "lost": len(verdict.lost),
                "doubled": len(verdict.doubled),
                "inverted": len(verdict.inverted),
                "unasked": len(verdict.unasked),
                "repeats": verdict.repeats,
                "left": self.left,
            }
        )


def crowd(nodes: Nodes, log: Log, seed: int) -> Exchange:
    """Phones and senders at both ends, each sender writing to a phone at the other end."""
    one, other = nodes["a"].udp, nodes["c"].udp
    phones = [
        Phone(f"{end}{n}", place, log, seed=seed) for end, place in (("a", one), ("c", other)) for n in range(PAIRS)
    ]
    senders = [Sender(f"from-a{n}", f"c{n}", one, log, pace=PACE) for n in range(PAIRS)]
    senders += [Sender(f"from-c{n}", f"a{n}", other, log, pace=PACE) for n in range(PAIRS)]
    return Exchange(phones, senders)


def federated_run(
    folder: Path,
    *,
    kills: int,
    seed: int,
    messages: int = 0,
    every: float = 1.0,
    before: Callable[[Nodes], None] | None = None,
) -> FederatedRun:
    """Kill a, b, c in turn, `every` seconds or so, until there were `kills` and `messages` were accepted; then judge.

    `before` is called once, when mail flows and nobody has been killed yet. The phones register once.
    """
    chance = random.Random(seed)
    started = time.monotonic()
    with Log(folder / "oracle.log") as log, line(folder) as nodes:
        with crowd(nodes, log, seed) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: accepted(log) >= PAIRS * 4, 60.0)
            if before is not None:
                before(nodes)
            done = 0
            while done < kills or accepted(log) < messages:
                time.sleep(chance.uniform(0, every))
                if done < kills:
                    node = nodes["abc"[done % 3]]
                    node.kill()
                    time.sleep(chance.uniform(0, 0.2))
                    node.restart()
                    exchange.hurry()
                    done += 1
            exchange.pause()
            wait_until_linked(nodes, EDGES, LINKED)
            settle(exchange, log)
        wait_until(lambda: custody(nodes) == 0, 10.0, every=0.2)
        left = custody(nodes)
    verdict = judge(log.facts())
    return FederatedRun(done, verdict.accepted, time.monotonic() - started, seed, left, verdict)


def accepted(log: Log) -> int:
    """Messages accepted so far."""
    return sum(fact.what == "accepted" for fact in log.facts())


def settle(exchange: Exchange, log: Log) -> None:
    """Wait until all has arrived, as long as there is progress."""
    left = log.outstanding() + 1
    while log.outstanding() < left:
        left = log.outstanding()
        if wait_until(lambda: exchange.quiet and log.outstanding() == 0, SETTLE):
            return
