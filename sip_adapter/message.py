"""SIP requests and responses as values: raw header fields in order, and typed accessors that read on demand.

Names and meanings are those of RFC 3261 sections 7 and 20. What an accessor has read is kept.
Values never contain CR or LF: the codec replaces line folding by a space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from sip_adapter.errors import Header, SipError
from sip_adapter.headers import (
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

_CSEQ = re.compile(rb"[ \t]*+0*+([0-9]{0,10}+)[ \t]++(" + TOKEN + rb"++)[ \t]*+")
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


def _index(headers: Sequence[Header]) -> dict[bytes, list[bytes]]:
    index: dict[bytes, list[bytes]] = {}
    long_name = _LONG_NAME.get
    for name, value in headers:
        key = long_name(name)
        if key is None:
            key = name.lower()
            key = _COMPACT.get(key, key)
        if key in index:
            index[key].append(value)
        else:
            index[key] = [value]
    return index


class _Message:
    """What requests and responses have in common."""

    __slots__ = ("_cseq", "_from", "_names", "_to", "_via", "body", "headers")

    headers: list[Header]
    body: bytes

    def __init__(self, headers: list[Header], body: bytes) -> None:
        self.headers = headers
        self.body = body
        self._names: dict[bytes, list[bytes]] | None = None
        self._via: Via | None = None
        self._from: NameAddr | None = None
        self._to: NameAddr | None = None
        self._cseq: tuple[int, str] | None = None

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of the header field with this long lower-case name, or None."""
        names = self._names
        if names is None:
            names = self._names = _index(self.headers)
        values = names.get(name)
        return values[0].strip(b" \t") if values else None

    def get_all(self, name: bytes) -> list[bytes]:
        """Return the value of each header field of this lower-case long name, in order, commas kept."""
        if self._names is None:
            self._names = _index(self.headers)
        return [value.strip(b" \t") for value in self._names.get(name, ())]

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
        if self._via is None:
            self._via = self._checked(parse_via, self._need(b"via", "Via"))
        return self._via

    @property
    def from_(self) -> NameAddr:
        """The sender."""
        if self._from is None:
            self._from = self._address(self._need(b"from", "From"), "From")
        return self._from

    @property
    def to(self) -> NameAddr:
        """The logical recipient."""
        if self._to is None:
            self._to = self._address(self._need(b"to", "To"), "To")
        return self._to

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
        value = self._need(b"call-id", "Call-ID")
        if _CALL_ID.fullmatch(value) is None:
            raise self.error("Malformed Call-ID")
        return value

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq."""
        if self._cseq is None:
            match = _CSEQ.fullmatch(self._need(b"cseq", "CSeq"))
            if match is None:
                raise self.error("Malformed CSeq")
            number = int(match[1] or b"0")
            if number >= 2**31:
                raise self.error("CSeq out of range")
            self._cseq = number, METHODS.get(match[2]) or match[2].decode("ascii")
        return self._cseq

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
        if self._names is None:
            self._names = _index(self.headers)
        values = self._names.get(b"content-length")
        if values is None:
            return None
        number = delta_seconds(values[0])
        if number is None:
            raise self.error("Malformed Content-Length")
        if len(values) > 1 and {delta_seconds(value) for value in values} != {number}:
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
        return self._checked(lambda raw: parse_name_addr(raw, what), value)

    def _checked(self, read: Callable[[bytes], _Read], value: bytes) -> _Read:
        try:
            return read(value)
        except SipError as error:
            error.request = self.answerable()
            raise

    def count(self, name: bytes) -> int:
        """Return how many header fields have this long lower-case name."""
        if self._names is None:
            self._names = _index(self.headers)
        return len(self._names.get(name, ()))

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
        return (
            f"<Response {self.status} {self.reason!r}, {len(self.headers)} headers, {len(self.body)} bytes>"
        )

    def _start_line(self) -> bytes:
        return b"SIP/2.0 %d %b" % (self.status, self.reason.encode("utf-8", "surrogateescape"))
