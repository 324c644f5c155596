"""What Storage hears and how it answers. Every answer follows its commit (PROTOCOL 4)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.model import (
    Account,
    Device,
    DeviceKey,
    End,
    EndedMessage,
    Envelope,
    MessageId,
    NodeName,
    QueueName,
    Seconds,
    Seq,
    StoredMessage,
    User,
    UserName,
    Value,
)
from actors.ref import Ref

if TYPE_CHECKING:
    from actors.messages.client_manager import MailStored


class LinkMark(Value, frozen=True, gc=False):
    """Names one hand-over between two nodes for good, so that it is taken once however often it comes (PROTOCOL 17)."""

    node: NodeName
    """The sender."""
    incarnation: str
    row: Seq
    floor: Seq
    """Hand-overs of this node and incarnation with lower rows are over and may be forgotten."""


class StoreItem(Value, frozen=True, gc=False):
    """A message to take into custody."""

    key: bytes
    """Ingress key, 16 bytes (PROTOCOL 2); empty: not remembered (notices)."""
    queue: QueueName
    envelope: Envelope
    life: Seconds
    """Remaining life."""
    deadline: float = 0.0
    """Monotonic; not committed by then: refused, not stored. 0: none."""
    link: LinkMark | None = None
    """It came from a neighbour: KNOWN if this very hand-over (mark and message id) was taken before."""
    once: bool = False
    """It goes into a mailbox of ours from elsewhere: KNOWN if its id was ever stored so; the id is kept for the longest
    life of a message and two days. Where that cannot be kept, REFUSED (PROTOCOL 17)."""
    anyone: bool = True
    """False: some device acknowledged it already (a mailbox that moves here)."""
    done: tuple[DeviceKey, ...] = ()
    """Devices of the recipient that need no copy: their places in the mailbox move past it (what they skip on the way
    stepped aside)."""
    moved: bool = False
    """It stood in the user's mailbox at his old home, and moves here with him: it goes before all new mail, which waits
    aside until the last of it is in (PROTOCOL 24)."""


class StoreOutcome(StrEnum):
    """What became of a `StoreItem`."""

    STORED = "stored"
    KNOWN = "known"
    """The ingress key was seen within 10 minutes: the first answer again, with the first id."""
    LATE = "late"
    """Its deadline passed before the commit: not stored."""
    REFUSED = "refused"
    """No room: not stored; 503 with Retry-After. Of a `MoveItem`: it stays where it is."""
    GONE = "gone"
    """Of a `MoveItem`: its row is there no more; nothing was done."""


class StoreResult(Value, frozen=True, gc=False):
    """What became of one item, in the order given."""

    outcome: StoreOutcome
    seq: Seq = Seq(0)
    id: MessageId = MessageId("")
    """The first id where the key was known; else the item's own."""
    expires: float = 0.0
    """Node time at which its life ends."""
    queue: QueueName = QueueName("")
    """Not empty: it went into this queue and not where it was told to, and `seq` is 0, for it is not to be delivered
    now: new mail for a user who is moving here waits in his `arrivals_queue` (see `SettleMove`)."""


class StoreMessages(Value, frozen=True, gc=False):
    """Take messages into custody, all in one commit (with others that wait)."""

    reply_to: Ref[MessagesStored | CommandFailed]
    request: int
    items: tuple[StoreItem, ...]
    mail_to: Ref[MailStored] | None = None
    """Told what of it is in mailboxes now, for delivery: by the store itself, for whoever delivers must hear of all
    that comes into a mailbox in the order of its numbers, or it takes what it hears of late for delivered."""


class MessagesStored(Value, frozen=True, gc=False):
    """Results in the order of the items; what is STORED is on disk."""

    request: int
    results: tuple[StoreResult, ...]


