"""Users away from home: registered, proved and sent to through another node, whose word alone counts for nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.messages.client_manager import AskStates, RegisterContacts
from actors.messages.monitor import JourneySteps
from actors.messages.requests import StateQuestion
from actors.messages.router import Claim, FindNames, Found, NamesAreOurs, NamesLiveAt, RouteFailed
from actors.messages.server_manager import MessagesQueued
from actors.model import Flow, Proof, Step, TransactionKey, UserName
from tests.actors.bench import contact, flow
from tests.actors.roaming import EDGE, HOME, MIDDLE, Node, Roaming

STREAM = flow(9, transport="tcp", connection=4)


@pytest.fixture
def net() -> Iterator[Roaming]:
    """Alice and bob live at `h`; alice's phone is at `e`."""
    with Roaming() as made:
        made.lives_at_home("alice")
        made.lives_at_home("bob")
        yield made


# Registering.


def test_a_phone_registers_at_another_node_with_its_home(net: Roaming) -> None:
    challenged = net.ask_register("alice")
    assert (challenged.status, challenged.challenge.realm) == (401, "angarium")
    answer = net.register("alice")
    assert (answer.status, [line.uri for line in answer.contacts]) == (200, [b"sip:alice@10.0.0.9:5060"])
    assert net.edge.user("alice") is None
    user = net.home.user("alice")
    assert user is not None
    (binding,) = user.devices[0].bindings
    assert (binding.flow.transport, binding.flow.host) == ("path", EDGE)
    assert [part.decode() for part in binding.path[:2]] == [MIDDLE, EDGE]
    (told,) = net.edge.roads.of(NamesLiveAt)
    assert told.claims == (Claim(UserName("alice"), HOME, 1),)


def test_a_wrong_password_is_refused_by_the_home(net: Roaming) -> None:
    assert net.register("alice", password="guess").status == 403
    assert net.grants() == []


def test_a_home_that_cannot_be_asked_is_a_503_not_a_wrong_password(net: Roaming) -> None:
    net.cut = True
    answer = net.ask_register("alice")
    assert (answer.status, answer.retry_after > 0) == (503, True)
    net.edge.roads.others = Found.INCOMPLETE
    assert net.ask_register("carol").status == 503


def test_nobody_and_a_wrong_password_look_the_same(net: Roaming) -> None:
    answer = net.ask_register("nobody")
    assert answer.status == 401
    credentials = net.credentials("nobody", "guess", answer.challenge, "REGISTER")
    assert net.ask_register("nobody", credentials=credentials).status == 403
    assert net.edge.asked() == []


def test_a_refusal_of_the_home_comes_through(net: Roaming) -> None:
    answer = net.register("alice", expires=5)
    assert (answer.status, answer.min_expires) == (423, 60)


def test_a_stream_without_keep_alives_gets_a_short_life_and_one_with_them_a_long_one(net: Roaming) -> None:
    answer = net.register("alice", over=STREAM)
    assert [line.expires for line in answer.contacts] == [120]
    net.edge.seen(STREAM)
    answer = net.register("alice", over=STREAM)
    assert [line.expires for line in answer.contacts] == [3600]


def test_two_phones_with_one_private_address_stay_two(net: Roaming) -> None:
    net.register("alice", contact("alice", instance="urn:one"), over=flow(1))
    answer = net.register("alice", contact("alice", instance="urn:two"), over=flow(2))
    assert len(answer.contacts) == 2
    net.home.send("bob", "alice", credentials=net.home.prove("bob", "secret", "MESSAGE"))
    net.pass_on()
    assert sorted(sent.flow.port for sent in net.edge.sends()) == [40_001, 40_002]


def test_unregistering_ends_the_binding_and_the_visit(net: Roaming) -> None:
    net.register("alice")
    assert net.register("alice", expires=0).contacts == ()
    user = net.home.user("alice")
    assert user is not None
    assert not user.online


def test_a_stale_home_is_told_to_the_router_and_the_next_is_asked(net: Roaming) -> None:
    net.edge.roads.homes["carol"] = HOME
    assert net.ask_register("carol").status == 401  # nobody has her: as if unknown
    failed = net.edge.roads.of(RouteFailed)
    assert {(told.node, told.name, told.home, told.status) for told in failed} == {(MIDDLE, "carol", HOME, 404)}
    assert len(net.edge.roads.of(FindNames)) == len(failed)


