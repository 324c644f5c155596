"""kill -9 of our receiving client before and after its commit: nothing is lost, nothing is in its file twice (D3)."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.kill import KillRun, settle
from tests.faults.listener import Listener
from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender

FULL = os.environ.get("ANGARIUM_FAULTS") == "full"
KILLS = 1000 if FULL else 20
"""Half of them before the commit of a message, half after it."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(7200 if FULL else 600)]


def test_kill_before_and_after_the_commit(tmp_path: Path) -> None:
    chance, started, with_mail = random.Random(3), time.monotonic(), 0
    state = tmp_path / "state"
    with Log(tmp_path / "oracle.log") as log, NodeProcess(tmp_path / "data") as node:
        senders = [Sender(f"s{number}", "bob", node.udp, log, pace=0.02) for number in range(3)]
        with Exchange([Phone("bob", node.udp, log)], senders) as exchange:
            # So that bob exists, and is away again: his only device shall be the listener.
            exchange.register()
            exchange.phones[0].register(expires=0)
            assert exchange.phones[0].registered.wait(30)
            listener = Listener(node, "bob", state, log)
            exchange.go()
            try:
                for number in range(KILLS):
                    listener.start("before" if number % 2 else "after", chance.randrange(6))
                    assert listener.wait_for_kill(30.0)
                    with_mail += log.outstanding() > 0
                    if number == KILLS // 2:
                        exchange.pause()
                listener.start()
                assert settle(exchange, log, 30.0), f"{log.outstanding()} never came"
            finally:
                listener.kill()
    run = KillRun(KILLS, with_mail, 0, time.monotonic() - started, 3, judge(log.facts()))
    sys.stdout.write(run.line("D3") + "\n")
    assert run.verdict.failures == 0, str(run.verdict)
    with closing(sqlite3.connect(state)) as database:
        rows = database.execute("SELECT body, count(*) FROM messages GROUP BY body").fetchall()
    assert all(count == 1 for _, count in rows)
    assert len(rows) == run.verdict.accepted
