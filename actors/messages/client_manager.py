"""What ClientManager hears."""

from __future__ import annotations

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.requests import Registration, StateQuestion, Submission
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
from actors.model import Device, Flow, UserName, Value
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
