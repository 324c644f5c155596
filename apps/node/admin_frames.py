"""The frames of `/v1/live`: JSON objects told apart by their key `type`."""

from __future__ import annotations

from actors.messages.monitor import ClearAlarm, RaiseAlarm, ReportEvent
from actors.model import Value
from apps.common.log_lines import LogLine
from apps.node import admin_views as views
from apps.node.admin_answers import Alarm, NeighbourView


class Hello(Value, frozen=True, tag_field="type", tag="hello"):
    """The first frame."""

    node: str
    version: str
    at: float


class EventFrame(Value, frozen=True, tag_field="type", tag="event"):
    """Something an operator may want to read."""

    at: float
    level: str
    kind: str
    text: str
    user: str = ""
    message_id: str = ""


class AlarmFrame(Value, frozen=True, tag_field="type", tag="alarm"):
    """A lasting trouble."""

    name: str
    text: str
    advice: str


class AlarmOver(Value, frozen=True, tag_field="type", tag="alarm-over"):
    """The trouble of that name is over."""

    name: str


class Stats(Value, frozen=True, tag_field="type", tag="stats"):
    """How the node is doing."""

    at: float
    uptime_seconds: float
    rss_bytes: int
    cpu_seconds: float
    """That the process has used so far, of all cores."""
    users: int
    online: int | None
    messages: int
    oldest_age_seconds: float
    store_bytes: int
    unrouted: int
    counters: dict[str, float]
    gauges: dict[str, float]
    alarms: tuple[Alarm, ...]
    neighbours: tuple[NeighbourView, ...]


class FlowCount(Value, frozen=True):
    """Messages that took a step towards another node."""

    step: str
    to: str
    messages: int


class Sample(Value, frozen=True):
    """A step of one message."""

    id: str
    step: str
    detail: str
    at: float


class Steps(Value, frozen=True, tag_field="type", tag="steps"):
    """What happened to messages since the last frame of this kind."""

    at: float
    steps: dict[str, int]
    """How many messages took each step."""
    flows: tuple[FlowCount, ...]
    samples: tuple[Sample, ...]
    """The newest of them."""


class LogFrame(Value, frozen=True, tag_field="type", tag="log"):
    """A line of the log."""

    number: int
    at: float
    level: str
    message: str
    place: str
    fields: dict[str, str]


class Dropped(Value, frozen=True, tag_field="type", tag="dropped"):
    """So many frames are missing before the next one: the reader was too slow."""

    frames: int


Frame = Hello | EventFrame | AlarmFrame | AlarmOver | Stats | Steps | LogFrame | Dropped
Told = ReportEvent | RaiseAlarm | ClearAlarm | LogLine
"""What becomes a frame when it is sent."""


def frame(item: Frame | Told) -> Frame:
    """Return the frame of what was told."""
    match item:
        case ReportEvent():
            event = views.event(item)
            return EventFrame(event.at, event.level, event.kind, event.text, event.user, event.message_id)
        case RaiseAlarm():
            alarm = views.alarm(item)
            return AlarmFrame(alarm.name, alarm.text, alarm.advice)
        case ClearAlarm():
            return AlarmOver(item.name)
        case LogLine():
            return LogFrame(item.number, item.at, item.level, item.message, item.place, item.fields)
        case _:
            return item
