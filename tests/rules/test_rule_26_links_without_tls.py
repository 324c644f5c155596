"""Rule 26: on a clear link nobody but the neighbour can make, change or repeat a request or an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from actors.messages.links import Carry, Frame, Hello
from actors.messages.router import RouteMessages, ToMailbox
from actors.messages.server_manager import LinkRequests, MessagesQueued, QueuedMessage
from actors.messages.sip_adapter import LinkReply, LinkRequest
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
from tests.actors.link_bench import Network, Node

A, B = NodeName("a"), NodeName("b")


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        b = made.add("b")
        b.names.destination = ToMailbox()
        made.add("a", "b")
        made.run(5)
        yield made


def queue_mail(network: Network) -> None:
    """Let a have a message for b, on disk."""
    envelope = Envelope(
        id=MessageId("m1"),
        sender=UserName("alice"),
        recipient=UserName("bob"),
        call_id=b"c1",
        headers=(),
        body=b"hi",
        accepted=0.0,
        proof=Proof.DIGEST,
        routing=Routing(origin="a", home="b", path=("a",), visited=("a",), step=1),
    )
    stored = StoredMessage(seq=Seq(7), envelope=envelope, anyone=True, expires=1e9)
    network.nodes["a"].tell(MessagesQueued(items=(QueuedMessage(queue=neighbour_queue(B), message=stored),)))


def dropped(node: Node) -> list[int]:
    """Rows that the disk was told to drop."""
    return [seq for message in node.heard if isinstance(message, DropMessages) for seq in message.seqs]


def taken(node: Node) -> list[Any]:
    """Ids that were stored."""
    return [item.envelope.id for message in node.heard if isinstance(message, StoreMessages) for item in message.items]


def test_the_neighbours_own_answer_moves_custody(network: Network) -> None:
    queue_mail(network)
    network.run(1)
    assert dropped(network.nodes["a"]) == [7]
    assert taken(network.nodes["b"]) == ["m1"]


@pytest.mark.parametrize("frame", ["none", "of another answer", "its own, of another status"])
def test_a_forged_202_deletes_no_row(network: Network, frame: str) -> None:
    seen: list[Frame] = []

    def forge(callee: str, caller: str, reply: LinkReply) -> LinkReply:
        seen.append(reply.frame)
        chosen = {"none": Frame(), "of another answer": seen[0], "its own, of another status": reply.frame}[frame]
        return msgspec.structs.replace(reply, status=202, frame=chosen)

    b = network.nodes["b"]
    b.names.destination = ToMailbox()
    b.storage.tell = lambda message: None  # type: ignore[method-assign]  # it never stores it
    network.on_request = lambda caller, callee, request: (
        msgspec.structs.replace(request, frame=Frame()) if isinstance(request.content, Carry) else request
    )  # so that b answers, and the answer can be forged
    network.on_answer = forge
    queue_mail(network)
    network.run(60)
    a = network.nodes["a"]
    assert len(network.contents(Carry)) > 0
    assert dropped(a) == []
    assert a.count("link_auth_failed_total") > 0
    assert a.events("link-not-believed")


def test_a_forged_refusal_moves_nothing_either(network: Network) -> None:
    network.on_answer = lambda callee, caller, reply: msgspec.structs.replace(reply, status=404, frame=Frame())
    queue_mail(network)
    network.run(5)
    a = network.nodes["a"]
    assert a.router.of(RouteMessages) == ()
    network.on_answer = lambda callee, caller, reply: reply
    network.run(120)
    assert dropped(a) == [7]


def test_a_changed_message_is_not_taken(network: Network) -> None:
    def change(caller: str, callee: str, request: LinkRequest) -> LinkRequest:
        if not isinstance(request.content, Carry):
            return request
        envelope = msgspec.structs.replace(request.content.envelope, body=b"changed")
        return msgspec.structs.replace(request, content=msgspec.structs.replace(request.content, envelope=envelope))

    network.on_request = change
    queue_mail(network)
    network.run(30)
    assert len(network.contents(Carry)) > 0
    assert taken(network.nodes["b"]) == []
    assert dropped(network.nodes["a"]) == []
    network.on_request = lambda caller, callee, request: request
    network.run(120)
    assert taken(network.nodes["b"]) == ["m1"]


def test_a_recorded_request_is_not_taken_again(network: Network) -> None:
    queue_mail(network)
    network.run(1)
    recorded = next(request for _, _, request in network.requests if isinstance(request.content, Carry))
    b = network.nodes["b"]
    network.inject(b, recorded, TransactionKey(b"again"))
    network.run(1)
    assert taken(b) == ["m1"]
    assert network.statuses[-1] == 403
    assert b.count("link_auth_failed_total") == 1


def test_only_an_authenticated_packet_resets_the_back_off(network: Network) -> None:
    a, b = network.nodes["a"], network.nodes["b"]
    recorded = next(request for frm, _, request in network.requests if frm == "b" and not _is_greeting(request))
    greeting = next(request for frm, _, request in network.requests if frm == "b" and _is_greeting(request))
    b.kill()
    network.run(300)
    calls = len(network.opened)
    for number in range(300):
        network.inject(a, recorded, TransactionKey(b"r%d" % number))
        network.inject(a, greeting, TransactionKey(b"g%d" % number))
        network.inject(a, msgspec.structs.replace(recorded, frame=Frame()), TransactionKey(b"f%d" % number))
        network.run(0.1)
    assert len(network.opened) - calls < 15
    network.silent.add(b.settings.address)
    a.tell(LinkRequests(items=(network.proved("b", "a", recorded.content),)))
    before = len(network.opened)
    network.run(0.01)
    assert len(network.opened) == before + 1


def test_a_forged_481_costs_a_greeting_and_no_mail(network: Network) -> None:
    def forge(callee: str, caller: str, reply: LinkReply) -> LinkReply:
        return LinkReply(transaction=reply.transaction, status=481) if reply.status == 202 else reply

    network.on_answer = forge
    queue_mail(network)
    network.run(30)
    a = network.nodes["a"]
    assert dropped(a) == []
    assert len(network.contents(Hello, "a")) < 30
    network.on_answer = lambda callee, caller, reply: reply
    network.run(60)
    assert dropped(a) == [7]


def _is_greeting(request: LinkRequest) -> bool:
    return isinstance(request.content, Hello)
