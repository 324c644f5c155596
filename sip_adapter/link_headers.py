"""The extra headers of a message between servers: values to header text and back, pure.

docs/protocol.md has the grammar. All text is percent-escaped, so that any name or id survives; what is hex goes as
base64url behind an asterisk, so that the headers of a message stay within a datagram.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from math import isfinite
from urllib.parse import quote_from_bytes, unquote_to_bytes

from actors.messages.links import Frame
from actors.model import Proof, Routing

MAX_LIST = 64
"""Nodes in one list."""
_PLAIN = re.compile(r"[A-Za-z0-9._~!+'-]*")
_HEX = re.compile(r"(?:[0-9a-f]{2}){8,}")
_ESCAPED = re.compile(rb"(?:[A-Za-z0-9._~!+'-]|%[0-9A-F]{2})*")
_PACKED = re.compile(rb"\*[A-Za-z0-9_-]+")
_NUMBER = re.compile(rb"[0-9]{1,18}")
_DECIMAL = re.compile(rb"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:e[+-]?[0-9]{1,3})?")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_PADDING = (b"", b"", b"==", b"=")
_PROOFS = {proof.value.encode(): proof for proof in Proof}


class BadLinkHeader(ValueError):
    """A header of a neighbour cannot be read; the text says which and why."""


# Values.


def escape(text: str) -> bytes:
    """Write any text in characters that mean nothing else in these headers."""
    if _PLAIN.fullmatch(text) is not None:
        return text.encode("ascii")
    return quote_from_bytes(text.encode(), safe="!+'").encode("ascii")


def unescape(value: bytes, header: str) -> str:
    """Read `escape`'s text."""
    if _ESCAPED.fullmatch(value) is None:
        raise BadLinkHeader(f"Malformed text in {header}")
    if b"%" not in value:
        return value.decode("ascii")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError:
        raise BadLinkHeader(f"Text in {header} is not UTF-8") from None


def pack(text: str) -> bytes:
    """Write what is mostly hex: then in two thirds of its length."""
    if _HEX.fullmatch(text) is None:
        return escape(text)
    return b"*" + b2a_base64(bytes.fromhex(text), newline=False).rstrip(b"=").translate(_TO_URL)


def unpack(value: bytes, header: str) -> str:
    """Read `pack`'s text."""
    if not value.startswith(b"*"):
        return unescape(value, header)
    digits = value[1:]
    if _PACKED.fullmatch(value) is None or len(digits) % 4 == 1:
        raise BadLinkHeader(f"Malformed base64 in {header}")
    return a2b_base64(digits.translate(_FROM_URL) + _PADDING[len(digits) % 4]).hex()


class Params:
    """`first;name=value;flag` taken apart; unknown parameters are left alone, for versions to come."""

    def __init__(self, value: bytes, header: str) -> None:
        """Split; raises BadLinkHeader when a name stands twice."""
        first, *items = [item.strip(b" \t") for item in value.split(b";")]
        pairs = [item.partition(b"=") for item in items]
        self.first = first
        self.header = header
        self._values = {name: found for name, _, found in pairs}
        if len(self._values) != len(pairs):
            raise BadLinkHeader(f"Repeated parameter in {header}")

    def text(self, name: bytes) -> str:
        """Return a text, empty if it is missing."""
        return unescape(self._values.get(name, b""), self.header)

    def packed(self, name: bytes) -> str:
        """Return what `pack` wrote, empty if it is missing."""
        return unpack(self._values.get(name, b""), self.header)

    def number(self, name: bytes, default: int | None = None) -> int:
        """Return a number; raises BadLinkHeader when it is malformed, or missing without a default."""
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if value is None or _NUMBER.fullmatch(value) is None:
            raise self.bad(name)
        return int(value)

    def decimal(self, name: bytes) -> float:
        """Return a decimal number; raises BadLinkHeader when it is missing or malformed."""
        value = self._values.get(name, b"")
        if _DECIMAL.fullmatch(value) is None or not isfinite(found := float(value)):
            raise self.bad(name)
        return found

    def proof(self, name: bytes) -> Proof:
        """Return how the sender was proved; raises BadLinkHeader when it is missing or unknown."""
        proof = _PROOFS.get(self._values.get(name, b""))
        if proof is None:
            raise self.bad(name)
        return proof

    def flag(self, name: bytes) -> bool:
        """Tell whether it stands there."""
        return name in self._values

    def bad(self, name: bytes) -> BadLinkHeader:
        """Return the error that says which parameter cannot be used."""
        return BadLinkHeader(f"Missing or malformed {name.decode('ascii', 'replace')} in {self.header}")


