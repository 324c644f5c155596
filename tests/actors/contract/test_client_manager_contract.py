"""What any ClientManager must do, by the typed messages it hears and tells. A replacement is added to `MANAGERS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.base import ActorBase
from actors.client_manager.actor import ClientManager
from actors.messages.client_manager import RegisterContacts, RelayArrived, RelaysArrived, SubmitMessages
from actors.messages.lifecycle import Ping, Pong
from actors.messages.links import RelayContent, RelayedDelivery, RelayedProof, RelayedRegister
from actors.messages.server_manager import AnswerRelays, RelayDeliveries
from actors.model import NodeName, UserName
from tests.actors.bench import Bench, contact, flow

MANAGERS: list[type[ActorBase[Any]]] = [ClientManager]


@pytest.fixture(params=MANAGERS, ids=lambda manager: f"{manager.__module__}.{manager.__name__}")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with Bench(client_manager=request.param) as made:
        made.register("alice", over=flow(1))
        made.register("bob", over=flow(2))
        yield made


def test_each_request_gets_one_answer(bench: Bench) -> None:
    messages = [bench.submission("alice", name) for name in ("bob", "nobody", "bob")]
    registers = [bench.registration("bob", contact("bob"), over=flow(2)) for _ in range(2)]
    bench.tell(SubmitMessages(items=tuple(messages)))
    bench.tell(RegisterContacts(items=tuple(registers)))
    bench.advance(5)
    assert [len(bench.answers(message)) for message in messages] == [1] * 3
    assert [len(bench.answers(register)) for register in registers] == [1] * 2
    assert [bench.answer(message).status for message in messages] == [202, 404, 202]


def test_accepted_has_an_id_and_is_on_disk(bench: Bench) -> None:
    answer = bench.send("alice", "bob")
    assert answer.message_id
    bench.restart()
    assert bench.waiting() == 1


def test_a_register_lists_all_bindings_as_they_were_sent(bench: Bench) -> None:
    answer = bench.register("bob", contact("bob", "other.example", instance="urn:2"), over=flow(3))
    assert sorted(line.uri for line in answer.contacts) == [b"sip:bob@10.0.0.9:5060", b"sip:bob@other.example:5060"]
    query = bench.registration("bob")
    bench.tell(RegisterContacts(items=(query,)))
    assert len(bench.answer(query).contacts) == 2


def test_a_registration_outlives_a_kill(bench: Bench) -> None:
    bench.restart()
    bench.send("alice", "bob")
    assert bench.send_of().flow == flow(2)


def test_delivered_in_order_and_once(bench: Bench) -> None:
    bodies = [b"%d" % number for number in range(60)]
    for body in bodies:
        bench.send("alice", "bob", body)
    assert bench.accept_all() == bodies
    assert bench.waiting() == 0
    bench.restart()
    assert bench.sends() == []


def test_each_send_names_message_flow_and_a_token(bench: Bench) -> None:
    answer = bench.send("alice", "bob")
    sent = bench.send_of()
    assert (sent.method, sent.message_id, sent.flow) == ("MESSAGE", answer.message_id, flow(2))
    assert len(sent.token) >= 32
    assert int(sent.token, 16) >= 0


def test_a_removed_user_is_unknown_and_his_mail_ended(bench: Bench) -> None:
    bench.register("bob", over=flow(2), expires=0)
    bench.send("alice", "bob")
    assert bench.remove_user("bob").error == ""
    assert bench.send("alice", "bob").status == 404
    (notice,) = bench.accept_all()
    assert b"removed" in notice
    assert bench.waiting() == 0
    bench.restart()
    assert bench.user("bob") is None


def test_operators_are_told_what_is_wrong(bench: Bench) -> None:
    assert bench.add_user("bob").error == "exists"
    assert bench.add_user("nobody", replace=True).error == "unknown"
    assert bench.remove_user("nobody").error == "unknown"


def test_each_relay_gets_one_answer_and_a_delivery_the_phones(bench: Bench) -> None:
    bench.send("alice", "bob")
    request = bench.send_of()
    far, edge = NodeName("far"), NodeName("edge")
    register = RelayedRegister(bench.registration("bob", contact("bob", "other.example"), call_id=b"r"), "token")
    stranger = RelayedProof(UserName("stranger"), None, "token")
    lost = RelayedDelivery(request, "no token of this node")
    contents: tuple[RelayContent, ...] = (register, stranger, lost)
    relays = tuple(RelayArrived(number, far, (far, edge), what) for number, what in enumerate(contents, 1))
    bench.tell(RelaysArrived(items=relays))
    answers = {answer.relay: answer for told in bench.server_manager.of(AnswerRelays) for answer in told.items}
    assert {number: answer.status for number, answer in answers.items()} == {1: 200, 2: 404, 3: 430}
    assert len(answers[1].reply.contacts) == 2
    (sent,) = bench.server_manager.expect(RelayDeliveries).items  # it is open to anyone yet
    assert (sent.route, sent.body) == ((b"edge", b"far", b"token"), b"hello")
    bench.respond(sent)
    bench.respond(request)
    assert bench.waiting() == 0


def test_it_answers_a_ping(bench: Bench) -> None:
    pong = bench.ask(lambda reply: Ping(reply_to=reply, id=9), Pong)
    assert pong == Pong(actor="client_manager", id=9)
