"""One kill run (D1): a real node is killed at random moments while mail is in flight, and started again at once."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import commit
from tests.faults.listener import Listener
from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, Verdict, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until

SENDERS = 20
PHONES = 5
MAILBOX = "mailbox"
"""The user as whom our own client listens through all kills."""
BOX_SENDERS = 2
MAIL_WITHIN = 20.0
"""Seconds in which a node that serves has accepted something."""
SETTLE = 45.0
"""Seconds without progress, after the last restart, until what has not arrived is lost: more than Timer F."""


@dataclass(frozen=True)
class KillRun:
    """How a run went."""

    kills: int
    with_mail: int
    """Kills at whose moment a message was accepted and not yet delivered."""
    absorbed: int
    """Retransmissions to phones, absorbed by their transaction layers."""
    seconds: float
    seed: int
    verdict: Verdict

    def line(self, id: str) -> str:
        """The run as one JSON line."""
        verdict = self.verdict
        return json.dumps(
            {
                "id": id,
                "n": self.kills,
                "failures": verdict.failures + (self.kills - self.with_mail),
                "seconds": round(self.seconds, 1),
                "seed": self.seed,
                "commit": commit(),
                "with_mail": self.with_mail,
                "accepted": verdict.accepted,
                "lost": len(verdict.lost),
                "doubled": len(verdict.doubled),
                "inverted": len(verdict.inverted),
                "unasked": len(verdict.unasked),
                "repeats": verdict.repeats,
                "absorbed": self.absorbed,
            }
        )


def crowd(node: NodeProcess, log: Log, *, seed: int, loss: float = 0.0, box: bool = False) -> Exchange:
    """Twenty senders, so that about as many messages are in flight, and their five recipients.

    With `box`, two more send to the user as whom our own client listens.
    """
    phones = [Phone(f"phone{number}", node.udp, log, seed=seed, loss=loss) for number in range(PHONES)]
    senders = [Sender(f"s{n}", f"phone{n % PHONES}", node.udp, log) for n in range(SENDERS)]
    if box:
        senders += [Sender(f"b{n}", MAILBOX, node.udp, log, pace=0.02) for n in range(BOX_SENDERS)]
    return Exchange(phones, senders)


def kill_run(
    node: NodeProcess,
    log: Log,
    *,
    kills: int,
    seed: int,
    longest: float = 0.15,
    loss: float = 0.0,
    settle_within: float = SETTLE,
) -> KillRun:
    """Kill a running node `kills` times, each time at most `longest` seconds after it serves, then judge.

    The phones register once, at the start; our own client listens all the while. At the end nothing is sent any
    more, nothing gets lost on its way, and all that waits must arrive.
    """
    chance = random.Random(seed)
    started, with_mail = time.monotonic(), 0
    box = Listener(node, MAILBOX, log.path.with_name("mailbox"), log)
    with crowd(node, log, seed=seed, loss=loss, box=True) as exchange:
        try:
            exchange.register()
            box.start()
            box.wait_until_registered()
            exchange.go()
            for _ in range(kills):
                time.sleep(chance.uniform(0, longest))
                with_mail += wait_until(lambda: log.outstanding() > 0, MAIL_WITHIN, every=0.0005)
                node.kill()
                node.restart()
                exchange.hurry()
            exchange.pause()
            exchange.lose_nothing()
            settle(exchange, log, settle_within, node)
        finally:
            box.kill()
        absorbed = exchange.absorbed
    verdict = judge(log.facts())
    return KillRun(kills, with_mail, absorbed, time.monotonic() - started, seed, verdict)


def settle(exchange: Exchange, log: Log, within: float = SETTLE, node: NodeProcess | None = None) -> bool:
    """Wait until every sender has its answer and every accepted message has arrived, as long as there is progress.

    With a node, nothing waits there either: a second copy that is still on its way would be seen by nobody.
    """

    def done() -> bool:
        return exchange.quiet and log.outstanding() == 0 and (node is None or node.waiting() == 0)

    left = log.outstanding() + 1
    while log.outstanding() < left:
        left = log.outstanding()
        if wait_until(done, within):
            return True
    return False


def run_in(folder: Path, *, kills: int, seed: int) -> KillRun:
    """Do a kill run with a node of its own in an empty folder."""
    with Log(folder / "oracle.log") as log, NodeProcess(folder / "data") as node:
        return kill_run(node, log, kills=kills, seed=seed)
