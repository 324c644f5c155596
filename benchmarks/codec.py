"""How many microseconds the codec takes for what a node does with each message.

Run `python -m benchmarks.codec`; it prints one JSON line a measurement, each the best of five rounds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from timeit import Timer

from sip_adapter.codec import parse, response, response_branch
from sip_adapter.framer import StreamFramer
from sip_adapter.headers import parse_auth
from sip_adapter.message import Request
from sip_adapter.uri import parse_uri

_ROUNDS = 5
_TIMES = 20_000

_MESSAGE = (
    b"MESSAGE sip:bob@127.0.0.1:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5071;branch=z9hG4bK-31415-92653-0;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice" <sip:alice@angarium>;tag=31415SIPpTag0092653\r\n'
    b"To: <sip:bob@angarium>\r\n"
    b"Call-ID: 92653-31415@127.0.0.1\r\n"
    b"CSeq: 1 MESSAGE\r\n"
    b"Contact: <sip:alice@127.0.0.1:5071>\r\n"
    b"Content-Type: text/plain;charset=utf-8\r\n"
    b"Content-Length: 100\r\n\r\n"
) + b"x" * 100
_DIGEST = (
    b'Digest username="alice", realm="angarium", nonce="84f1c1ae6cbe5ua9c8e88dfa3ecm3459", '
    b'uri="sip:angarium", response="6629fae49393a05397450978507c4ef1", cnonce="0a4f113b", nc=1, qop=auth'
)


def main() -> None:
    """Measure and print each thing the hot path does."""
    request = _request()
    answer = response(request, 200, "OK", to_tag=b"9fxced76sl", received=("127.0.0.1", 5071))
    uris = iter(range(10**9))
    _measure("parse and read what a node needs", lambda: _read(_MESSAGE))
    _measure("response", lambda: response(request, 202, "Accepted", to_tag=b"9f", received=("127.0.0.1", 5071)))
    _measure("response_branch", lambda: response_branch(answer))
    _measure("parse a response", lambda: parse(answer))
    _measure("parse_uri, seen before", lambda: parse_uri(b"sip:bob@127.0.0.1:5060"))
    _measure("parse_uri, new", lambda: parse_uri(b"sip:bob%d@127.0.0.1:5060" % next(uris)))
    _measure("parse_auth", lambda: parse_auth(_DIGEST))
    _measure("frame and parse on a stream", lambda: StreamFramer().feed(_MESSAGE))


def _request() -> Request:
    message = parse(_MESSAGE)
    assert isinstance(message, Request)
    return message


def _read(data: bytes) -> object:
    message = parse(data)
    assert isinstance(message, Request)
    return message.via, message.call_id, message.cseq, message.from_tag, parse_uri(message.uri)


def _measure(name: str, call: Callable[[], object]) -> None:
    best = min(Timer(call).repeat(_ROUNDS, _TIMES)) / _TIMES
    print(json.dumps({"id": f"codec: {name}", "microseconds": round(best * 1e6, 2), "n": _TIMES}))


if __name__ == "__main__":
    main()