# Mail to a visitor.


def test_mail_reaches_a_phone_at_another_node_and_ends_at_home(net: Roaming) -> None:
    net.register("alice", over=flow(5))
    credentials = net.home.prove("bob", "secret", "MESSAGE")
    net.home.send("bob", "alice", b"hi", credentials=credentials)
    net.pass_on()
    assert net.home.sends() == []
    sent = net.edge.send_of()
    assert (sent.body, sent.flow, sent.route, sent.target) == (b"hi", flow(5), (), b"sip:alice@10.0.0.9:5060")
    assert net.home.waiting() == 1
    net.edge.respond(sent)
    net.pass_on()
    assert net.home.waiting() == 0
    assert net.edge.waiting() == 0


def test_order_is_kept_and_one_is_under_way(net: Roaming) -> None:
    net.register("alice")
    bodies = [b"%d" % number for number in range(40)]
    for body in bodies:
        net.home.send("bob", "alice", body, credentials=net.home.prove("bob", "secret", "MESSAGE"))
    net.pass_on()
    got: list[bytes] = []
    while sent := net.edge.sends():
        (one,) = sent
        got.append(one.body)
        net.edge.respond(one)
        net.pass_on()
    assert got == bodies


def test_the_homes_bindings_outlive_its_restart(net: Roaming) -> None:
    net.register("alice", over=flow(5))
    net.home.restart()
    net.home.send("bob", "alice", b"hi", credentials=net.home.prove("bob", "secret", "MESSAGE"))
    net.pass_on()
    assert net.edge.send_of().flow == flow(5)
    assert [(grant.name, grant.node) for grant in net.grants()][-1] == ("alice", EDGE)


def test_a_phone_that_went_home_gets_it_there(net: Roaming) -> None:
    net.register("alice")
    net.home.register("alice", over=flow(7), credentials=net.home.prove("alice", "secret", "REGISTER"))
    net.home.send("bob", "alice", b"hi", credentials=net.home.prove("bob", "secret", "MESSAGE"))
    net.pass_on()
    assert net.home.send_of().flow == flow(7)
    assert net.edge.sends() == []


# Mail from a visitor.


def test_a_visitors_message_is_taken_on_his_homes_word(net: Roaming) -> None:
    net.register("alice")
    net.edge.roads.homes["bob"] = HOME
    answer = net.send("alice", "bob", b"from afar")
    assert (answer.status, bool(answer.message_id)) == (202, True)
    (queued,) = net.edge.server_manager.of(MessagesQueued)[-1].items
    assert (queued.queue, queued.message.envelope.body) == ("n:m", b"from afar")
    assert queued.message.envelope.proof is Proof.PEER
    assert queued.message.envelope.routing is not None
    assert net.edge.waiting() == 1


def test_a_message_sent_again_after_a_restart_is_known(net: Roaming) -> None:
    net.register("alice")
    challenge = net.submit("alice", "bob").challenge
    credentials = net.credentials("alice", "secret", challenge, "MESSAGE")
    more = {"call_id": b"same", "credentials": credentials}
    first = net.submit("alice", "bob", **more)
    net.edge.restart()
    again = net.submit("alice", "bob", **more)
    assert (again.status, again.message_id) == (202, first.message_id)
    assert net.edge.waiting() == 1


def test_a_used_nonce_is_challenged_anew_by_the_home(net: Roaming) -> None:
    challenge = net.submit("alice", "bob").challenge
    credentials = net.credentials("alice", "secret", challenge, "MESSAGE")
    assert net.submit("alice", "bob", b"one", credentials=credentials).status == 202
    answer = net.submit("alice", "bob", b"two", credentials=credentials)
    assert (answer.status, answer.challenge.stale) == (401, True)


def test_is_composing_stays_where_it_is(net: Roaming) -> None:
    net.edge.add_user("carol")
    credentials = net.edge.prove("carol", "secret", "MESSAGE")
    typing = ((b"Content-Type", b"application/im-iscomposing+xml"),)
    assert net.edge.send("carol", "bob", b"<x/>", headers=typing, credentials=credentials).status == 202
    assert net.edge.waiting() == 0


