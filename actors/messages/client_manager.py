"""What ClientManager hears."""

from __future__ import annotations

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.router import MessagesRouted
from actors.messages.storage import (
    AccountSaved,
    ExpiredFound,
    MessagesAcknowledged,
    MessagesStored,
    MessageStateRead,
    QueueRead,
    RegistrationSaved,
    StoreOpened,
    UserRead,
    UsersRead,
)
from actors.model import Device, Flow, Header, MessageId, Seconds, TransactionKey, UserName, Value
from actors.ref import Ref


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


class SubmitMessages(Value, frozen=True, gc=False):
    """MESSAGE requests that arrived in one wake-up of the network loop; each gets one `Answer`."""

    items: tuple[Submission, ...]


class AskStates(Value, frozen=True, gc=False):
    """Questions about messages that arrived in one wake-up; each gets one `Answer` with `Angarium-State`."""

    items: tuple[StateQuestion, ...]


class RegisterContacts(Value, frozen=True, gc=False):
    """REGISTER requests that arrived in one wake-up; each gets one `Answer`."""

    items: tuple[Registration, ...]


class DeliveryResult(Value, frozen=True, gc=False):
    """How a request to a device ended: its final answer, or none."""

    delivery: int
    status: int
    """The final status; 408 after Timer F, 503 when the transport failed (RFC 3261 8.1.3.1, 17.1.2.2)."""
    answered: bool
    """True only for an answer from where it was sent, with our branch."""
    retry_after: int = 0
    """Seconds, from Retry-After; 0: none."""


class DeliveriesEnded(Value, frozen=True, gc=False):
    """Results of requests sent to devices."""

    items: tuple[DeliveryResult, ...]


class FlowsSeen(Value, frozen=True, gc=False):
    """Unauthenticated signs of life (keep-alive, OPTIONS) on these flows."""

    flows: tuple[Flow, ...]


class FlowsClosed(Value, frozen=True, gc=False):
    """These stream connections are gone, and with them the bindings over them."""

    flows: tuple[Flow, ...]


class AddUser(Value, frozen=True, gc=False):
    """Create an account, or set its password when `replace`."""

    reply_to: Ref[CommandDone]
    request: int
    name: UserName
    ha1_md5: str
    ha1_sha256: str
    replace: bool = False
    """False: an existing account is refused; True: a missing one is (passwd)."""


class AddUsers(Value, frozen=True, gc=False):
    """Create or replace many accounts in one commit: (name, ha1_md5, ha1_sha256) each."""

    reply_to: Ref[CommandDone]
    request: int
    items: tuple[tuple[UserName, str, str], ...]


class RemoveUser(Value, frozen=True, gc=False):
    """Remove an account; its waiting mail ends with notices."""

    reply_to: Ref[CommandDone]
    request: int
    name: UserName


class ForgetDevice(Value, frozen=True, gc=False):
    """Forget a device of a user: what waits for it alone ends."""

    reply_to: Ref[CommandDone]
    request: int
    user: UserName
    device: str


class ListUsers(Value, frozen=True, gc=False):
    """List users whose name is greater than `after`, at most `limit`, with what is known of each."""

    reply_to: Ref[UsersListed]
    request: int
    after: str = ""
    limit: int = 1000
    name: str = ""
    """Only this one."""


class CommandDone(Value, frozen=True, gc=False):
    """Outcome of an administrative command: `error` is empty, `exists`, `unknown`, `refused`, or a sentence."""

    request: int
    error: str = ""
    detail: str = ""


class UserInfo(Value, frozen=True, gc=False):
    """What an operator sees of a user; no secret in it."""

    name: UserName
    has_password: bool
    online: bool
    devices: tuple[Device, ...]
    in_flight: int


class UsersListed(Value, frozen=True, gc=False):
    """Answer to `ListUsers`, by name."""

    request: int
    users: tuple[UserInfo, ...]
    total: int
    node_time: float


ClientManagerCommand = (
    SubmitMessages
    | RegisterContacts
    | AskStates
    | MessageStateRead
    | DeliveriesEnded
    | FlowsSeen
    | FlowsClosed
    | MessagesRouted
    | MessagesStored
    | MessagesAcknowledged
    | QueueRead
    | ExpiredFound
    | RegistrationSaved
    | AccountSaved
    | StoreOpened
    | UsersRead
    | UserRead
    | AddUser
    | AddUsers
    | RemoveUser
    | ForgetDevice
    | ListUsers
    | CommandFailed
    | Wake
    | Ping
)
