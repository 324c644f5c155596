"""What Monitor hears: facts in batches, and questions about them."""

from __future__ import annotations

from enum import StrEnum

from actors.messages.lifecycle import ActorFailed, Ping, Wake
from actors.model import MessageId, Step, Value
from actors.ref import Ref


class Level(StrEnum):
    """How much an event matters to the operator."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"
    """Something that needs a person; stays until cleared."""


class JourneySteps(Value, frozen=True, gc=False):
    """The same step for many messages at one moment."""

    at: float
    """Wall-clock seconds."""
    step: Step
    ids: tuple[MessageId, ...]
    details: tuple[str, ...] = ()
    """One for each id (device, answer, reason), or none at all."""


class ReportEvent(Value, frozen=True, gc=False):
    """Something an operator may want to read: `registered`, `refused`, `flow-closed`, ..."""

    at: float
    level: Level
    kind: str
    text: str
    user: str = ""
    message_id: str = ""


class RaiseAlarm(Value, frozen=True, gc=False):
    """A lasting trouble, by name: what it is and what to do."""

    name: str
    text: str
    advice: str


class ClearAlarm(Value, frozen=True, gc=False):
    """The trouble of that name is over."""

    name: str


class CountFacts(Value, frozen=True, gc=False):
    """Add to counters (base units, Prometheus names without prefix): ((name, amount), ...)."""

    counts: tuple[tuple[str, float], ...]


class SetGauges(Value, frozen=True, gc=False):
    """Set gauges to what they are now: ((name, value), ...)."""

    gauges: tuple[tuple[str, float], ...]


class Subscribe(Value, frozen=True, gc=False):
    """Tell this ref every event from now on, and the alarms; again: change what it is told."""

    subscriber: Ref[ReportEvent | RaiseAlarm | ClearAlarm | JourneySteps]
    steps: bool = False
    """Tell it all steps of messages too, batch by batch as they come in: the subscriber must be quick."""


class Unsubscribe(Value, frozen=True, gc=False):
    """Tell it no more."""

    subscriber: Ref[ReportEvent | RaiseAlarm | ClearAlarm | JourneySteps]


class ReadJourney(Value, frozen=True, gc=False):
    """What happened to this message, as far as memory reaches?"""

    reply_to: Ref[JourneyRead]
    request: int
    id: MessageId


class JourneyStep(Value, frozen=True, gc=False):
    """One step of one message."""

    at: float
    step: Step
    detail: str


class JourneyRead(Value, frozen=True, gc=False):
    """Steps by time."""

    request: int
    steps: tuple[JourneyStep, ...]


class ReadMonitor(Value, frozen=True, gc=False):
    """Recent events (newest last, at most `limit`), alarms, counters and gauges."""

    reply_to: Ref[MonitorRead]
    request: int
    limit: int = 100


class MonitorRead(Value, frozen=True, gc=False):
    """The monitor's memory."""

    request: int
    events: tuple[ReportEvent, ...]
    alarms: tuple[RaiseAlarm, ...]
    counters: dict[str, float]
    gauges: dict[str, float]


MonitorCommand = (
    JourneySteps
    | ReportEvent
    | RaiseAlarm
    | ClearAlarm
    | CountFacts
    | SetGauges
    | Subscribe
    | Unsubscribe
    | ReadJourney
    | ReadMonitor
    | ActorFailed
    | Wake
    | Ping
)