def test_a_visitor_may_ask_what_became_of_his_message(net: Roaming) -> None:
    accepted = net.send("alice", "bob")
    challenge = net.submit("alice", "bob").challenge
    for credentials, status in ((None, 401), (net.credentials("alice", "secret", challenge, "MESSAGE"), 200)):
        question = StateQuestion(
            TransactionKey(b"q%d" % status), flow(), UserName("alice"), accepted.message_id, credentials
        )
        net.edge.tell(AskStates(items=(question,)))
        net.pass_on()
        answer = net.edge.answer(question)  # type: ignore[arg-type]  # it has a transaction
        assert answer.status == status
    assert answer.headers == ((b"Angarium-State", b"waiting"),)


def test_what_a_visitor_sends_bears_his_homes_grant(net: Roaming) -> None:
    net.edge.roads.homes["bob"] = HOME
    assert net.send("alice", "bob").status == 202
    (queued,) = net.edge.server_manager.of(MessagesQueued)[-1].items
    routing = queued.message.envelope.routing
    assert routing is not None
    assert (routing.origin, len(routing.grant)) == (EDGE, 40)


# Open mode.


def test_an_open_node_takes_in_whom_nobody_has_and_has_it_checked() -> None:
    with Roaming(open_mode=True) as net:
        net.edge.roads.others = Found.INCOMPLETE
        assert net.ask_register("dave").status == 200
        (told,) = net.edge.roads.of(NamesAreOurs)
        assert (told.names, told.fresh) == (("dave",), True)
        (asked,) = net.edge.roads.of(FindNames)
        assert not asked.search


def test_an_open_visitor_is_proved_by_the_flow_he_registered_over() -> None:
    with Roaming(open_mode=True) as net:
        net.home.register("alice")
        net.lives_at_home("alice", password="")
        assert net.register("alice", over=flow(5)).status == 200
        net.submit("alice", "bob", over=flow(5))
        net.submit("alice", "bob", over=flow(6))
        net.edge.roads.homes["bob"] = HOME
        net.submit("alice", "bob", over=flow(5))
        net.submit("alice", "bob", over=flow(6))
        queued = [item.message.envelope for told in net.edge.server_manager.of(MessagesQueued) for item in told.items]
        assert [envelope.proof for envelope in queued] == [Proof.PEER, Proof.OPEN]


def test_an_open_node_asks_nobody_about_senders_it_has_not_seen() -> None:
    with Roaming(open_mode=True) as net:
        net.edge.register("bob")
        assert net.edge.send("stranger", "bob").status == 202
        assert [asked.names for asked in net.edge.roads.of(FindNames)] == [("bob",)]


def test_an_address_that_never_answered_gets_no_mail_through_the_edge() -> None:
    victim = Flow("udp", 0, "203.0.113.5", 5060)
    with Roaming(open_mode=True) as net:
        net.home.register("alice", over=flow(2), expires=60)
        net.lives_at_home("alice", password="")
        net.register("alice", over=victim)
        net.home.send("bob", "alice", b"x" * 900)
        net.pass_on()
        probe = net.edge.send_of()
        assert (probe.method, probe.body, probe.flow) == ("OPTIONS", b"", victim)
        net.edge.respond(probe)
        sent = net.edge.send_of()
        assert (sent.method, len(sent.body)) == ("MESSAGE", 900)


# Without neighbours nothing is asked.


def test_a_node_alone_asks_nobody() -> None:
    with Node(HOME, federated=False) as node:
        request = node.registration("nobody")
        node.tell(RegisterContacts(items=(request,)))
        assert node.answer(request).status == 401
        assert node.send("nobody", "other").status == 401
        assert node.add_user("carol").error == ""
        assert node.roads.of(FindNames) == []
        assert node.server_manager.messages == ()


def test_the_journey_names_the_server_that_a_phone_visits(net: Roaming) -> None:
    net.register("alice")
    net.home.send("bob", "alice", credentials=net.home.prove("bob", "secret", "MESSAGE"))
    net.pass_on()
    steps = [told for told in net.home.monitor.of(JourneySteps) if told.step is Step.SENT]
    assert [detail.rpartition(" at ")[2] for told in steps for detail in told.details] == [f"server {EDGE}"]
