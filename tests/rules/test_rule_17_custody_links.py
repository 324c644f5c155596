"""Rule 17: a hand-over is taken once however often it comes; a node refuses rather than forget."""

from __future__ import annotations

import pytest

from actors.messages.links import Carry
from actors.messages.router import Unknown
from actors.messages.sip_adapter import LinkReply
from actors.model import Seq
from tests.actors.mail_bench import MailNetwork, MailNode


def cut_answers(network: MailNetwork, callee: str) -> None:
    """The 202s of this node are lost from now on."""

    def lose(answering: str, caller: str, reply: LinkReply) -> LinkReply | None:
        return None if answering == callee and reply.status == 202 else reply

    network.on_answer = lose


def heal(network: MailNetwork) -> None:
    network.on_answer = lambda callee, caller, reply: reply


def line(network: MailNetwork) -> tuple[MailNode, MailNode, MailNode]:
    """a, b, c in a row; bob lives at c."""
    a, b, c = network.node("a", "b"), network.node("b", "a", "c"), network.node("c", "b")
    a.names.ways["bob"], b.names.ways["bob"] = ("b",), ("c",)
    c.names.ours.add("bob")
    a.names.sticks = True
    network.run(1)
    return a, b, c


@pytest.mark.parametrize("killed", ["", "a", "b", "ab"])
def test_a_lost_202_is_no_second_message_even_after_restarts(killed: str) -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        cut_answers(network, "b")
        a.submit("bob", "bob", "carol")
        network.run(30)
        for node in (a, b):
            if node.name in killed:
                node.restart()
        network.run(30)
        assert len(network.carries("a")) > 4
        heal(network)
        network.run(90)
        assert (b.mailbox("bob"), b.mailbox("carol")) == (["m000001", "m000002"], ["m000003"])
        assert a.queue("n:b") == []


def test_taken_before_and_long_gone_on_it_is_taken_once() -> None:
    with MailNetwork() as network:
        a, b, c = line(network)
        cut_answers(network, "b")
        a.submit("bob")
        network.run(15)
        assert c.mailbox("bob") == ["m000001"]
        assert b.queue("n:c") == []
        heal(network)
        network.run(60)
        assert a.queue("n:b") == []
        assert c.mailbox("bob") == ["m000001"]
        assert b.count("messages_taken_total") == 1


def test_taken_before_it_is_not_refused_when_the_way_has_changed_since() -> None:
    """Else: the first node sends it another way, while this one has handed it on."""
    with MailNetwork() as network:
        a, b, c = line(network)
        a.names.ways["bob"] = ("b", "d")
        cut_answers(network, "b")
        a.submit("bob")
        network.run(15)
        del b.names.ways["bob"]
        b.names.otherwise = Unknown()
        heal(network)
        network.run(60)
        assert a.queue("n:b") == []
        assert a.mailbox("alice") == []
        assert c.mailbox("bob") == ["m000001"]


def test_a_node_without_room_refuses_and_nothing_is_lost() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        b.disk.fill()
        a.submit("bob", "carol")
        network.run(30)
        assert len(a.queue("n:b")) == 2
        assert a.neighbours()["b"].in_doubt == 0
        b.disk.empty()
        network.run(90)
        assert (b.mailbox("bob"), b.mailbox("carol")) == (["m000001"], ["m000002"])


def test_rows_rise_over_restarts_and_moves_and_the_floor_never_passes_one_that_waits() -> None:
    with MailNetwork(3) as network:
        a, b = network.pair()
        chance = network.simulation.random
        network.on_answer = lambda callee, caller, reply: reply if chance.random() < 0.7 else None
        for _ in range(15):
            a.submit(*(f"b{chance.randrange(5)}" for _ in range(5)))
            network.run(chance.choice((0.1, 5.0)))
            if chance.random() < 0.3:
                a.restart()
        heal(network)
        network.run(120)
        open_rows: dict[Seq, str] = {}
        for carry in network.carries("a"):
            known = open_rows.setdefault(carry.row, carry.envelope.id)
            assert known == carry.envelope.id
            assert carry.floor <= carry.row
        assert a.queue("n:b") == []
        assert sum(len(b.mailbox(f"b{n}")) for n in range(5)) == len(a.all_accepted())


def test_one_folder_has_one_incarnation() -> None:
    with MailNetwork() as network:
        a, _ = network.pair()
        a.submit("bob")
        network.run(1)
        a.restart()
        network.run(1)
        a.submit("bob")
        network.run(1)
        assert len({carry.incarnation for carry in network.contents(Carry, "a")}) == 1
