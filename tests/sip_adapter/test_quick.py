"""The quick reader and the codec never disagree."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.messages.requests import Answer
from actors.model import MessageId
from sip_adapter.endpoint import Outputs, SipEndpoint
from sip_adapter.quick import QuickReader, glance
from tests.sip_adapter.packets import PHONE, REALM, domains, endpoint, packet

ORDINARY = [
    packet(),
    packet(via="SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKone"),
    packet(via="SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKone"),
    packet(via="SIP/2.0/UDP phone.invalid:5061;rport;branch=z9hG4bKone"),
    packet(from_='"Alice \\" A" <sip:al%69ce@angarium:5060;x=y>;tag=b'),
    packet(from_="sip:alice@angarium;tag=b"),
    packet(from_="Alice <sip:alice@elsewhere.example>;tag=b", more=("Expires: 60", "Priority: urgent")),
    packet(more=("Content-Type: text/plain;charset=utf-8", "User-Agent: x", "Date: today", "Subject: a b")),
    packet(uri="sip:b%6Fb@10.0.0.1:5060;transport=udp", body=b""),
    packet(more=('Authorization: Digest  username="alice",realm="angarium",nonce="n",uri="u",response="A1"',)),
]
PLAIN = [
    *ORDINARY,
    packet(via="SIP/2.0/UDP 192.0.2.7:65536;branch=z9hG4bKone"),
    packet(via="SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKone;rport=1;rport"),
    packet(via="SIP/2.0/UDP 192.0.2.7:5060;branch=old"),
    packet(via="SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bKone"),
    packet(to="<sip:bob@angarium>;tag=here"),
    packet(to="nobody"),
    packet(to="<tel:1>;a=b;a=c"),
    packet(from_="<sip:alice@angarium>"),
    packet(from_="<tel:+1>;tag=a"),
    packet(from_="<sip:angarium>;tag=a"),
    packet(from_="<sip:alice@angarium>;tag=a;tag=b"),
    packet(uri="sip:bob@foreign.example"),
    packet(uri="sips:bob@angarium"),
    packet(uri="sip:angarium"),
    packet(uri="sip:b%00b@angarium"),
    packet(more=("Require: 100rel",)),
    packet(more=("Subject: a\tb", "Content-Type: text/plain\t")),
    packet().replace(b" SIP/2.0\r\n", b" SIP/2.0 \r\n"),
    packet().replace(b"MESSAGE\r\n", b"MESSAGE\r\0"),
    packet(more=("Angarium-Id: my-id", "s: subject", "CALL-INFO: x")),
    packet(more=("Expires: soon",)),
    packet(more=("Content-Type: text/plain", "Content-Type: text/html")),
    packet(more=("Max-Forwards: 3",)),
    packet(more=("Authorization: Digest username=",)),
    packet(more=('Authorization: Digest username="a", username="b"',)),
    packet().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"),
    packet().replace(b"Max-Forwards: 70", b"Max-Forwards:70"),
    packet().replace(b"Content-Length: 5", b"Content-Length: 4"),
    packet().replace(b"Content-Length: 5", b"Content-Length: 6"),
    packet().replace(b"CSeq: 1 ", b"CSeq: 01 "),
    packet().replace(b"CSeq: 1 ", b"CSeq: 9999999999 "),
    packet().replace(b"From: ", b"From : "),
    packet().replace(b"\r\nTo: ", b"\r\nTo: \r\n "),
]


def codec_only() -> SipEndpoint:
    """Return an endpoint that reads everything with the codec."""
    slow = endpoint(max_body=4096)
    slow._reader.read = lambda data: None  # type: ignore[method-assign]  # the point of this test
    return slow


def outcome(served: SipEndpoint, data: bytes) -> tuple[object, ...]:
    served.datagram(data, PHONE, 1.0)
    first: Outputs = served.take()
    served.tick(5.0)
    later = served.take()
    seen = set(first.submissions[0].headers) if first.submissions else set()
    submissions = [(item.transaction, repr(item)) for item in first.submissions]
    return submissions, seen, first.packets, later.packets, first.registrations


@pytest.mark.parametrize("data", ORDINARY)
def test_ordinary_messages_are_read(data: bytes) -> None:
    assert QuickReader(domains(), REALM, 4096).read(data) is not None


@pytest.mark.parametrize("data", PLAIN)
def test_both_come_to_the_same(data: bytes) -> None:
    assert outcome(endpoint(max_body=4096), data) == outcome(codec_only(), data)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """One of these messages with a few bytes changed."""
    data = bytearray(draw(st.sampled_from(PLAIN)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        piece = draw(
            st.one_of(
                st.binary(min_size=1, max_size=3),
                st.sampled_from([b"\r\n", b" ", b"\t", b";", b",", b'"', b"<", b">", b"%", b";rport", b";tag=x"]),
            )
        )
        data[at : at + draw(st.integers(0, 3))] = piece
    return bytes(data)


@given(mutations())
@settings(max_examples=500, deadline=None)
def test_both_come_to_the_same_for_mutations(data: bytes) -> None:
    assert outcome(endpoint(max_body=4096), data) == outcome(codec_only(), data)


def test_a_large_head_or_body_is_left_to_the_codec() -> None:
    reader = QuickReader(domains(), REALM, 10)
    assert reader.read(packet(body=b"x" * 11)) is None
    assert reader.read(packet(more=("Subject: " + "x" * 1400,))) is None


@pytest.mark.parametrize("data", ORDINARY)
def test_a_glance_sees_the_same_transaction(data: bytes) -> None:
    """What is shed after a glance has the key, the answer's head and the way back that it has when it is served."""
    read, seen = QuickReader(domains(), REALM, 65536).read(data), glance(data)
    assert read is not None
    assert seen is not None
    for name in ("branch", "host", "port", "rport", "number"):
        assert getattr(seen, name) == getattr(read, name)
    assert seen.reply_head(b"tag", PHONE) == read.reply_head(b"tag", PHONE)


@pytest.mark.parametrize(
    "data",
    [
        packet(to="<sip:bob@angarium>;tag=here"),
        packet().replace(b"\r\nTo: ", b"\r\nTo: \r\n "),
        packet().replace(b"\r\nCSeq: 1 MESSAGE", b"\r\nCSeq: 1\r\n MESSAGE"),
        packet().replace(b"\r\nVia: ", b"\r\nv: "),
        packet(via="SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bKone"),
        b"MESSAGE sip:bob@angarium SIP/2.0\r\nVia: x",
    ],
)
def test_a_glance_leaves_the_unusual_alone(data: bytes) -> None:
    assert glance(data) is None


def test_a_repeat_of_what_was_accepted_is_not_shed() -> None:
    served = endpoint(max_pending=1)
    served.datagram(packet(call_id="first"), PHONE, 1.0)
    (item,) = served.take().submissions
    served.datagram(packet(call_id="first"), PHONE, 1.1)
    assert not served.take().packets
    served.answer([Answer(transaction=item.transaction, status=202, message_id=MessageId("m"))], 1.2, 0.0)
    (first,) = served.take().packets
    served.datagram(packet(call_id="second"), PHONE, 1.3)
    served.take()
    served.datagram(packet(call_id="first"), PHONE, 1.4)
    assert served.take().packets == [first]
