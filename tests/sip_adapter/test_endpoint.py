"""The endpoint: bytes in, messages out; messages in, bytes out; in virtual time."""

from __future__ import annotations

import re

import pytest

from actors.messages.client_manager import DeliveryResult
from actors.messages.requests import Answer, Challenge, ContactLine
from actors.model import Flow, MessageId
from sip_adapter.codec import Request, Response, parse, response
from sip_adapter.endpoint import SipEndpoint
from sip_adapter.framer import StreamFramer
from sip_adapter.timers import SLOT, TIMER_J, TRYING
from tests.sip_adapter.packets import PHONE, STREAM, answers, endpoint, outbound, packet, register, statuses
from tests.sip_adapter.torture.table import TABLE, load

NOW = 1000.0
FOREIGN = Flow("udp", 0, "192.0.2.66", 6666)


def serve(served: SipEndpoint, data: bytes, flow: Flow = PHONE, now: float = NOW) -> None:
    served.datagram(data, flow, now)


def accepted(served: SipEndpoint, now: float = NOW, message_id: str = "id-1") -> list[bytes]:
    """Answer all submissions 202 and return the packets."""
    out = served.take()
    items = [
        Answer(transaction=item.transaction, status=202, message_id=MessageId(message_id)) for item in out.submissions
    ]
    assert items
    served.answer(items, now, 0.0)
    return [data for _, data in served.take().packets]


