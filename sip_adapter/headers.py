"""Structured header values: Via, name-addr, parameters, comma lists, credentials (RFC 3261 section 25).

All patterns are possessive, so that each reads its value once: time is linear in the length.
Values come without line breaks (the codec unfolds them first). Parameters are dictionaries of bytes with
names in lower case, quoted values without their quotes, and b"" where no value stands.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from sip_adapter.errors import SipError
from sip_adapter.uri import port_number

TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~]"
# Characters are repeated possessively, groups never: early releases of Python 3.11 match such groups wrongly. Each item
# of a group begins with a character that the one before cannot take, so giving items back is linear all the same.
_QUOTED = rb'"(?:[^"\\]++|\\.)*"'
_VALUE = rb"(?:" + _QUOTED + rb'|[^\x00-\x20\x7f",;<>]*+)'
_PARAM = rb"[ \t]*+;[ \t]*+" + TOKEN + rb"++(?:[ \t]*+=[ \t]*+" + _VALUE + rb")?"
PARAMS = rb"(?:" + _PARAM + rb")*"

_PARAMS_ONLY = re.compile(PARAMS + rb"[ \t]*+", re.DOTALL)
_PARAM_PARTS = re.compile(rb";[ \t]*+(" + TOKEN + rb"++)(?:[ \t]*+=[ \t]*+(" + _VALUE + rb"))?", re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)

_VIA = re.compile(
    rb"[ \t]*+SIP[ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+(" + TOKEN + rb"++)[ \t]++"
    rb"([A-Za-z0-9.\-_]++|\[[0-9A-Fa-f:.]++\])(?:[ \t]*+:[ \t]*+([0-9]{1,5}))?"
    rb"(" + PARAMS + rb")[ \t]*+(?=,|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_NAME_ADDR = re.compile(
    rb"[ \t]*+(?:"
    rb'(?:("(?:[^"\\]++|\\.)*")[ \t]*+|([^<>",;:@\\]*+))<([^\x00-\x20\x7f<>"]++)>'
    rb'|([A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20\x7f<>",;?]++))'
    rb"(" + PARAMS + rb")[ \t]*+",
    re.DOTALL,
)
_USUAL_VIA = re.compile(
    rb"SIP/2\.0/([A-Z]++) ([a-z0-9.\-]++)(?::([0-9]{1,5}))?(;rport)?"
    rb";branch=([^\x00-\x20\x7f\",;<>]++)(;rport)?"
)
_TRANSPORTS = {b"UDP": "UDP", b"TCP": "TCP", b"TLS": "TLS", b"WS": "WS", b"WSS": "WSS"}
_USUAL_NAME_ADDR = re.compile(rb'(?:"([^"\\]*+)" ?+)?<([^\x00-\x20\x7f<>"]++)>(?:;tag=([^\x00-\x20\x7f",;<>=]++))?')
_LIST_ITEM = re.compile(rb'((?:[^,"<]++|' + _QUOTED + rb"|<[^>]*+>)+)(,|\Z)", re.DOTALL)
_SCHEME = re.compile(rb"[ \t]*+(" + TOKEN + rb"++)(?:[ \t]++|\Z)")
_AUTH_PARAM = re.compile(
    rb"[ \t,]*+(" + TOKEN + rb"++)[ \t]*+=[ \t]*+"
    rb'(?:"((?:[^"\\]++|\\.)*)"|([^\x00-\x20\x7f",]*+))[ \t]*+(?:,|\Z)',
    re.DOTALL,
)
_AUTH_END = re.compile(rb"[ \t,]*+")
_DELTA = re.compile(rb"[ \t]*+([0-9]++)[ \t]*+")

MAX_DELTA = 2**32 - 1
"""The largest delta-seconds of RFC 3261; larger values mean this one."""


MAX_PARTS = 256
"""Parameters of one value, and elements of one list; counted by their separators."""


class Star(Enum):
    """The type of STAR, the value of `Contact: *`."""

    STAR = "*"


STAR = Star.STAR


class NameAddr(msgspec.Struct, frozen=True, gc=False):
    """One address with its display name and header parameters (From, To, Contact, Path, Route)."""

    display: str
    """Without quotes; '' when there is none."""
    uri: bytes
    """As received, without angle brackets."""
    params: dict[bytes, bytes]


class Via(msgspec.Struct, frozen=True, gc=False):
    """One Via value: who sent the message, and where its responses go (RFC 3261 18.2, RFC 3581)."""

    transport: str
    """Upper case."""
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int | None
    params: dict[bytes, bytes]
    raw: bytes
    """This value alone, as received."""

    @property
    def branch(self) -> bytes | None:
        """The transaction's name, or None."""
        return self.params.get(b"branch") or None

    @property
    def rport_requested(self) -> bool:
        """Whether the sender asks for answers to its source port (an `rport` without a value)."""
        return self.params.get(b"rport") == b""

    @property
    def rport(self) -> int | None:
        """The source port that a server noted, or None; raises SipError 400 when it is no port."""
        value = self.params.get(b"rport")
        if not value:
            return None
        if len(value) > 5 or not value.isdigit():
            raise SipError(400, "Malformed rport in Via")
        return port_number(value)

    @property
    def received(self) -> str | None:
        """The source address that a server noted, without brackets, or None."""
        return self._text(b"received")

    @property
    def maddr(self) -> str | None:
        """The address that the sender wants answers at, without brackets, or None."""
        return self._text(b"maddr")

    @property
    def ttl(self) -> int | None:
        """The time to live of multicast answers, or None when absent or no number up to 255."""
        value = self.params.get(b"ttl", b"")
        return int(value) if value.isdigit() and len(value) <= 3 and int(value) <= 255 else None

    def _text(self, name: bytes) -> str | None:
        value = self.params.get(name)
        return value.strip(b"[]").decode("utf-8", "surrogateescape") if value else None


