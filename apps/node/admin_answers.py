"""What the admin interface takes and answers, as types: times are Unix seconds, nothing here holds a secret.

The names are the keys of the JSON. Scripts rely on them: they are added to, never changed.
"""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from actors.model import Value


class Problem(Value, frozen=True):
    """Every answer but success: one word for programs, one sentence for people."""

    error: str
    detail: str


class Named(Value, frozen=True):
    """What was created, changed or removed."""

    name: str


# The node.


class Alarm(Value, frozen=True):
    """A lasting trouble, and what to do."""

    name: str
    text: str
    advice: str


class Status(Value, frozen=True):
    """Who a node is and how it is doing."""

    name: str
    realm: str
    version: str
    addresses: tuple[str, ...]
    pid: int
    uptime_seconds: float
    rss_bytes: int
    users: int
    messages: int
    """In custody."""
    oldest_age_seconds: float
    store_bytes: int
    damaged: int
    """Rows of the store that were put aside."""
    commits: int
    online: int | None
    """Users that can be reached now; null: nobody counts them, and they are many."""
    ready: bool
    alarms: tuple[Alarm, ...]
    counters: dict[str, float]
    gauges: dict[str, float]


class Readiness(Value, frozen=True):
    """Whether the node takes messages, and if not, why."""

    ready: bool
    reasons: tuple[str, ...]


class Event(Value, frozen=True):
    """Something an operator may want to read."""

    at: float
    level: str
    kind: str
    text: str
    user: str
    message_id: str


class Events(Value, frozen=True):
    """Recent events, newest last."""

    events: tuple[Event, ...]


# Users.


class BindingView(Value, frozen=True):
    """A contact and the way to it."""

    contact: str
    transport: str
    """`udp`, `tcp`, ...; `path`: through the server `host`."""
    host: str
    port: int
    expires_in_seconds: float


class DeviceView(Value, frozen=True):
    """A device and the contacts it can be reached at."""

    key: str
    seen_seconds_ago: float
    bindings: tuple[BindingView, ...]


class UserView(Value, frozen=True):
    """A user with his devices."""

    name: str
    has_password: bool
    online: bool
    in_flight: int
    home: str | None
    """The server he has moved to; null: he lives here."""
    devices: tuple[DeviceView, ...]


class UsersPage(Value, frozen=True):
    """Users by name."""

    users: tuple[UserView, ...]
    total: int
    """Of all users here."""
    next: str | None
    """`after` of the next page; null: there is none."""


class NewUser(Value, frozen=True):
    """A user to add, with a password or with both of its hashes."""

    name: str
    password: str = ""
    ha1_md5: str = ""
    ha1_sha256: str = ""
    replace: bool = False
    """Set an existing user's password."""


class ImportUsers(Value, frozen=True):
    """Users to create or replace, all in one commit."""

    users: tuple[NewUser, ...]


class Imported(Value, frozen=True):
    """How many were imported."""

    users: int


class NewBinding(Value, frozen=True):
    """A contact of a phone that does not register itself."""

    contact: str
    """`sip:NAME@ADDRESS[:PORT]`; the address is one of IP, port 5060 unless given."""
    expires: int = 3600
    """Seconds from 60 to 7200."""


class Move(Value, frozen=True):
    """Where a user is to live."""

    to: str


class Moved(Value, frozen=True):
    """Where a user lives now."""

    name: str
    home: str


# Mail.


class Waiting(Value, frozen=True, rename={"sender": "from"}):
    """A message that waits."""

    id: str
    seq: int
    sender: str
    accepted: float
    expires: float
    expires_in_seconds: float
    size: int
    content_type: str
    anyone: bool
    """No device has acknowledged it yet."""
    notice: bool
    body_base64: str | UnsetType = UNSET
    """Only if it was asked for."""


class Mailbox(Value, frozen=True):
    """What waits for a user, oldest first."""

    name: str
    messages: tuple[Waiting, ...]
    more: bool
    home: str | None
    """The server he has moved to."""


class StepView(Value, frozen=True):
    """One step of a message."""

    at: float
    step: str
    detail: str


class MessageView(Value, frozen=True, rename={"sender": "from", "recipient": "to"}):
    """Where a message is and how it got there."""

    id: str
    state: str
    queue: str | None = None
    reason: str = ""
    sender: str | UnsetType = UNSET
    recipient: str | UnsetType = UNSET
    accepted: float | UnsetType = UNSET
    size: int | UnsetType = UNSET
    ended: float | UnsetType = UNSET
    journey: tuple[StepView, ...] = ()
    error: str | UnsetType = UNSET
    """`unknown`, with 404."""
    detail: str | UnsetType = UNSET


class Queue(Value, frozen=True):
    """A queue in custody of this node."""

    kind: str
    """`neighbour`, `unrouted` or `mailbox`."""
    name: str
    """Of the neighbour or user; empty for the unrouted."""
    waiting: int
    oldest_age_seconds: float
    """Since acceptance of the oldest message; 0: unknown, or none waits."""
    in_flight: int
    in_doubt: int
    """Sent to a neighbour without an answer so far: only it can tell whether it has them."""


class Queues(Value, frozen=True):
    """Neighbours' queues, the unrouted, then mailboxes with mail by name."""

    queues: tuple[Queue, ...]
    next: str | None
    """`after` of the next page; null: there is none."""


# Other servers.


class NeighbourView(Value, frozen=True):
    """A neighbour and its queue."""

    name: str
    address: str
    origin: str
    """`setting`, `command` or `greeting`: it introduced itself."""
    up: bool
    hears_us: bool
    since_seconds_ago: float
    reason: str
    waiting: int
    in_flight: int
    in_doubt: int
    oldest_age_seconds: float
    sent: int
    received: int


class Neighbours(Value, frozen=True):
    """Neighbours by name."""

    node: str
    neighbours: tuple[NeighbourView, ...]
    unrouted: int


class NewNeighbour(Value, frozen=True):
    """A neighbour to register."""

    name: str
    address: str


class RouteView(Value, frozen=True):
    """Where a user lives, or with an empty name the way to a node, as the Router has learned it."""

    name: str
    home: str
    next_hop: str
    epoch: int
    hops: int


class Routes(Value, frozen=True):
    """What the Router knows."""

    routes: tuple[RouteView, ...]
    names_here: int
    learned: int
    nodes: int
    searches: int
    state_bytes: int