class TestServer:
    def test_a_message_is_handed_on_and_answered(self) -> None:
        served = endpoint()
        serve(served, packet())
        (data,) = accepted(served)
        answer = parse(data)
        assert isinstance(answer, Response)
        assert (answer.status, answer.reason) == (202, "Accepted")
        assert answer.via.params[b"received"] == b"192.0.2.7"
        assert answer.via.rport == 40000
        assert answer.get(b"angarium-id") == b"id-1"
        assert answer.to_tag
        assert (answer.call_id, answer.cseq, answer.from_tag) == (b"call-1", (1, "MESSAGE"), b"a1")
        assert answer.content_length == 0

    @pytest.mark.parametrize("more", [("Content-Type: text/plain",), ("X-Unusual: makes the codec read it",)])
    def test_repeats_are_absorbed_then_get_the_same_answer(self, more: tuple[str, ...]) -> None:
        served = endpoint()
        serve(served, packet(more=more))
        out = served.take()
        serve(served, packet(more=more), now=NOW + 0.5)
        again = served.take()
        assert not again.submissions
        assert not again.packets
        served.answer([Answer(transaction=out.submissions[0].transaction, status=404)], NOW + 1, 0.0)
        first = served.take().packets
        serve(served, packet(more=more), now=NOW + 1 + TIMER_J - 0.1)
        assert served.take().packets == first
        served.tick(NOW + 100)
        serve(served, packet(more=more), now=NOW + 100)
        assert len(served.take().submissions) == 1

    def test_an_answer_counts_once(self) -> None:
        served = endpoint()
        serve(served, packet())
        (item,) = served.take().submissions
        served.answer([Answer(transaction=item.transaction, status=202)] * 2, NOW, 0.0)
        assert statuses(served.take()) == [202]

    def test_100_after_3_5_seconds_repeated_to_repeats(self) -> None:
        served = endpoint()
        serve(served, packet())
        served.take()
        served.tick(NOW + TRYING - 0.1)
        assert not served.take().packets
        assert served.deadline() == NOW + TRYING
        served.tick(NOW + TRYING)
        assert statuses(served.take()) == [100]
        serve(served, packet(), now=NOW + 4)
        assert statuses(served.take()) == [100]

    def test_the_slot_of_a_request_that_nobody_answers_is_freed(self) -> None:
        served = endpoint(max_pending=1)
        serve(served, packet())
        served.tick(NOW + TRYING)
        served.take()
        served.tick(NOW + SLOT)
        assert not served.take().packets
        assert served.pending == 0
        serve(served, packet(), now=NOW + SLOT)
        assert len(served.take().submissions) == 1

    def test_no_timer_without_cause(self) -> None:
        assert endpoint().deadline() is None

    def test_a_challenge_is_made_anew_for_a_repeat(self) -> None:
        served = endpoint()
        serve(served, register("Contact: <sip:bob@192.0.2.7>"))
        (item,) = served.take().registrations
        challenge = Challenge(realm="angarium", nonce="n")
        served.answer([Answer(transaction=item.transaction, status=401, challenge=challenge)], NOW, 0.0)
        (answer,) = answers(served.take())
        assert answer.get(b"www-authenticate") == b'Digest realm="angarium", nonce="n", algorithm=MD5, qop="auth"'
        serve(served, register("Contact: <sip:bob@192.0.2.7>"))
        assert len(served.take().registrations) == 1

    def test_a_registration_is_answered_with_its_contacts(self) -> None:
        served = endpoint()
        serve(served, register('Contact: <sip:b@x.invalid;transport=ws>;+sip.instance="<urn:x>"'))
        (item,) = served.take().registrations
        (contact,) = item.contacts
        line = ContactLine(uri=contact.uri, expires=60, params=contact.params)
        served.answer([Answer(transaction=item.transaction, status=200, contacts=(line,))], NOW, 0.0)
        (answer,) = answers(served.take())
        assert answer.get(b"contact") == b'<sip:b@x.invalid;transport=ws>;+sip.instance="<urn:x>";expires=60'
        assert answer.get(b"date")

    @pytest.mark.parametrize(
        ("via", "port"),
        [
            ("SIP/2.0/UDP 192.0.2.7:5080;branch=z9hG4bKx;rport", 40000),
            ("SIP/2.0/UDP 192.0.2.7:5080;branch=z9hG4bKx", 5080),
            ("SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKx", 5060),
            ("SIP/2.0/UDP phone.invalid:5080;branch=z9hG4bKx;received=1.2.3.4", 5080),
        ],
    )
    @pytest.mark.parametrize("more", [(), ("X-Unusual: makes the codec read it",)])
    def test_answers_go_to_the_source_address(self, via: str, port: int, more: tuple[str, ...]) -> None:
        served = endpoint(max_pending=0)
        serve(served, packet(via=via, more=more))
        ((back, _),) = served.take().packets
        assert (back.host, back.port) == ("192.0.2.7", port)

    def test_answers_go_over_the_connection(self) -> None:
        served = endpoint(max_pending=0)
        (event,) = StreamFramer().feed(packet(via="SIP/2.0/TCP 10.1.1.1:5070;branch=z9hG4bKx"))
        served.event(event, STREAM, NOW)
        ((back, _),) = served.take().packets
        assert back == STREAM

    def test_all_vias_come_back_in_order(self) -> None:
        served = endpoint(max_pending=0)
        serve(served, packet(more=("Via: SIP/2.0/UDP b;branch=z9hG4bKb, SIP/2.0/TCP c", "v: SIP/2.0/UDP d")))
        (answer,) = answers(served.take())
        assert answer.get_all(b"via")[1:] == [b"SIP/2.0/UDP b;branch=z9hG4bKb, SIP/2.0/TCP c", b"SIP/2.0/UDP d"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "status"),
        [("INVITE", 405), ("SUBSCRIBE", 405), ("PUBLISH", 405), ("NOTIFY", 405), ("REFER", 405), ("INFO", 405),
         ("UPDATE", 405), ("PRACK", 405), ("CANCEL", 481), ("BYE", 481), ("FETCH", 501)],
    )  # fmt: skip
    def test_methods(self, method: str, status: int) -> None:
        served = endpoint()
        serve(served, packet(method))
        (answer,) = answers(served.take())
        assert answer.status == status
        assert (answer.get(b"allow") == b"MESSAGE, REGISTER, OPTIONS") == (status != 481)

    def test_an_ack_is_never_answered(self) -> None:
        served = endpoint()
        serve(served, packet("ACK"))
        serve(served, packet("ACK").replace(b"Call-ID", b"X-Call"))
        serve(served, packet("ACK", uri="tel:1"))
        assert not served.take().packets

    @pytest.mark.parametrize("uri", ["sip:angarium", "sip:bob@angarium", "sip:nobody@localhost:99", "sip:10.0.0.1"])
    def test_options_tells_nothing_of_users(self, uri: str) -> None:
        served = endpoint()
        serve(served, packet("OPTIONS", uri, body=b"", more=("Accept: x/y",)))
        out = served.take()
        (answer,) = answers(out)
        assert (answer.status, answer.get(b"allow")) == (200, b"MESSAGE, REGISTER, OPTIONS")
        assert answer.get(b"accept") == b"*/*"
        assert answer.get(b"supported") == b""
        assert out.seen == [PHONE]

    def test_options_without_hops_left_is_answered(self) -> None:
        served = endpoint()
        serve(served, packet("OPTIONS").replace(b"Max-Forwards: 70", b"Max-Forwards: 0"))
        assert statuses(served.take()) == [200]

    def test_a_body_too_large_is_413(self) -> None:
        served = endpoint(max_body=100)
        serve(served, packet(body=b"x" * 101))
        assert statuses(served.take()) == [413]

    @pytest.mark.parametrize(
        "data",
        [b"\xff\xfe\xfd\xfc\xfb", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 65535, b"SIP/2.0 200 OK\r\n\r\n",
         b"\r\n" * 30000, b"\0" * 100, b"SIP/2.0 ", b"MESSAGE ", b"MESSAGE sip:b@angarium SIP/2.0\r\n\r\n"],
    )  # fmt: skip
    def test_garbage_is_dropped(self, data: bytes) -> None:
        served = endpoint()
        serve(served, data)
        out = served.take()
        assert not out.packets
        assert not out.submissions

    @pytest.mark.parametrize("name", sorted(TABLE))
    def test_torture(self, name: str) -> None:
        served = endpoint()
        serve(served, load(name))
        out = served.take()
        assert not out.submissions
        assert not out.registrations
        expected = TABLE[name].node
        assert statuses(out) in ([[status] for status in expected] or [[]])
        for _, data in out.packets:
            assert re.match(rb"SIP/2.0 [1-6][0-9]{2} [A-Z][^\r\n]+\r\n", data)
            assert data.endswith(b"\r\nContent-Length: 0\r\n\r\n")
        serve(served, packet("OPTIONS", call_id="after"))
        assert statuses(served.take()) == [200]