class MoveItem(Value, frozen=True, gc=False):
    """A message that goes to the end of another queue, with new routing state."""

    seq: Seq
    queue: QueueName
    envelope: Envelope
    once: bool = False
    """As in `StoreItem`; if its id is known there, the row goes and the result is KNOWN."""


class MoveMessages(Value, frozen=True, gc=False):
    """Put these at the end of other queues, in this order, under new numbers.

    A number once told to a neighbour must not be met again on another link. What remains of their lives, and `anyone`,
    stays.
    """

    reply_to: Ref[MessagesMoved | CommandFailed]
    request: int
    items: tuple[MoveItem, ...]
    mail_to: Ref[MailStored] | None = None
    """As in `StoreMessages`."""


class MessagesMoved(Value, frozen=True, gc=False):
    """STORED with the new seq, KNOWN, REFUSED or GONE, for each item in order."""

    request: int
    results: tuple[StoreResult, ...]


class DropMessages(Value, frozen=True, gc=False):
    """Another node has them on its disk: their rows go. Never refused for lack of room. `MessagesAcknowledged`.

    Of mail that moved away with its user the store forgets that it had it, too: it may come back with him.
    """

    reply_to: Ref[MessagesAcknowledged | CommandFailed]
    request: int
    seqs: tuple[Seq, ...]


class FindAccepted(Value, frozen=True, gc=False):
    """Look up ingress keys without storing (a stale nonce, PROTOCOL 6).

    Answered by `MessagesStored`, each KNOWN or REFUSED.
    """

    reply_to: Ref[MessagesStored | CommandFailed]
    request: int
    keys: tuple[bytes, ...]


class Acknowledgement(Value, frozen=True, gc=False):
    """One device is done with one message; commit it, and drop the row if it was the last."""

    seq: Seq
    user: UserName
    device: DeviceKey
    id: MessageId
    remove: bool
    """The row goes: nobody else waits for it. The device's cursor need not be written then, the row is gone."""
    close: bool = False
    """A device answered 2xx: the slot `anyone` is closed (matters only when the row stays)."""
    end: End | None = None
    """Set when this ends the message."""
    reason: str = ""
    notice: StoreItem | None = None
    """A notice to the sender, stored in the same commit."""
    sender: UserName = UserName("")
    accepted: float = 0.0


class AcknowledgeMessages(Value, frozen=True, gc=False):
    """Record what devices answered. Never refused for lack of room; tried again alone after a roll-back."""

    reply_to: Ref[MessagesAcknowledged | CommandFailed]
    request: int
    items: tuple[Acknowledgement, ...]


class MessagesAcknowledged(Value, frozen=True, gc=False):
    """All of them are on disk. `notices` has a result for each item that had a notice, in order."""

    request: int
    notices: tuple[StoreResult, ...] = ()


class EndItem(Value, frozen=True, gc=False):
    """End a message for everybody: expired, user removed."""

    seq: Seq
    id: MessageId
    sender: UserName
    recipient: UserName
    accepted: float
    end: End
    reason: str
    notice: StoreItem | None = None


class EndMessages(Value, frozen=True, gc=False):
    """End messages, each with its notice, in one commit; answered by `MessagesAcknowledged`."""

    reply_to: Ref[MessagesAcknowledged | CommandFailed]
    request: int
    items: tuple[EndItem, ...]
    mail_to: Ref[MailStored] | None = None
    """Of the notices, as in `StoreMessages`."""


class ReadQueue(Value, frozen=True, gc=False):
    """The next messages of a queue with seq > `after`, oldest first, at most `limit` and about `max_bytes`."""

    reply_to: Ref[QueueRead | CommandFailed]
    request: int
    queue: QueueName
    after: Seq
    limit: int
    max_bytes: int = 1_000_000
    seqs: tuple[Seq, ...] = ()
    """If given, exactly these (as far as they still exist), and `after` is ignored."""


