"""Real ServerManagers over real stores: whatever is cut, delayed or killed, accepted mail arrives once, in order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from actors.messages.sip_adapter import LinkReply, LinkRequest
from tests.actors.mail_bench import MailNetwork, MailNode

RECIPIENTS = tuple(f"b{n}" for n in range(20))


def deliver(network: MailNetwork, *nodes: MailNode, seconds: float = 300.0) -> None:
    """All is well from now on: let what is left come home."""
    network.on_request = lambda caller, callee, request: request
    network.on_answer = lambda callee, caller, reply: reply
    for node in nodes:
        if not node.alive:
            node.start()
    network.run(seconds)


def check(accepted: Iterable[tuple[str, str]], home: MailNode, *passed: MailNode, order: bool = True) -> None:
    """Everything accepted is in the mailboxes once, in order, and nowhere else."""
    expected: dict[str, list[str]] = {}
    for recipient, message in accepted:
        expected.setdefault(recipient, []).append(message)
    for recipient, messages in expected.items():
        found = home.mailbox(recipient)
        assert (found if order else sorted(found)) == sorted(messages)
    for node in passed:
        for queue in ("?", *(f"n:{other}" for other in node.network.nodes)):
            assert node.queue(queue) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_messages_over_a_switch_that_drops_and_delays_with_kills(seed: int) -> None:
    with MailNetwork(seed) as network:
        a, b = network.pair()
        a.names.sticks = True
        chance = network.simulation.random

        def request(caller: str, callee: str, passing: LinkRequest) -> LinkRequest | None:
            return passing if chance.random() > 0.1 else None

        def answer(callee: str, caller: str, passing: LinkReply) -> LinkReply | None:
            return passing if chance.random() > 0.1 else None

        network.on_request, network.on_answer = request, answer
        for _ in range(100):
            a.submit(*(chance.choice(RECIPIENTS) for _ in range(10)))
            network.simulation.run_steps(chance.randint(1, 200))
            if chance.random() < 0.15:
                chance.choice((a, b)).restart()
            network.run(chance.choice((0.001, 0.01, 1.0, 12.0)))
        deliver(network, a, b)
        assert len(a.all_accepted()) > 900
        check(a.all_accepted(), b, a, b)


@pytest.mark.parametrize("who", ["a", "b", "both"])
def test_a_kill_at_every_step_of_a_hand_over(who: str) -> None:
    for kill_after in range(1, 200):
        with MailNetwork(7) as network:
            a, b = network.pair()
            a.submit("bob", "bob", "carol")
            network.simulation.run_steps(kill_after)
            over = len(b.clients.mail) == 3 and a.count("messages_forwarded_total") == 3
            for node in (a, b):
                if who in (node.name, "both"):
                    node.restart()
            deliver(network, a, b, seconds=20)
            check(a.all_accepted(), b, a, b)
        if over:
            assert kill_after > 10
            return
    pytest.fail("a hand-over took more steps than were killed")


@pytest.mark.parametrize("lost", range(1, 12))
def test_any_single_answer_may_be_lost(lost: int) -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        seen = 0

        def answer(callee: str, caller: str, passing: LinkReply) -> LinkReply | None:
            nonlocal seen
            seen += caller == "a"
            return None if caller == "a" and seen == lost else passing

        network.on_answer = answer
        a.submit("bob", "bob", "carol", "bob", "carol", "bob")
        network.run(60)
        deliver(network, a, b, seconds=20)
        check(a.all_accepted(), b, a, b)
        assert len(a.all_accepted()) == 6


@pytest.mark.parametrize("seed", range(2))
def test_three_in_a_line_killed_in_turn(seed: int) -> None:
    with MailNetwork(seed) as network:
        a, b, c = network.node("a", "b"), network.node("b", "a", "c"), network.node("c", "b")
        for name in RECIPIENTS:
            a.names.ways[name], b.names.ways[name] = ("b",), ("c",)
            c.names.ours.add(name)
        network.run(1)
        chance = network.simulation.random
        for _ in range(40):
            a.submit(*(chance.choice(RECIPIENTS) for _ in range(10)))
            network.simulation.run_steps(chance.randint(1, 300))
            if chance.random() < 0.4:
                chance.choice((a, b, c)).restart()
            network.run(chance.choice((0.01, 0.5, 3.0)))
        deliver(network, a, b, c)
        check(a.all_accepted(), c, a, b, c, order=False)