class TestOverload:
    def test_messages_beyond_the_bound_get_503_and_repeats_the_same(self) -> None:
        served = endpoint(max_pending=2)
        for number in range(4):
            serve(served, packet(call_id=f"call-{number}"))
        out = served.take()
        assert len(out.submissions) == 2
        refused = answers(out)
        assert [answer.status for answer in refused] == [503, 503]
        assert all(1 <= int(answer.get(b"retry-after") or 0) <= 5 for answer in refused)
        served.answer([Answer(transaction=item.transaction, status=202) for item in out.submissions], NOW, 0.0)
        served.take()
        serve(served, packet(call_id="call-2"), now=NOW + 20)
        again = served.take()
        assert [data for _, data in again.packets] == [out.packets[0][1]]
        assert not again.submissions
        serve(served, packet(call_id="call-9"), now=NOW + 20)
        assert len(served.take().submissions) == 1

    def test_retry_after_is_spread(self) -> None:
        served = endpoint(max_pending=0)
        for number in range(100):
            serve(served, packet(call_id=f"call-{number}"))
        waits = {answer.get(b"retry-after") for answer in answers(served.take())}
        assert waits == {b"1", b"2", b"3", b"4", b"5"}

    def test_registrations_are_shed_later(self) -> None:
        served = endpoint(max_pending=0, max_pending_registers=1)
        serve(served, register("Contact: <sip:b@h>"))
        serve(served, register("Contact: <sip:b@h>", call_id="other"))
        out = served.take()
        assert len(out.registrations) == 1
        assert statuses(out) == [503]

    def test_options_is_answered_under_overload(self) -> None:
        served = endpoint(max_pending=0, max_pending_registers=0)
        serve(served, packet("OPTIONS"))
        assert statuses(served.take()) == [200]


