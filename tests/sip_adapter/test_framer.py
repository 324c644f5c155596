"""A stream gives the same messages however it is cut, and says so when it has lost its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip_adapter.codec import Request, Response
from sip_adapter.errors import FramingError, SipError
from sip_adapter.framer import Event, KeepAlive, StreamFramer

HEAD = (
    b"MESSAGE sip:bob@angarium SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@angarium>;tag=1\r\nTo: <sip:bob@angarium>\r\nCall-ID: 1\r\nCSeq: 1 MESSAGE\r\n"
)
OK = HEAD.partition(b"\r\n")[2]


def message(body: bytes) -> bytes:
    """Return a MESSAGE with this body."""
    return HEAD + b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def seen(events: list[Event]) -> list[object]:
    """Return what the events say, comparable."""
    said: list[object] = []
    for event in events:
        if isinstance(event, Request | Response):
            said.append((event.headers, event.body))
        else:
            said.append((type(event), str(event) if isinstance(event, SipError) else ""))
    return said


def test_two_messages_and_a_ping_in_one_block() -> None:
    events = StreamFramer().feed(message(b"one\r\n\r\n") + b"\r\n\r\n" + message(b"two") + b"\r\n")
    first, ping, second = events
    assert isinstance(first, Request)
    assert isinstance(ping, KeepAlive)
    assert isinstance(second, Request)
    assert (first.body, second.body) == (b"one\r\n\r\n", b"two")


def test_a_response_is_an_event_too() -> None:
    (event,) = StreamFramer().feed(b"SIP/2.0 200 OK\r\n" + OK + b"l: 0\r\n\r\n")
    assert isinstance(event, Response)


def test_a_single_line_end_is_no_ping() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n") == []
    assert len(framer.feed(message(b""))) == 1
    assert framer.feed(b"\r\n") == []
    (ping,) = framer.feed(b"\r\n")
    assert isinstance(ping, KeepAlive)


def test_no_content_length_means_no_body_unless_there_is_a_type() -> None:
    framer = StreamFramer()
    (event,) = framer.feed(HEAD + b"\r\n")
    assert isinstance(event, Request)
    (error,) = framer.feed(HEAD + b"Content-Type: text/plain\r\n\r\nhello")
    assert isinstance(error, FramingError)
    assert (error.status, error.reason) == (400, "Missing Content-Length")
    assert error.request is not None
    assert framer.closed
    assert framer.feed(message(b"late")) == []


def test_a_bad_message_whose_end_is_known_does_not_end_the_stream() -> None:
    events = StreamFramer().feed(message(b"x").replace(b"Call-ID: 1\r\n", b"") + message(b"y"))
    error, good = events
    assert isinstance(error, SipError)
    assert not isinstance(error, FramingError)
    assert (error.status, error.reason) == (400, "Missing Call-ID")
    assert isinstance(good, Request)


@pytest.mark.parametrize(
    ("data", "status", "answerable"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, False),
        (HEAD.replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1) + b"\r\n", 505, True),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400, True),
        (HEAD + b"Content-Length: 1\r\nl: 2\r\n\r\n", 400, True),
        (HEAD + b"Content-Length: 101\r\n\r\n", 413, True),
        (HEAD + b"X: " + b"x" * 1000, 513, True),
        (HEAD + b"X: " + b"x" * 1000 + b"\r\n\r\n", 513, True),
        (HEAD + b"X: a\nb\r\n\r\n", 400, True),
        (HEAD.replace(b"MESSAGE", b"ACK") + b"Content-Length: x\r\n\r\n", 400, False),
    ],
)
def test_a_lost_place_ends_the_stream(data: bytes, status: int, *, answerable: bool) -> None:
    framer = StreamFramer(max_head=600, max_body=100)
    (error,) = framer.feed(data)
    assert isinstance(error, FramingError)
    assert error.status == status
    assert (error.request is not None) == answerable
    assert framer.closed


PIECES = [message(b""), message(b"hi\r\n\r\nthere"), HEAD + b"\r\n", b"\r\n", b"\r\n\r\n", b"\r", b"garbage\r\n\r\n",
          message(b"x").replace(b"CSeq", b"Cseqq"), HEAD + b"X: a\r\n b\r\nl: 0\r\n\r\n",
          b"SIP/2.0 200 OK\r\n" + OK + b"\r\n",
          HEAD + b"l: 300\r\n\r\n", b"X" * 700]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), st.data())
def test_any_cutting_gives_the_same_events(stream: bytes, data: st.DataObject) -> None:
    whole = seen(StreamFramer(600, 200).feed(stream))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    framer = StreamFramer(600, 200)
    events: list[Event] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        events += framer.feed(stream[begin:end])
    assert seen(events) == whole
    framer = StreamFramer(600, 200)
    assert seen([event for byte in stream for event in framer.feed(bytes([byte]))]) == whole


@pytest.mark.timeout(20)
def test_a_large_head_byte_by_byte_costs_linear_time() -> None:
    framer = StreamFramer()
    data = HEAD + b"X: " + b"x" * 60_000 + b"\r\nl: 60000\r\n\r\n" + b"y" * 60_000
    events = [event for byte in data for event in framer.feed(bytes([byte]))]
    assert len(events) == 1


@pytest.mark.timeout(20)
def test_a_flood_of_pings_costs_linear_time() -> None:
    assert len(StreamFramer().feed(b"\r\n" * 200_000)) == 100_000