class QueueRead(Value, frozen=True, gc=False):
    """What was read; `more` tells that the queue goes on behind it. Damaged rows were put aside and are not in it."""

    request: int
    queue: QueueName
    messages: tuple[StoredMessage, ...]
    more: bool


class FindExpired(Value, frozen=True, gc=False):
    """Messages whose life has ended by now (node time), oldest first, at most `limit`."""

    reply_to: Ref[ExpiredFound | CommandFailed]
    request: int
    limit: int
    skip: tuple[Seq, ...] = ()
    """Not these: in flight."""
    mailboxes: bool = True
    """True: only in mailboxes and arrival queues; False: only in the queues of mail that goes elsewhere."""


class ExpiredFound(Value, frozen=True, gc=False):
    """They still stand in the store until `EndMessages`."""

    request: int
    messages: tuple[StoredMessage, ...]


class SaveRegistration(Value, frozen=True, gc=False):
    """A registration's outcome: these devices of the user as they are now, bindings included; others stay."""

    reply_to: Ref[RegistrationSaved | CommandFailed]
    request: int
    user: UserName
    devices: tuple[Device, ...]
    """`since` and `cursor` count only for devices the store does not have yet; a `since` of -1 asks it to fill in its
    newest seq."""
    create: bool = False
    """Create the account first (open mode)."""
    forget: tuple[DeviceKey, ...] = ()
    """Devices that lapsed: their rows go, and messages that only they still waited for."""


class RegistrationSaved(Value, frozen=True, gc=False):
    """On disk: the devices as stored now."""

    request: int
    user: UserName
    devices: tuple[Device, ...]


class SaveProgress(Value, frozen=True, gc=False):
    """A device's place in the mailbox (aside, attempt, cursor, seen) without an acknowledgement."""

    reply_to: Ref[RegistrationSaved | CommandFailed]
    request: int
    user: UserName
    device: Device


class SaveAccounts(Value, frozen=True, gc=False):
    """Create or replace accounts in one commit."""

    reply_to: Ref[AccountSaved | CommandFailed]
    request: int
    accounts: tuple[Account, ...]


class RemoveAccount(Value, frozen=True, gc=False):
    """Remove an account with its devices and bindings.

    Its mailbox should have been ended before; what is left is ended UNDELIVERABLE.
    """

    reply_to: Ref[AccountSaved | CommandFailed]
    request: int
    name: UserName


class AccountSaved(Value, frozen=True, gc=False):
    """The accounts are on disk (or gone)."""

    request: int


class ReadUsers(Value, frozen=True, gc=False):
    """Stream all users: `UsersRead` messages, the last with `last`."""

    reply_to: Ref[UsersRead | CommandFailed]
    request: int


class UsersRead(Value, frozen=True, gc=False):
    """Some users, all of them in order of name over the whole stream."""

    request: int
    users: tuple[User, ...]
    last: bool


class ReadUser(Value, frozen=True, gc=False):
    """One user as the disk has him: after a failure."""

    reply_to: Ref[UserRead | CommandFailed]
    request: int
    name: UserName


class UserRead(Value, frozen=True, gc=False):
    """None: he does not exist."""

    request: int
    name: UserName
    user: User | None


class SettleMove(Value, frozen=True, gc=False):
    """A user has arrived with all his mail: save the account, and put what stands in his `arrivals_queue` behind what
    stands in his mailbox, under new numbers, in one commit. Answered by `AccountSaved`."""

    reply_to: Ref[AccountSaved | CommandFailed]
    request: int
    account: Account


class SavedNeighbour(Value, frozen=True, gc=False):
    """A neighbour that an operator registered, or that introduced itself; or one that an operator removed."""

    node: NodeName
    address: str
    greeting: bool = False
    """It introduced itself: where it calls from next is its address."""
    removed: bool = False
    """It is none any more, and does not become one by calling; what waits for it goes elsewhere."""


