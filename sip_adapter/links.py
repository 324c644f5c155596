"""Requests and answers between servers as SIP and back, pure and lossless: the MAC is made of the values (PROTOCOL 26).

A message to take over is a MESSAGE with its own body and extra headers, so that people can read it on the wire. All
else is JSON: a relayed REGISTER within a REGISTER, a relayed delivery within a MESSAGE, the rest within OPTIONS; the
readable headers of these are for people, the JSON counts. A message whose parts cannot stand in headers (a line break
in a name of a header, say) goes as JSON too.
"""

from __future__ import annotations

import re

import msgspec

from actors.messages.links import (
    Carry,
    Frame,
    LinkAnswer,
    LinkContent,
    Relay,
    RelayedDelivery,
    RelayedRegister,
    encode_content,
)
from actors.messages.server_manager import LinkAnswered
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.model import MAX_STEPS, Envelope, Header, MessageId, Seq, UserName
from sip_adapter.headers import TOKEN
from sip_adapter.link_headers import (
    BadLinkHeader,
    Params,
    escape,
    pack,
    read_frame,
    read_route,
    unescape,
    write_frame,
    write_nodes,
    write_route,
    write_visited,
)
from sip_adapter.message import LINK, Request, Response
from sip_adapter.transaction import COOKIE, Final
from sip_adapter.translate import display_of, reason_of, retry_after
from sip_adapter.uri import parse_uri, quote_user

MAX_KEPT = 200
"""Headers of a message that travel as headers; what has more goes as JSON."""
MAX_SHOWN = 10
"""Contacts shown in a relayed REGISTER."""
ANSWER = "answer"
"""What Angarium-Link says of an answer."""

_HEADER_NAME = re.compile(TOKEN + rb"++")
_HEADER_VALUE = re.compile(rb"(?:[^\r\n\t ](?:[^\r\n]*+(?<![\t ]))?)?")
_CALL_ID = re.compile(rb"[^\x00-\x20\x7f]++")
_DISPLAY = re.compile(rb'(?:"(?:[^"\\\r\n]|\\["\\])+")?')
_URI = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*+:[^\x00-\x20\x7f<>\"]++")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_OWN = frozenset(
    (
        b"via", b"v", b"max-forwards", b"from", b"f", b"to", b"t", b"call-id", b"i", b"cseq", b"content-length", b"l",
        b"angarium-id", b"angarium-route", b"angarium-path", b"angarium-visited", b"angarium-custody", LINK,
    )
)  # fmt: skip
"""Headers of a carried message that are not its own."""

NO_CONTENT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError)
"""What reading JSON raises, and making a MAC of it: JSON has numbers of any size."""

_encode = msgspec.json.Encoder().encode
_decode_content: msgspec.json.Decoder[LinkContent] = msgspec.json.Decoder(LinkContent)
_decode_answer: msgspec.json.Decoder[LinkAnswer] = msgspec.json.Decoder(LinkAnswer)


# Requests out.


def encode_request(request: LinkRequest, realm: str, via: bytes, token: str) -> bytes:
    """Return a request on the wire; `via` is transport and sent-by, `token` hex that nobody can guess.

    Raises UnicodeEncodeError for text that no UTF-8 can hold.
    """
    content = request.content
    link = write_frame(kind_of(content), request.frame)
    domain = realm.encode("ascii")
    if isinstance(content, Carry) and _fits_headers(content.envelope):
        return _carried(content, link, domain, via, token.encode("ascii"))
    shown = _shown(content, domain) or _plain(request, domain)
    return _request(shown, link, via, token.encode("ascii"), _encode(content))


def kind_of(content: LinkContent | LinkAnswer) -> str:
    """Return the tag of a content."""
    return str(content.__struct_config__.tag)


def _carried(content: Carry, link: bytes, domain: bytes, via: bytes, token: bytes) -> bytes:
    envelope = content.envelope
    display = envelope.display + b" " if envelope.display else b""
    sender, recipient = quote_user(envelope.sender), quote_user(envelope.recipient)
    step = 0 if envelope.routing is None else envelope.routing.step
    return (
        b"MESSAGE sip:%b@%b SIP/2.0\r\nVia: SIP/2.0/%b;branch=%b%b;rport\r\nMax-Forwards: %d\r\n"
        b"From: %b<sip:%b@%b>;tag=%b\r\nTo: <sip:%b@%b>\r\nCall-ID: %b\r\nCSeq: 1 MESSAGE\r\n%b%b"
        b"Angarium-Link: %b\r\nContent-Length: %d\r\n\r\n%b"
    ) % (
        recipient, domain, via, COOKIE, token, max(0, MAX_STEPS - step), display, sender, domain, token[:16],
        recipient, domain, envelope.call_id, b"".join([b"%b: %b\r\n" % header for header in envelope.headers]),
        _custody(content), link, len(envelope.body), envelope.body,
    )  # fmt: skip


