"""Rule 21: on the way through an edge the home keeps custody; the edge stores nothing and says no yes of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from actors.client_manager import edge_deliveries
from actors.messages.client_manager import RegisterContacts, RelayArrived, RelaysArrived
from actors.messages.links import RelayedDelivery
from actors.messages.requests import OutboundRequest
from actors.messages.server_manager import AnswerRelay, AnswerRelays, MessagesQueued, RelayDeliveries
from actors.state.digest import ha1
from tests.actors.bench import contact, flow
from tests.actors.roaming import EDGE, HOME, MIDDLE, Roaming

STREAM = flow(9, transport="tcp", connection=4)


@pytest.fixture
def net() -> Iterator[Roaming]:
    """Alice and bob live at `h`; alice's phone is at `e`, over UDP."""
    with Roaming() as made:
        made.lives_at_home("alice")
        made.lives_at_home("bob")
        made.register("alice", over=flow(5))
        yield made


def mail(net: Roaming, body: bytes = b"hi") -> None:
    """A message for alice at her home, on its way to her phone."""
    net.home.send("bob", "alice", body, credentials=net.home.prove("bob", "secret", "MESSAGE"))
    net.pass_on()


def relayed(net: Roaming) -> tuple[OutboundRequest, str]:
    """What the home sent last through the edge, and the edge's token in it."""
    request = net.home.server_manager.of(RelayDeliveries)[-1].items[-1]
    return request, request.route[-1].decode()


def answers_of(net: Roaming) -> list[AnswerRelay]:
    """What the edge has answered so far."""
    return [answer for told in net.edge.server_manager.of(AnswerRelays) for answer in told.items]


def says_no_yes_of_its_own(net: Roaming) -> None:
    """Fail if the home believes that a phone has what the phone has not answered for."""
    before = len(answers_of(net))
    mail(net)
    net.edge.advance(1)
    net.pass_on()
    assert answers_of(net)[before:] == []
    assert net.home.waiting() == 1


def test_the_edge_says_nothing_until_the_phone_does(net: Roaming) -> None:
    says_no_yes_of_its_own(net)
    net.edge.respond(net.edge.send_of())
    net.pass_on()
    assert net.home.waiting() == 0


