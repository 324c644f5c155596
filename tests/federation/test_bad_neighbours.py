"""A neighbour that is deaf, flaps, speaks nonsense or is cut off slows nobody else, and costs no mail (N2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.between import Between, Manner
from tests.federation.network import (
    CARRIES,
    counter,
    custody,
    link_address,
    neighbours,
    said,
    start,
    wait_until_known,
    wait_until_linked,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]
HANDED = "messages_forwarded_total"
EDGES = (("a", "b"), ("a", "c"))
CALLS = 40
"""Connections that a neighbour may be called with while it is out of order: some, not one after the other."""


class Stage(NamedTuple):
    """Node a between b and c; the way from a to c, and that from c to a, lead over a host of ours."""

    nodes: dict[str, NodeProcess]
    to_c: Between
    to_a: Between


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("bad")
    with ExitStack() as stack:
        a = NodeProcess(folder / "a", name="a")
        c = NodeProcess(folder / "c", name="c")
        to_a, to_c = stack.enter_context(Between(a.tcp)), stack.enter_context(Between(c.tcp))
        a.args += ["--neighbour", f"c={to_c.url}"]
        c.args += ["--neighbour", f"a={to_a.url}"]
        b = NodeProcess(folder / "b", args=["--open", "--neighbour", f"a={link_address(a)}"], name="b")
        nodes = start(stack, a, b, c)
        wait_until_linked(nodes, EDGES)
        wait_until_known(nodes)
        yield Stage(nodes, to_c, to_a)


BOTH = [(manner, False) for manner in (Manner.DEAF, Manner.FLAPPING, Manner.NONSENSE, Manner.CUT)]
ONE_WAY = [(Manner.DEAF, True), (Manner.FLAPPING, True)]


@pytest.mark.parametrize(("manner", "one_way"), [*BOTH, *ONE_WAY])
def test_mail_to_others_goes_on_and_none_is_lost(stage: Stage, tmp_path: Path, manner: Manner, one_way: bool) -> None:
    nodes, to_c, to_a = stage
    a = nodes["a"]
    alice, bob, carol = (f"{name}-{manner.name.lower()}-{one_way:d}" for name in ("alice", "bob", "carol"))
    with Log(tmp_path / "oracle.log") as log:
        phones = [Phone(user, nodes[at].udp, log) for user, at in ((alice, "a"), (bob, "b"), (carol, "c"))]
        others = [Sender(alice, bob, a.udp, log, pace=0.02), Sender(bob, alice, nodes["b"].udp, log, pace=0.02)]
        there = [Sender(alice, carol, a.udp, log, pace=0.02), Sender(bob, carol, nodes["b"].udp, log, pace=0.02)]
        with Exchange(phones, [*others, *there]) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: arrived(log, carol) >= 5, 30.0)
            calls, carries, handed = to_c.connections, counter(a, CARRIES), counter(a, HANDED)
            to_c.behave(manner)
            if not one_way:
                to_a.behave(manner)
            # Mail for those who can be reached goes on, while that for carol waits at a.
            assert wait_until(lambda: a.waiting() >= 10, 30.0)
            for sender in there:
                sender.active.clear()
            before = arrived(log, alice), arrived(log, bob)
            assert wait_until(lambda: arrived(log, alice) >= before[0] + 20, 60.0)
            assert wait_until(lambda: arrived(log, bob) >= before[1] + 20, 60.0)
            assert wait_until(lambda: not neighbours(a)["c"]["up"], 40.0)
            assert to_c.connections - calls <= CALLS
            to_c.behave(Manner.HONEST)
            to_a.behave(Manner.HONEST)
            exchange.pause()
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)
            assert wait_until(lambda: custody(nodes) == 0, 10.0)
        wait_until_linked(nodes, EDGES)
    verdict = judge(log.facts())
    assert verdict.failures == 0, str(verdict)
    assert counter(a, CARRIES) - carries <= 2 * (counter(a, HANDED) - handed)


def arrived(log: Log, user: str) -> int:
    """Messages that this user has got."""
    return sum(fact.what == "delivered" and f">{user} " in fact.body for fact in log.facts())
