"""Rule 19: one in flight per recipient, many recipients at once; a recipient that waits keeps no other waiting."""

from __future__ import annotations

from collections import Counter

from actors.messages.links import Carry
from actors.messages.router import Refused
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.model import Envelope
from tests.actors.mail_bench import MailNetwork, MailNode


class Wire:
    """Counts what is on the wire from a, for each recipient."""

    def __init__(self, network: MailNetwork) -> None:
        self.most = 0
        self.flying: Counter[str] = Counter()
        self._of: dict[str, str] = {}
        network.on_request = self.request
        network.on_answer = self.answer
        self._order: list[str] = []

    def request(self, caller: str, callee: str, request: LinkRequest) -> LinkRequest | None:
        if caller == "a" and isinstance(request.content, Carry):
            recipient = request.content.envelope.recipient
            assert not self.flying[recipient], f"two to {recipient} at once"
            self.flying[recipient] += 1
            self._order.append(recipient)
            self.most = max(self.most, self.flying.total())
        return request

    def answer(self, callee: str, caller: str, reply: LinkReply) -> LinkReply | None:
        if callee == "b" and reply.status in (202, 503) and self._order:
            self.flying[self._order.pop(0)] -= 1
        return reply


def test_one_to_each_recipient_many_recipients_at_once() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        wire = Wire(network)
        for _ in range(10):
            a.submit(*(f"b{n}" for n in range(20)))
        network.run(5)
        assert wire.most == 20
        for n in range(20):
            name = f"b{n}"
            assert b.mailbox(name) == [message for recipient, message in a.all_accepted() if recipient == name]


def busy_with(node: MailNode, recipient: str) -> None:
    """The node answers 503 for one recipient."""
    real = node.names.route

    def route(envelope: Envelope, arrived_from: str = "") -> object:
        return Refused(503, "Later") if envelope.recipient == recipient else real(envelope, arrived_from)

    node.names.route = route  # type: ignore[method-assign, assignment]  # a fault


def test_a_recipient_that_is_put_off_keeps_his_order_and_nobody_else() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        real = b.names.route
        busy_with(b, "bob")
        for _ in range(20):
            a.submit("bob", "carol")
            network.run(0.1)
        assert len(b.mailbox("carol")) == 20
        assert b.mailbox("bob") == []
        tried = sum(carry.envelope.recipient == "bob" for carry in network.carries("a"))
        assert tried <= 3
        b.names.route = real  # type: ignore[method-assign]  # the fault is over
        network.run(120)
        assert b.mailbox("bob") == [message for recipient, message in a.all_accepted() if recipient == "bob"]


def test_order_lasts_over_503s_restarts_and_reading_on_from_the_disk() -> None:
    with MailNetwork(5) as network:
        a, b = network.pair()
        a.names.sticks = True
        chance = network.simulation.random
        b.kill()
        for _ in range(8):
            a.submit(*(f"b{chance.randrange(4)}" for _ in range(100)))
            network.run(0.1)
        a.restart()
        b.start()
        for _ in range(12):
            b.names.failing = chance.randrange(20)
            network.run(2)
            if chance.random() < 0.5:
                chance.choice((a, b)).restart()
        b.names.failing = 0
        network.run(300)
        for n in range(4):
            name = f"b{n}"
            assert b.mailbox(name) == [message for recipient, message in a.all_accepted() if recipient == name]


def test_back_off_belongs_to_the_link() -> None:
    """A neighbour that is away gets no storm, and all of it at once when it is back."""
    with MailNetwork() as network:
        a, b = network.pair()
        a.names.sticks = True
        b.kill()
        a.submit(*(f"b{n}" for n in range(20)))
        network.run(60)
        before = len(network.carries("a"))
        network.run(60)
        assert len(network.carries("a")) == before
        b.start()
        network.run(2)
        assert a.queue("n:b") == []
