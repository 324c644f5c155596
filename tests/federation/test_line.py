"""Three servers in a line: phones at its ends know names only."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.network import custody, delivered, line, neighbours, wait_until_linked

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def test_phones_at_both_ends_exchange_messages(tmp_path: Path) -> None:
    with Log(tmp_path / "oracle.log") as log, line(tmp_path) as nodes:
        phones = [Phone("alice", nodes["a"].udp, log), Phone("carol", nodes["c"].udp, log)]
        senders = [Sender("alice", "carol", nodes["a"].udp, log), Sender("carol", "alice", nodes["c"].udp, log)]
        with Exchange(phones, senders) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: delivered(log) >= 200, 60.0)
            exchange.pause()
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 30.0)
        assert judge(log.facts()).failures == 0
        assert wait_until(lambda: custody(nodes) == 0, 10.0)


def test_while_the_middle_is_down_messages_wait(tmp_path: Path) -> None:
    with Log(tmp_path / "oracle.log") as log, line(tmp_path) as nodes:
        phones = [Phone("carol", nodes["c"].udp, log)]
        senders = [Sender("alice", "carol", nodes["a"].udp, log, pace=0.05)]
        with Exchange(phones, senders) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: delivered(log) >= 5, 30.0)
            nodes["b"].kill()
            assert wait_until(lambda: log.outstanding() >= 10, 30.0)
            exchange.pause()
            assert wait_until(lambda: not neighbours(nodes["a"])["b"]["up"], 20.0)
            assert nodes["a"].waiting() >= 9
            nodes["b"].restart()
            wait_until_linked(nodes, (("a", "b"), ("b", "c")), 40.0)
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 40.0)
        assert judge(log.facts()).failures == 0
        assert wait_until(lambda: custody(nodes) == 0, 10.0)
