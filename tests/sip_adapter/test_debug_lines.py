"""Debug lines of the SIP border: what can be followed is there, what is secret is not."""

from __future__ import annotations

from actors.model import Flow
from sip_adapter import debug_lines
from sip_adapter.framer import KeepAlive, StreamFramer

REQUEST = (
    b"MESSAGE sip:bob:pass-of-uri@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:5061;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@127.0.0.1>;tag=1\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: call-1\r\nCSeq: 7 MESSAGE\r\n"
    b'Authorization: Digest username="alice", response="digest-of-alice"\r\nAngarium-Id: m1\r\n'
    b"Content-Length: 11\r\n\r\nbody-is-own"
)


def test_a_packet_shows_how_to_follow_it_and_no_secret() -> None:
    text, message_id = debug_lines.of_packet(REQUEST)
    assert text.startswith("MESSAGE sip:bob:[hidden]@127.0.0.1 SIP/2.0 call-id=call-1 cseq=7 MESSAGE, ")
    assert message_id == "m1"
    for secret in ("pass-of-uri", "digest-of-alice", "body-is-own"):
        assert secret not in text


def test_what_a_stream_brought_is_shown_alike() -> None:
    (event,) = StreamFramer().feed(REQUEST)
    text, message_id = debug_lines.of_event(event)
    assert text == "MESSAGE sip:bob:[hidden]@127.0.0.1 call-id=call-1 cseq=7 MESSAGE, body of 11 bytes"
    assert message_id == "m1"
    assert debug_lines.of_event(KeepAlive()) == ("keep-alive", "")


def test_anything_has_a_line() -> None:
    assert debug_lines.of_packet(b"\r\n\r\n") == ("keep-alive, 4 bytes", "")
    assert debug_lines.of_packet(b"")[1] == ""
    assert len(debug_lines.of_packet(b"\xff" * 65_000)[0]) < 200
    (error,) = StreamFramer().feed(b"nonsense\r\n\r\n")
    assert debug_lines.of_event(error)[0].startswith("unusable: ")
    assert debug_lines.where(Flow("udp", 0, "127.0.0.1", 5060)) == "udp 127.0.0.1:5060"
