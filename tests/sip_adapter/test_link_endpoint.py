"""The part of the border that other servers are at, in virtual time: links, requests both ways, and what is forged."""

from __future__ import annotations

import re

import pytest

from actors.messages.links import Alive, Frame, Reply
from actors.messages.server_manager import LinkAnswered, LinkClosed, LinkOpened, LinkRequested
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.model import Flow, NodeName
from sip_adapter.codec import Request, Response, parse, response
from sip_adapter.endpoint import SipEndpoint
from sip_adapter.framer import StreamFramer
from sip_adapter.limits import Limits
from sip_adapter.link_endpoint import LinkOutputs
from sip_adapter.links import encode_reply, encode_request
from sip_adapter.timers import SLOT, TIMER_J, TRYING
from tests.sip_adapter.contents import REALM, TOKEN, asked, carry
from tests.sip_adapter.packets import endpoint, packet, register

NOW = 1000.0
B, C = NodeName("b"), NodeName("c")
PEER = Flow("udp", 0, "192.0.2.2", 5060)
STREAM = Flow("tcp", 1, "192.0.2.2", 5060, 9)
OTHER = Flow("udp", 0, "192.0.2.66", 5060)
MAC = Frame("ab" * 16, 1, "ef" * 16)
CARRIED = encode_request(asked(carry()), REALM, b"UDP 192.0.2.2:5060", TOKEN)


def taken(served: SipEndpoint) -> LinkOutputs:
    assert not served.out.packets
    assert not served.out.submissions
    return served.links.take() or LinkOutputs()


def linked(flow: Flow = PEER, node: NodeName = B) -> SipEndpoint:
    """Return an endpoint with an open link."""
    served = endpoint(links=True)
    served.links.open(node, f"{flow.transport}://{flow.host}:{flow.port}")
    (dial,) = taken(served).dials
    served.links.dialled(dial.number, flow, "")
    assert taken(served).events == [LinkOpened(node)]
    return served


def send(served: SipEndpoint, item: LinkRequest, now: float = NOW) -> Request:
    """Send a request and return it as it went."""
    served.links.send(item, now)
    ((_, data),) = taken(served).packets
    message = parse(data)
    assert isinstance(message, Request)
    return message


def replied(request: Request, status: int = 202, frame: Frame = MAC, reply: Reply | None = None) -> bytes:
    final = encode_reply(LinkReply(b"t", status, frame=frame, content=reply))  # type: ignore[arg-type]  # any key
    return response(request, final.status, final.reason, extra=final.headers, body=final.body, to_tag=b"peer")


def arrive(served: SipEndpoint, data: bytes, flow: Flow, now: float = NOW) -> None:
    if flow.connection:
        for event in StreamFramer(max_link_body=10**6).feed(data):
            served.event(event, flow, now)
    else:
        served.datagram(data, flow, now)


def requested(served: SipEndpoint, data: bytes = CARRIED, flow: Flow = PEER, now: float = NOW) -> LinkRequested:
    arrive(served, data, flow, now)
    (item,) = taken(served).requests
    return item


def status(data: bytes) -> int:
    return int(data[8:11])


