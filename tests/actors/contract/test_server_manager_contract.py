"""What any ServerManager must do, by the typed messages it hears and tells. A replacement is added to `MANAGERS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.base import ActorBase
from actors.messages.client_manager import DeliveriesEnded, RelaysArrived
from actors.messages.lifecycle import Ping, Pong
from actors.messages.links import Alive, Carry, DecideMove, Frame, Hello, Reply, SummaryWanted
from actors.messages.router import NeighbourDown, NeighbourSaid, NeighbourUp, RouteMessages, ToMailbox
from actors.messages.server_manager import (
    AddNeighbour,
    AnswerRelay,
    AskFar,
    FarAnswered,
    LinkRequests,
    MessagesQueued,
    NeighbourDone,
    NodeWays,
    QueuedMessage,
    RelayDeliveries,
    RemoveNeighbour,
    TellNeighbours,
)
from actors.messages.sip_adapter import LinkRequest
from actors.messages.storage import DropMessages, StoreMessages
from actors.model import (
    Envelope,
    MessageId,
    NodeName,
    Proof,
    Routing,
    Seq,
    StoredMessage,
    TransactionKey,
    UserName,
    neighbour_queue,
)
from actors.server_manager.actor import ServerManager
from actors.testing import Probe
from tests.actors.link_bench import Network, port_of

MANAGERS: list[type[ActorBase[Any]]] = [ServerManager]

A, B = NodeName("a"), NodeName("b")
WANTED = SummaryWanted(node=NodeName("c"), have=0)
CONTENT = DecideMove(user=UserName("bob"), epoch=1)


@pytest.fixture(params=MANAGERS, ids=lambda manager: f"{manager.__module__}.{manager.__name__}")
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    with Network(manager=request.param) as made:
        b = made.add("b")
        b.names.destination = ToMailbox()
        made.add("a", "b")
        made.run(5)
        yield made


def mail(number: int = 1) -> MessagesQueued:
    envelope = Envelope(
        id=MessageId(f"m{number}"),
        sender=UserName("alice"),
        recipient=UserName("bob"),
        call_id=b"c",
        headers=((b"Content-Type", b"text/plain"),),
        body=b"\xff\x00 opaque",
        accepted=0.5,
        proof=Proof.DIGEST,
        routing=Routing(origin="a", home="b", path=("a",), visited=("a",), step=1),
    )
    stored = StoredMessage(seq=Seq(number), envelope=envelope, anyone=True, expires=1e9)
    return MessagesQueued(items=(QueuedMessage(queue=neighbour_queue(B), message=stored),))


def test_links_stand_both_ways_and_routers_know(network: Network) -> None:
    assert [node.router.of(NeighbourUp)[0].node for node in network.nodes.values()] == ["a", "b"]
    network.nodes["b"].kill()
    network.run(1)
    a = network.nodes["a"]
    told = NeighbourDown(node=B), NeighbourUp(node=B), NeighbourDown(node=B)
    assert tuple(item for item in a.router.messages if isinstance(item, NeighbourUp | NeighbourDown))[:3] == told
    network.nodes["b"].start()
    network.run(31)
    assert a.ups() == {"b"}


def test_each_request_of_a_neighbour_gets_one_answer(network: Network) -> None:
    before = len(network.statuses)
    requests = [network.proved("a", "b", content) for content in (Alive(), WANTED, WANTED, Alive())]
    network.nodes["b"].tell(LinkRequests(items=tuple(requests)))
    network.run(0.1)
    assert network.statuses[before:] == [200] * 4
    assert network.nodes["b"].router.of(NeighbourSaid)[-1] == NeighbourSaid(node=A, items=(WANTED, WANTED))


def test_what_is_not_proved_is_refused_and_told_to_nobody(network: Network) -> None:
    b = network.nodes["b"]
    heard, before = len(b.router.messages), len(network.statuses)
    for number, frame in enumerate((Frame(), Frame("x", 1, "y"))):
        request = LinkRequest(number=number, node=B, frame=frame, content=WANTED, seconds=1.0)
        network.inject(b, request, TransactionKey(b"%d" % (9000 + number)))
    network.run(0.1)
    assert set(network.statuses[before:]) <= {403, 481}
    assert len(network.statuses[before:]) == 2
    assert len(b.router.messages) == heard


def test_a_false_greeting_is_refused(network: Network) -> None:
    hello = Hello(
        node=NodeName("e"), to=B, realm="angarium", nonce="0" * 32, address="tcp://127.0.0.1:1", incarnation="i"
    )
    request = LinkRequest(number=1, node=B, frame=Frame(mac="0" * 32), content=hello, seconds=1.0)
    network.inject(network.nodes["b"], request, TransactionKey(b"9000"))
    network.run(5)
    assert network.statuses[-1] == 403
    assert set(network.nodes["b"].neighbours()) == {"a"}


def test_custody_moves_with_the_proved_202(network: Network) -> None:
    a, b = network.nodes["a"], network.nodes["b"]
    sent = mail()
    a.tell(sent)
    network.run(1)
    (carry,) = network.contents(Carry)
    assert (carry.row, carry.incarnation) == (1, "inc")
    assert carry.floor <= carry.row
    (routed,) = b.router.of(RouteMessages)
    assert routed.arrived_from == "a"
    (stored,) = [message for message in b.heard if isinstance(message, StoreMessages)]
    (item,) = stored.items
    assert (item.queue, item.once, item.envelope.body) == ("u:bob", True, b"\xff\x00 opaque")
    assert item.link is not None
    assert (item.link.node, item.link.row) == ("a", 1)
    assert [message.seqs for message in a.heard if isinstance(message, DropMessages)] == [(1,)]


def test_without_an_answer_nothing_is_dropped_and_it_comes_again(network: Network) -> None:
    a = network.nodes["a"]
    network.on_answer = lambda callee, caller, reply: None if reply.status == 202 else reply
    a.tell(mail())
    network.run(30)
    assert not any(isinstance(message, DropMessages) for message in a.heard)
    network.on_answer = lambda callee, caller, reply: reply
    network.run(60)
    assert [message.seqs for message in a.heard if isinstance(message, DropMessages)] == [(1,)]
    assert len({(carry.row, carry.incarnation) for carry in network.contents(Carry)}) == 1


def test_what_routers_tell_arrives_or_comes_back(network: Network) -> None:
    a, b = network.nodes["a"], network.nodes["b"]
    a.tell(TellNeighbours(items=((B, WANTED), (NodeName("nobody"), WANTED))))
    network.run(1)
    assert (b.said(), a.silent()) == ([WANTED], [WANTED])


def test_each_question_to_a_far_end_has_one_answer(network: Network) -> None:
    a, b, asker = network.nodes["a"], network.nodes["b"], Probe("asker")
    b.clients.reply = AnswerRelay(relay=0, status=200, reason="Yes", reply=Reply(home=B))
    a.tell(NodeWays(ways=((NodeName("gone"), NodeName("")),)))
    for request, to in enumerate((B, NodeName("gone"))):
        a.tell(AskFar(reply_to=asker, request=request, content=CONTENT, to=to, seconds=3.0))
    a.tell(AskFar(reply_to=asker, request=2, content=CONTENT, user=UserName("nobody"), seconds=3.0))
    network.run(5)
    answers = {answer.request: answer for answer in asker.of(FarAnswered)}
    assert len(asker.messages) == len(answers) == 3
    assert (answers[0].status, answers[0].answered) == (200, True)
    assert (answers[1].status, answers[1].answered) == (503, False)
    assert answers[2].status == 404
    (arrived,) = [item for message in b.clients.probe.of(RelaysArrived) for item in message.items]
    assert (arrived.origin, arrived.path, arrived.content) == ("a", ("a",), CONTENT)


def test_deliveries_over_no_way_end(network: Network) -> None:
    a = network.nodes["a"]
    a.tell(RelayDeliveries(items=()))
    network.run(1)
    assert a.clients.probe.of(DeliveriesEnded) == ()


def test_neighbours_are_added_listed_and_removed(network: Network) -> None:
    a = network.nodes["a"]
    network.add("c")
    added = a.ask(NeighbourDone, AddNeighbour, node=NodeName("c"), address=f"tcp://127.0.0.1:{port_of('c')}")
    network.run(5)
    assert added.error == ""
    assert [(name, info.up) for name, info in a.neighbours().items()] == [("b", True), ("c", True)]
    assert "c" in a.storage.neighbours
    assert a.ask(NeighbourDone, RemoveNeighbour, node=NodeName("c")).error == ""
    assert list(a.neighbours()) == ["b"]
    assert [(one.node, one.removed) for one in a.storage.neighbours.values()] == [("c", True)]
    assert a.router.of(NeighbourDown)[-1] == NeighbourDown(node=NodeName("c"), removed=True)
    assert a.ask(NeighbourDone, RemoveNeighbour, node=NodeName("c")).error


def test_it_answers_pings(network: Network) -> None:
    probe = Probe()
    network.nodes["a"].tell(Ping(reply_to=probe, id=7))
    network.run(0.1)
    assert probe.expect(Pong).id == 7
