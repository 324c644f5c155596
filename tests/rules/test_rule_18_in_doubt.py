"""Rule 18: once on the wire to a neighbour, a message goes to nobody else until that neighbour has said no."""

from __future__ import annotations

import pytest

from actors.messages.links import Carry
from actors.messages.router import Unknown
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.messages.storage import MoveMessages
from tests.actors.mail_bench import MailNetwork, MailNode


def fork(network: MailNetwork) -> tuple[MailNode, MailNode, MailNode]:
    """a knows two ways to bob at c: over b, and straight."""
    a, b, c = network.node("a", "b", "c"), network.node("b", "a", "c"), network.node("c", "a", "b")
    a.names.ours.add("alice")
    a.names.ways |= {"bob": ("b", "c"), "carol": ("b", "c")}
    b.names.ways |= {"bob": ("c",), "carol": ("c",), "alice": ("a",)}
    c.names.ours |= {"bob", "carol"}
    network.run(1)
    return a, b, c


def lose_answers_of_b(callee: str, caller: str, reply: LinkReply) -> LinkReply | None:
    return None if (callee, caller) == ("b", "a") else reply


def straight(network: MailNetwork) -> list[str]:
    """What a sent to c itself."""
    return [
        request.content.envelope.id
        for caller, callee, request in network.requests
        if (caller, callee) == ("a", "c") and isinstance(request.content, Carry)
    ]


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("asks_again", [False, True])
def test_a_lost_202_does_not_send_it_another_way(restart: bool, asks_again: bool) -> None:
    """Else: the 202 is lost, another way delivers, and the first copy ends in a false notice."""
    with MailNetwork() as network:
        a, b, c = fork(network)
        network.on_answer = lose_answers_of_b
        a.submit("bob")
        network.run(0.5)
        b.kill()
        if restart:
            a.restart()
        for _ in range(10):
            network.run(6)
            if asks_again:
                a.route_again()
        assert straight(network) == []
        network.on_answer = lambda callee, caller, reply: reply
        b.start()
        network.run(60)
        assert a.queue("n:b") == []
        assert straight(network) == []
        assert c.mailbox("bob") == ["m000001"]
        assert a.mailbox("alice") == []


def test_the_whole_recipient_waits_behind_it_and_others_do_not() -> None:
    with MailNetwork() as network:
        a, b, c = fork(network)
        network.on_answer = lose_answers_of_b
        a.names.sticks = True
        a.submit("bob")
        network.run(0.5)
        b.kill()
        network.run(0.5)
        a.submit("bob", "carol", "bob", "carol")
        network.run(0.5)
        a.names.sticks = False
        network.run(30)
        assert c.mailbox("carol") == ["m000003", "m000005"]
        assert straight(network) == ["m000003", "m000005"]
        network.on_answer = lambda callee, caller, reply: reply
        b.start()
        network.run(60)
        assert c.mailbox("bob") == ["m000001", "m000002", "m000004"]


def test_a_definite_refusal_frees_it() -> None:
    with MailNetwork() as network:
        a, b, c = fork(network)

        def lose(caller: str, callee: str, request: LinkRequest) -> LinkRequest | None:
            return None if (caller, callee) == ("a", "b") and isinstance(request.content, Carry) else request

        network.on_request = lose
        a.submit("bob", "bob")
        network.run(30)
        assert straight(network) == []
        network.on_request = lambda caller, callee, request: request
        del b.names.ways["bob"]
        b.names.otherwise = Unknown()
        a.names.ways["bob"] = ("c",)
        network.run(90)
        assert straight(network) == ["m000001", "m000002"]
        assert c.mailbox("bob") == ["m000001", "m000002"]


def test_a_503_to_a_second_try_says_nothing_of_the_first() -> None:
    with MailNetwork() as network:
        a, b, c = fork(network)
        network.on_answer = lose_answers_of_b
        a.submit("bob")
        network.run(0.5)
        b.names.failing = 1000
        network.on_answer = lambda callee, caller, reply: reply
        network.run(60)
        b.kill()
        network.run(30)
        assert straight(network) == []
        b.names.failing = 0
        b.start()
        network.run(90)
        assert c.mailbox("bob") == ["m000001"]


def test_a_503_to_the_first_try_binds_nothing() -> None:
    with MailNetwork() as network:
        a, b, c = fork(network)
        b.names.failing = 1000
        a.submit("bob")
        network.run(5)
        assert a.neighbours()["b"].in_doubt == 0
        b.kill()
        network.run(70)
        assert c.mailbox("bob") == ["m000001"]
        assert straight(network) == ["m000001"]


def test_after_a_restart_all_that_stands_there_is_in_doubt() -> None:
    with MailNetwork() as network:
        a, b, c = fork(network)
        a.names.sticks = True
        b.kill()
        network.run(0.5)
        a.submit("bob", "bob")
        network.run(0.5)
        a.restart()
        a.names.sticks = False
        network.run(60)
        assert straight(network) == []
        assert a.neighbours()["b"].in_doubt == 2
        b.start()
        network.run(60)
        assert c.mailbox("bob") == ["m000001", "m000002"]


def test_the_operator_frees_it() -> None:
    with MailNetwork() as network:
        a, b, c = fork(network)
        network.on_answer = lose_answers_of_b
        a.submit("bob")
        network.run(0.5)
        assert c.mailbox("bob") == ["m000001"]
        b.kill()
        network.run(5)
        a.remove("b")
        network.run(10)
        assert straight(network) == ["m000001"]
        assert a.queue("n:b") == []
        assert c.mailbox("bob") == ["m000001"], "the home keeps it once"


def test_a_removal_goes_on_after_a_kill() -> None:
    with MailNetwork() as network:
        a, b, c = network.node("a", "c"), network.node("b", "a", "c"), network.node("c", "a", "b")
        a.names.ours.add("alice")
        a.names.ways |= {"bob": ("b", "c")}
        b.names.ways |= {"bob": ("c",), "alice": ("a",)}
        c.names.ours |= {"bob"}
        network.run(5)
        assert a.neighbours()["b"].origin == "greeting"
        network.on_answer = lose_answers_of_b
        a.submit("bob")
        network.run(0.5)
        b.kill()
        network.run(5)
        a.storage.failing[MoveMessages] = 1000
        a.remove("b")
        network.run(0.1)
        assert len(a.queue("n:b")) == 1
        a.restart()
        a.storage.failing.clear()
        network.run(10)
        assert a.queue("n:b") == []
        assert straight(network) == ["m000001"]
        assert sorted(a.neighbours()) == ["c"]
