"""What a node tells its console: frames of `/v1/live`, and the few answers that the console keeps.

Fields that a newer node adds are ignored; a frame of an unknown or wrong form raises `msgspec.ValidationError`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Hello(Struct, frozen=True, tag="hello"):
    """The first frame of a connection."""

    node: str
    version: str = ""
    at: float = 0.0


class Event(Struct, frozen=True, tag="event"):
    """Something that an operator may want to read."""

    at: float
    level: str
    kind: str
    text: str
    user: str = ""
    message_id: str = ""


class Alarm(Struct, frozen=True, tag="alarm"):
    """A lasting trouble began, or stands."""

    name: str
    text: str
    advice: str = ""


class AlarmOver(Struct, frozen=True, tag="alarm-over"):
    """It is over."""

    name: str


class Neighbour(Struct, frozen=True):
    """A link, as the node at one end sees it."""

    name: str
    address: str = ""
    up: bool = False
    hears_us: bool = False
    since_seconds_ago: float = 0.0
    reason: str = ""
    waiting: int = 0
    in_flight: int = 0
    in_doubt: int = 0
    oldest_age_seconds: float = 0.0
    sent: int = 0
    received: int = 0
    origin: str = ""


class Stats(Struct, frozen=True, tag="stats"):
    """The node's figures at one moment."""

    at: float
    uptime_seconds: float = 0.0
    rss_bytes: int = 0
    cpu_seconds: float = 0.0
    users: int = 0
    online: int | None = None
    messages: int = 0
    oldest_age_seconds: float = 0.0
    store_bytes: int = 0
    unrouted: int = 0
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    alarms: list[dict[str, Any]] = []
    neighbours: list[Neighbour] = []


class Flow(Struct, frozen=True):
    """How many messages took a step towards one place since the last frame."""

    step: str
    to: str
    messages: int


class Sample(Struct, frozen=True):
    """One message's step."""

    id: str
    step: str
    at: float
    detail: str = ""


class Steps(Struct, frozen=True, tag="steps"):
    """What messages did since the last frame."""

    at: float
    steps: dict[str, int] = {}
    flows: list[Flow] = []
    samples: list[Sample] = []


class Log(Struct, frozen=True, tag="log"):
    """A line of the node's log; `number` counts them, from 1 again when the node starts anew."""

    at: float
    level: str
    message: str
    place: str = ""
    fields: dict[str, Any] = {}
    number: int = 0


class Dropped(Struct, frozen=True, tag="dropped"):
    """So many frames were lost because this console read too slowly."""

    frames: int


Frame = Hello | Event | Alarm | AlarmOver | Stats | Steps | Log | Dropped
decode = msgspec.json.Decoder(Frame).decode
"""Read the text of one frame."""


class Binding(Struct, frozen=True):
    """A contact of a device, and the way to it."""

    contact: str
    transport: str = ""
    host: str = ""
    port: int = 0
    expires_in_seconds: float = 0.0


class Device(Struct, frozen=True):
    """A device of a user."""

    key: str
    seen_seconds_ago: float = 0.0
    bindings: list[Binding] = []


class User(Struct, frozen=True):
    """A user of a node; `home` names the node he moved to."""

    name: str
    online: bool = False
    in_flight: int = 0
    has_password: bool = False
    home: str | None = None
    devices: list[Device] = []


class Users(Struct, frozen=True):
    """A page of users."""

    users: list[User]
    total: int = 0
    next: str | None = None