class TestSignsOfLife:
    @pytest.mark.parametrize("data", [b"\r\n\r\n", b"\r\n", b"\0", b"\0\0\0\0", b"jaK", b"", b"\r\n\r\n\0\r\n "])
    def test_keep_alives_by_datagram_are_not_answered(self, data: bytes) -> None:
        served = endpoint()
        serve(served, data)
        out = served.take()
        assert out.seen == [PHONE]
        assert not out.packets

    def test_a_flow_is_told_once_a_second(self) -> None:
        served = endpoint()
        for step in range(20):
            serve(served, b"\r\n\r\n", now=NOW + step / 10)
        assert served.take().seen == [PHONE, PHONE]

    def test_many_flows_are_bounded(self) -> None:
        served = endpoint()
        for number in range(10_000):
            serve(served, b"\0", Flow("udp", 0, "192.0.2.1", number))
        assert len(served.take().seen) < 5000

    def test_a_ping_on_a_stream_gets_one_crlf(self) -> None:
        served = endpoint()
        for event in StreamFramer().feed(b"\r\n\r\n"):
            served.event(event, STREAM, NOW)
        out = served.take()
        assert out.packets == [(STREAM, b"\r\n")]
        assert out.seen == [STREAM]

    def test_a_broken_stream_is_answered_and_closed(self) -> None:
        served = endpoint()
        for event in StreamFramer(max_body=10).feed(packet(via="SIP/2.0/TCP x;branch=z9hG4bKx", body=b"x" * 11)):
            served.event(event, STREAM, NOW)
        out = served.take()
        assert statuses(out) == [413]
        assert out.closes == [STREAM]


def sent(served: SipEndpoint, now: float = NOW, **values: object) -> bytes:
    served.send([outbound(**values)], now)  # type: ignore[arg-type]  # passed on as they are
    ((_, data),) = served.take().packets
    return data


def reply(data: bytes, status: int = 200, reason: str = "OK", *more: tuple[bytes, bytes]) -> bytes:
    request = parse(data)
    assert isinstance(request, Request)
    return response(request, status, reason, to_tag=b"x", extra=more)


class TestClient:
    def test_an_answer_ends_a_delivery(self) -> None:
        served = endpoint()
        serve(served, reply(sent(served)))
        assert served.take().results == [DeliveryResult(1, 200, True)]
        assert served.in_flight == 0

    def test_a_provisional_answer_does_not(self) -> None:
        served = endpoint()
        serve(served, reply(sent(served), 100, "Trying"))
        assert served.take().results == []
        assert served.in_flight == 1

    @pytest.mark.parametrize("status", [301, 404, 415, 480, 486, 503, 603])
    def test_refusals_carry_retry_after(self, status: int) -> None:
        served = endpoint()
        serve(served, reply(sent(served), status, "No", (b"Retry-After", b"7;duration=1")))
        assert served.take().results == [DeliveryResult(1, status, True, 7)]

    def test_an_answer_from_elsewhere_does_not_count(self) -> None:
        served = endpoint()
        data = sent(served)
        serve(served, reply(data), FOREIGN)
        serve(served, reply(data).replace(b"z9hG4bK0", b"z9hG4bK1"))
        assert served.take().results == []
        serve(served, reply(data))
        assert len(served.take().results) == 1

    def test_an_answer_written_unusually_counts(self) -> None:
        served = endpoint()
        serve(served, reply(sent(served)).replace(b"Via: ", b"v :\t").replace(b";branch", b" ; branch"))
        assert served.take().results == [DeliveryResult(1, 200, True)]

    def test_without_an_answer_it_is_repeated_and_ends_with_408(self) -> None:
        served = endpoint()
        data = sent(served)
        repeats = 0
        while (due := served.deadline()) is not None:
            served.tick(due)
            out = served.take()
            assert all(again == data for _, again in out.packets)
            repeats += len(out.packets)
            if out.results:
                assert out.results == [DeliveryResult(1, 408, False)]
                assert due == NOW + 32
        assert repeats == 10

    def test_a_failed_transport_is_503(self) -> None:
        served = endpoint()
        sent(served)
        served.failed([PHONE], NOW)
        assert served.take().results == [DeliveryResult(1, 503, False)]

    def test_a_closed_connection_is_503(self) -> None:
        served = endpoint()
        sent(served, flow=STREAM)
        served.closed(STREAM, NOW)
        assert served.take().results == [DeliveryResult(1, 503, False)]

    def test_the_same_token_again_replaces(self) -> None:
        served = endpoint()
        data = sent(served, delivery=1)
        assert sent_again(served) == data
        assert served.in_flight == 1
        serve(served, reply(data))
        assert served.take().results == [DeliveryResult(2, 200, True)]

    def test_each_delivery_has_one_end(self) -> None:
        served = endpoint()
        sent(served, delivery=1)
        served.send([outbound(2)], NOW)
        assert served.take().results == [DeliveryResult(1, 503, False)]


