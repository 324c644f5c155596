"""Bytes to SIP messages and back (RFC 3261 sections 7, 8.2.6, 18.2.1 and 18.3), without any input or output.

What every node needs of a message (start line, request URI, top Via, From, To, Call-ID, CSeq) is checked
here; all else is read when it is asked for. A head of ordinary lines is read by one pattern; only a head that
has folded lines is unfolded first. A line that is neither is malformed, as is a CR or LF that stands alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sip_adapter.errors import Header, SipError
from sip_adapter.headers import TOKEN
from sip_adapter.message import LINK, METHODS, Request, Response
from sip_adapter.uri import parse_uri

__all__ = [
    "MAX_BODY",
    "MAX_HEAD",
    "MAX_HEADERS",
    "Request",
    "Response",
    "body_length",
    "check",
    "parse",
    "parse_head",
    "read_head",
    "readable",
    "request",
    "response",
    "response_branch",
]

MAX_HEADERS = 256
"""Header fields of one message."""
MAX_HEAD = 65536
"""Bytes of start line and header fields."""
MAX_BODY = 65536
"""Bytes of a body, unless the caller says otherwise."""

_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb"++) ([^\x00-\x20\x7f<>\"]++) SIP/2\.0", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"SIP/2\.0 ([1-6][0-9]{2})(?: (.*+))?", re.DOTALL | re.IGNORECASE)
_VERSION = re.compile(rb" SIP/([0-9]++)\.([0-9]++)[ \t]*+\Z", re.IGNORECASE)
_USUAL_LINES = re.compile(rb"\r\n(" + TOKEN + rb"++): *+([^\r]*+)")
_LINES = re.compile(rb"\r\n(" + TOKEN + rb"++)[ \t]*+:[ \t]*+([^\r\n]*+)")
_FOLD = re.compile(rb"\r\n[ \t]++")
_BRANCH = re.compile(
    rb"SIP/2\.0 ([1-6][0-9]{2}) [^\r]*+\r\n"
    rb"(?:[^Vv\r][^\r]*+\r\n)*"
    rb"[Vv](?:ia)?: [^\r,;\"]++(?:;(?!branch)[^\r,;\"]++)*;branch=([^\x00-\x20\x7f\",;<>]++)"
)
_NOTED = re.compile(
    rb";[ \t]*+(?:received|rport)(?:[ \t]*+=[ \t]*+[^\x00-\x20\x7f\",;<>]*+)?(?=[ \t]*+(?:;|\Z))",
    re.IGNORECASE,
)


_RESPONSE = (
    b"SIP/2.0 %d %b\r\nVia: %b\r\nFrom: %b\r\nTo: %b\r\nCall-ID: %b\r\nCSeq: %b\r\n%bContent-Length: %d\r\n\r\n%b"
)


def parse(data: bytes, max_body: int = MAX_BODY) -> Request | Response:
    """Read one whole datagram or WebSocket message (RFC 3261 18.3).

    Line ends before the start line are skipped. The body ends where Content-Length says, or with the datagram
    when it says nothing; one that should be longer than the datagram is malformed.
    """
    if data[:2] == b"\r\n":
        data = data.lstrip(b"\r\n")
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        raise SipError(400, "Header fields without an end", request=readable(head))
    message = read_head(head, body)
    length = message.content_length
    if length is not None:
        if length > len(body):
            raise message.error("Body shorter than its Content-Length")
        if length < len(body):
            message.body = body[:length]
    if len(message.body) > max_body and message.get(LINK) is None:  # between servers a datagram is the bound
        raise message.error("Body too large", 413)
    check(message)
    return message


def parse_head(head: bytes, body: bytes) -> Request | Response:
    """Read a message whose head (without its empty line) and whole body are already apart, as on streams."""
    message = read_head(head, body)
    check(message)
    return message


def body_length(message: Request | Response) -> int:
    """Return how many bytes of body follow the head on a stream; raises SipError 400 when that is unknown.

    RFC 3261 18.3 demands Content-Length on streams. A message without it is taken to have no body if it has
    no Content-Type either, as small phones send it; else where it ends cannot be known.
    """
    length = message.content_length
    if length is not None:
        return length
    if message.content_type is not None:
        raise message.error("Missing Content-Length")
    return 0


def read_head(head: bytes, body: bytes = b"") -> Request | Response:
    """Read start line and header lines alone, without checking what the header fields mean."""
    if len(head) > MAX_HEAD:
        raise SipError(513, "Header fields too large", request=readable(head[:MAX_HEAD]))
    start, _, _ = head.partition(b"\r\n")
    lines = head[len(start) :]
    headers: list[Header] = _USUAL_LINES.findall(lines)
    if not len(headers) == lines.count(b"\n") == lines.count(b"\r"):
        headers = _unfold(head, lines)
    if len(headers) > MAX_HEADERS:
        raise SipError(400, "Too many header fields", request=readable(head))
    match = _REQUEST_LINE.fullmatch(start)
    if match is not None:
        name, uri = match.groups()
        return Request(METHODS.get(name) or name.decode("ascii"), uri, headers, body)
    match = _STATUS_LINE.fullmatch(start)
    if match is not None:
        reason = (match[2] or b"").decode("utf-8", "surrogateescape")
        return Response(int(match[1]), reason, headers, body)
    raise _start_line_error(start, head)


def _unfold(head: bytes, lines: bytes) -> list[Header]:
    lines = _FOLD.sub(b" ", lines)
    headers: list[Header] = _LINES.findall(lines)
    if not len(headers) == lines.count(b"\n") == lines.count(b"\r"):
        raise SipError(400, "Malformed header line", request=readable(head))
    return headers


def _start_line_error(start: bytes, head: bytes) -> SipError:
    if start[:4].upper() == b"SIP/":
        return SipError(400, "Malformed status line")
    version = _VERSION.search(start)
    if version is not None and (int(version[1][:9]), int(version[2][:9])) != (2, 0):
        return SipError(505, "Version Not Supported", request=readable(head))
    return SipError(400, "Malformed request line", request=readable(head))


def readable(head: bytes) -> Request | None:
    """Return what can be read of a broken request, if that is enough to answer it."""
    start, _, _ = head.partition(b"\r\n")
    if start[:4].upper() == b"SIP/":
        return None
    words = start.split()
    method = words[0].decode("ascii", "replace") if words else ""
    headers: list[Header] = _LINES.findall(_FOLD.sub(b" ", head[len(start) :]))
    request = Request(method, words[1] if len(words) > 1 else b"", headers[:MAX_HEADERS], b"")
    return request.answerable()


def check(message: Request | Response) -> None:
    """Raise SipError for a message that lacks what every message has, or has it malformed."""
    message.check()
    if isinstance(message, Request):
        _check_request(message)


def _check_request(request: Request) -> None:
    if request.cseq[1] != request.method:
        if request.method in METHODS.values():
            raise request.error("CSeq names another method")
        raise request.error("Not Implemented", 501)  # RFC 4475 3.1.2.18: of the two faults, the one that lasts
    try:
        uri = parse_uri(request.uri)
    except SipError as error:
        raise request.error("Malformed request URI") from error
    if request.method == "REGISTER":
        _ = request.contacts  # RFC 4475 3.1.2.13: malformed before it is anybody's
    if uri.headers:
        raise request.error("Header fields in the request URI")  # RFC 3261 19.1.1, RFC 4475 3.1.2.11


def response(
    request: Request,
    status: int,
    reason: str,
    *,
    to_tag: bytes | None = None,
    extra: Sequence[Header] = (),
    body: bytes = b"",
    received: tuple[str, int] | None = None,
) -> bytes:
    """Return a response complete by RFC 3261 8.2.6, also to a request that could only be read in part.

    All Vias in order, From, To (with `to_tag` unless it has one), Call-ID and CSeq are those of the request.
    `received` is the source address of the request: it is noted in the top Via (RFC 3261 18.2.1, RFC 3581 4).
    """
    vias = request.get_all(b"via")
    if vias and received is not None:
        vias[0] = _stamp(request, vias[0], received)
    get = request.get
    sender, to, call_id, cseq = get(b"from"), get(b"to"), get(b"call-id"), get(b"cseq")
    if to is not None and to_tag is not None and not _has_tag(request, to):
        to += b";tag=" + to_tag
    more = b"".join([b"%b: %b\r\n" % header for header in extra]) if extra else b""
    if status == 100 and (timestamp := get(b"timestamp")) is not None:
        more = b"Timestamp: %b\r\n%b" % (timestamp, more)
    words = reason.encode("utf-8", "surrogateescape")
    if vias and sender is not None and to is not None and call_id is not None and cseq is not None:
        via = vias[0] if len(vias) == 1 else b"\r\nVia: ".join(vias)
        return _RESPONSE % (status, words, via, sender, to, call_id, cseq, more, len(body), body)
    known = [b"Via: " + via for via in vias]
    parts = ((b"From", sender), (b"To", to), (b"Call-ID", call_id), (b"CSeq", cseq))
    known += [b"%b: %b" % (name, value) for name, value in parts if value is not None]
    head = b"".join([line + b"\r\n" for line in known])
    return b"SIP/2.0 %d %b\r\n%b%bContent-Length: %d\r\n\r\n%b" % (status, words, head, more, len(body), body)


def _has_tag(request: Request, value: bytes) -> bool:
    try:
        return b"tag" in request.to.params
    except SipError:
        return b"tag=" in value


def _stamp(request: Request, value: bytes, received: tuple[str, int]) -> bytes:
    """Return the top Via field with received= and rport= of this source address in its first value."""
    host, port = received
    try:
        via = request.via
    except SipError:
        return value
    params, raw = via.params, via.raw
    if b"rport" not in params:
        if via.host == host and b"received" not in params:
            return value
        note = b";received=%b" % host.encode("ascii")
    else:
        note = b";received=%b;rport=%d" % (host.encode("ascii"), port)
    if b"received" not in params and raw.endswith(b";rport"):
        return raw[:-6] + note + value[len(raw) :]
    return _NOTED.sub(b"", raw.rstrip(b" \t")) + note + value[len(raw) :]


def request(method: str, uri: bytes, headers: Sequence[Header], body: bytes = b"") -> bytes:
    """Return a request on the wire; a Content-Length that fits is added behind `headers`."""
    lines = [b"%b %b SIP/2.0" % (method.encode("ascii"), uri)]
    lines += [b"%b: %b" % header for header in headers]
    lines.append(b"Content-Length: %d\r\n\r\n" % len(body))
    return b"\r\n".join(lines) + body


def response_branch(data: bytes) -> tuple[int, bytes] | None:
    """Return status and top Via branch of a response that is written in the usual way, without parsing it.

    None means that it is written in another way (a request, folding, spaces round the branch) or malformed:
    then `parse` decides.
    """
    match = _BRANCH.match(data)
    return None if match is None else (int(match[1]), match[2])
