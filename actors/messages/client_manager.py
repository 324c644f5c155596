"""What ClientManager hears."""

from __future__ import annotations

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.links import RelayContent
from actors.messages.requests import ContactItem, Registration, StateQuestion, Submission
from actors.messages.router import Claim, MessagesRouted, NamesFound
from actors.messages.server_manager import FarAnswered
from actors.messages.storage import (
    AccountSaved,
    ExpiredFound,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MessageStateRead,
    QueueRead,
    RegistrationSaved,
    StoreOpened,
    UserRead,
    UsersRead,
)
from actors.model import Device, Flow, NodeName, StoredMessage, UserName, Value
from actors.ref import Ref


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


class RegisterContact(Value, frozen=True, gc=False):
    """Bind a contact for a phone that does not register itself; the user exists, or is made in open mode."""

    reply_to: Ref[CommandDone]
    request: int
    user: UserName
    contact: ContactItem
    flow: Flow
    """Where the phone is, and the listener it is reached from."""
    aor_host: str
    """host[:port] that this node is called by towards the phone."""


class DeregisterContacts(Value, frozen=True, gc=False):
    """End bindings of a user, as if his phones had deregistered; the devices stay, and their mail waits."""

    reply_to: Ref[CommandDone]
    request: int
    user: UserName
    contact: bytes = b""
    """Only this one; empty: all."""


class ListUsers(Value, frozen=True, gc=False):
    """List users whose name is greater than `after`, at most `limit`, with what is known of each."""

    reply_to: Ref[UsersListed]
    request: int
    after: str = ""
    limit: int = 1000
    name: str = ""
    """Only this one."""
    names: tuple[UserName, ...] = ()
    """Only these."""
    part: str = ""
    """Only those whose name holds this, whatever the case."""
    online: bool = False
    """Only those who can be reached now."""


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
    home: NodeName = NodeName("")
    """Not empty: he has moved there; only the way to him is known here."""


class UsersListed(Value, frozen=True, gc=False):
    """Answer to `ListUsers`, by name."""

    request: int
    users: tuple[UserInfo, ...]
    total: int
    """Of all users here."""
    node_time: float
    reached: str = ""
    """With `part` or `online`: the last name looked at, if there are more behind it; empty at the end."""


class MailStored(Value, frozen=True, gc=False):
    """Others have stored these in mailboxes here: give them to the devices. Told by Storage, in the order of their
    numbers and among its answers about what ClientManager stores itself."""

    messages: tuple[StoredMessage, ...]


class RelayArrived(Value, frozen=True, gc=False):
    """Another node asks or tells something; wants one `server_manager.AnswerRelay` with this number."""

    relay: int
    origin: NodeName
    path: tuple[NodeName, ...]
    """The nodes between, the origin first, the neighbour last."""
    content: RelayContent


class RelaysArrived(Value, frozen=True, gc=False):
    """Relays that arrived in one wake-up."""

    items: tuple[RelayArrived, ...]


class ClaimConflicts(Value, frozen=True, gc=False):
    """Others claim names that are ours (PROTOCOL 23): of accounts without a password one gives way, else an alarm."""

    claims: tuple[Claim, ...]


class MoveUser(Value, frozen=True, gc=False):
    """Move a user and his mailbox to another node (PROTOCOL 24). `CommandDone` when his last mail is there; `error` as
    there, or `unreachable`. Where it was decided, it goes on by itself, across restarts, whatever the answer."""

    reply_to: Ref[CommandDone]
    request: int
    name: UserName
    to: NodeName


ClientManagerCommand = (
    SubmitMessages
    | RegisterContacts
    | AskStates
    | MessageStateRead
    | MailStored
    | RelaysArrived
    | FarAnswered
    | NamesFound
    | ClaimConflicts
    | MoveUser
    | DeliveriesEnded
    | FlowsSeen
    | FlowsClosed
    | MessagesRouted
    | MessagesStored
    | MessagesMoved
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
    | RegisterContact
    | DeregisterContacts
    | ListUsers
    | CommandFailed
    | Wake
    | Ping
)
