"""Ordinary MESSAGE datagrams read in a quarter of the time that the codec takes; all others are left to the codec.

Nothing is decided here that the codec decides otherwise: what is taken is written in the plainest way (usual
header names once each, no folding, one Via, a tag in From, none in To), and for that both give the same
`Submission` and the same answer. What repeats from message to message, addresses, is kept parsed.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from actors.messages.requests import Submission
from actors.model import Flow, Header, Seconds, TransactionKey, UserName
from sip_adapter.auth import credentials
from sip_adapter.domains import Domains
from sip_adapter.errors import SipError
from sip_adapter.headers import TOKEN, parse_name_addr
from sip_adapter.message import Request
from sip_adapter.policy import check
from sip_adapter.translate import display_of, sender_of, user_name
from sip_adapter.uri import parse_uri

CACHED = 16384
"""Addresses and Request-URIs kept parsed."""
MAX_HEAD = 1400
"""Bytes of a head taken here: bounds what a stranger can put into the caches."""

_START = re.compile(rb"MESSAGE (sip:[^\x00-\x20\x7f<>\"]++) SIP/2\.0(?=\r\n)")
_LINES = re.compile(rb"\r\n([A-Za-z\-]++): *+([^\r\n\t ][^\r\n\t]*+)(?<! )(?=\r\n|\Z)")
_VIA = re.compile(
    rb"SIP/2\.0/UDP ([A-Za-z0-9.\-]++)(?::([1-9][0-9]{0,4}))?"
    rb"(;rport(?==?;))?;branch=(z9hG4bK[A-Za-z0-9.!%*_+`'~\-]*+)(;rport)?"
)
_FIVE = re.compile(rb"\r\n(Via|From|To|Call-ID|CSeq): *+([^\r\n\t ][^\r\n\t]*+)(?<! )(?=\r\n[^ \t])")
_CALL_ID = re.compile(rb"[^\x00-\x20\x7f]++")
_CSEQ = re.compile(rb"([1-9][0-9]{0,8}) MESSAGE")
_TAG = re.compile(TOKEN + rb"++")

_NEEDED = frozenset((b"Via", b"From", b"To", b"Call-ID", b"CSeq"))
_KEPT = frozenset(
    (b"Content-Type", b"Content-Encoding", b"Content-Language", b"Date", b"Expires", b"Priority", b"Subject")
)
_HANDLED = frozenset((b"Max-Forwards", b"Content-Length", b"Authorization"))
_IGNORED = frozenset((b"Contact", b"User-Agent", b"Allow", b"Accept", b"Supported", b"Route"))
_ORDINARY = _NEEDED | _KEPT | _HANDLED | _IGNORED


class Ordinary(msgspec.Struct, frozen=True, gc=False):
    """An ordinary MESSAGE in its parts."""

    values: dict[bytes, bytes]
    """Header values by name."""
    body: bytes
    branch: bytes
    host: bytes
    """Of Via, lower case."""
    port: bytes
    rport: bool
    number: bytes
    """Of CSeq."""
    uri: bytes
    recipient: UserName
    sender: UserName
    sender_is_ours: bool
    display: bytes
    tag: bytes

    def reply_head(self, to_tag: bytes, flow: Flow) -> bytes:
        """Return the header lines of any answer to it (RFC 3261 8.2.6.2, 18.2.1; RFC 3581 4)."""
        return _reply_head(self.values, self.host, self.rport, to_tag, flow)


class Glance(msgspec.Struct, frozen=True, gc=False):
    """What names the transaction of a MESSAGE, and what its answer needs; of the rest nothing is known."""

    values: dict[bytes, bytes]
    branch: bytes
    host: bytes
    port: bytes
    rport: bool
    number: bytes

    def reply_head(self, to_tag: bytes, flow: Flow) -> bytes:
        """Return the header lines of any answer to it."""
        return _reply_head(self.values, self.host, self.rport, to_tag, flow)


def _reply_head(values: dict[bytes, bytes], host: bytes, rport: bool, to_tag: bytes, flow: Flow) -> bytes:
    via = values[b"Via"]
    source = flow.host.encode()
    if rport:
        via = b"%b;received=%b;rport=%d" % (via.replace(b";rport", b""), source, flow.port)
    elif source != host:
        via = b"%b;received=%b" % (via, source)
    return b"Via: %b\r\nFrom: %b\r\nTo: %b;tag=%b\r\nCall-ID: %b\r\nCSeq: %b\r\n" % (
        via, values[b"From"], values[b"To"], to_tag, values[b"Call-ID"], values[b"CSeq"],
    )  # fmt: skip


def glance(data: bytes) -> Glance | None:
    """Read no more of a MESSAGE than refusing it takes; None if it is not written in the plainest way."""
    end = data.find(b"\r\n\r\n")
    lines: list[Header] = _FIVE.findall(data, 0, end + 4) if 0 < end <= MAX_HEAD else []
    values = dict(lines)
    if len(lines) != 5 or len(values) != 5 or b";tag=" in values[b"To"]:
        return None
    via, number = _VIA.fullmatch(values[b"Via"]), _CSEQ.fullmatch(values[b"CSeq"])
    if via is None or number is None:
        return None
    host, port, before, branch, behind = via.groups(b"")
    return Glance(values, branch, host.lower(), port, bool(before or behind), number[1])


class QuickReader:
    """Reads ordinary messages; remembers addresses it has seen."""

    def __init__(self, domains: Domains, realm: str, max_body: int) -> None:
        """`domains` must know its listeners by the first message."""
        self._domains = domains
        self._realm = realm
        self._max_body = max_body
        self._recipient = lru_cache(CACHED)(self._read_recipient)
        self._sender = lru_cache(CACHED)(self._read_sender)
        self._is_address = lru_cache(CACHED)(_is_address)

    def read(self, data: bytes) -> Ordinary | None:
        """Return the parts of an ordinary MESSAGE; None: the codec must read it."""
        head, _, body = data.partition(b"\r\n\r\n")
        start = _START.match(head)
        if start is None or len(head) > MAX_HEAD or len(body) > self._max_body:
            return None
        lines: list[Header] = _LINES.findall(head, start.end())
        values = dict(lines)
        if not len(values) == head.count(b"\n") == head.count(b"\r") or not (_NEEDED <= values.keys() <= _ORDINARY):
            return None
        if values.get(b"Content-Length") != b"%d" % len(body) or not _plain_numbers(values):
            return None
        via = _VIA.fullmatch(values[b"Via"])
        number = _CSEQ.fullmatch(values[b"CSeq"])
        if via is None or number is None or _CALL_ID.fullmatch(values[b"Call-ID"]) is None:
            return None
        host, port, before, branch, behind = via.groups(b"")
        if (len(port) == 5 and port > b"65535") or (before and behind):
            return None
        address, _, tag = values[b"From"].rpartition(b";tag=")
        uri = start[1]
        if _TAG.fullmatch(tag) is None:
            return None
        recipient = self._recipient(uri)
        sender = self._sender(address)
        if recipient is None or sender is None or not self._is_address(values[b"To"]):
            return None
        return Ordinary(
            values, body, branch, host.lower(), port, bool(before or behind), number[1], uri, recipient, *sender, tag
        )  # fmt: skip

    def submission(self, message: Ordinary, flow: Flow, key: TransactionKey, now: float) -> Submission:
        """Return what the actors hear; raises SipError for broken credentials."""
        values = message.values
        expires = values.get(b"Expires")
        proof = None
        if b"Authorization" in values:
            proof = credentials(Request("MESSAGE", message.uri, list(values.items())), self._realm)
        return Submission(  # by position, which is faster, as far as tests hold it to the codec's
            key,
            flow,
            message.sender,
            message.sender_is_ours,
            message.recipient,
            values[b"Call-ID"],
            message.tag,
            int(message.number),
            tuple([item for item in values.items() if item[0] in _KEPT]),
            message.body,
            now,
            message.display,
            None if expires is None else Seconds(int(expires)),
            "",
            proof,
        )

    def _read_recipient(self, uri: bytes) -> UserName | None:
        request = Request("MESSAGE", uri, [])
        try:
            return user_name(request, check(request, self._domains), "Request-URI")
        except SipError:
            return None

    def _read_sender(self, value: bytes) -> tuple[UserName, bool, bytes] | None:
        request = Request("MESSAGE", b"", [])
        try:
            address = parse_name_addr(value)
            uri = parse_uri(address.uri)
            if b"tag" in address.params:
                return None
            ours = bool(uri.host) and self._domains.is_ours(uri.host)
            return sender_of(request, uri), ours, display_of(address)
        except SipError:
            return None


def _plain_numbers(values: dict[bytes, bytes]) -> bool:
    hops = values.get(b"Max-Forwards", b"70")
    if not (hops.isdigit() and len(hops) <= 2 and hops.strip(b"0")):
        return False
    expires = values.get(b"Expires", b"0")
    return expires.isdigit() and len(expires) <= 9


def _is_address(value: bytes) -> bool:
    try:
        return b"tag" not in parse_name_addr(value).params
    except SipError:
        return False