class TestLinks:
    def test_an_address_that_is_none(self) -> None:
        served = endpoint(links=True)
        served.links.open(B, "carrier-pigeon://b")
        (closed,) = taken(served).events
        assert isinstance(closed, LinkClosed)
        assert "carrier-pigeon" in closed.reason

    def test_a_link_that_cannot_be_opened(self) -> None:
        served = endpoint(links=True)
        served.links.open(B, "tcp://192.0.2.2:5060")
        (dial,) = taken(served).dials
        served.links.dialled(dial.number, None, "Connection refused")
        assert taken(served).events == [LinkClosed(B, "Connection refused")]
        served.links.send(asked(Alive()), NOW)
        assert taken(served).events == [LinkAnswered(1, 503, False, "No link")]

    def test_a_link_closed_while_it_is_dialled(self) -> None:
        served = endpoint(links=True)
        served.links.open(B, "tcp://192.0.2.2:5060")
        (dial,) = taken(served).dials
        served.links.close(B)
        assert taken(served).events == [LinkClosed(B, "Closed")]
        served.links.dialled(dial.number, STREAM, "")
        out = taken(served)
        assert (out.events, out.closes) == ([], [STREAM])

    def test_a_lost_connection_ends_what_went_over_it_first(self) -> None:
        served = linked(STREAM)
        send(served, asked(Alive(), 1))
        send(served, asked(carry(), 2))
        served.closed(STREAM, NOW)
        assert taken(served).events == [
            LinkAnswered(1, 503, False, "Transport failed"),
            LinkAnswered(2, 503, False, "Transport failed"),
            LinkClosed(B, "Connection lost"),
        ]
        served.closed(STREAM, NOW)
        assert not taken(served).events

    def test_a_link_closed_by_us(self) -> None:
        served = linked(STREAM)
        send(served, asked(Alive()))
        served.links.close(B)
        out = taken(served)
        assert out.events == [LinkAnswered(1, 503, False, "Transport failed"), LinkClosed(B, "Closed")]
        assert out.closes == [STREAM]
        served.closed(STREAM, NOW)
        assert not taken(served).events

    def test_a_link_opened_anew_replaces_the_one_before(self) -> None:
        served = linked(STREAM)
        send(served, asked(Alive()))
        served.links.open(B, "udp://192.0.2.2:5060")
        out = taken(served)
        assert out.events == [LinkAnswered(1, 503, False, "Transport failed")]
        assert out.closes == [STREAM]
        served.closed(STREAM, NOW)
        served.links.dialled(out.dials[0].number, PEER, "")
        assert taken(served).events == [LinkOpened(B)]

    def test_a_datagram_that_cannot_be_sent_closes_no_link(self) -> None:
        served = linked(PEER)
        send(served, asked(Alive()))
        served.failed((PEER,), NOW)
        assert taken(served).events == [LinkAnswered(1, 503, False, "Transport failed")]
        send(served, asked(Alive(), 2))


class TestAsking:
    @pytest.mark.parametrize("flow", [PEER, STREAM])
    def test_an_answer_ends_its_request_once(self, flow: Flow) -> None:
        served = linked(flow)
        first, second = send(served, asked(carry(), 1)), send(served, asked(Alive(), 2))
        assert first.via.branch != second.via.branch
        arrive(served, replied(second, 200, reply=Reply(epoch=3)), flow)
        assert taken(served).events == [LinkAnswered(2, 200, True, "OK", MAC, Reply(epoch=3))]
        for _ in range(2):
            arrive(served, replied(first), flow)
        assert taken(served).events == [LinkAnswered(1, 202, True, "Accepted", MAC)]
        assert served.counts["sip_responses_ignored_total"] == 1
        assert served.in_flight == 0

    def test_an_answer_from_elsewhere_does_not_count(self) -> None:
        for flow, elsewhere in ((PEER, OTHER), (STREAM, PEER), (STREAM, Flow("tcp", 1, "192.0.2.2", 5060, 10))):
            served = linked(flow)
            request = send(served, asked(carry()))
            arrive(served, replied(request), elsewhere)
            assert not taken(served).events
            arrive(served, replied(request), flow)
            assert len(taken(served).events) == 1

    def test_an_answer_with_another_branch_does_not_count(self) -> None:
        served = linked()
        request = send(served, asked(carry()))
        assert request.via.branch is not None
        assert re.fullmatch(rb"z9hG4bK[0-9a-f]{32}", request.via.branch)
        arrive(served, replied(request).replace(request.via.branch, b"z9hG4bK" + b"0" * 32), PEER)
        assert not taken(served).events

    def test_no_answer_in_time(self) -> None:
        served = linked(STREAM)
        send(served, asked(Alive(), seconds=5.0))
        send(served, asked(carry(), 2, seconds=10.0))
        for after in (0.5, 4.9, 5.0):
            assert not taken(served).events
            served.tick(NOW + after)
        out = taken(served)
        assert (out.events, out.packets) == ([LinkAnswered(1, 408, False, "No answer")], [])
        assert served.deadline() == NOW + 10.0
        served.tick(NOW + 10.0)
        assert taken(served).events == [LinkAnswered(2, 408, False, "No answer")]
        assert served.deadline() is None

    def test_a_short_deadline_is_kept(self) -> None:
        served = linked(STREAM)
        send(served, asked(Alive(), seconds=0.2))
        assert served.deadline() == NOW + 0.2
        served.tick(NOW + 0.2)
        assert taken(served).events == [LinkAnswered(1, 408, False, "No answer")]

    def test_over_datagrams_a_request_is_repeated(self) -> None:
        served = linked(PEER)
        served.links.send(asked(carry()), NOW)
        (first,) = taken(served).packets
        times = []
        for tenth in range(1, 100):
            served.tick(NOW + tenth / 10)
            again = taken(served).packets
            assert set(again) <= {first}
            times += [tenth / 10] * len(again)
        assert times == [0.5, 1.5, 3.5, 7.5]
        assert served.counts["sip_retransmissions_sent_total"] == 4

    def test_a_provisional_answer_slows_the_repeats(self) -> None:
        served = linked(PEER)
        request = send(served, asked(carry()))
        arrive(served, response(request, 100, "Trying"), PEER)
        served.tick(NOW + 0.5)
        assert len(taken(served).packets) == 1
        served.tick(NOW + 4.4)
        assert not taken(served).packets
        served.tick(NOW + 4.5)
        assert len(taken(served).packets) == 1
        assert served.counts["sip_responses_ignored_total"] == 0

    @pytest.mark.parametrize(("flow", "size"), [(PEER, 65_000), (STREAM, Limits().max_link_body)])
    def test_what_is_too_large_is_told_and_not_sent(self, flow: Flow, size: int) -> None:
        served = linked(flow)
        served.links.send(asked(carry(b"x" * size)), NOW)
        out = taken(served)
        assert not out.packets
        assert out.events == [LinkAnswered(1, 513, False, "Too large for this link")]

    def test_a_large_answer_is_read(self) -> None:
        served = linked(STREAM)
        request = send(served, asked(carry()))
        large = Reply(home=NodeName("x" * 100_000))
        arrive(served, replied(request, 200, reply=large), STREAM)
        assert taken(served).events == [LinkAnswered(1, 200, True, "OK", MAC, large)]


