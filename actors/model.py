"""Values that every room of Angarium shares: names, ids, envelopes, flows, devices and bindings."""

from __future__ import annotations

from enum import StrEnum
from typing import NewType

import msgspec

MessageId = NewType("MessageId", str)
"""Names a message from origin to device: made once, by the node that accepts it."""
UserName = NewType("UserName", str)
"""The user part of an AOR, percent-decoded; one flat name space per network, case matters (RFC 3261 19.1.4)."""
NodeName = NewType("NodeName", str)
QueueName = NewType("QueueName", str)
"""A custody queue of the store: `mailbox_queue(user)`, `neighbour_queue(node)` or `UNROUTED`."""
Seq = NewType("Seq", int)
"""Order of storing at this node, across restarts; the first is 1."""
DeviceKey = NewType("DeviceKey", str)
"""What makes a device the same one again: `instance:<urn>` or `contact:user@host:port` (RFC 5626 4.1)."""
TransactionKey = NewType("TransactionKey", bytes)
"""Names one server transaction of a SipAdapter; opaque to everyone else."""
Seconds = NewType("Seconds", float)
Header = tuple[bytes, bytes]
"""A header as it stands on the wire: name and unfolded value."""

UNROUTED = QueueName("?")
MAX_LEGS = 8
"""Legs of a message's way at most (PROTOCOL 20)."""
MAX_STEPS = 70
"""Hand-overs of a message between servers at most: the last guard against circles (RFC 3261 8.1.1.6)."""
POSTMASTER = UserName("postmaster")
"""The reserved name that notices come from; what it is sent is swallowed."""


def mailbox_queue(user: UserName) -> QueueName:
    """Name the queue of what waits for a user of this node."""
    return QueueName(f"u:{user}")


def neighbour_queue(node: NodeName) -> QueueName:
    """Name the queue of what waits for a neighbour."""
    return QueueName(f"n:{node}")


def arrivals_queue(user: UserName) -> QueueName:
    """Name the queue of new mail for a user who is just moving here: it follows what comes from his old home."""
    return QueueName(f"w:{user}")


def queue_node(queue: QueueName) -> NodeName | None:
    """Tell which neighbour a queue waits for, None for other queues."""
    return NodeName(queue[2:]) if queue.startswith("n:") else None


def queue_user(queue: QueueName) -> UserName | None:
    """Tell whose mailbox a queue is, None for other queues."""
    return UserName(queue[2:]) if queue.startswith("u:") else None


class Value(msgspec.Struct, frozen=True, gc=False):
    """Base of all values and messages: immutable, slotted, without cycles (so the collector may skip them)."""


class Proof(StrEnum):
    """How the sender of a message was proved."""

    DIGEST = "digest"
    PEER = "peer"
    FLOW = "flow"
    """Open mode, but over a flow that this sender registered over."""
    OPEN = "open"
    NODE = "node"
    """Made by this node itself, as notices are."""


class End(StrEnum):
    """The one end of a message."""

    DELIVERED = "delivered"
    EXPIRED = "expired"
    REFUSED = "refused"
    UNDELIVERABLE = "undeliverable"


class Step(StrEnum):
    """A step of a message's journey."""

    ACCEPTED = "accepted"
    STORED = "stored"
    SENT = "sent"
    ANSWERED = "answered"
    ACKNOWLEDGED = "acknowledged"
    WAITING = "waiting"
    STEPPED_ASIDE = "stepped-aside"
    FORWARDED = "forwarded"
    SEARCHED = "searched"
    RELAYED = "relayed"
    DROPPED = "dropped"
    ENDED = "ended"


class Routing(Value, frozen=True, gc=False, array_like=True):
    """What a message carries between servers; absent while it has seen one node only."""

    origin: str
    """The node that accepted it from its sender."""
    home: str = ""
    """The node believed to be the recipient's home; empty: nobody has said yet."""
    leg: int = 0
    """Stretch of its way, from 0; a node that proves not to be the home begins a new one (PROTOCOL 20)."""
    path: tuple[str, ...] = ()
    """The last nodes it passed, in order, over all legs; the newest last."""
    visited: tuple[str, ...] = ()
    """The nodes that held it in this leg, in order: none of them gets it again in this leg."""
    epoch: int = 0
    """Epoch of the claim by which `home` was believed (PROTOCOL 23); 0: none, as from a summary."""
    step: int = 0
    """Hand-overs so far; past `MAX_STEPS` it ends."""
    vouch: str = ""
    """Hex of a MAC by which the origin knows a message of its own again, if it comes back (PROTOCOL 25)."""
    grant: str = ""
    """Hex by which the sender's home knows that it has proved him to the origin: `state.grants` (PROTOCOL 25)."""


