"""Messages are read, checked, answered and written by RFC 3261, byte for byte where it says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_adapter.codec import Request, Response, body_length, parse, parse_head, request, response, response_branch
from sip_adapter.errors import Header, SipError
from sip_adapter.headers import STAR

LINES = [
    b"Via: SIP/2.0/UDP 127.0.0.1:5071;branch=z9hG4bK1;rport",
    b'From: "Alice" <sip:alice@angarium>;tag=a1',
    b"To: <sip:bob@angarium>",
    b"Call-ID: c1@127.0.0.1",
    b"CSeq: 7 MESSAGE",
    b"Max-Forwards: 70",
]
START = b"MESSAGE sip:bob@angarium SIP/2.0"


def wire(*lines: bytes, start: bytes = START, body: bytes = b"") -> bytes:
    """Return a message of these header lines."""
    return b"\r\n".join([start, *lines]) + b"\r\n\r\n" + body


def changed(old: bytes, new: bytes) -> bytes:
    """Return the plain MESSAGE with one piece changed."""
    return wire(*LINES).replace(old, new)


def parse_request(data: bytes) -> Request:
    """Return what must be a request."""
    message = parse(data)
    assert isinstance(message, Request)
    return message


def refusal(data: bytes) -> SipError:
    """Return the error that these bytes must raise."""
    with pytest.raises(SipError) as caught:
        parse(data)
    return caught.value


def test_reads_a_request() -> None:
    message = parse_request(b"\r\n\r\n" + wire(*LINES, b"Content-Type: text/plain", b"l: 3", body=b"abcd"))
    assert (message.method, message.uri, message.body) == ("MESSAGE", b"sip:bob@angarium", b"abc")
    assert (message.call_id, message.cseq, message.max_forwards) == (b"c1@127.0.0.1", (7, "MESSAGE"), 70)
    assert (message.from_tag, message.to_tag, message.from_.display) == (b"a1", None, "Alice")
    assert (message.content_type, message.content_length, message.expires) == (b"text/plain", 3, None)
    assert message.contacts == []
    assert message.get(b"x-none") is None
    assert message.get_all(b"x-none") == []
    assert message.tokens(b"supported") == []


def test_reads_a_response() -> None:
    message = parse(wire(*LINES, start=b"SIP/2.0 202 Accepted later"))
    assert isinstance(message, Response)
    assert (message.status, message.reason, message.via.branch) == (202, "Accepted later", b"z9hG4bK1")


def test_compact_names_and_odd_capitals_are_the_same_names() -> None:
    lines = [b"v: SIP/2.0/UDP h;branch=1", b"F: <sip:a@b>;tag=1", b"t:<sip:c@d>", b"I: x", b"cSEQ: 1 MESSAGE",
             b"k: path", b"SUPPORTED: gruu, outbound", b"m: <sip:a@h>", b"e: gzip", b"C: text/plain"]  # fmt: skip
    message = parse(wire(*lines))
    assert message.call_id == b"x"
    assert message.tokens(b"supported") == [b"path", b"gruu", b"outbound"]
    assert [address.uri for address in message.name_addrs(b"contact")] == [b"sip:a@h"]
    assert (message.get(b"content-encoding"), message.content_type) == (b"gzip", b"text/plain")


def test_folded_lines_are_unfolded() -> None:
    message = parse(wire(*LINES, b"Subject: one", b"\t two", b"   three ", b"X-Y:", b" y"))
    assert message.get(b"subject") == b"one two three"
    assert message.get(b"x-y") == b"y"
    assert not any(b"\r" in value or b"\n" in value for _, value in message.headers)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"Call-ID: c1@127.0.0.1\r\n", b"", "Missing Call-ID"),
        (b"CSeq: 7 MESSAGE\r\n", b"", "Missing CSeq"),
        (b"To: <sip:bob@angarium>\r\n", b"", "Missing To"),
        (LINES[1] + b"\r\n", b"", "Missing From"),
        (b"c1@127.0.0.1", b"a b", "Malformed Call-ID"),
        (b"c1@127.0.0.1", b"", "Missing Call-ID"),
        (b"7 MESSAGE", b"7 OPTIONS", "CSeq names another method"),
        (b"7 MESSAGE", b"7", "Malformed CSeq"),
        (b"7 MESSAGE", b"-7 MESSAGE", "Malformed CSeq"),
        (b"7 MESSAGE", b" MESSAGE", "Malformed CSeq"),
        (b"7 MESSAGE", b"2147483648 MESSAGE", "CSeq out of range"),
        (b"7 MESSAGE", b"9" * 5000 + b" MESSAGE", "CSeq out of range"),
        (b"7 MESSAGE", b"7 MESSAGE\r\nCSeq: 7 MESSAGE", "Repeated CSeq"),
        (b"Max-", b"t: <sip:c@d>\r\nMax-", "Repeated To"),
        (b"Max-", b"f: <sip:c@d>\r\nMax-", "Repeated From"),
        (b"Max-", b"i: 1\r\nMax-", "Repeated Call-ID"),
        (b"Max-", b"l: 1\r\nContent-Length: 2\r\nMax-", "Contradicting Content-Length"),
        (b"Max-", b"l: 1\r\nMax-", "Body shorter than its Content-Length"),
        (b"Max-", b"l: x\r\nMax-", "Malformed Content-Length"),
        (b"UDP 127.0.0.1:5071", b"UDP 127.0.0.1:507111", "Malformed Via"),
        (b"Max-Forwards: 70", b"Max-Forwards 70", "Malformed header line"),
        (b"Max-Forwards: 70", b"Max Forwards: 70", "Malformed header line"),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\nX: y", "Malformed header line"),
        (b"Max-Forwards: 70", b"Max-Forwards: 70\rX: y", "Malformed header line"),
        (b"\r\n\r\n", b"\r\n", "Header fields without an end"),
        (b"bob@angarium SIP", b"bob@ SIP", "Malformed request URI"),
        (b"bob@angarium SIP", b"bob@angarium?X=y SIP", "Header fields in the request URI"),
        (b"MESSAGE sip", b"MESS\xc3\x84GE sip", "Malformed request line"),
        (b"MESSAGE sip", b"MESSAGE  sip", "Malformed request line"),
    ],
)
def test_refuses_with_a_reason(old: bytes, new: bytes, reason: str) -> None:
    error = refusal(changed(old, new))
    assert (error.status, error.reason) == (400, reason)
    assert str(error) == f"400 {reason}"
    assert error.request is not None
    answer = response(error.request, 400, reason, to_tag=b"z", received=("127.0.0.1", 9))
    assert answer.startswith(b"SIP/2.0 400 %b\r\nVia: SIP/2.0/UDP 127.0.0.1:5071" % reason.encode())


def test_what_cannot_be_answered_has_no_request() -> None:
    assert refusal(b"").request is None
    assert refusal(b"\r\n\r\n\0\0").request is None
    assert refusal(changed(LINES[0] + b"\r\n", b"")).request is None
    assert refusal(changed(b"MESSAGE", b"ACK").replace(b"c1@", b"a b")).request is None
    assert refusal(wire(*LINES[:3], start=b"SIP/2.0 200 OK")).request is None
    assert refusal(wire(*LINES, start=b"SIP/2.0 700 Odd")).request is None


def test_other_versions_get_505() -> None:
    assert refusal(changed(b" SIP/2.0\r\n", b" SIP/3.0\r\n")).status == 505
    assert refusal(changed(b" SIP/2.0\r\n", b" HTTP/1.1\r\n")).status == 400


def test_an_unknown_method_or_scheme_parses() -> None:
    assert parse_request(changed(b"MESSAGE", b"FooBar")).method == "FooBar"
    assert parse_request(changed(b"sip:bob@angarium SIP", b"im:bob@angarium SIP")).uri == b"im:bob@angarium"


def test_caps() -> None:
    assert len(parse(wire(*LINES, *[b"X: y"] * 250)).headers) == 256
    assert refusal(wire(*LINES, *[b"X: y"] * 251)).reason == "Too many header fields"
    assert refusal(wire(*LINES, b"X: " + b"y" * 70_000)).status == 513
    too_large = wire(*LINES, body=b"x" * 65537)
    assert refusal(too_large).status == 413
    assert len(parse(too_large, max_body=70_000).body) == 65537


def test_accessors_refuse_what_is_malformed() -> None:
    message = parse(wire(*LINES[:5], b"Max-Forwards: 256", b"Expires: soon", b"Contact: <sip:a@b>, *", b"Route: x"))
    for read in (lambda: message.max_forwards, lambda: message.expires, lambda: message.contacts,
                 lambda: message.name_addrs(b"route")):  # fmt: skip
        with pytest.raises(SipError) as caught:
            read()
        assert caught.value.status == 400
        assert caught.value.request is message


def test_a_star_contact() -> None:
    assert parse(wire(*LINES, b"Contact: *", b"Expires: 0")).contacts is STAR


def test_a_register_with_a_malformed_contact_is_refused_at_once() -> None:
    lines = [line.replace(b"MESSAGE", b"REGISTER") for line in LINES]
    data = wire(*lines, b"Contact: <sip:a@b", start=b"REGISTER sip:angarium SIP/2.0")
    assert refusal(data).status == 400


def test_a_stream_needs_a_content_length_only_for_a_body() -> None:
    assert body_length(parse(wire(*LINES))) == 0
    assert body_length(parse(wire(*LINES, b"l: 2", body=b"ab"))) == 2
    with pytest.raises(SipError):
        body_length(parse(wire(*LINES, b"c: text/plain")))
    assert parse_head(wire(*LINES)[:-4], b"body").body == b"body"


def test_a_response_is_complete() -> None:
    message = parse_request(wire(LINES[0] + b", SIP/2.0/TCP second", b"v: SIP/2.0/UDP third", *LINES[1:]))
    answer = response(
        message, 401, "Unauthorized", to_tag=b"t9", extra=[(b"WWW-Authenticate", b"Digest x=y")], body=b"hi",
        received=("127.0.0.1", 5099),
    )  # fmt: skip
    assert answer == wire(
        b"Via: SIP/2.0/UDP 127.0.0.1:5071;branch=z9hG4bK1;received=127.0.0.1;rport=5099, SIP/2.0/TCP second",
        b"Via: SIP/2.0/UDP third",
        LINES[1],
        b"To: <sip:bob@angarium>;tag=t9",
        LINES[3],
        LINES[4],
        b"WWW-Authenticate: Digest x=y",
        b"Content-Length: 2",
        start=b"SIP/2.0 401 Unauthorized",
        body=b"hi",
    )


@pytest.mark.parametrize(
    ("via", "noted"),
    [
        (b"SIP/2.0/UDP 10.0.0.1;branch=a", b"SIP/2.0/UDP 10.0.0.1;branch=a"),
        (b"SIP/2.0/UDP h;branch=a", b"SIP/2.0/UDP h;branch=a;received=10.0.0.1"),
        (b"SIP/2.0/UDP 10.0.0.1;branch=a;rport", b"SIP/2.0/UDP 10.0.0.1;branch=a;received=10.0.0.1;rport=7"),
        (b"SIP/2.0/UDP h;rport;branch=a", b"SIP/2.0/UDP h;branch=a;received=10.0.0.1;rport=7"),
        (b"SIP/2.0/UDP h ; RPORT = 9 ; x;received=6.6.6.6", b"SIP/2.0/UDP h  ; x;received=10.0.0.1;rport=7"),
        (b"SIP/2.0/UDP h;received=6.6.6.6;branch=a", b"SIP/2.0/UDP h;branch=a;received=10.0.0.1"),
        (b"SIP/2.0/UDP h;branch=a;rport , X", b"SIP/2.0/UDP h;branch=a;received=10.0.0.1;rport=7, X"),
    ],
)  # fmt: skip
def test_the_source_is_noted_in_the_top_via(via: bytes, noted: bytes) -> None:
    message = parse_request(wire(b"Via: " + via, *LINES[1:]))
    answer = parse(response(message, 200, "OK", received=("10.0.0.1", 7)))
    assert answer.get(b"via") == noted
    assert parse(response(message, 200, "OK")).get(b"via") == via
    assert answer.via.branch == message.via.branch


def test_a_to_tag_is_kept_and_a_100_has_the_timestamp() -> None:
    message = parse_request(wire(*LINES, b"Timestamp: 54").replace(b"bob@angarium>\r", b"bob@angarium>;tag=old\r"))
    trying = parse(response(message, 100, "Trying", to_tag=b"new"))
    assert trying.to_tag == b"old"
    assert trying.get(b"timestamp") == b"54"
    assert parse(response(message, 200, "OK")).get(b"timestamp") is None


def test_writes_a_request() -> None:
    headers = [(name, value) for line in LINES for name, _, value in [line.partition(b": ")]]
    assert request("MESSAGE", b"sip:bob@angarium", headers, b"hi") == wire(*LINES, b"Content-Length: 2", body=b"hi")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (wire(*LINES, start=b"SIP/2.0 200 OK"), (200, b"z9hG4bK1")),
        (wire(*LINES[1:], LINES[0], start=b"SIP/2.0 486 Busy Here"), (486, b"z9hG4bK1")),
        (wire(b"Vary: x;branch=no", *LINES, start=b"SIP/2.0 200 OK"), None),
        (wire(b"v: SIP/2.0/UDP h;rport=1;branch=b, x", start=b"SIP/2.0 200 OK"), (200, b"b")),
        (wire(b"Via: SIP/2.0/UDP h", LINES[0], start=b"SIP/2.0 200 OK"), None),
        (wire(b"Via: SIP/2.0/UDP h, SIP/2.0/UDP g;branch=b", start=b"SIP/2.0 200 OK"), None),
        (wire(b'Via: SIP/2.0/UDP h;x=";branch=no";branch=b', start=b"SIP/2.0 200 OK"), None),
        (wire(b"X: y", start=b"SIP/2.0 200 OK", body=b"Via: SIP/2.0/UDP h;branch=no\r\n"), None),
        (wire(*LINES), None),
        (b"", None),
    ],
)
def test_finds_the_branch_of_a_response(data: bytes, found: tuple[int, bytes] | None) -> None:
    assert response_branch(data) == found


NAMES = st.text("abcXYZ019-.!%*_+`'~", min_size=2, max_size=12).map(lambda text: b"X-" + text.encode())
VALUES = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t"))


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20), st.binary(max_size=200))
def test_unknown_headers_and_bodies_come_back_byte_for_byte(unknown: list[Header], body: bytes) -> None:
    known = [(name, value) for line in LINES for name, _, value in [line.partition(b": ")]]
    data = request("MESSAGE", b"sip:bob@angarium", [*known, *unknown], body)
    message = parse_request(data)
    assert message.headers == [*known, *unknown, (b"Content-Length", b"%d" % len(body))]
    assert message.body == body
    assert message.encode() == data
    for name, value in unknown:
        assert value in message.get_all(name.lower())


@given(st.text(max_size=30).filter(lambda text: not set("\r\n\0") & set(text)), st.binary(max_size=50))
def test_a_response_comes_back(reason: str, body: bytes) -> None:
    data = response(
        parse_request(wire(*LINES)), 299, reason.encode("utf-8", "replace").decode(), to_tag=b"t", body=body
    )
    message = parse(data)
    assert isinstance(message, Response)
    assert message.encode() == data
    assert message.body == body
    assert response_branch(data) == (299, b"z9hG4bK1")


PIECES = [b",", b'"', b"<", b">", b";", b"=", b";a", b";a=", b"<a:>,", b'"",', b'"\\', b"%41", b"@", b":", b"[", b"a ;",
          b" ", b"\t", b'a="b",', b"\r\n x", b"v:", b"SIP/2.0/UDP a;branch=b,", b";received=1 ",
          b";rport", b"\r", b"?"]  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("prefix", [b"", b"<sip:a@b>", b"SIP/2.0/UDP h"])
def test_long_repetitions_cost_linear_time(prefix: bytes, piece: bytes) -> None:
    attack = prefix + piece * (60_000 // len(piece))
    for line, start in [(line, START) for line in LINES] + [(b"Contact: x", START), (b"", b"MESSAGE x SIP/2.0")]:
        name = line.partition(b":")[0]
        lines = [other for other in LINES if other != line] + ([name + b": " + attack] if name else [])
        data = wire(*lines, start=start if name else b"MESSAGE " + attack + b" SIP/2.0")
        try:
            message = parse(data)
        except SipError as error:
            if error.request is not None:
                response(error.request, error.status, error.reason, received=("127.0.0.1", 1))
        else:
            _ = message.name_addrs(b"route"), message.via, message.tokens(b"supported")
        response_branch(b"SIP/2.0 200 OK\r\n" + data)
