"""SIP requests and responses as values: raw header fields in order, and typed accessors that read on demand.

Names and meanings are those of RFC 3261 sections 7 and 20. What an accessor has read is kept.
Values never contain CR or LF: the codec replaces line folding by a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from sip_adapter.errors import Header, SipError
from sip_adapter.headers import (
    MAX_DELTA,
    STAR,
    TOKEN,
    NameAddr,
    Star,
    Via,
    delta_seconds,
    parse_name_addr,
    parse_via,
    split_commas,
)

_Read = TypeVar("_Read")

_CSEQ = re.compile(rb"[ \t]*+0*+([0-9]*+)(?<=[0-9])[ \t]++(" + TOKEN + rb"++)[ \t]*+")
_CALL_ID = re.compile(rb"[^\x00-\x20\x7f]++")

_COMPACT = {
    b"a": b"accept-contact", b"b": b"referred-by", b"c": b"content-type", b"d": b"request-disposition",
    b"e": b"content-encoding", b"f": b"from", b"i": b"call-id", b"j": b"reject-contact", b"k": b"supported",
    b"l": b"content-length", b"m": b"contact", b"o": b"event", b"r": b"refer-to", b"s": b"subject",
    b"t": b"to", b"u": b"allow-events", b"v": b"via", b"x": b"session-expires", b"y": b"identity",
}  # fmt: skip
_USUAL = (
    b"Accept", b"Allow", b"Authorization", b"CSeq", b"Call-ID", b"Contact", b"Content-Encoding",
    b"Content-Length", b"Content-Type", b"Date", b"Expires", b"From", b"Max-Forwards", b"Path", b"Priority",
    b"Proxy-Authorization", b"Require", b"Route", b"Server", b"Supported", b"To", b"User-Agent", b"Via",
)  # fmt: skip
_LONG_NAME = {
    **_COMPACT,
    **{name.upper(): long for name, long in _COMPACT.items()},
    **{name: name.lower() for name in _USUAL},
}
METHODS = {
    name.encode(): name
    for name in (
        "ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER",
        "REGISTER", "SUBSCRIBE", "UPDATE",
    )
}  # fmt: skip


def _long_name(name: bytes) -> bytes:
    key = name.lower()
    return _COMPACT.get(key, key)


LINK = b"angarium-link"
"""The header by which requests and answers between servers are known."""
_ONCE = {b"from": "From", b"to": "To", b"call-id": "Call-ID", b"cseq": "CSeq"}


class _Message:
    """What requests and responses have in common."""

    __slots__ = ("_again", "_call_id", "_cseq", "_first", "_from", "_to", "_via", "body", "headers")

    headers: list[Header]
    body: bytes

    def __init__(self, headers: list[Header], body: bytes) -> None:
        self.headers = headers
        self.body = body
        self._first: dict[bytes, bytes] | None = None
        self._again: dict[bytes, list[bytes]] = {}
        self._call_id: bytes | None = None
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: tuple[int, str] | None = None

    def _index(self) -> dict[bytes, bytes]:
        """Note the first value of each name, and the further values of the few that stand more than once."""
        usual = _LONG_NAME.get
        first = {usual(name) or _long_name(name): value for name, value in self.headers}
        if len(first) < len(self.headers):
            first = {}
            for name, value in self.headers:
                key = usual(name) or _long_name(name)
                if key not in first:
                    first[key] = value
                else:
                    self._again.setdefault(key, []).append(value)
        self._first = first
        return first

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of the header field with this long lower-case name, or None."""
        first = self._first
        value = (self._index() if first is None else first).get(name)
        return None if value is None else value.strip(b" \t")

    def get_all(self, name: bytes) -> list[bytes]:
        """Return the value of each header field of this lower-case long name, in order, commas kept."""
        value = self.get(name)
        if value is None:
            return []
        return [value, *(more.strip(b" \t") for more in self._again.get(name, ()))]

    def check(self) -> None:
        """Raise SipError 400 when what every message has (RFC 3261 8.1.1) is missing, twice or malformed."""
        first = self._first
        if first is None:
            first = self._index()
        for name in self._again:
            if name in _ONCE:
                raise self.error(f"Repeated {_ONCE[name]}")
        number, _, method = first.get(b"cseq", b"").partition(b" ")
        if number.isdigit() and len(number) < 10 and method in METHODS:
            self._cseq = int(number), METHODS[method]
        try:
            self._via = parse_via(first[b"via"])
            self._from = parse_name_addr(first[b"from"], "From")
            self._to = parse_name_addr(first[b"to"], "To")
        except SipError as error:
            error.request = self.answerable()
            raise
        except KeyError:
            _ = self.via, self.from_, self.to  # one of them says that it is missing
        _ = self.call_id, self.cseq

    def tokens(self, name: bytes) -> list[bytes]:
        """Return the elements of a comma list that may stand in several header fields (Supported)."""
        return [item for value in self.get_all(name) if value for item in self._checked(split_commas, value)]

    def name_addrs(self, name: bytes) -> list[NameAddr]:
        """Return the addresses of all header fields of this name (Route, Path), in order."""
        what = name.decode("ascii", "replace").title()
        return [self._address(item, what) for item in self.tokens(name)]

    @property
    def via(self) -> Via:
        """The topmost Via."""
        via = self._via
        if via is None:
            via = self._via = self._checked(parse_via, self._need(b"via", "Via"))
        return via

    @property
    def from_(self) -> NameAddr:
        """The sender."""
        address = self._from
        if address is None:
            address = self._from = self._address(self._need(b"from", "From"), "From")
        return address

    @property
    def to(self) -> NameAddr:
        """The logical recipient."""
        address = self._to
        if address is None:
            address = self._to = self._address(self._need(b"to", "To"), "To")
        return address

    @property
    def from_tag(self) -> bytes | None:
        """The tag of From, or None."""
        return self.from_.params.get(b"tag") or None

    @property
    def to_tag(self) -> bytes | None:
        """The tag of To, or None."""
        return self.to.params.get(b"tag") or None

    @property
    def call_id(self) -> bytes:
        """The Call-ID, which is compared byte for byte."""
        value = self._call_id
        if value is None:
            value = self._need(b"call-id", "Call-ID")
            if _CALL_ID.fullmatch(value) is None:
                raise self.error("Malformed Call-ID")
            self._call_id = value
        return value

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq."""
        cseq = self._cseq
        if cseq is None:
            match = _CSEQ.fullmatch(self._need(b"cseq", "CSeq"))
            if match is None:
                raise self.error("Malformed CSeq")
            digits, method = match.groups()
            number = int(digits or b"0") if len(digits) <= 10 else MAX_DELTA
            if number >= 2**31:
                raise self.error("CSeq out of range")
            cseq = self._cseq = number, METHODS.get(method) or method.decode("ascii")
        return cseq

    @property
    def max_forwards(self) -> int | None:
        """How many servers may still pass this on (0 to 255), or None when it does not say."""
        value = self.get(b"max-forwards")
        if value is None:
            return None
        number = delta_seconds(value)
        if number is None or number > 255:
            raise self.error("Malformed Max-Forwards")
        return number

    @property
    def contacts(self) -> list[NameAddr] | Star:
        """All Contact addresses in order, or STAR for `Contact: *` (which must stand alone)."""
        items = self.tokens(b"contact")
        if b"*" not in items:
            return [self._address(item, "Contact") for item in items]
        if len(items) > 1:
            raise self.error("Contact: * does not stand alone")
        return STAR

    @property
    def expires(self) -> int | None:
        """The seconds of Expires, at most 2**32 - 1, or None when it does not say."""
        value = self.get(b"expires")
        if value is None:
            return None
        number = delta_seconds(value)
        if number is None:
            raise self.error("Malformed Expires")
        return number

    @property
    def content_length(self) -> int | None:
        """The length of the body that the message states, or None; two different ones are malformed."""
        value = self.get(b"content-length")
        if value is None:
            return None
        number = int(value) if value.isdigit() and len(value) < 10 else delta_seconds(value)
        if number is None:
            raise self.error("Malformed Content-Length")
        if b"content-length" in self._again and {delta_seconds(more) for more in self._again[b"content-length"]} != {
            number
        }:
            raise self.error("Contradicting Content-Length")
        return number

    @property
    def content_type(self) -> bytes | None:
        """The media type of the body as received, or None."""
        return self.get(b"content-type")

    def encode(self) -> bytes:
        """Return the message on the wire, all header fields as they stand in `headers`."""
        lines = [self._start_line()]
        lines += [b"%b: %b" % header for header in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body

    def _start_line(self) -> bytes:
        raise NotImplementedError

    def _need(self, name: bytes, shown: str) -> bytes:
        value = self.get(name)
        if not value:
            raise self.error(f"Missing {shown}")
        return value

    def _address(self, value: bytes, what: str) -> NameAddr:
        try:
            return parse_name_addr(value, what)
        except SipError as error:
            error.request = self.answerable()
            raise

    def _checked(self, read: Callable[[bytes], _Read], value: bytes) -> _Read:
        try:
            return read(value)
        except SipError as error:
            error.request = self.answerable()
            raise

    def error(self, reason: str, status: int = 400) -> SipError:
        """Return the error that says what is wrong with this message."""
        return SipError(status, reason, request=self.answerable())

    def answerable(self) -> Request | None:
        """Return the request if an answer to it may be sent and has a way back, else None."""
        return None


class Request(_Message):
    """A request; `uri` is the request URI as received, `method` is case-sensitive."""

    __slots__ = ("method", "uri")

    def __init__(self, method: str, uri: bytes, headers: list[Header], body: bytes = b"") -> None:
        """Take the parts as they are; nothing is checked here."""
        super().__init__(headers, body)
        self.method = method
        self.uri = uri

    def __repr__(self) -> str:
        """Return the start line and how much follows."""
        return f"<Request {self.method} {self.uri!r}, {len(self.headers)} headers, {len(self.body)} bytes>"

    def _start_line(self) -> bytes:
        return b"%b %b SIP/2.0" % (self.method.encode("ascii"), self.uri)

    def answerable(self) -> Request | None:
        """Return itself, unless it is an ACK or has no Via."""
        return self if self.method != "ACK" and self.get(b"via") else None


class Response(_Message):
    """A response; bytes of `reason` that are not UTF-8 are kept as surrogates."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str, headers: list[Header], body: bytes = b"") -> None:
        """Take the parts as they are; nothing is checked here."""
        super().__init__(headers, body)
        self.status = status
        self.reason = reason

    def __repr__(self) -> str:
        """Return the start line and how much follows."""
        return f"<Response {self.status} {self.reason!r}, {len(self.headers)} headers, {len(self.body)} bytes>"

    def _start_line(self) -> bytes:
        return b"SIP/2.0 %d %b" % (self.status, self.reason.encode("utf-8", "surrogateescape"))