def _custody(content: Carry) -> bytes:
    """Return the extra headers that say which message this is, how it came, and what is handed over."""
    envelope, routing = content.envelope, content.envelope.routing
    custody = [
        b"life=%b;at=%b;proof=%b" % (_decimal(content.life), _decimal(envelope.accepted), envelope.proof.encode()),
        b"store=%b;row=%d;floor=%d" % (pack(content.incarnation), content.row, content.floor),
    ]
    if envelope.notice:
        custody.append(b"notice")
    lines = [(b"Angarium-Id", escape(envelope.id))]
    if routing is not None:
        lines.append((b"Angarium-Route", write_route(routing)))
        if routing.path:
            lines.append((b"Angarium-Path", write_nodes(routing.path)))
        if routing.visited:
            lines.append((b"Angarium-Visited", write_visited(routing.visited, routing.path)))
        if routing.vouch:
            custody.append(b"vouch=" + pack(routing.vouch))
        if routing.grant:
            custody.append(b"grant=" + pack(routing.grant))
    lines.append((b"Angarium-Custody", b";".join(custody)))
    return b"".join([b"%b: %b\r\n" % line for line in lines])


def _decimal(number: float) -> bytes:
    return repr(float(number)).encode("ascii")


def _fits_headers(envelope: Envelope) -> bool:
    """Tell whether all parts of a message come out of SIP headers as they went in."""
    if not (envelope.sender and envelope.recipient and envelope.id) or len(envelope.headers) > MAX_KEPT:
        return False
    if _CALL_ID.fullmatch(envelope.call_id) is None or _DISPLAY.fullmatch(envelope.display) is None:
        return False
    for name, value in envelope.headers:
        if _HEADER_NAME.fullmatch(name) is None or name.lower() in _OWN or _HEADER_VALUE.fullmatch(value) is None:
            return False
    routing = envelope.routing
    return routing is None or (all(routing.path) and all(routing.visited))


class _Shown(msgspec.Struct, frozen=True):
    """What people see of a request whose JSON counts."""

    method: bytes
    sender: bytes
    target: bytes
    """Of To."""
    uri: bytes
    more: tuple[Header, ...] = ()


def _shown(content: LinkContent, domain: bytes) -> _Shown | None:
    if not isinstance(content, Relay):
        return None
    inner = content.content
    if isinstance(inner, RelayedRegister):
        asked = inner.registration
        user, sender = _aor(asked.user, domain), _aor(asked.from_user, domain)
        contacts = b"*" if asked.star else b", ".join(_brackets(item.uri) for item in asked.contacts[:MAX_SHOWN])
        more = [(b"Contact", contacts)] if contacts else []
        more += [(b"Path", path)] if (path := _nodes(content.path, domain)) else []
        more += [(b"Route", route)] if (route := _nodes(content.route, domain)) else []
        return _Shown(b"REGISTER", sender, user, b"sip:" + domain, tuple(more))
    if isinstance(inner, RelayedDelivery):
        sent = inner.request
        route = _nodes(content.route, domain)
        more = [(b"Route", route)] if route else []
        return _Shown(b"MESSAGE", _brackets(sent.from_uri), _brackets(sent.to_uri), b"sip:" + domain, tuple(more))
    return None


def _plain(request: LinkRequest, domain: bytes) -> _Shown:
    return _Shown(b"OPTIONS", b"<sip:%b>" % domain, b'"%b" <sip:%b>' % (escape(request.node), domain), b"sip:" + domain)


def _aor(user: UserName, domain: bytes) -> bytes:
    return b"<sip:%b@%b>" % (quote_user(user), domain)


def _nodes(nodes: tuple[str, ...], domain: bytes) -> bytes:
    return b", ".join([b"<sip:%b@%b;lr>" % (escape(node), domain) for node in nodes])


def _brackets(uri: bytes) -> bytes:
    """Return a URI in brackets; one that cannot be shown is not."""
    return b"<%b>" % (uri if _URI.fullmatch(uri) is not None else b"sip:unprintable.invalid")