def test_an_edge_that_takes_custody_is_caught(net: Roaming, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver = edge_deliveries.EdgeDeliveries.deliver

    def taking(self: Any, relay: int, content: RelayedDelivery) -> None:
        deliver(self, relay, content)
        self._core.outbox.relays.append(AnswerRelay(relay, 202))

    monkeypatch.setattr(edge_deliveries.EdgeDeliveries, "deliver", taking)
    with pytest.raises((AssertionError, KeyError)):
        says_no_yes_of_its_own(net)


def test_an_edge_killed_before_the_phones_answer_is_passed_on_has_lost_nothing(net: Roaming) -> None:
    mail(net)
    first = net.edge.send_of()
    net.edge.restart()
    assert net.edge.waiting() == 0
    net.home.advance(36)
    request, _ = relayed(net)
    net.home.respond(request, 503, answered=False)  # the link fell with the edge
    net.home.advance(20)
    net.pass_on()
    again = net.edge.send_of()
    assert (again.token, again.cseq, again.call_id, again.flow) == (first.token, first.cseq, first.call_id, flow(5))
    net.edge.respond(again)
    net.pass_on()
    assert net.home.waiting() == 0


def test_a_phone_that_does_not_answer_keeps_its_mail_at_home(net: Roaming) -> None:
    mail(net)
    net.edge.time_out(net.edge.send_of())
    net.pass_on()
    assert answers_of(net)[-1].status == 408
    assert net.home.waiting() == 1
    net.home.advance(300)
    net.pass_on()
    assert net.edge.send_of().cseq == 2  # a full Timer F has passed


def test_the_phones_refusal_is_the_homes_to_judge(net: Roaming) -> None:
    mail(net)
    net.edge.respond(net.edge.send_of(), 488)
    net.pass_on()
    user = net.home.user("alice")
    assert user is not None
    assert user.online
    assert net.home.waiting() == 1  # the notice to bob


def test_a_gone_stream_is_430_and_the_home_drops_the_binding(net: Roaming) -> None:
    net.register("alice", over=STREAM)
    mail(net)
    net.edge.respond(net.edge.send_of(), 503, answered=False)
    net.pass_on()
    assert answers_of(net)[-1].status == 430
    user = net.home.user("alice")
    assert user is not None
    assert not user.online
    assert net.home.waiting() == 1


def test_a_stream_of_the_last_run_is_430_a_datagram_address_is_not(net: Roaming) -> None:
    mail(net)
    request, token = relayed(net)
    net.edge.sends()
    net.register("alice", over=STREAM)
    mail(net, b"two")
    _, stream_token = relayed(net)
    net.edge.restart()
    for number, text in ((901, token), (902, stream_token), (903, token[:-1] + "f"), (904, "nonsense")):
        arrived = RelayArrived(number, HOME, (HOME, MIDDLE), RelayedDelivery(request, text))
        net.edge.tell(RelaysArrived(items=(arrived,)))
    assert [sent.flow for sent in net.edge.sends()] == [flow(5)]
    answers = [answer for told in net.edge.server_manager.of(AnswerRelays) for answer in told.items]
    assert [(answer.relay, answer.status) for answer in answers] == [(902, 430), (903, 430), (904, 430)]


def test_the_same_request_again_replaces_the_first(net: Roaming) -> None:
    mail(net)
    request, token = relayed(net)
    first = net.edge.send_of()
    arrived = RelayArrived(901, HOME, (HOME, MIDDLE), RelayedDelivery(request, token))
    net.edge.tell(RelaysArrived(items=(arrived,)))
    assert answers_of(net)[-1].status == 503
    net.edge.respond(first)  # what the border says of the first no longer counts
    assert [answer.relay for answer in answers_of(net) if answer.status == 200 and answer.relay == 901] == []
    second = net.edge.send_of()
    net.edge.respond(second)
    assert [answer.status for answer in answers_of(net) if answer.relay == 901] == [200]


def test_a_visitors_message_without_his_homes_yes_is_503_and_not_stored(net: Roaming) -> None:
    challenge = net.submit("alice", "bob").challenge
    credentials = net.credentials("alice", "secret", challenge, "MESSAGE")
    net.cut = True
    answer = net.submit("alice", "bob", credentials=credentials)
    assert (answer.status, answer.retry_after > 0) == (503, True)
    assert net.edge.waiting() == 0
    assert net.edge.server_manager.of(MessagesQueued) == ()


def test_a_cut_way_keeps_the_mail_at_home_and_the_binding(net: Roaming) -> None:
    net.cut = True
    mail(net)
    assert net.home.waiting() == 1
    net.cut = False
    net.home.advance(20)
    net.pass_on()
    net.edge.respond(net.edge.send_of())
    net.pass_on()
    assert net.home.waiting() == 0


def test_no_hash_of_a_password_leaves_the_home(net: Roaming) -> None:
    net.send("alice", "bob")
    told = repr(net.home.server_manager.messages)
    assert ha1("MD5", "alice", "angarium", "secret") not in told
    assert ha1("SHA-256", "alice", "angarium", "secret") not in told


def test_a_clients_own_path_counts_for_nothing(net: Roaming) -> None:
    credentials = net.home.prove("bob", "secret", "REGISTER", over=flow(6))
    request = net.home.registration("bob", contact("bob", instance="urn:b"), over=flow(6), credentials=credentials)
    forged = msgspec.structs.replace(request, path=(EDGE.encode(), b"f00d"))
    net.home.tell(RegisterContacts(items=(forged,)))
    user = net.home.user("bob")
    assert user is not None
    assert [binding.path for device in user.devices for binding in device.bindings] == [()]
