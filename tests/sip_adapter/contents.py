"""Contents of links that tests send: any value of any kind, drawn from the types themselves, and plain ones."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from actors.messages.links import Carry, Frame, LinkAnswer, LinkContent
from actors.messages.sip_adapter import LinkRequest
from actors.model import Envelope, MessageId, NodeName, Proof, Routing, Seq, UserName

REALM = "angarium"
TOKEN = "0123456789abcdef" * 2
VIA = b"TCP 10.0.0.1:5060"

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
HEX = st.binary(min_size=16, max_size=16).map(bytes.hex)
NUMBER = st.integers(0, 2**40)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for a type of `actors.messages`, by what msgspec knows of it."""
    return _of(msgspec.inspect.type_info(kind))


def _of(info: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
    match info:
        case msgspec.inspect.StructType():
            return st.builds(info.cls, **{field.name: _of(field.type) for field in info.fields})
        case msgspec.inspect.UnionType():
            return st.one_of(*(_of(item) for item in info.types))
        case msgspec.inspect.TupleType():
            return st.tuples(*(_of(item) for item in info.item_types))
        case msgspec.inspect.VarTupleType():
            return st.lists(_of(info.item_type), max_size=3).map(tuple)
        case msgspec.inspect.EnumType():
            return st.sampled_from(list(info.cls))
        case _:
            return _SIMPLE[type(info)]


_SIMPLE: dict[type[msgspec.inspect.Type], st.SearchStrategy[Any]] = {
    msgspec.inspect.StrType: st.one_of(TEXT, HEX),
    msgspec.inspect.BytesType: st.binary(max_size=12),
    msgspec.inspect.IntType: NUMBER,
    msgspec.inspect.FloatType: FLOAT,
    msgspec.inspect.BoolType: st.booleans(),
    msgspec.inspect.NoneType: st.none(),
}

FRAMES = values(Frame)
CONTENTS = values(LinkContent)
ANSWERS = values(LinkAnswer)

NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
NODE = st.one_of(st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True), NAME)
_LETTER = st.sampled_from("ABCyz-.09")
_VALUE = st.binary(max_size=20).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").strip(b" \t"))
_DISPLAY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), min_size=1, max_size=12).map(
    lambda text: b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'
)
ROUTINGS = st.builds(
    Routing,
    origin=NODE,
    home=st.one_of(st.just(""), NODE),
    leg=st.integers(0, 8),
    path=st.lists(NODE, max_size=16).map(tuple),
    visited=st.lists(NODE, max_size=30).map(tuple),
    epoch=NUMBER,
    step=st.integers(0, 70),
    vouch=st.one_of(st.just(""), HEX),
    grant=st.one_of(st.just(""), HEX),
)
ENVELOPES = st.builds(
    Envelope,
    id=NAME,
    sender=NAME,
    recipient=NAME,
    call_id=st.from_regex(rb"[!-~]{1,40}", fullmatch=True),
    headers=st.lists(
        st.tuples(st.text(_LETTER, min_size=1, max_size=9).map(lambda name: b"X" + name.encode()), _VALUE), max_size=4
    ).map(tuple),
    body=st.binary(max_size=40),
    accepted=FLOAT,
    proof=st.sampled_from(list(Proof)),
    display=st.one_of(st.just(b""), _DISPLAY),
    notice=st.booleans(),
    routing=st.one_of(st.none(), ROUTINGS),
)
CARRIES = st.builds(Carry, envelope=ENVELOPES, life=FLOAT, incarnation=HEX, row=NUMBER, floor=NUMBER)
"""Messages as clients make them: these travel in headers."""


def envelope(body: bytes = b"hello", routing: Routing | None = None) -> Envelope:
    """Return a plain message from alice to bob."""
    return Envelope(
        id=MessageId("1ng8j55-v4bj8j95-1"),
        sender=UserName("alice"),
        recipient=UserName("bob"),
        call_id=b"call-1",
        headers=((b"Content-Type", b"text/plain"), (b"Subject", b"hi")),
        body=body,
        accepted=1790000000.1234567,
        proof=Proof.DIGEST,
        display=b'"Alice"',
        routing=routing or Routing("a", "c", path=("a",), visited=("a",), epoch=2, step=1, vouch="ab" * 16),
    )


def carry(body: bytes = b"hello", routing: Routing | None = None) -> Carry:
    """Return a plain message to take over."""
    return Carry(envelope(body, routing), 431999.98765432101, "0123456789abcdef" * 2, Seq(123456), Seq(123400))


def asked(content: LinkContent, number: int = 1, seconds: float = 10.0, node: str = "b") -> LinkRequest:
    """Return a request to a neighbour."""
    return LinkRequest(number, NodeName(node), Frame("ab" * 16, number, "cd" * 16), content, seconds)