def _request(shown: _Shown, link: bytes, via: bytes, token: bytes, body: bytes) -> bytes:
    return (
        b"%b %b SIP/2.0\r\nVia: SIP/2.0/%b;branch=%b%b;rport\r\nMax-Forwards: 70\r\n"
        b"From: %b;tag=%b\r\nTo: %b\r\nCall-ID: %b\r\nCSeq: 1 %b\r\n%b"
        b"Angarium-Link: %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
    ) % (
        shown.method, shown.uri, via, COOKIE, token, shown.sender, token[:16], shown.target, token, shown.method,
        b"".join([b"%b: %b\r\n" % header for header in shown.more]), link, len(body), body,
    )  # fmt: skip


# Requests in.


def decode_request(request: Request) -> tuple[Frame, LinkContent]:
    """Read a request of another server; raises SipError 400 with what is wrong."""
    try:
        kind, frame = read_frame(request.get(LINK) or b"")
        if kind == "carry" and request.method == "MESSAGE":
            return frame, _read_carry(request)
        content = _decode_content.decode(request.body)
        encode_content(content)
    except BadLinkHeader as error:
        raise request.error(str(error)) from error
    except NO_CONTENT as error:
        raise request.error("Body is no content of a link") from error
    if kind != kind_of(content):
        raise request.error("Angarium-Link names another content")
    return frame, content


def _read_carry(request: Request) -> Carry:
    custody = Params(b";" + _need(request, b"angarium-custody", "Angarium-Custody"), "Angarium-Custody")
    get = request.get
    marks = (custody.packed(b"vouch"), custody.packed(b"grant"))
    route = get(b"angarium-route")
    envelope = Envelope(
        id=MessageId(unescape(_need(request, b"angarium-id", "Angarium-Id"), "Angarium-Id")),
        sender=_user(request, request.from_.uri, "From"),
        recipient=_user(request, request.uri, "Request-URI"),
        call_id=request.call_id,
        headers=tuple([(name, value.strip(b" \t")) for name, value in request.headers if name.lower() not in _OWN]),
        body=request.body,
        accepted=custody.decimal(b"at"),
        proof=custody.proof(b"proof"),
        display=display_of(request.from_),
        notice=custody.flag(b"notice"),
        routing=None if route is None else read_route(route, get(b"angarium-path"), get(b"angarium-visited"), *marks),
    )
    return Carry(
        envelope=envelope,
        life=custody.decimal(b"life"),
        incarnation=custody.packed(b"store"),
        row=Seq(custody.number(b"row")),
        floor=Seq(custody.number(b"floor")),
    )


def _need(request: Request, name: bytes, shown: str) -> bytes:
    value = request.get(name)
    if not value:
        raise request.error(f"Missing {shown}")
    return value


def _user(request: Request, raw: bytes, where: str) -> UserName:
    uri = parse_uri(raw)
    if not uri.user:
        raise request.error(f"{where} names no user")
    try:
        uri.user.encode()
    except UnicodeEncodeError:
        raise request.error(f"{where} names no possible user") from None
    return UserName(uri.user)


# Answers.


def encode_reply(reply: LinkReply) -> Final:
    """Return a final answer to another server, but for what its request gives it."""
    content = reply.content
    headers: list[Header] = []
    if reply.frame != Frame():
        headers.append((b"Angarium-Link", write_frame(ANSWER, reply.frame)))
    if reply.retry_after:
        headers.append((b"Retry-After", b"%d" % reply.retry_after))
    if content is not None:
        headers.append((b"Content-Type", b"application/json"))
    reason = _CONTROL.sub(" ", reply.reason) or reason_of(reply.status)
    return Final(reply.status, reason, tuple(headers), b"" if content is None else _encode(content))


def decode_answer(number: int, answer: Response) -> LinkAnswered:
    """Read a final answer of another server; what it lacks or has malformed is missing here: then no MAC fits."""
    frame, content = Frame(), None
    try:
        link = answer.get(LINK)
        if link is not None:
            _, frame = read_frame(link)
        if answer.body:
            content = _decode_answer.decode(answer.body)
            encode_content(content)
    except (BadLinkHeader, *NO_CONTENT):
        frame, content = Frame(), None
    wait = retry_after(answer.get(b"retry-after"))
    return LinkAnswered(number, answer.status, True, answer.reason, frame, content, wait)
