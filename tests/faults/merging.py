"""Two servers lose each other, each gets a bob with mail, and they find together again. For planted faults."""

from __future__ import annotations

from apps.node.wiring import Actors
from apps.simulated.network import Network
from apps.simulated.shapes import line
from tests.actors.movers import is_over, until
from tests.faults.exceptions import Fault, Faults
from tests.faults.federated import CLIENTS, TIMING

PATIENCE = 1_500.0
"""Seconds within which one of two homes has given way, whatever has failed once."""


class MergingStory:
    """Nodes a-b in open mode: of two homes of one name that of a stays (PROTOCOL 23)."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = Faults(*faults)
        self.net = Network(
            9, links=line("ab"), clients=CLIENTS, timing=TIMING, slowness=0.0, actors=Actors(**self.faults.parts)
        )

    def tell(self) -> None:
        """Let it happen."""
        net = self.net
        net.start()
        net.cut("a", "b")
        net.run_for(30)
        phones = [net.phone("bob", node) for node in "ab"]
        senders = [net.phone(f"from-{node}", node) for node in "ab"]
        for phone in phones:
            phone.switch_off()
        for sender in (*senders, *senders):
            sender.send("bob")
        net.run_for(35)
        self.faults.arm()
        net.heal()
        for sender in senders:
            sender.send("bob")
        until(net, lambda: is_over(net, "bob", "a"), PATIENCE, pace=2.0)
        bodies = [sender.send("bob") for sender in senders]
        net.run_for(10)
        assert [net.oracle.sent[body].status for body in bodies] == [202, 202]
        net.come_to_rest()
        got = {body for phone in phones for body in phone.mailbox}
        assert got == {sent.body for sent in net.oracle.accepted()}

    def verdict(self) -> list[str]:
        """Broken promises, without the planted faults."""
        return [violation for violation in self.net.judge() if "Planted" not in violation]
