"""SIP to actor messages and back."""

from __future__ import annotations

import pytest

from actors.messages.requests import Answer, Challenge, ContactLine, Registration, Submission
from actors.model import MessageId, TransactionKey
from sip_adapter.codec import Request, parse
from sip_adapter.errors import SipError
from sip_adapter.policy import check
from sip_adapter.translate import (
    answer_headers,
    contact_line,
    outbound_request,
    reason_of,
    registration,
    retry_after,
    submission,
)
from tests.sip_adapter.packets import PHONE, REALM, TOKEN, domains, outbound, packet, register

KEY = TransactionKey(b"k")


def submitted(data: bytes) -> Submission:
    request = parse(data)
    assert isinstance(request, Request)
    known = domains()
    return submission(request, check(request, known), PHONE, KEY, 5.0, known, REALM)


def registered(data: bytes) -> Registration:
    request = parse(data)
    assert isinstance(request, Request)
    return registration(request, PHONE, KEY, domains(), REALM)


def refused(data: bytes) -> int:
    with pytest.raises(SipError) as caught:
        (registered if data.startswith(b"REGISTER") else submitted)(data)
    return caught.value.status


class TestSubmission:
    def test_all_of_a_message(self) -> None:
        item = submitted(
            packet(
                uri="sip:b%6fb@10.0.0.1:5070;transport=udp",
                from_='"Alice ""<sip:al%69ce@ANGARIUM:5060>;tag=a1'.replace('""', '\\"" '),
                more=("c: text/plain", "Date: today", "Expires: 60", "Angarium-Id: my.id-1", "X-Other: no"),
                body=b"\x00\xff",
            )
        )
        assert (item.sender, item.sender_is_ours, item.recipient) == ("alice", True, "bob")
        assert (item.call_id, item.from_tag, item.cseq) == (b"call-1", b"a1", 1)
        assert item.headers == ((b"Content-Type", b"text/plain"), (b"Date", b"today"), (b"Expires", b"60"))
        assert (item.body, item.life, item.client_id) == (b"\x00\xff", 60.0, "my.id-1")
        assert item.display == b'"Alice \\""'
        assert (item.transaction, item.flow, item.arrived, item.credentials) == (KEY, PHONE, 5.0, None)

    def test_headers_of_servers_are_not_taken_from_a_client(self) -> None:
        item = submitted(packet(more=("Angarium-Path: a,b", "Angarium-Id: not an id")))
        assert item.headers == ()
        assert item.client_id == ""

    def test_the_case_of_a_name_matters(self) -> None:
        assert submitted(packet(uri="sip:Bob@angarium")).recipient == "Bob"

    def test_a_name_is_decoded(self) -> None:
        assert submitted(packet(uri="sip:j%C3%B6rg%20x@angarium")).recipient == "jörg x"

    @pytest.mark.parametrize(
        ("sender", "name"),
        [("<sip:alice@elsewhere.example>;tag=1", "alice"), ("<tel:+49123>;tag=1", "+49123")],
    )
    def test_a_sender_of_elsewhere_is_not_ours(self, sender: str, name: str) -> None:
        item = submitted(packet(from_=sender))
        assert (item.sender, item.sender_is_ours) == (name, False)

    @pytest.mark.parametrize(
        ("data", "status"),
        [
            (packet(uri="sip:angarium"), 404),
            (packet(uri="sip:b%00b@angarium"), 404),
            (packet(uri="sip:b%0ab@angarium"), 404),
            (packet(uri="sip:b%FFb@angarium"), 404),
            (packet(uri="sip:" + "b" * 256 + "@angarium"), 404),
            (packet(uri="sip:" + "b" * 2000 + "@angarium"), 414),
            (packet(uri="sip:bob@foreign.example"), 404),
            (packet(uri="sips:bob@angarium"), 416),
            (packet(uri="tel:+1"), 416),
            (packet(from_="<sip:angarium>;tag=1"), 403),
            (packet(from_="<sip:a%00@angarium>;tag=1"), 403),
            (packet(from_="<sip:@>;tag=1"), 400),
            (packet(more=("Expires: soon",)), 400),
            (packet(more=("Require: 100rel",)), 420),
            (packet(more=("Proxy-Require: x",)), 420),
            (packet(more=tuple(f"Subject: {'x' * 1000}" for _ in range(9))), 513),
            (packet().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), 483),
        ],
    )
    def test_refusals(self, data: bytes, status: int) -> None:
        assert refused(data) == status

    def test_extensions_of_phones_may_be_required(self) -> None:
        assert submitted(packet(more=("Require: path, Outbound", "Require: gruu"))).recipient == "bob"

    def test_unsupported_names_what_is_not_understood(self) -> None:
        with pytest.raises(SipError) as caught:
            submitted(packet(more=("Require: path, foo", "Proxy-Require: bar")))
        assert caught.value.headers == ((b"Unsupported", b"foo, bar"),)


