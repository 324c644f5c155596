"""Requests and answers as values: what clients ask, what they are told, and what is sent to their devices."""

from __future__ import annotations

from actors.model import Flow, Header, MessageId, Seconds, TransactionKey, UserName, Value


class DigestResponse(Value, frozen=True, gc=False):
    """An Authorization header's parsed digest response (RFC 7616 3.4), and the request's method and source."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    method: str
    algorithm: str = "MD5"
    """`MD5` or `SHA-256`, as sent; MD5 where it was left out."""
    qop: str = ""
    nc: str = ""
    cnonce: str = ""
    opaque: str = ""


class Submission(Value, frozen=True, gc=False):
    """One MESSAGE that a client sent: well-formed, within limits, addressed to a host of ours."""

    transaction: TransactionKey
    flow: Flow
    sender: UserName
    sender_is_ours: bool
    """The host part of From is ours."""
    recipient: UserName
    call_id: bytes
    from_tag: bytes
    cseq: int
    headers: tuple[Header, ...]
    body: bytes
    arrived: float
    """Monotonic seconds: what is not committed 10 s later is refused (PROTOCOL 5)."""
    display: bytes = b""
    life: Seconds | None = None
    """The Expires header, if any."""
    client_id: str = ""
    """The client's own Angarium-Id, if any: counts only within its authenticated user (PROTOCOL 3)."""
    credentials: DigestResponse | None = None


class ContactItem(Value, frozen=True, gc=False):
    """One Contact of a REGISTER."""

    uri: bytes
    """As it was sent."""
    user: str
    host: str
    port: int | None
    expires: int | None
    """The contact's own parameter; None: the header or the default counts."""
    q: float
    instance: str
    """`+sip.instance` without quotes and brackets, or empty."""
    reg_id: int
    params: tuple[Header, ...]


class Registration(Value, frozen=True, gc=False):
    """One REGISTER (RFC 3261 10.3): well-formed, for a host of ours."""

    transaction: TransactionKey
    flow: Flow
    user: UserName
    """From the To URI."""
    aor_host: str
    """host[:port] of the To URI as the phone wrote it."""
    from_user: UserName
    call_id: bytes
    cseq: int
    contacts: tuple[ContactItem, ...]
    star: bool
    """`Contact: *`."""
    expires: int | None
    """The Expires header."""
    credentials: DigestResponse | None = None
    path: tuple[bytes, ...] = ()


class StateQuestion(Value, frozen=True, gc=False):
    """An OPTIONS with `Angarium-Where`: a sender or recipient asks what became of a message."""

    transaction: TransactionKey
    flow: Flow
    user: UserName
    """From the From URI."""
    id: MessageId
    credentials: DigestResponse | None = None


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