class Envelope(Value, frozen=True, gc=False, array_like=True):
    """A message in custody. Stored as an array: new fields go to the end, with a default."""

    id: MessageId
    sender: UserName
    recipient: UserName
    call_id: bytes
    """Call-ID towards devices: the sender's, suffixed if he used it before to this recipient."""
    headers: tuple[Header, ...]
    """Headers worth keeping, canonical names: Content-Type, Content-Encoding, Date, Priority, Expires, ..."""
    body: bytes
    accepted: float
    """Wall-clock time of acceptance in seconds since 1970; for display only."""
    proof: Proof
    display: bytes = b""
    """Display name of the sender as it stood in From, quotes included."""
    notice: bool = False
    """A notice causes no notice."""
    routing: Routing | None = None


class StoredMessage(Value, frozen=True, gc=False):
    """An envelope with its place in a queue of this node."""

    seq: Seq
    envelope: Envelope
    anyone: bool
    """No device of the recipient has acknowledged it yet (PROTOCOL: the slot `anyone`)."""
    expires: float
    """Node time at which its life ends (seconds; see `messages.storage.StoreOpened`)."""


class Flow(Value, frozen=True, gc=False):
    """The way a packet came and the way back: a UDP address pair or one stream connection (RFC 5626)."""

    transport: str
    """`udp`, `tcp`; lower case. `path`: over other servers, `host` being the node at the edge (RFC 3327)."""
    listener: int
    """Index of the listening address of this node."""
    host: str
    port: int
    connection: int = 0
    """Number of the stream connection, unique in this run of the node; 0 for datagrams."""


class Binding(Value, frozen=True, gc=False):
    """One live contact of a device (RFC 3261 10.3) with the flow it registered over."""

    contact: bytes
    """Contact URI exactly as it was sent: JsSIP and SIP.js ignore a 200 that does not list it unchanged."""
    flow: Flow
    expires: float
    """Node time at which it lapses."""
    call_id: bytes
    cseq: int
    aor_host: str
    """host[:port] of the To URI: what this phone calls the network; From and To towards it use it."""
    q: float = 1.0
    params: tuple[Header, ...] = ()
    """Other contact parameters, sent back as they came (`+sip.instance`, `reg-id`)."""
    path: tuple[bytes, ...] = ()
    """For a flow `path`: the nodes from here to the edge, then the edge's own token for the flow."""


class Device(Value, frozen=True, gc=False):
    """A device of a user and how far it has got in his mailbox."""

    key: DeviceKey
    since: Seq
    """The last seq stored when it was first seen: of older messages it gets only those open to anyone."""
    cursor: Seq
    """It is done with everything up to here, but for what stands in `aside`."""
    seen: float
    """Node time of its last authenticated sign of life."""
    aside: tuple[Seq, ...] = ()
    """Messages it never answered: they stepped aside, later ones go first."""
    attempt: int = 0
    """Attempt number of the message behind the cursor: rises only after a full Timer F."""
    attempt_seq: Seq = Seq(0)
    """The message that `attempt` counts; for any other message the attempt is 0."""
    bindings: tuple[Binding, ...] = ()


class FormerHome(Value, frozen=True, gc=False, array_like=True):
    """A home that a user had before: what it accepted from him, or granted, may still be on its way (PROTOCOL 25)."""

    node: NodeName
    key: str
    """Hex of the key of its grants for him (`state.grants`); empty: it told none."""
    offset: float
    """What to add to its node time for this node's."""
    until: float
    """Node time until which all this counts."""


class Account(Value, frozen=True, gc=False):
    """A user of this node. Without hashes: made by registering in open mode, or without a password yet."""

    name: UserName
    ha1_md5: str = ""
    """H(user:realm:password), RFC 7616 3.4.2, lower-case hex; never logged, never leaves the node."""
    ha1_sha256: str = ""
    created: float = 0.0
    """Wall-clock seconds."""
    epoch: int = 1
    """Of the claim that this node is the user's home (PROTOCOL 23); each move raises it."""
    home: NodeName = NodeName("")
    """Not empty: the user has moved there, and this account only points the way (PROTOCOL 24)."""
    coming_from: NodeName = NodeName("")
    """Not empty: he is moving here from there; nothing is delivered to him until the last of his mail is in."""
    serving: bool = True
    """False: prepared for a move here that its old home has not decided yet."""
    leaving: bool = False
    """With `home`: what he left here, mail and devices, is still on its way there."""
    formers: tuple[FormerHome, ...] = ()
    """His homes before this one; those whose time is over may still stand here."""

    @property
    def is_here(self) -> bool:
        """Tell whether this node is the user's home."""
        return not self.home and self.serving

    @property
    def has_password(self) -> bool:
        """Tell whether this user must prove who he is."""
        return bool(self.ha1_md5 or self.ha1_sha256)


class User(Value, frozen=True, gc=False):
    """Everything the store knows of a user: read at start, and again after a failure."""

    account: Account
    devices: tuple[Device, ...] = ()
    waiting: int = 0
    """Messages in his mailbox (0 or more; a lower bound of 1 is enough to start delivery)."""


class EndedMessage(Value, frozen=True, gc=False, array_like=True):
    """What the store keeps of a message after its end, for `where`."""

    id: MessageId
    sender: UserName
    recipient: UserName
    accepted: float
    ended: float
    end: End
    reason: str = ""