# Angarium-Link.


def write_frame(kind: str, frame: Frame) -> bytes:
    """Write Angarium-Link: what it is, and what authenticates it."""
    parts = [kind.encode("ascii")]
    if frame.session:
        parts.append(b"session=" + pack(frame.session))
    if frame.number:
        parts.append(b"number=%d" % frame.number)
    if frame.mac:
        parts.append(b"mac=" + pack(frame.mac))
    return b";".join(parts)


def read_frame(value: bytes) -> tuple[str, Frame]:
    """Read Angarium-Link; raises BadLinkHeader."""
    params = Params(value, "Angarium-Link")
    kind = unescape(params.first, "Angarium-Link")
    return kind, Frame(params.packed(b"session"), params.number(b"number", 0), params.packed(b"mac"))


# Angarium-Route, Angarium-Path, Angarium-Visited.


def write_route(routing: Routing) -> bytes:
    """Write Angarium-Route; what has its usual value is left out."""
    parts = [escape(routing.origin)]
    if routing.home:
        parts.append(b"home=" + escape(routing.home))
    if routing.leg:
        parts.append(b"leg=%d" % routing.leg)
    if routing.epoch:
        parts.append(b"epoch=%d" % routing.epoch)
    if routing.step:
        parts.append(b"step=%d" % routing.step)
    return b";".join(parts)


def read_route(route: bytes, path: bytes | None, visited: bytes | None, vouch: str, grant: str) -> Routing:
    """Read the three headers of a message's way; raises BadLinkHeader."""
    params = Params(route, "Angarium-Route")
    passed = read_nodes(path, "Angarium-Path")
    return Routing(
        origin=unescape(params.first, "Angarium-Route"),
        home=params.text(b"home"),
        leg=params.number(b"leg", 0),
        path=passed,
        visited=read_visited(visited, passed),
        epoch=params.number(b"epoch", 0),
        step=params.number(b"step", 0),
        vouch=vouch,
        grant=grant,
    )


def write_nodes(nodes: Sequence[str]) -> bytes:
    """Write a list of nodes."""
    return b",".join([escape(node) for node in nodes])


def read_nodes(value: bytes | None, header: str) -> tuple[str, ...]:
    """Read a list of nodes, empty if the header is missing; raises BadLinkHeader."""
    if value is None:
        return ()
    items = [item.strip(b" \t") for item in value.split(b",")]
    if len(items) > MAX_LIST or not all(items):
        raise BadLinkHeader(f"Malformed {header}")
    return tuple([unescape(item, header) for item in items])


def write_visited(visited: Sequence[str], path: Sequence[str]) -> bytes:
    """Write the visited list; where it ends as the path does, `*N` stands for the last N nodes of that."""
    same = 0
    while same < min(len(visited), len(path)) and visited[-1 - same] == path[-1 - same]:
        same += 1
    if not same:
        return write_nodes(visited)
    nodes = [escape(node) for node in visited[: len(visited) - same]]
    return b",".join([*nodes, b"*%d" % same])


def read_visited(value: bytes | None, path: tuple[str, ...]) -> tuple[str, ...]:
    """Read the visited list; raises BadLinkHeader."""
    if value is None:
        return ()
    before, star, count = value.rpartition(b"*")
    if not star:
        return read_nodes(value, "Angarium-Visited")
    if _NUMBER.fullmatch(count) is None or not 0 < int(count) <= len(path):
        raise BadLinkHeader("Malformed Angarium-Visited")
    before = before.rstrip(b" \t")
    if before and not before.endswith(b","):
        raise BadLinkHeader("Malformed Angarium-Visited")
    nodes = read_nodes(before[:-1], "Angarium-Visited") if before else ()
    return nodes + path[-int(count) :]