def sent_again(served: SipEndpoint) -> bytes:
    served.send([outbound(2)], NOW)
    ((_, data),) = served.take().packets
    return data


LARGE = b"x" * 1400
DIALLED = Flow("tcp", 0, PHONE.host, PHONE.port, 9)


class TestLargeRequests:
    def test_a_large_one_waits_for_a_connection(self) -> None:
        served = endpoint()
        served.send([outbound(1, body=LARGE), outbound(2, token="b" * 32, body=LARGE)], NOW)
        out = served.take()
        assert not out.packets
        (dial,) = out.dials
        assert dial.flow == PHONE
        served.dialled(dial.number, DIALLED, NOW + 1)
        packets = served.take().packets
        assert [flow for flow, _ in packets] == [DIALLED, DIALLED]
        request = parse(packets[0][1])
        assert request.via.transport == "TCP"
        serve(served, reply(packets[0][1]))
        assert served.take().results == []
        (event,) = StreamFramer().feed(reply(packets[0][1]))
        served.event(event, DIALLED, NOW + 1)
        assert served.take().results == [DeliveryResult(1, 200, True)]
        served.send([outbound(3, token="c" * 32, body=LARGE)], NOW + 2)
        assert [flow for flow, _ in served.take().packets] == [DIALLED]

    def test_where_there_is_none_it_goes_by_datagram_and_the_next_at_once(self) -> None:
        served = endpoint()
        served.send([outbound(1, body=LARGE)], NOW)
        (dial,) = served.take().dials
        served.dialled(dial.number, None, NOW + 2)
        assert [flow for flow, _ in served.take().packets] == [PHONE]
        served.send([outbound(2, token="b" * 32, body=LARGE)], NOW + 3)
        out = served.take()
        assert [flow for flow, _ in out.packets] == [PHONE]
        served.send([outbound(3, token="c" * 32, body=LARGE)], NOW + 700)
        assert len(served.take().dials) == 1

    def test_after_a_connection_without_an_answer_it_goes_by_datagram(self) -> None:
        served = endpoint()
        served.send([outbound(1, body=LARGE)], NOW)
        (dial,) = served.take().dials
        served.dialled(dial.number, DIALLED, NOW)
        served.take()
        served.closed(DIALLED, NOW + 1)
        assert served.take().results == [DeliveryResult(1, 503, False)]
        served.send([outbound(2, body=LARGE)], NOW + 2)
        assert [flow for flow, _ in served.take().packets] == [PHONE]

    def test_the_number_of_connections_is_bounded(self) -> None:
        served = endpoint(max_dialled=1)
        served.send([outbound(1, body=LARGE), outbound(2, token="b" * 32, flow=FOREIGN, body=LARGE)], NOW)
        out = served.take()
        assert len(out.dials) == 1
        assert [flow for flow, _ in out.packets] == [FOREIGN]

    def test_an_unused_connection_is_closed(self) -> None:
        served = endpoint()
        served.send([outbound(1, body=LARGE)], NOW)
        (dial,) = served.take().dials
        served.dialled(dial.number, DIALLED, NOW)
        (_, data), *_ = served.take().packets
        (event,) = StreamFramer().feed(reply(data))
        served.event(event, DIALLED, NOW)
        while (due := served.deadline()) is not None:
            served.tick(due)
        assert served.take().closes == [DIALLED]


def test_a_request_whose_service_failed_is_answered_500_and_may_be_sent_again() -> None:
    served = endpoint()
    serve(served, packet())
    served.take()
    served.broke(packet(), PHONE)
    assert statuses(served.take()) == [500]
    assert served.pending == 0