class TestAsked:
    @pytest.mark.parametrize("flow", [PEER, STREAM])
    def test_a_request_is_handed_on_and_answered(self, flow: Flow) -> None:
        served = endpoint(links=True)
        item = requested(served, flow=flow)
        assert (item.flow, item.content, item.arrived) == (flow, carry(), NOW)
        assert item.frame == asked(carry()).frame
        assert served.pending == 1
        served.links.answer(LinkReply(item.transaction, 202, frame=MAC), NOW)
        ((back, data),) = taken(served).packets
        answer = parse(data)
        assert isinstance(answer, Response)
        assert (back, answer.status, answer.call_id) == (flow, 202, b"call-1")
        assert (
            answer.get(b"angarium-link")
            == b"answer;session=*q6urq6urq6urq6urq6urqw;number=1;mac=*7-_v7-_v7-_v7-_v7-_v7w"
        )
        assert served.pending == 0

    def test_repeats_are_absorbed_then_get_the_same_bytes(self) -> None:
        served = endpoint(links=True)
        item = requested(served)
        arrive(served, CARRIED, PEER, NOW + 0.5)
        out = taken(served)
        assert not out.requests
        assert not out.packets
        reply = LinkReply(item.transaction, 200, frame=MAC, content=Reply(epoch=2), retry_after=3)
        served.links.answer(reply, NOW + 1)
        first = taken(served).packets
        arrive(served, CARRIED, PEER, NOW + 1 + TIMER_J - 0.1)
        assert taken(served).packets == first
        served.tick(NOW + 100)
        assert requested(served, now=NOW + 100).content == carry()

    def test_a_changed_copy_does_not_take_the_place_of_the_true_request(self) -> None:
        served = endpoint(links=True)
        forged = requested(served, CARRIED.replace(b"hello", b"hullo"))
        served.links.answer(LinkReply(forged.transaction, 403), NOW)
        taken(served)
        assert requested(served).content == carry()

    def test_the_answer_to_what_was_not_proved_is_not_kept(self) -> None:
        served = endpoint(links=True)
        item = requested(served)
        served.links.answer(LinkReply(item.transaction, 403), NOW)
        assert [status(data) for _, data in taken(served).packets] == [403]
        assert requested(served).content == carry()

    def test_an_answer_counts_once(self) -> None:
        served = endpoint(links=True)
        item = requested(served)
        for _ in range(2):
            served.links.answer(LinkReply(item.transaction, 202, frame=MAC), NOW)
        assert len(taken(served).packets) == 1

    def test_100_and_the_end_of_the_slot(self) -> None:
        served = endpoint(links=True)
        item = requested(served)
        served.tick(NOW + TRYING)
        arrive(served, CARRIED, PEER, NOW + 4)
        assert [status(data) for _, data in taken(served).packets] == [100, 100]
        served.tick(NOW + SLOT)
        assert served.pending == 0
        served.links.answer(LinkReply(item.transaction, 202, frame=MAC), NOW + SLOT)
        assert not taken(served).packets

    def test_a_malformed_request_is_400_and_goes_nowhere(self) -> None:
        served = endpoint(links=True)
        served.datagram(CARRIED.replace(b"Angarium-Custody", b"X-Custody"), PEER, NOW)
        ((_, data),) = served.take().packets
        assert data.startswith(b"SIP/2.0 400 Missing Angarium-Custody\r\n")
        assert not taken(served).requests
        assert served.pending == 0

    def test_without_links_there_is_501(self) -> None:
        served = endpoint()
        served.datagram(CARRIED, PEER, NOW)
        out = taken(served)
        assert not out.requests
        assert [status(data) for _, data in out.packets] == [501]

    def test_clients_do_not_take_the_place_of_servers(self) -> None:
        served = endpoint(links=True, max_pending=1)
        for number in range(3):
            served.datagram(packet(call_id=f"c{number}"), OTHER, NOW)
        assert len(served.take().submissions) == 1
        assert requested(served).content == carry()
        stream = encode_request(asked(carry()), REALM, b"TCP 192.0.2.2:5060", TOKEN)
        assert requested(served, stream, STREAM).content == carry()

    def test_servers_have_a_bound_of_their_own(self) -> None:
        served = endpoint(links=True, max_pending_links=2)
        for number in range(3):
            arrive(served, encode_request(asked(carry(), number), REALM, b"UDP 192.0.2.2:5060", TOKEN), PEER)
        out = taken(served)
        assert len(out.requests) == 2
        assert [status(data) for _, data in out.packets] == [503]
        assert b"Retry-After: 1" in out.packets[0][1]
        served.datagram(packet(), OTHER, NOW)
        assert len(served.take().submissions) == 1

    @pytest.mark.parametrize("flow", [PEER, STREAM])
    def test_servers_may_send_larger_bodies_than_clients(self, flow: Flow) -> None:
        served = endpoint(links=True, max_body=1000)
        body = b"x" * 5000
        data = encode_request(asked(carry(body)), REALM, b"UDP 192.0.2.2:5060", TOKEN)
        limits = Limits(max_body=1000)
        if flow.connection:
            (event,) = StreamFramer(limits.max_head, limits.max_body, limits.max_link_body).feed(data)
            served.event(event, flow, NOW)
        else:
            served.datagram(data, flow, NOW)
        assert len(taken(served).requests) == 1


