"""What the console remembers of one node: its newest figures and a bounded past."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

from msgspec import Struct

from apps.monitor.frames import (
    Alarm,
    AlarmOver,
    Dropped,
    Event,
    Flow,
    Frame,
    Hello,
    Log,
    Sample,
    Stats,
    Steps,
    User,
)

T = TypeVar("T")
POINTS = 600
EVENTS = 500
LOGS = 1_000
FLOWS = 200
PENDING = 5_000
"""Messages whose acceptance was seen and whose acknowledgement may still come."""
PULSES = ("accepted", "acknowledged")
"""Steps that lead to no other node; they are kept as flows without a place to go."""
COUNTED = {
    "accepted": "messages_accepted_total",
    "forwarded": "messages_forwarded_total",
    "acknowledged": "messages_acknowledged_total",
}


class Point(Struct, frozen=True, gc=False):
    """A node's figures for the plots; rates are messages a second since the point before."""

    at: float
    accepted: float
    forwarded: float
    acknowledged: float
    messages: int
    links: int
    """Messages that wait for neighbours."""
    rss_bytes: int
    cpu: float
    """Part of one core, since the point before."""
    latency: float | None
    """Median seconds from acceptance to a device's acknowledgement, of the messages seen; None: none were."""


class Tail(Generic[T]):
    """The newest items of a stream; a reader keeps the number it has read up to."""

    def __init__(self, most: int) -> None:
        """Keep at most so many."""
        self._items: deque[T] = deque(maxlen=most)
        self.count = 0
        """How many there were ever."""

    def add(self, item: T) -> None:
        """Append one; the oldest goes where it would be too many."""
        self._items.append(item)
        self.count += 1

    def since(self, number: int) -> list[T]:
        """Return what came after the first `number` items, as far as it is kept."""
        new = min(max(0, self.count - number), len(self._items))
        return list(self._items)[len(self._items) - new :]


class Latencies:
    """Times from acceptance to acknowledgement, over all nodes of a console: a message crosses several."""

    def __init__(self, most: int = PENDING) -> None:
        """Remember at most so many messages on their way."""
        self._most = most
        self._accepted: OrderedDict[str, float] = OrderedDict()

    def take(self, sample: Sample) -> float | None:
        """Hear of a step; the first acknowledgement of a message whose acceptance was seen gives the time."""
        if sample.step == "accepted":
            self._accepted[sample.id] = sample.at
            if len(self._accepted) > self._most:
                self._accepted.popitem(last=False)
        elif sample.step == "acknowledged":
            accepted = self._accepted.pop(sample.id, None)
            return None if accepted is None else max(0.0, sample.at - accepted)
        return None


class NodeView:
    """One node as the console knows it; only `NodeSource` writes here."""

    def __init__(self, label: str, latencies: Latencies | None = None) -> None:
        """Begin with nothing but where the node is looked for."""
        self.label = label
        self.name = ""
        self.version = ""
        self.connected = False
        self.reason = "not asked yet"
        self.lost_at: float | None = None
        self.stats: Stats | None = None
        self.alarms: dict[str, Alarm] = {}
        self.users: list[User] = []
        self.users_total = 0
        self.points: deque[Point] = deque(maxlen=POINTS)
        self.events: Tail[Event] = Tail(EVENTS)
        self.logs: Tail[Log] = Tail(LOGS)
        self.flows: Tail[Flow] = Tail(FLOWS)
        self.dropped = 0
        self.misread = 0
        """Frames of a form this console does not know."""
        self.last_line = 0
        """Number of the newest line of its log."""
        self._on_the_way = latencies or Latencies()
        self._latencies: list[float] = []

    @property
    def title(self) -> str:
        """Its name, or where it is looked for while it has not told its name."""
        return self.name or self.label

    def take(self, frame: Frame) -> None:
        """Remember what a frame tells."""
        match frame:
            case Hello():
                self._hello(frame)
            case Stats():
                self._stats(frame)
            case Steps():
                self._steps(frame)
            case Event():
                self.events.add(frame)
            case Log():
                self._log(frame)
            case Alarm():
                self.alarms[frame.name] = frame
            case AlarmOver():
                self.alarms.pop(frame.name, None)
            case Dropped():
                self.dropped += frame.frames

    def lost(self, reason: str, at: float) -> None:
        """Note that the connection ended, or did not come about."""
        if self.connected or self.lost_at is None:
            self.lost_at = at
        self.connected = False
        self.reason = reason
        self.last_line = 0
        # What it said of its alarms is no longer known to be so; it tells them again when it is back.
        self.alarms.clear()

    def _hello(self, hello: Hello) -> None:
        self.name, self.version = hello.node, hello.version
        self.connected, self.reason, self.lost_at = True, "", None
        self.alarms.clear()

    def _log(self, line: Log) -> None:
        # A line may come twice: in the answer that a page begins with, and live.
        if not line.number or line.number > self.last_line:
            self.last_line = line.number
            self.logs.add(line)

    def _stats(self, stats: Stats) -> None:
        before, self.stats = self.stats, stats
        self.points.append(point(before, stats, middle(self._latencies)))
        self._latencies.clear()

    def _steps(self, steps: Steps) -> None:
        for flow in steps.flows:
            self.flows.add(flow)
        for step in PULSES:
            if steps.steps.get(step):
                self.flows.add(Flow(step, "", steps.steps[step]))
        for sample in steps.samples:
            passed = self._on_the_way.take(sample)
            if passed is not None and len(self._latencies) < PENDING:
                self._latencies.append(passed)


def point(before: Stats | None, now: Stats, latency: float | None) -> Point:
    """Turn two readings into rates; a node that started anew in between begins at 0 again."""
    passed = now.at - before.at if before is not None else 0.0

    def rate(new: float, old: float) -> float:
        return round((new - old if new >= old else new) / passed, 3) if passed > 0 else 0.0

    old = before.counters if before is not None else {}
    rates = {key: rate(now.counters.get(name, 0.0), old.get(name, 0.0)) for key, name in COUNTED.items()}
    return Point(
        at=now.at,
        **rates,
        messages=now.messages,
        links=sum(item.waiting for item in now.neighbours),
        rss_bytes=now.rss_bytes,
        cpu=rate(now.cpu_seconds, before.cpu_seconds if before is not None else 0.0),
        latency=latency,
    )


def middle(values: list[float]) -> float | None:
    """Return the upper median, or None of nothing."""
    return sorted(values)[len(values) // 2] if values else None
