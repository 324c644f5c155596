"""What a SipAdapter hears: the outbound port of the actors."""

from __future__ import annotations

from actors.messages.lifecycle import Ping, Wake
from actors.model import Flow, Header, MessageId, TransactionKey, Value


class Challenge(Value, frozen=True, gc=False):
    """A digest challenge (RFC 7616 3.3); one header per algorithm, in the order given (RFC 8760 2.4)."""

    realm: str
    nonce: str
    stale: bool = False
    """The digest was right but for its nonce: the client may answer anew without asking for the password."""
    algorithms: tuple[str, ...] = ("MD5",)
    opaque: str = ""


class ContactLine(Value, frozen=True, gc=False):
    """One live binding in the answer to a REGISTER (RFC 3261 10.3 step 8)."""

    uri: bytes
    """As it was sent."""
    expires: int
    """Remaining seconds."""
    q: float = 1.0
    params: tuple[Header, ...] = ()
    """Other contact parameters, sent back as they came; an empty value is a flag."""


class Answer(Value, frozen=True, gc=False):
    """A final answer to one request, by its server transaction."""

    transaction: TransactionKey
    status: int
    reason: str = ""
    """Empty: the reason phrase of RFC 3261 for that status."""
    message_id: MessageId | None = None
    """Becomes the header `Angarium-Id`."""
    headers: tuple[Header, ...] = ()
    """More headers, complete."""
    challenge: Challenge | None = None
    """Becomes WWW-Authenticate in a 401, Proxy-Authenticate in a 407."""
    contacts: tuple[ContactLine, ...] = ()
    """All bindings that are live after a REGISTER."""
    min_expires: int = 0
    """Seconds in Min-Expires (423); 0: none."""
    retry_after: int = 0
    """Seconds in Retry-After; 0: none."""


class OutboundRequest(Value, frozen=True, gc=False):
    """A request to one device over its flow."""

    delivery: int
    """Comes back in the result; unique in this run."""
    flow: Flow
    method: str
    """`MESSAGE` or `OPTIONS`."""
    target: bytes
    """Request-URI: the contact as it was registered."""
    token: str
    """Hex, at least 128 bits, a function of node key, message, device and attempt: the branch is `z9hG4bK` + token
    and the From tag its first 16 characters. The same request is the same bytes after a restart (PROTOCOL 10)."""
    from_uri: bytes
    """Without brackets and display name."""
    to_uri: bytes
    call_id: bytes
    cseq: int
    display: bytes = b""
    headers: tuple[Header, ...] = ()
    body: bytes = b""
    message_id: MessageId | None = None
    route: tuple[bytes, ...] = ()


class AnswerRequests(Value, frozen=True, gc=False):
    """Answer these server transactions. Repeats are absorbed, unknown transactions ignored."""

    items: tuple[Answer, ...]


class SendRequests(Value, frozen=True, gc=False):
    """Send these requests; each ends in exactly one `DeliveryResult`."""

    items: tuple[OutboundRequest, ...]


class CloseFlow(Value, frozen=True, gc=False):
    """Close a stream connection; a datagram flow is forgotten."""

    flow: Flow


class ReportBacklog(Value, frozen=True, gc=False):
    """So many messages wait in memory for devices that do answer: the border lets fewer in (PROTOCOL 5)."""

    messages: int


SipAdapterCommand = AnswerRequests | SendRequests | CloseFlow | ReportBacklog | Wake | Ping
