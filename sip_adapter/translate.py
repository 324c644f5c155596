"""SIP messages to actor messages and back: the one file that knows both, pure."""

from __future__ import annotations

import re
from email.utils import formatdate
from http import HTTPStatus

from actors.messages.requests import (
    Answer,
    ContactItem,
    ContactLine,
    OutboundRequest,
    Registration,
    StateQuestion,
    Submission,
)
from actors.model import Flow, Header, MessageId, Seconds, TransactionKey, UserName
from sip_adapter.auth import challenge_headers, credentials, is_text
from sip_adapter.domains import Domains
from sip_adapter.errors import SipError
from sip_adapter.headers import NameAddr, Star, delta_seconds
from sip_adapter.message import Request
from sip_adapter.transaction import COOKIE
from sip_adapter.uri import Uri, parse_uri

MAX_NAME = 255
"""Characters of a user name."""
MAX_KEPT = 8192
"""Bytes of the headers that travel with a message."""
DEFAULT_EXPIRES = 3600
"""What a malformed contact parameter counts as (RFC 3261 20.10)."""

_KEPT_NAMES = (
    b"Content-Type", b"Content-Encoding", b"Content-Language", b"Content-Disposition", b"MIME-Version",
    b"Date", b"Expires", b"Priority", b"Subject", b"Reply-To", b"In-Reply-To", b"Conversation-ID",
    b"Contribution-ID", b"InReplyTo-Contribution-ID", b"Organization",
)  # fmt: skip
_KEPT = {
    b"c": b"Content-Type", b"e": b"Content-Encoding", b"s": b"Subject",
    **{name: name for name in _KEPT_NAMES},
    **{name.lower(): name for name in _KEPT_NAMES},
}  # fmt: skip
_CLIENT_ID = re.compile(rb"[A-Za-z0-9._@~:+/=-]{1,128}")
_TOKEN = re.compile(rb"[A-Za-z0-9.!%*_+`'~-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

REASONS = {
    100: "Trying", 200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden",
    404: "Not Found", 405: "Method Not Allowed", 407: "Proxy Authentication Required", 408: "Request Timeout",
    410: "Gone", 413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type",
    416: "Unsupported URI Scheme", 420: "Bad Extension", 421: "Extension Required", 423: "Interval Too Brief",
    430: "Flow Failed", 439: "First Hop Lacks Outbound Support", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 488: "Not Acceptable Here", 489: "Bad Event", 500: "Server Internal Error",
    501: "Not Implemented", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 603: "Decline", 604: "Does Not Exist Anywhere",
}  # fmt: skip
"""Reason phrases of RFC 3261 21, 3428, 3903, 5626, 6665."""


def reason_of(status: int) -> str:
    """Return the usual reason phrase."""
    reason = REASONS.get(status)
    if reason is None:
        reason = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Other"
    return reason


# Requests in.


def submission(
    request: Request, target: Uri, flow: Flow, key: TransactionKey, now: float, domains: Domains, realm: str
) -> Submission:
    """Read a MESSAGE (RFC 3428 7); raises SipError with the answer it deserves."""
    recipient = user_name(request, target, "Request-URI")
    sender_uri = _uri(request, request.from_, "From")
    expires = request.expires
    client_id = request.get(b"angarium-id")
    number, _ = request.cseq
    return Submission(
        transaction=key,
        flow=flow,
        sender=sender_of(request, sender_uri),
        sender_is_ours=bool(sender_uri.host) and domains.is_ours(sender_uri.host),
        recipient=recipient,
        call_id=request.call_id,
        from_tag=request.from_tag or b"",
        cseq=number,
        headers=_kept_headers(request),
        body=request.body,
        arrived=now,
        display=display_of(request.from_),
        life=None if expires is None else Seconds(expires),
        client_id=client_id.decode("ascii") if client_id and _CLIENT_ID.fullmatch(client_id) else "",
        credentials=credentials(request, realm),
    )


def sender_of(request: Request, uri: Uri) -> UserName:
    """Return the name that From claims; raises SipError 403 or 400 if it is none."""
    if uri.opaque:
        # A tel: or other URI is a name, but none of ours.
        return _checked_name(request, uri.opaque.decode("utf-8", "surrogateescape"), "From", 403)
    return user_name(request, uri, "From", 403)


def user_name(request: Request, uri: Uri, where: str, status: int = 404) -> UserName:
    """Return the user part as a name; raises SipError `status` if there is none, or none that anybody has."""
    if not uri.user:
        raise request.error(f"{where} names no user", status)
    return _checked_name(request, uri.user, where, status)


def _checked_name(request: Request, name: str, where: str, status: int) -> UserName:
    if len(name) > MAX_NAME or _CONTROL.search(name) is not None or not is_text(name):
        # Well-formed SIP (RFC 4475 3.1.1.4), but nobody is called so.
        raise request.error(f"{where} names no possible user", status)
    return UserName(name)


def _uri(request: Request, address: NameAddr, where: str) -> Uri:
    try:
        return parse_uri(address.uri)
    except SipError as error:
        raise request.error(f"{error.reason} in {where}") from error


def display_of(address: NameAddr) -> bytes:
    """Return the display name in quotes, empty if there is none."""
    if not address.display:
        return b""
    text = address.display.encode("utf-8", "surrogateescape")
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _kept_headers(request: Request) -> tuple[Header, ...]:
    kept: list[Header] = []
    size = 0
    for name, value in request.headers:
        canonical = _KEPT.get(name) or _KEPT.get(name.lower())
        if canonical is not None:
            kept.append((canonical, value.strip(b" \t")))
            size += len(canonical) + len(value)
    if size > MAX_KEPT:
        raise request.error("Header fields too large to keep", 513)
    return tuple(kept)


def registration(request: Request, flow: Flow, key: TransactionKey, domains: Domains, realm: str) -> Registration:
    """Read a REGISTER (RFC 3261 10.3); raises SipError with the answer it deserves.

    A Path that a client wrote itself is not taken: only servers between us and the phone make one.
    """
    aor = _uri(request, request.to, "To")
    if aor.scheme != "sip" or not domains.is_ours(aor.host):
        raise request.error("Address of record is not of this network", 404)
    from_uri = _uri(request, request.from_, "From")
    contacts = request.contacts
    star = isinstance(contacts, Star)
    expires = request.expires
    if star and expires != 0:
        raise request.error("Contact: * needs Expires: 0")
    number, _ = request.cseq
    host = f"[{aor.host}]" if ":" in aor.host else aor.host
    return Registration(
        transaction=key,
        flow=flow,
        user=user_name(request, aor, "To"),
        aor_host=host if aor.port is None else f"{host}:{aor.port}",
        from_user=sender_of(request, from_uri),
        call_id=request.call_id,
        cseq=number,
        contacts=() if isinstance(contacts, Star) else tuple(_contact(request, item) for item in contacts),
        star=star,
        expires=expires,
        credentials=credentials(request, realm),
    )


def state_question(request: Request, wanted: bytes, flow: Flow, key: TransactionKey, realm: str) -> StateQuestion:
    """Read an OPTIONS with `Angarium-Where: ID`; raises SipError with the answer it deserves."""
    if _CLIENT_ID.fullmatch(wanted) is None:
        raise request.error("Malformed Angarium-Where")
    from_uri = _uri(request, request.from_, "From")
    return StateQuestion(
        transaction=key,
        flow=flow,
        user=sender_of(request, from_uri),
        id=MessageId(wanted.decode("ascii")),
        credentials=credentials(request, realm),
    )


def _contact(request: Request, address: NameAddr) -> ContactItem:
    uri = _uri(request, address, "Contact")
    params = address.params
    expires: int | None = None
    if b"expires" in params:
        expires = delta_seconds(params[b"expires"])
        expires = DEFAULT_EXPIRES if expires is None else expires
    reg_id = params.get(b"reg-id", b"")
    return ContactItem(
        uri=address.uri,
        user=_printable(uri.user or ""),
        host=uri.host,
        port=uri.port,
        expires=expires,
        q=_q(request, params.get(b"q")),
        instance=_printable(params.get(b"+sip.instance", b"").strip(b"<>").decode("utf-8", "surrogateescape")),
        reg_id=int(reg_id) if reg_id.isdigit() and len(reg_id) < 10 else 0,
        params=tuple(item for item in params.items() if item[0] not in (b"expires", b"q")),
    )


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _q(request: Request, value: bytes | None) -> float:
    if value is None:
        return 1.0
    if re.fullmatch(rb"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?", value) is None:
        raise request.error("Malformed q in Contact")
    return float(value)


# Answers out.


def answer_headers(answer: Answer, wall: float) -> tuple[Header, ...]:
    """Return the headers of a final answer that are not its request's; `wall` is seconds since 1970."""
    headers: list[Header] = []
    if answer.message_id is not None:
        headers.append((b"Angarium-Id", answer.message_id.encode()))
    if answer.challenge is not None:
        headers += challenge_headers(answer.challenge, answer.status)
    headers += [(b"Contact", contact_line(contact)) for contact in answer.contacts]
    if answer.min_expires:
        headers.append((b"Min-Expires", b"%d" % answer.min_expires))
    if answer.retry_after:
        headers.append((b"Retry-After", b"%d" % answer.retry_after))
    headers += answer.headers
    if answer.contacts:
        headers.append((b"Date", formatdate(wall, usegmt=True).encode()))
    return tuple(headers)


def contact_line(contact: ContactLine) -> bytes:
    """Return a Contact value: the URI as it was sent, its parameters, what remains of its life."""
    parts = [b"<%b>" % contact.uri]
    if contact.q != 1.0:
        parts.append(b"q=%b" % f"{contact.q:.3f}".rstrip("0").encode())
    parts += [_parameter(name, value) for name, value in contact.params]
    parts.append(b"expires=%d" % contact.expires)
    return b";".join(parts)


def _parameter(name: bytes, value: bytes) -> bytes:
    if not value:
        return name
    if _TOKEN.fullmatch(value) is not None:
        return b"%b=%b" % (name, value)
    return b'%b="%b"' % (name, value.replace(b"\\", b"\\\\").replace(b'"', b'\\"'))


# Requests out.


def outbound_request(item: OutboundRequest, via: bytes) -> bytes:
    """Return the request on the wire; `via` is transport and sent-by (`UDP 10.0.0.1:5060`).

    All of it is a function of the item and the way it goes (PROTOCOL 10).
    """
    token = item.token.encode("ascii")
    method = item.method.encode("ascii")
    display = item.display + b" " if item.display else b""
    more = b"".join([b"Route: %b\r\n" % route for route in item.route]) if item.route else b""
    if item.message_id is not None:
        more += b"Angarium-Id: %b\r\n" % item.message_id.encode()
    for header in item.headers:
        more += b"%b: %b\r\n" % header
    return (
        b"%b %b SIP/2.0\r\nVia: SIP/2.0/%b;branch=%b%b;rport\r\nMax-Forwards: 70\r\n"
        b"From: %b<%b>;tag=%b\r\nTo: <%b>\r\nCall-ID: %b\r\nCSeq: %d %b\r\n%bContent-Length: %d\r\n\r\n%b"
    ) % (
        method, item.target, via, COOKIE, token, display, item.from_uri, token[:16], item.to_uri, item.call_id,
        item.cseq, method, more, len(item.body), item.body,
    )  # fmt: skip


def retry_after(value: bytes | None) -> int:
    """Return the seconds of Retry-After, which may be followed by a comment; 0 if there is none."""
    if value is None:
        return 0
    number = re.match(rb"[0-9]+", value)
    return 0 if number is None else delta_seconds(number[0]) or 0