def parse_via(value: bytes) -> Via:
    """Read the first (topmost) value of a Via header field; raises SipError 400 when it is malformed."""
    match = _USUAL_VIA.fullmatch(value)
    if match is not None:
        sent_by, host, port, early, branch, late = match.groups()
        if not (early and late):
            noted = {b"branch": branch, b"rport": b""} if early or late else {b"branch": branch}
            number = None if port is None else int(port)
            if number is None or number < 65536:
                return Via(_TRANSPORTS.get(sent_by) or sent_by.decode(), host.decode(), number, noted, value)
    match = _VIA.match(value)
    if match is None:
        raise SipError(400, "Malformed Via")
    transport, host, port, params = match.groups()
    return Via(
        transport.decode("ascii").upper(),
        host.decode("ascii").lower().strip("[]"),
        None if port is None else port_number(port),
        _read_params(params),
        match[0],
    )


def parse_name_addr(value: bytes, what: str = "address") -> NameAddr:
    """Read exactly one name-addr or addr-spec with its parameters; `what` names it in the SipError 400."""
    match = _USUAL_NAME_ADDR.fullmatch(value)
    if match is not None:
        display, uri, tag = match.groups()
        text = display.decode("utf-8", "surrogateescape") if display else ""
        return NameAddr(text, uri, {b"tag": tag} if tag else {})
    match = _NAME_ADDR.fullmatch(value)
    if match is None:
        raise SipError(400, f"Malformed {what}")
    quoted, words, bracketed, bare, params = match.groups()
    if quoted:
        display = unquote(quoted)
    else:
        display = words.rstrip(b" \t") if words else b""
    return NameAddr(
        display.decode("utf-8", "surrogateescape") if display else "",
        bracketed or bare,
        _read_params(params) if params else {},
    )


def parse_params(raw: bytes) -> dict[bytes, bytes]:
    """Read `;name=value;flag`; raises SipError 400 when malformed or when a name stands twice."""
    if _PARAMS_ONLY.fullmatch(raw) is None:
        raise SipError(400, "Malformed parameters")
    return _read_params(raw)


def _read_params(raw: bytes) -> dict[bytes, bytes]:
    if raw.count(b";") > MAX_PARTS:
        raise SipError(400, "Too many parameters")
    pairs = _PARAM_PARTS.findall(raw)
    params: dict[bytes, bytes] = {name.lower(): value for name, value in pairs}
    if b'"' in raw:
        params = {name: unquote(value) for name, value in params.items()}
    if len(params) != len(pairs):
        raise SipError(400, "Repeated parameter")
    return params


def unquote(value: bytes) -> bytes:
    """Return the content of a quoted string with its quoted pairs resolved; any other value unchanged."""
    if not value.startswith(b'"'):
        return value
    value = value[1:-1]
    return _QUOTED_PAIR.sub(rb"\1", value) if b"\\" in value else value


def split_commas(value: bytes) -> list[bytes]:
    """Return the stripped elements of a comma list; commas in quotes and in <> do not separate.

    Raises SipError 400 for an empty element, an open quote, an open bracket or too many elements.
    """
    if value.count(b",") > MAX_PARTS:
        raise SipError(400, "Too many elements in a list")
    if b'"' not in value and b"<" not in value:
        items = [item.strip(b" \t") for item in value.split(b",")]
    else:
        items = _split_quoted(value)
    if not all(items):
        raise SipError(400, "Empty element in a list")
    return items


def _split_quoted(value: bytes) -> list[bytes]:
    items, position = [], 0
    while True:
        match = _LIST_ITEM.match(value, position)
        if match is None:
            raise SipError(400, "Malformed list")
        items.append(match[1].strip(b" \t"))
        position = match.end()
        if not match[2]:
            return items


def parse_auth(value: bytes) -> tuple[str, dict[str, str]]:
    """Read credentials or a challenge: the scheme in lower case, and its parameters unquoted.

    Spaces and commas may be missing or doubled as real phones send them. A scheme that is not made of
    parameters (Basic) has none here. Raises SipError 400 when malformed or when a name stands twice.
    """
    match = _SCHEME.match(value)
    if match is None:
        raise SipError(400, "Malformed credentials")
    scheme = match[1].decode("ascii").lower()
    params: dict[str, str] = {}
    position = match.end()
    while (pair := _AUTH_PARAM.match(value, position)) is not None:
        name, quoted, plain = pair.groups()
        key = name.decode("ascii").lower()
        if key in params:
            raise SipError(400, f"Repeated {key} in credentials")
        if quoted is None:
            quoted = plain
        elif b"\\" in quoted:
            quoted = _QUOTED_PAIR.sub(rb"\1", quoted)
        params[key] = quoted.decode("utf-8", "surrogateescape")
        position = pair.end()
    if _AUTH_END.fullmatch(value, position) is None and scheme == "digest":
        raise SipError(400, "Malformed credentials")
    return scheme, params


def delta_seconds(value: bytes) -> int | None:
    """Return a number of seconds, at most MAX_DELTA, or None when the value is none (RFC 3261 20.19)."""
    match = _DELTA.fullmatch(value)
    if match is None:
        return None
    digits = match[1].lstrip(b"0")
    return MAX_DELTA if len(digits) > 10 else min(int(digits or b"0"), MAX_DELTA)
