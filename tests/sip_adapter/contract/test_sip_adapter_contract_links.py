"""What any SipAdapter must do between servers: links to neighbours, requests over them, and theirs to us."""

from __future__ import annotations

import pytest

from actors.messages.client_manager import SubmitMessages
from actors.messages.links import Alive, Frame, LinkContent, Relay, RelayedDelivery, Reply, SearchStep
from actors.messages.server_manager import (
    LinkAnswered,
    LinkAnswers,
    LinkClosed,
    LinkOpened,
    LinkRequested,
    LinkRequests,
)
from actors.messages.sip_adapter import (
    AnswerLinkRequests,
    CloseLink,
    LinkReply,
    LinkRequest,
    OpenLink,
    SendLinkRequests,
)
from actors.model import NodeName, TransactionKey
from sip_adapter.codec import Request
from sip_adapter.links import decode_request, encode_reply, encode_request
from tests.sip_adapter.contents import REALM, asked, carry
from tests.sip_adapter.contract.border import Border, InMemory, Line, replied, result, submitted
from tests.sip_adapter.packets import outbound, packet

B = NodeName("b")
MAC = Frame("ab" * 16, 1, "ef" * 16)
TRANSPORTS = ["udp", "tcp"]
CONTENTS: list[LinkContent] = [
    carry(),
    carry(b"x" * 60_000),
    Alive(),
    SearchStep("a 1", "bob", NodeName("a"), 512, 10.0, seen=b"\0\xff"),  # type: ignore[arg-type]  # any name
    Relay(NodeName("a"), RelayedDelivery(outbound(), "token"), route=(B,)),
]


def linked(border: Border, transport: str) -> Line:
    """Open a link to a neighbour and return the neighbour's end."""
    line = border.udp()
    connection = border.takes_connections(line)
    border.tell(OpenLink(node=B, address=f"{transport}://{line.place[0]}:{line.place[1]}"))
    end = connection() if transport == "tcp" else line
    assert border.links_hear(LinkOpened) == LinkOpened(B)
    return end


def ask(border: Border, *items: LinkRequest) -> None:
    border.tell(SendLinkRequests(items=items))


def final(request: Request, status: int, frame: Frame = MAC, content: Reply | None = None, wait: int = 0) -> bytes:
    written = encode_reply(LinkReply(TransactionKey(b""), status, "", frame, content, wait))
    return replied(request, status, written.reason, extra=written.headers, body=written.body)


def ends(border: Border, count: int) -> list[LinkAnswered]:
    """The next ends of requests, however they are grouped."""
    items: list[LinkAnswered] = []
    while len(items) < count:
        items += border.links_hear(LinkAnswers).items
    assert len(items) == count
    return items


def arrived(border: Border, line: Line, data: bytes) -> LinkRequested:
    line.send(data)
    (item,) = border.links_hear(LinkRequests).items
    return item


def on_wire(item: LinkRequest, transport: str = "udp", number: int = 0) -> bytes:
    return encode_request(item, REALM, f"{transport.upper()} 192.0.2.2:5060".encode(), f"{number:032x}")


# Links.


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_link_is_opened_and_closed(border: Border, transport: str) -> None:
    line = linked(border, transport)
    border.tell(CloseLink(node=B))
    assert border.links_hear(LinkClosed).node == B
    if transport == "tcp":
        assert border.is_closed(line)
    ask(border, asked(Alive()))
    (end,) = ends(border, 1)
    assert (end.number, end.status, end.answered) == (1, 503, False)


@pytest.mark.parametrize("address", ["tcp://{place}", "pigeon://{place}", "tcp://no-such-host.invalid:1", "b"])
def test_a_link_that_cannot_be_opened_is_told_with_the_reason(border: Border, address: str) -> None:
    line = border.udp()
    border.tell(OpenLink(node=B, address=address.format(place=f"{line.place[0]}:{line.place[1]}")))
    closed = border.links_hear(LinkClosed)
    assert closed.node == B
    assert closed.reason
    border.untold(LinkOpened)


def test_a_lost_connection_ends_its_requests_and_then_the_link(border: Border) -> None:
    line = linked(border, "tcp")
    ask(border, asked(Alive(), 1), asked(carry(), 2))
    border.request(line)
    border.hang_up(line)
    assert [(end.number, end.status, end.answered) for end in ends(border, 2)] == [(1, 503, False), (2, 503, False)]
    assert border.links_hear(LinkClosed).node == B


def test_a_link_opened_anew_closes_the_one_before(border: Border) -> None:
    before = linked(border, "tcp")
    ask(border, asked(Alive(), 1))
    line = linked(border, "tcp")
    assert [(end.number, end.answered) for end in ends(border, 1)] == [(1, False)]
    border.request(before)
    assert border.is_closed(before)
    ask(border, asked(Alive(), 2))
    line.send(final(border.request(line), 200))
    assert [(end.number, end.answered) for end in ends(border, 1)] == [(2, True)]
    border.untold(LinkClosed)