class TestRegistration:
    def test_all_of_a_register(self) -> None:
        item = registered(
            register(
                'Contact: "Bob" <sip:bob-0x1@192.168.1.2:5066;transport=udp>;expires=120;q=0.5;reg-id=2'
                ';+sip.instance="<urn:uuid:1-2>";methods="MESSAGE, INVITE";flag',
                "Contact: <sip:x@a.example>, sip:y@b.example;expires=7",
                "Expires: 600",
                to="<sip:bob@angarium:5070>",
            )
        )
        assert (item.user, item.from_user, item.aor_host) == ("bob", "bob", "angarium:5070")
        assert (item.star, item.expires, item.cseq, item.call_id) == (False, 600, 1, b"call-1")
        first, second, third = item.contacts
        assert first.uri == b"sip:bob-0x1@192.168.1.2:5066;transport=udp"
        assert (first.user, first.host, first.port) == ("bob-0x1", "192.168.1.2", 5066)
        assert (first.expires, first.q, first.instance, first.reg_id) == (120, 0.5, "urn:uuid:1-2", 2)
        assert (second.uri, second.expires, second.q) == (b"sip:x@a.example", None, 1.0)
        assert (third.uri, third.port, third.expires) == (b"sip:y@b.example", None, 7)

    def test_what_is_echoed_is_what_was_sent(self) -> None:
        sent = b'<sip:b@h>;q=0.5;reg-id=1;+sip.instance="<urn:x>";methods="A, B\\"";flag;expires=60'
        (contact,) = registered(register(f"Contact: {sent.decode()}")).contacts
        line = ContactLine(uri=contact.uri, expires=60, q=contact.q, params=contact.params)
        assert contact_line(line) == sent

    def test_no_contact_asks_what_is_bound(self) -> None:
        assert registered(register()).contacts == ()

    def test_star_with_expires_0(self) -> None:
        item = registered(register("Contact: *", "Expires: 0"))
        assert item.star
        assert item.contacts == ()

    @pytest.mark.parametrize(
        ("more", "status"),
        [
            (("Contact: *",), 400),
            (("Contact: *", "Expires: 60"), 400),
            (("Contact: *, <sip:b@h>", "Expires: 0"), 400),
            (("Contact: <sip:b@h>", "Contact: *", "Expires: 0"), 400),
            (("Contact: <sip:b@h>;q=2",), 400),
            (("Contact: <sip:b@h>;q=x",), 400),
            (("Contact: <sip:b@:5060>",), 400),
            (("Contact: <nonsense>",), 400),
            (("Contact: <sip:b@h>", "Expires: never"), 400),
        ],
    )
    def test_refusals(self, more: tuple[str, ...], status: int) -> None:
        assert refused(register(*more)) == status

    @pytest.mark.parametrize("to", ["<sip:bob@foreign.example>", "<tel:+1>", "<sips:bob@angarium>", "<sip:angarium>"])
    def test_an_address_that_is_not_ours_is_404(self, to: str) -> None:
        assert refused(register(to=to)) == 404

    def test_a_malformed_contact_expiry_counts_as_an_hour(self) -> None:
        assert registered(register("Contact: <sip:b@h>;expires=soon")).contacts[0].expires == 3600

    def test_a_huge_expiry_is_bounded(self) -> None:
        assert registered(register("Contact: <sip:b@h>;expires=99999999999")).contacts[0].expires == 2**32 - 1

    def test_hosts_in_ipv6(self) -> None:
        known = domains()
        known.add_listener("2001:db8::1")
        request = parse(register("Contact: <sip:b@[::1]:9>", to="<sip:bob@[2001:db8::1]:7>"))
        assert isinstance(request, Request)
        item = registration(request, PHONE, KEY, known, REALM)
        assert item.aor_host == "[2001:db8::1]:7"
        assert (item.contacts[0].host, item.contacts[0].port) == ("::1", 9)


class TestAnswers:
    def test_each_field_becomes_its_header(self) -> None:
        answer = Answer(
            transaction=KEY,
            status=423,
            message_id=MessageId("id-1"),
            headers=((b"X", b"y"),),
            challenge=Challenge(realm="r", nonce="n"),
            contacts=(ContactLine(uri=b"sip:b@h", expires=59, q=0.25),),
            min_expires=60,
            retry_after=3,
        )
        assert answer_headers(answer, 0.0) == (
            (b"Angarium-Id", b"id-1"),
            (b"WWW-Authenticate", b'Digest realm="r", nonce="n", algorithm=MD5, qop="auth"'),
            (b"Contact", b"<sip:b@h>;q=0.25;expires=59"),
            (b"Min-Expires", b"60"),
            (b"Retry-After", b"3"),
            (b"X", b"y"),
            (b"Date", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        )

    @pytest.mark.parametrize(
        ("status", "reason"), [(202, "Accepted"), (423, "Interval Too Brief"), (418, "I'm a Teapot"), (699, "Other")]
    )
    def test_reasons(self, status: int, reason: str) -> None:
        assert reason_of(status) == reason


class TestOutbound:
    def test_all_of_it(self) -> None:
        message = parse(outbound_request(outbound(body=b"\x00 hi"), b"UDP 10.0.0.1:5060"))
        assert isinstance(message, Request)
        assert (message.method, message.uri) == ("MESSAGE", b"sip:bob@192.0.2.7:5060")
        assert message.via.branch == b"z9hG4bK" + TOKEN.encode()
        assert message.via.rport_requested
        assert (message.via.host, message.via.port, message.via.transport) == ("10.0.0.1", 5060, "UDP")
        assert (message.from_.uri, message.from_tag) == (b"sip:alice@angarium", TOKEN[:16].encode())
        assert (message.to.uri, message.to_tag) == (b"sip:bob@angarium", None)
        assert (message.call_id, message.cseq, message.max_forwards) == (b"call-1", (1, "MESSAGE"), 70)
        assert (message.get(b"angarium-id"), message.content_type) == (b"id-1", b"text/plain")
        assert (message.content_length, message.body) == (4, b"\x00 hi")

    def test_the_same_item_is_the_same_bytes(self) -> None:
        assert outbound_request(outbound(1), b"UDP h:1") == outbound_request(outbound(2), b"UDP h:1")

    @pytest.mark.parametrize(
        ("value", "seconds"), [(None, 0), (b"5", 5), (b"18000;duration=3600", 18000), (b"120 (busy)", 120), (b"x", 0)]
    )
    def test_retry_after(self, value: bytes | None, seconds: int) -> None:
        assert retry_after(value) == seconds
