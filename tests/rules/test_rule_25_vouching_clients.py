"""Rule 25, at the clients' side: who may send as whom through which node, and how the message says it was proved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.messages.client_manager import RelayArrived, RelaysArrived
from actors.messages.links import RelayedProof
from actors.messages.server_manager import AnswerRelays, MessagesQueued
from actors.model import Proof, UserName
from tests.actors.bench import flow
from tests.actors.roaming import EDGE, HOME, MIDDLE, Node, Roaming

ALICE = UserName("alice")


@pytest.fixture
def net() -> Iterator[Roaming]:
    """Alice and bob live at `h`."""
    with Roaming() as made:
        made.lives_at_home("alice")
        made.lives_at_home("bob")
        yield made


def granted(net: Roaming) -> set[tuple[str, str]]:
    """Who may send through which node, as the home's Router was told."""
    return {(grant.name, grant.node) for grant in net.grants()}


def test_a_challenge_or_a_wrong_password_grants_nothing(net: Roaming) -> None:
    net.ask_register("alice")
    net.register("alice", password="guess")
    net.submit("alice", "bob")
    net.send("alice", "bob", password="guess")
    assert granted(net) == set()


def test_a_registration_through_a_node_grants_it_longer_than_its_messages_live(net: Roaming) -> None:
    net.register("alice")
    assert granted(net) == {("alice", EDGE)}
    assert net.grants()[-1].seconds == 3600 + net.home.settings.message_life


def test_a_proof_through_a_node_grants_that_node_only(net: Roaming) -> None:
    assert net.send("alice", "bob").status == 202
    assert granted(net) == {("alice", EDGE)}


def test_a_restart_of_the_home_forgets_no_grant_of_a_registration(net: Roaming) -> None:
    net.register("alice")
    net.home.roads.heard.clear()
    net.home.restart()
    assert granted(net) == {("alice", EDGE)}
    assert 0 < net.grants()[-1].seconds <= 3600 + net.home.settings.message_life


def test_a_proof_for_one_user_is_none_for_another(net: Roaming) -> None:
    challenge = net.submit("alice", "bob").challenge
    mine = net.credentials("alice", "secret", challenge, "MESSAGE")
    assert net.submit("bob", "alice", credentials=mine).status == 403
    assert granted(net) == set()


def test_a_proof_captured_at_one_node_is_none_at_another(net: Roaming) -> None:
    challenge = net.submit("alice", "bob").challenge
    captured = net.credentials("alice", "secret", challenge, "MESSAGE")
    elsewhere = RelayArrived(77, MIDDLE, (MIDDLE,), RelayedProof(ALICE, captured, "token"))
    net.home.tell(RelaysArrived(items=(elsewhere,)))
    (answer,) = net.home.server_manager.of(AnswerRelays)[-1].items
    assert (answer.status, answer.reply.challenge is not None) == (401, True)
    assert granted(net) == set()


def test_a_proof_is_spent(net: Roaming) -> None:
    challenge = net.submit("alice", "bob").challenge
    captured = net.credentials("alice", "secret", challenge, "MESSAGE")
    assert net.submit("alice", "bob", b"one", credentials=captured).status == 202
    assert net.submit("alice", "bob", b"two", credentials=captured).status == 401


def test_a_node_that_asks_itself_is_sent_on(net: Roaming) -> None:
    asked = RelayArrived(77, HOME, (), RelayedProof(ALICE, None, "token"))
    net.home.tell(RelaysArrived(items=(asked,)))
    assert [answer.status for answer in net.home.server_manager.of(AnswerRelays)[-1].items] == [404]


@pytest.mark.parametrize(("password", "proof"), [("", Proof.OPEN), ("secret", Proof.PEER)])
def test_an_envelope_says_how_its_sender_was_proved(password: str, proof: Proof) -> None:
    with Roaming(open_mode=True) as net:
        if not password:
            net.home.register("alice")
        net.lives_at_home("alice", password=password)
        net.register("alice", password=password, over=flow(5))
        net.edge.roads.homes["bob"] = HOME
        assert net.send("alice", "bob", password=password, over=flow(6)).status == 202
        (queued,) = net.edge.server_manager.of(MessagesQueued)[-1].items
        assert queued.message.envelope.proof is proof


def test_in_open_mode_a_password_counts_at_other_nodes_too() -> None:
    with Roaming(open_mode=True) as net:
        net.lives_at_home("alice")
        net.register("alice")
        assert net.submit("alice", "bob").status == 401
        assert net.send("alice", "bob", password="guess").status == 403


def test_a_name_of_another_host_is_never_taken_for_ours() -> None:
    with Node(HOME, open_mode=True) as node:
        assert node.send("alice", "bob", ours=False).status == 403
