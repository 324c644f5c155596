"""What any SipAdapter must do with what it is to send: requests to phones, their ends, and connections."""

from __future__ import annotations

from typing import Any

import pytest

from actors.base import ActorBase
from actors.messages.client_manager import (
    DeliveriesEnded,
    DeliveryResult,
    FlowsClosed,
)
from actors.messages.sip_adapter import CloseFlow
from tests.sip_adapter.contract.border import (
    Border,
    InMemory,
    reached,
    replied,
    result,
)
from tests.sip_adapter.contract.conftest import LISTEN
from tests.sip_adapter.packets import outbound

# Requests out.


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_request_goes_out_as_it_was_asked_for(border: Border, transport: str) -> None:
    line, flow = reached(border, transport)
    item = outbound(7, flow=flow, body=b"hi\r\n\0there")
    border.deliver(item)
    asked = border.request(line)
    assert (asked.method, asked.uri) == ("MESSAGE", b"sip:bob@192.0.2.7:5060")
    assert (asked.from_.uri, asked.to.uri) == (b"sip:alice@angarium", b"sip:bob@angarium")
    assert (asked.from_tag, asked.to_tag) == (item.token[:16].encode(), None)
    assert asked.via.branch == b"z9hG4bK" + item.token.encode()
    assert asked.via.transport == transport.upper()
    assert f"{asked.via.host}:{asked.via.port}" == border.addresses[flow.listener].partition("://")[2]
    assert (asked.call_id, asked.cseq, asked.body) == (b"call-1", (1, "MESSAGE"), b"hi\r\n\0there")
    assert (asked.get(b"content-type"), asked.get(b"angarium-id")) == (b"text/plain", b"id-1")
    line.send(replied(asked, 200))
    assert result(border) == DeliveryResult(7, 200, True)


def test_the_same_request_is_the_same_bytes_after_a_restart(timed: InMemory, kind: type[ActorBase[Any]]) -> None:
    line = timed.udp()
    timed.deliver(outbound(1, flow=timed.flow(line)))
    before = line.read()
    timed.stop()
    timed.start(kind, LISTEN[InMemory])
    timed.deliver(outbound(99, flow=timed.flow(line)))
    assert line.read() == before


@pytest.mark.parametrize("status", [200, 202, 404, 480, 486, 500, 600])
def test_the_final_answer_ends_it_once(border: Border, status: int) -> None:
    line = border.udp()
    border.deliver(outbound(3, flow=border.flow(line)))
    asked = border.request(line)
    line.send(replied(asked, 100))
    line.send(replied(asked, status))
    line.send(replied(asked, status))
    assert result(border) == DeliveryResult(3, status, True)
    border.silent(line)
    border.untold(DeliveriesEnded)


def test_when_to_try_again_is_told(border: Border) -> None:
    line = border.udp()
    border.deliver(outbound(3, flow=border.flow(line)))
    line.send(replied(border.request(line), 503, extra=((b"Retry-After", b"17 (minutes, they say)"),)))
    assert result(border) == DeliveryResult(3, 503, True, 17)


def test_an_answer_counts_only_from_where_it_was_sent_and_with_its_branch(border: Border) -> None:
    line, stranger = border.udp(), border.udp()
    border.deliver(outbound(3, flow=border.flow(line)))
    asked = border.request(line)
    stranger.send(replied(asked, 200))
    line.send(replied(asked, 200).replace(b"branch=z9hG4bK", b"branch=z9hG4bKother"))
    border.silent(stranger)
    border.silent(line)
    border.untold(DeliveriesEnded)
    line.send(replied(asked, 486))
    assert result(border).status == 486


def test_silence_is_met_with_repeats_and_ends_in_408(timed: InMemory) -> None:
    line = timed.udp()
    timed.deliver(outbound(5, flow=timed.flow(line)))
    first = line.read()
    timed.pass_time(0.4)
    timed.silent(line)
    timed.pass_time(1.5)
    assert [line.read() for _ in range(2)] == [first] * 2
    timed.pass_time(28.0)
    timed.untold(DeliveriesEnded)
    timed.pass_time(3.0)
    assert result(timed) == DeliveryResult(5, 408, False)


def test_a_stream_gets_no_repeats_and_ends_in_408(timed: InMemory) -> None:
    line, flow = reached(timed, "tcp")
    timed.deliver(outbound(5, flow=flow))
    timed.request(line)
    timed.pass_time(33.0)
    assert result(timed) == DeliveryResult(5, 408, False)
    timed.silent(line)


def test_a_large_message_goes_over_a_connection_where_the_phone_takes_it(border: Border) -> None:
    line = border.udp()
    connection = border.takes_connections(line)
    border.deliver(outbound(1, flow=border.flow(line), body=b"x" * 3000))
    stream = connection()
    asked = border.request(stream)
    assert (asked.via.transport, len(asked.body)) == ("TCP", 3000)
    stream.send(replied(asked, 200))
    assert result(border) == DeliveryResult(1, 200, True)
    border.silent(line)


def test_a_large_message_goes_by_datagram_where_it_does_not(border: Border) -> None:
    line = border.udp()
    border.deliver(outbound(1, flow=border.flow(line), body=b"x" * 3000))
    assert len(border.request(line).body) == 3000


# Connections.


def test_a_closed_connection_is_told_and_ends_what_went_over_it(border: Border) -> None:
    line, flow = reached(border, "tcp")
    border.deliver(outbound(1, flow=flow))
    border.request(line)
    border.hang_up(line)
    assert border.hears(FlowsClosed).flows == (flow,)
    assert result(border) == DeliveryResult(1, 503, False)
    border.deliver(outbound(2, flow=flow))
    assert result(border) == DeliveryResult(2, 503, False)


def test_a_connection_is_closed_as_told(border: Border) -> None:
    line, flow = reached(border, "tcp")
    border.tell(CloseFlow(flow=flow))
    assert border.is_closed(line)
    assert border.hears(FlowsClosed).flows == (flow,)


def test_what_is_no_sip_closes_a_connection(border: Border) -> None:
    line = border.tcp()
    line.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert border.is_closed(line)
