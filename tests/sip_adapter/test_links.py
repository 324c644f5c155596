"""Requests and answers between servers on the wire: what goes in comes out, and what is malformed is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages.links import (
    Alive,
    Carry,
    Frame,
    Hello,
    LinkAnswer,
    LinkContent,
    Relay,
    RelayedDelivery,
    RelayedRegister,
    Reply,
    Welcome,
    encode_content,
)
from actors.messages.requests import ContactItem, Registration
from actors.messages.server_manager import LinkAnswered
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.model import MAX_STEPS, Envelope, Flow, NodeName, Routing, TransactionKey, UserName
from sip_adapter.codec import Request, Response, parse, response
from sip_adapter.errors import SipError
from sip_adapter.links import decode_answer, decode_request, encode_reply, encode_request
from tests.sip_adapter.contents import (
    ANSWERS,
    CARRIES,
    CONTENTS,
    FRAMES,
    REALM,
    TOKEN,
    VIA,
    asked,
    carry,
)
from tests.sip_adapter.packets import outbound

TRANSACTION = TransactionKey(b"t" * 16)
EIGHT = tuple(f"berlin-{number}" for number in range(8))


def sent(request: LinkRequest) -> Request:
    message = parse(encode_request(request, REALM, VIA, TOKEN))
    assert isinstance(message, Request)
    return message


def answered(reply: LinkReply) -> LinkAnswered:
    final = encode_reply(reply)
    data = response(sent(asked(Alive())), final.status, final.reason, extra=final.headers, body=final.body)
    message = parse(data)
    assert isinstance(message, Response)
    return decode_answer(7, message)


class TestRoundTrip:
    @settings(max_examples=60, deadline=None)
    @given(FRAMES, st.one_of(CONTENTS, CARRIES))
    def test_any_request_comes_out_as_it_went_in(self, frame: Frame, content: LinkContent) -> None:
        got = decode_request(sent(LinkRequest(1, NodeName("b"), frame, content, 5.0)))
        assert got == (frame, content)
        assert encode_content(got[1]) == encode_content(content)

    @settings(max_examples=60, deadline=None)
    @given(CARRIES)
    def test_a_message_as_clients_make_them_travels_as_a_message(self, content: LinkContent) -> None:
        assert b"angarium-custody" in {name.lower() for name, _ in sent(asked(content)).headers}

    @settings(max_examples=60, deadline=None)
    @given(FRAMES, st.one_of(st.none(), ANSWERS), st.integers(200, 699), st.integers(0, 9))
    def test_any_answer_comes_out_as_it_went_in(
        self, frame: Frame, content: LinkAnswer | None, status: int, wait: int
    ) -> None:
        got = answered(LinkReply(TRANSACTION, status, "Why not", frame, content, wait))
        assert got == LinkAnswered(7, status, True, "Why not", frame, content, wait)

    @pytest.mark.parametrize(
        "changed",
        [
            {"call_id": b"a b"},
            {"call_id": b""},
            {"sender": ""},
            {"display": b"Alice"},
            {"display": b'""'},
            {"headers": ((b"Via", b"x"),)},
            {"headers": ((b"angarium-link", b"x"),)},
            {"headers": ((b"Subject", b"a\r\nVia: b"),)},
            {"headers": ((b"Subject", b" a"),)},
            {"headers": ((b"Sub ject", b"a"),)},
            {"headers": ((b"Subject", b"a"),) * 250},
            {"routing": Routing("a", path=("", ""))},
        ],
    )
    def test_what_no_header_can_hold_travels_all_the_same(self, changed: dict[str, object]) -> None:
        base = carry()
        odd = Envelope(**{**{name: getattr(base.envelope, name) for name in Envelope.__struct_fields__}, **changed})
        content = type(base)(odd, base.life, base.incarnation, base.row, base.floor)
        request = sent(asked(content))
        assert request.method == "OPTIONS"
        assert decode_request(request)[1] == content


class TestForm:
    def test_a_message_can_be_read_by_people(self) -> None:
        assert encode_request(asked(carry()), REALM, VIA, TOKEN).split(b"\r\n") == [
            b"MESSAGE sip:bob@angarium SIP/2.0",
            b"Via: SIP/2.0/TCP 10.0.0.1:5060;branch=z9hG4bK0123456789abcdef0123456789abcdef;rport",
            b"Max-Forwards: 69",
            b'From: "Alice" <sip:alice@angarium>;tag=0123456789abcdef',
            b"To: <sip:bob@angarium>",
            b"Call-ID: call-1",
            b"CSeq: 1 MESSAGE",
            b"Content-Type: text/plain",
            b"Subject: hi",
            b"Angarium-Id: 1ng8j55-v4bj8j95-1",
            b"Angarium-Route: a;home=c;epoch=2;step=1",
            b"Angarium-Path: a",
            b"Angarium-Visited: *1",
            b"Angarium-Custody: life=431999.987654321;at=1790000000.1234567;proof=digest;"
            b"store=*ASNFZ4mrze8BI0VniavN7w;row=123456;floor=123400;vouch=*q6urq6urq6urq6urq6urqw",
            b"Angarium-Link: carry;session=*q6urq6urq6urq6urq6urqw;number=1;mac=*zc3Nzc3Nzc3Nzc3Nzc3NzQ",
            b"Content-Length: 5",
            b"",
            b"hello",
        ]

    @pytest.mark.parametrize("first", [0, 4])
    def test_extra_headers_after_eight_hops_take_at_most_512_bytes(self, first: int) -> None:
        way = Routing(EIGHT[0], "berlin-9", 1, EIGHT, EIGHT[first:], 12, 8, "ab" * 16, "cd" * 16)
        data = encode_request(asked(carry(routing=way), 1234567), REALM, VIA, TOKEN)
        extra = re.findall(rb"Angarium-[A-Za-z]+: [^\r]*\r\n", data)
        assert len(extra) == 6
        assert sum(map(len, extra)) <= 512
        assert len(data) <= 1300

    def test_names_of_any_characters_are_escaped(self) -> None:
        way = Routing("nöde;x=1", "a,b", path=("*3", "c d"), visited=("e%", "c d"))
        request = sent(asked(carry(routing=way)))
        assert request.get(b"angarium-route") == b"n%C3%B6de%3Bx%3D1;home=a%2Cb"
        assert request.get(b"angarium-path") == b"%2A3,c%20d"
        assert request.get(b"angarium-visited") == b"e%25,*1"

    def test_hops_left_follow_the_steps(self) -> None:
        assert sent(asked(carry(routing=Routing("a", step=MAX_STEPS + 3)))).max_forwards == 0

    def test_a_relayed_register_shows_whom_it_is_about(self) -> None:
        contact = ContactItem(b"sip:bob@192.0.2.7", "bob", "192.0.2.7", None, None, 1.0, "", 0, ())
        asking = Registration(
            TRANSACTION, Flow("udp", 0, "h", 1), UserName("bob"), "angarium", UserName("bob"), b"c", 1, (contact,),
            False, None,
        )  # fmt: skip
        inner = RelayedRegister(asking, "token")
        content = Relay(NodeName("c"), inner, path=(NodeName("c"), NodeName("b")), user=UserName("bob"))
        request = sent(asked(content))
        assert (request.method, request.to.uri) == ("REGISTER", b"sip:bob@angarium")
        assert request.get(b"contact") == b"<sip:bob@192.0.2.7>"
        assert request.get(b"path") == b"<sip:c@angarium;lr>, <sip:b@angarium;lr>"
        assert decode_request(request)[1] == content

    def test_a_relayed_delivery_shows_whom_it_is_for(self) -> None:
        content = Relay(NodeName("a"), RelayedDelivery(outbound(), "token"), route=(NodeName("b"), NodeName("c")))
        request = sent(asked(content))
        assert (request.method, request.to.uri, request.from_.uri) == (
            "MESSAGE", b"sip:bob@angarium", b"sip:alice@angarium",
        )  # fmt: skip
        assert request.get(b"route") == b"<sip:b@angarium;lr>, <sip:c@angarium;lr>"
        assert decode_request(request)[1] == content


GOOD = encode_request(asked(carry()), REALM, VIA, TOKEN)
GOOD_JSON = encode_request(asked(Alive()), REALM, VIA, TOKEN)


class TestMalformed:
    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            (rb"Angarium-Id: [^\r]*\r\n", b"", "Missing Angarium-Id"),
            (rb"Angarium-Custody: [^\r]*\r\n", b"", "Missing Angarium-Custody"),
            (rb"life=[^;]*", b"life=inf", "life in Angarium-Custody"),
            (rb"life=[^;]*", b"life=1e999", "life in Angarium-Custody"),
            (rb"at=[^;]*;", b"", "at in Angarium-Custody"),
            (rb"proof=digest", b"proof=word", "proof in Angarium-Custody"),
            (rb"row=", b"row=-", "row in Angarium-Custody"),
            (rb"floor=123400", b"floor=" + b"9" * 40, "floor in Angarium-Custody"),
            (rb"row=", b"floor=1;row=", "Repeated parameter"),
            (rb"store=\*", b"store=*=", "base64 in Angarium-Custody"),
            (rb"store=\*[^;]*", b"store=*abcde", "base64 in Angarium-Custody"),
            (rb"Path: a", b"Path: a,,b", "Malformed Angarium-Path"),
            (rb"Path: a", b"Path: a, ,b", "Malformed Angarium-Path"),
            (rb"Path: a", b"Path: " + b"a," * 99 + b"a", "Malformed Angarium-Path"),
            (rb"Path: a", b"Path: %zz", "Malformed text in Angarium-Path"),
            (rb"Path: a", b"Path: %ff", "text in Angarium-Path"),
            (rb"Path: a", b"Path: %FF", "not UTF-8"),
            (rb"Visited: \*1", b"Visited: *2", "Malformed Angarium-Visited"),
            (rb"Visited: \*1", b"Visited: *", "Malformed Angarium-Visited"),
            (rb"Visited: \*1", b"Visited: x*1", "Malformed Angarium-Visited"),
            (rb"Visited: \*1", b"Visited: ,*1", "Malformed Angarium-Visited"),
            (rb"step=1", b"step=one", "step in Angarium-Route"),
            (rb"Link: carry", b"Link: alive", "Body is no content"),
            (rb"number=1", b"number=x", "number in Angarium-Link"),
            (rb"bob@angarium SIP", b"angarium SIP", "Request-URI names no user"),
            (rb"bob@angarium SIP", b"%ff@angarium SIP", "Request-URI names no possible user"),
        ],
    )
    def test_a_malformed_message_is_refused_with_a_reason(self, old: bytes, new: bytes, reason: str) -> None:
        data, found = re.subn(old, new, GOOD, count=1)
        assert found
        self.refused(data, reason)

    @pytest.mark.parametrize(
        ("old", "new", "reason"),
        [
            (b"Link: alive", b"Link: hello", "names another content"),
            (b'{"type":"alive"}', b'{"type":"alove"}', "Body is no content"),
            (b'{"type":"alive"}', b"[" * 15 + b"]", "Body is no content"),
            (b'{"type":"alive"}', b'{"type":"ali\xffe"}', "Body is no content"),
        ],
    )
    def test_a_malformed_content_is_refused_with_a_reason(self, old: bytes, new: bytes, reason: str) -> None:
        assert old in GOOD_JSON
        self.refused(GOOD_JSON.replace(old, new), reason)

    def test_deep_nesting_is_refused(self) -> None:
        body = b'{"type":"relay","x":' + b"[" * 30_000
        data = GOOD_JSON.replace(b"Link: alive", b"Link: relay").replace(
            b'Content-Length: 16\r\n\r\n{"type":"alive"}', b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.refused(data, "Body is no content")

    @pytest.mark.parametrize("version", [10**30, 2**64, -(2**63) - 1])
    def test_a_number_of_which_no_mac_can_be_made_is_refused(self, version: int) -> None:
        hello = Hello(NodeName("a"), NodeName("b"), "r", "", "", "", version=987654321)
        body = encode_request(asked(hello), REALM, VIA, TOKEN).partition(b"\r\n\r\n")[2]
        body = body.replace(b"987654321", b"%d" % version)
        data = GOOD_JSON.replace(b"Link: alive", b"Link: hello").replace(
            b'Content-Length: 16\r\n\r\n{"type":"alive"}', b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        self.refused(data, "Body is no content")

    def test_an_answer_with_such_a_number_has_no_content(self) -> None:
        final = encode_reply(LinkReply(TRANSACTION, 200, frame=Frame("s", 1, "m"), content=Reply(epoch=987654321)))
        body = final.body.replace(b"987654321", b"%d" % 10**30)
        message = parse(response(sent(asked(Alive())), 200, "OK", extra=final.headers, body=body))
        assert isinstance(message, Response)
        assert decode_answer(3, message) == LinkAnswered(3, 200, True, "OK")

    def refused(self, data: bytes, reason: str) -> None:
        message = parse(data)
        assert isinstance(message, Request)
        with pytest.raises(SipError, match=re.escape(reason)) as caught:
            decode_request(message)
        assert caught.value.status == 400

    @pytest.mark.parametrize("link", [b"answer;number=x", b"answer;mac=*;session=%", b"answer;mac=a;mac=b"])
    def test_an_answer_with_a_malformed_frame_has_none(self, link: bytes) -> None:
        data = response(sent(asked(Alive())), 202, "Accepted", extra=((b"Angarium-Link", link),))
        message = parse(data)
        assert isinstance(message, Response)
        assert decode_answer(3, message) == LinkAnswered(3, 202, True, "Accepted")

    def test_an_answer_with_a_malformed_body_has_no_frame(self) -> None:
        final = encode_reply(LinkReply(TRANSACTION, 200, frame=Frame("s", 1, "m")))
        data = response(sent(asked(Alive())), 200, "OK", extra=final.headers, body=b'{"type":"hello"}')
        message = parse(data)
        assert isinstance(message, Response)
        assert decode_answer(3, message) == LinkAnswered(3, 200, True, "OK")

    def test_a_reason_with_line_breaks_stays_one_line(self) -> None:
        assert answered(LinkReply(TRANSACTION, 403, "a\r\nb")).reason == "a  b"

    def test_an_answer_without_a_mac_has_no_link_header(self) -> None:
        assert encode_reply(LinkReply(TRANSACTION, 403)).headers == ()
        assert answered(LinkReply(TRANSACTION, 403)) == LinkAnswered(7, 403, True, "Forbidden")

    def test_blanks_between_parts_are_read_over(self) -> None:
        message = parse(re.sub(rb"(Route|Custody|Link): ([^\r]*)", lambda m: m[0].replace(b";", b" ; "), GOOD))
        assert isinstance(message, Request)
        assert decode_request(message) == (asked(carry()).frame, carry())

    def test_blanks_in_lists_are_read_over(self) -> None:
        way = Routing("a", path=("x", "b", "c"), visited=("e", "b", "c"))
        data = encode_request(asked(carry(routing=way)), REALM, VIA, TOKEN)
        assert b"Visited: e,*2" in data
        message = parse(data.replace(b"e,*2", b"e , *2").replace(b"x,b,c", b"x, b ,c"))
        assert isinstance(message, Request)
        assert decode_request(message)[1] == carry(routing=way)

    def test_a_future_parameter_is_left_alone(self) -> None:
        message = parse(GOOD.replace(b"row=", b"colour=red;row=").replace(b"carry;", b"carry;more;"))
        assert isinstance(message, Request)
        assert decode_request(message)[1] == carry()

    def test_contents_of_answers(self) -> None:
        welcome = Welcome(NodeName("b"), "ab" * 16, "cd" * 16)
        for content in (welcome, Reply(home=NodeName("c"), epoch=3)):
            assert answered(LinkReply(TRANSACTION, 200, content=content)).content == content

    def test_a_message_without_a_route_has_no_routing(self) -> None:
        message = parse(re.sub(rb"Angarium-Route: [^\r]*\r\n", b"", GOOD))
        assert isinstance(message, Request)
        content = decode_request(message)[1]
        assert isinstance(content, Carry)
        assert content.envelope.routing is None