# Requests of ours.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: type(content).__name__)
def test_a_request_arrives_as_it_was_and_its_answer_comes_back(
    border: Border, transport: str, content: LinkContent
) -> None:
    line = linked(border, transport)
    item = asked(content, 7)
    ask(border, item)
    request = border.request(line)
    assert decode_request(request) == (item.frame, content)
    assert request.via.transport == transport.upper()
    data = final(request, 503, content=Reply(epoch=4), wait=9)
    line.send(data)
    line.send(data)
    assert ends(border, 1) == [LinkAnswered(7, 503, True, "Service Unavailable", MAC, Reply(epoch=4), 9)]
    border.untold(LinkAnswers)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_many_requests_are_under_way_and_answered_in_any_order(border: Border, transport: str) -> None:
    line = linked(border, transport)
    ask(border, *(asked(carry(), number) for number in range(1, 65)))
    requests = [border.request(line) for _ in range(64)]
    for request in reversed(requests):
        line.send(final(request, 202, decode_request(request)[0]))
    answers = ends(border, 64)
    assert sorted(answer.number for answer in answers) == list(range(1, 65))
    assert all(answer.number == answer.frame.number for answer in answers)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_an_answer_counts_only_over_its_link_and_with_its_branch(border: Border, transport: str) -> None:
    line, strangers = linked(border, transport), (border.udp(), border.tcp())
    ask(border, asked(carry()))
    request = border.request(line)
    for stranger in strangers:
        stranger.send(final(request, 202))
        border.silent(stranger)
    line.send(final(request, 202).replace(b"branch=z9hG4bK", b"branch=z9hG4bK0"))
    border.untold(LinkAnswers)
    line.send(final(request, 403))
    assert ends(border, 1)[0].status == 403


def test_two_links_end_apart(border: Border) -> None:
    line = linked(border, "tcp")
    other = border.udp()
    border.tell(OpenLink(node=NodeName("c"), address=f"udp://{other.place[0]}:{other.place[1]}"))
    assert border.links_hear(LinkOpened).node == "c"
    ask(border, asked(Alive(), 1, node="c"), asked(Alive(), 2))
    border.hang_up(line)
    assert [end.number for end in ends(border, 1)] == [2]
    other.send(final(border.request(other), 200))
    assert [(end.number, end.answered) for end in ends(border, 1)] == [(1, True)]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_silence_ends_in_408_at_the_request_s_own_time(timed: InMemory, transport: str) -> None:
    line = linked(timed, transport)
    ask(timed, asked(Alive(), 1, seconds=5.0), asked(carry(), 2, seconds=10.0))
    first, second = line.read(), line.read()
    timed.pass_time(4.8)
    timed.untold(LinkAnswers)
    timed.pass_time(0.5)
    assert ends(timed, 1) == [LinkAnswered(1, 408, False, "No answer")]
    timed.pass_time(5.0)
    assert ends(timed, 1) == [LinkAnswered(2, 408, False, "No answer")]
    if transport == "udp":
        repeats = [line.read() for _ in range(7)]
        assert (repeats.count(first), repeats.count(second)) == (3, 4)
    timed.silent(line)


def test_what_is_too_large_for_a_datagram_is_told(border: Border) -> None:
    linked(border, "udp")
    ask(border, asked(carry(b"x" * 65_500)))
    (end,) = ends(border, 1)
    assert (end.status, end.answered) == (513, False)


# Requests of other servers.


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: type(content).__name__)
def test_a_request_of_a_server_is_handed_on_and_answered(border: Border, transport: str, content: LinkContent) -> None:
    line = border.udp() if transport == "udp" else border.tcp()
    item = asked(content, 5)
    got = arrived(border, line, on_wire(item, transport))
    assert (got.frame, got.content, got.flow.transport) == (item.frame, content, transport)
    reply = LinkReply(got.transaction, 202, "Taken", MAC, Reply(epoch=3), 0)
    border.tell(AnswerLinkRequests(items=(reply,)))
    answer = border.response(line)
    assert (answer.status, answer.reason) == (202, "Taken")
    assert answer.get(b"angarium-link") is not None
    border.untold(SubmitMessages)


def test_repeats_get_the_same_answer(border: Border) -> None:
    line, data = border.udp(), on_wire(asked(carry()))
    got = arrived(border, line, data)
    line.send(data)
    border.silent(line)
    border.tell(AnswerLinkRequests(items=(LinkReply(got.transaction, 202, frame=MAC),)))
    first = line.read()
    line.send(data)
    border.run()
    assert line.read() == first
    border.untold(LinkRequests)


def test_a_changed_copy_does_not_take_the_place_of_the_true_request(border: Border) -> None:
    line, data = border.udp(), on_wire(asked(carry()))
    forged = arrived(border, line, data.replace(b"hello", b"hullo"))
    border.tell(AnswerLinkRequests(items=(LinkReply(forged.transaction, 403),)))
    assert border.response(line).status == 403
    assert arrived(border, line, data).content == carry()


def test_a_malformed_request_is_refused_with_a_reason(border: Border) -> None:
    line = border.udp()
    data = on_wire(asked(carry())).replace(b"row=", b"row=x")
    answer = border.response(line, data)
    assert (answer.status, answer.get(b"angarium-link")) == (400, None)
    assert "row" in answer.reason
    border.untold(LinkRequests)


def test_extra_headers_of_clients_are_removed(border: Border) -> None:
    more = ("Content-Type: text/plain", "Angarium-Route: x;home=y", "Angarium-Path: x", "Angarium-Visited: x")
    item = submitted(border, border.udp(), packet(more=more))
    assert item.headers == ((b"Content-Type", b"text/plain"),)
    border.untold(LinkRequests)


def test_devices_and_servers_do_not_get_in_each_other_s_way(border: Border) -> None:
    line = linked(border, "udp")
    border.deliver(outbound(1, flow=border.flow(line)))
    delivered = border.request(line)
    ask(border, asked(carry(), 1))
    request = border.request(line)
    line.send(final(request, 202))
    assert ends(border, 1)[0].status == 202
    line.send(replied(delivered, 200))
    assert result(border).status == 200