class SaveNeighbour(Value, frozen=True, gc=False):
    """Remember a neighbour, or its new address."""

    reply_to: Ref[NeighbourSaved | CommandFailed]
    request: int
    neighbour: SavedNeighbour


class ForgetNeighbour(Value, frozen=True, gc=False):
    """Remember it no more. What waits for it stays until it is moved."""

    reply_to: Ref[NeighbourSaved | CommandFailed]
    request: int
    node: NodeName


class NeighbourSaved(Value, frozen=True, gc=False):
    """It is on disk, or gone from it."""

    request: int


class ReadNeighbours(Value, frozen=True, gc=False):
    """Which neighbours are remembered, and how full are the queues of mail that goes elsewhere?"""

    reply_to: Ref[NeighboursRead | CommandFailed]
    request: int


class QueueSize(Value, frozen=True, gc=False):
    """How many messages stand in a queue, and since when (wall-clock seconds of acceptance)."""

    queue: QueueName
    messages: int
    oldest: float


class ReadMailboxes(Value, frozen=True, gc=False):
    """Which mailboxes have mail?"""

    reply_to: Ref[MailboxesRead | CommandFailed]
    request: int
    after: UserName = UserName("")
    """Only those of users with a greater name."""
    limit: int = 100


class MailboxesRead(Value, frozen=True, gc=False):
    """Mailboxes that are not empty, by name."""

    request: int
    mailboxes: tuple[QueueSize, ...]
    more: bool
    """There are more behind the last."""


class NeighboursRead(Value, frozen=True, gc=False):
    """All of them, by name; the queues that are not empty."""

    request: int
    neighbours: tuple[SavedNeighbour, ...]
    queues: tuple[QueueSize, ...]


class OpenStore(Value, frozen=True, gc=False):
    """Tell me what a node must know before it serves."""

    reply_to: Ref[StoreOpened]
    request: int


class StoreOpened(Value, frozen=True, gc=False):
    """The store is open.

    Node time is `node_offset` + the clock's monotonic seconds: it goes on where the last run ended, plus the wall-clock
    time between (0 to one day), so that a wrong clock expires nothing (PROTOCOL 15).
    """

    request: int
    node_key: bytes
    """32 random bytes drawn when the data folder was made."""
    realm: str
    node_offset: float
    last_seq: Seq
    incarnation: str = ""
    """Names this data folder as long as it goes on where it ended; drawn anew when a backup was put back."""


class ReadMessageState(Value, frozen=True, gc=False):
    """Where is this message? For `where`."""

    reply_to: Ref[MessageStateRead]
    request: int
    id: MessageId


class MessageStateRead(Value, frozen=True, gc=False):
    """In custody (`stored`, `queue`), ended, or neither: never seen or forgotten."""

    request: int
    stored: StoredMessage | None
    queue: QueueName | None
    ended: EndedMessage | None


class ReadStoreStats(Value, frozen=True, gc=False):
    """How full is the store?"""

    reply_to: Ref[StoreStatsRead]
    request: int


class StoreStatsRead(Value, frozen=True, gc=False):
    """Counts and sizes: rows in custody, by queue kind, users, bytes on disk, damaged rows put aside, commits."""

    request: int
    messages: int
    users: int
    bytes: int
    damaged: int
    commits: int
    oldest_age: float
    """Seconds since acceptance of the oldest message in custody; 0 when empty."""


StorageCommand = (
    StoreMessages
    | FindAccepted
    | MoveMessages
    | DropMessages
    | AcknowledgeMessages
    | EndMessages
    | ReadQueue
    | FindExpired
    | SaveRegistration
    | SaveProgress
    | SaveAccounts
    | RemoveAccount
    | SettleMove
    | SaveNeighbour
    | ForgetNeighbour
    | ReadNeighbours
    | ReadMailboxes
    | ReadUsers
    | ReadUser
    | OpenStore
    | ReadMessageState
    | ReadStoreStats
    | Wake
    | Ping
)