FORGED = (
    "Content-Type: text/plain",
    "Angarium-Id: abc-1",
    "Angarium-Route: evil;home=b;step=3",
    "Angarium-Path: x,y",
    "Angarium-Visited: x,y",
    "Angarium-Custody: life=9;at=1;proof=digest;store=0;row=1;floor=0;notice",
    "Angarium-Notice: expired;id=1",
)


class TestClients:
    @pytest.mark.parametrize("more", [FORGED, FORGED[:1], (*FORGED, "Path: <sip:evil;lr>", "Record-Route: <sip:x>")])
    def test_extra_headers_of_clients_are_removed(self, more: tuple[str, ...]) -> None:
        served = endpoint(links=True)
        served.datagram(packet(more=more), PEER, NOW)
        (item,) = served.take().submissions
        assert item.headers == ((b"Content-Type", b"text/plain"),)
        assert not taken(served).requests

    def test_a_path_of_a_client_is_removed(self) -> None:
        served = endpoint(links=True)
        data = register("Contact: <sip:bob@192.0.2.7>", "Path: <sip:evil@angarium;lr>", "Angarium-Path: evil")
        served.datagram(data, PEER, NOW)
        (item,) = served.take().registrations
        assert item.path == ()

    def test_a_client_that_says_it_is_a_server_is_none(self) -> None:
        served = endpoint(links=True)
        served.datagram(packet(more=(*FORGED, "Angarium-Link: carry;session=ab;number=1;mac=00")), PEER, NOW)
        out = served.take()
        assert not out.submissions
        (item,) = taken(served).requests
        assert item.frame == Frame("ab", 1, "00")  # ServerManager does not believe it
