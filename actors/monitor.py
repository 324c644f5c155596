"""Monitor: remembers recent events, journeys, alarms and numbers, and writes the program log."""

from __future__ import annotations

from collections import deque
from typing import assert_never

from loguru import logger

from actors.base import ActorBase, Context
from actors.messages.lifecycle import ActorFailed, Ping, Wake
from actors.messages.monitor import (
    ClearAlarm,
    CountFacts,
    JourneyRead,
    JourneySteps,
    Level,
    MonitorCommand,
    MonitorRead,
    RaiseAlarm,
    ReadJourney,
    ReadMonitor,
    ReportEvent,
    SetGauges,
    Subscribe,
    Unsubscribe,
)
from actors.ref import ActorRef, Ref
from actors.state.journey import CAPACITY, Journeys
from actors.state.log_lines import LogLimit, printable

EVENTS = 1_000
"""Recent events kept."""
LOG_LEVELS = {Level.DEBUG: "DEBUG", Level.INFO: "INFO", Level.WARNING: "WARNING", Level.ALARM: "ERROR"}

Notable = ReportEvent | RaiseAlarm | ClearAlarm | JourneySteps
Subscriber = Ref[Notable]


class Monitor(ActorBase[MonitorCommand]):
    """Hears facts from all actors; nothing waits for it, and nothing is written per accepted message."""

    name = "monitor"

    def __init__(self, *, context: Context, journeys: int = CAPACITY, events: int = EVENTS) -> None:
        super().__init__(context=context)
        self._journeys = Journeys(journeys)
        self._events: deque[ReportEvent] = deque(maxlen=events)
        self._alarms: dict[str, RaiseAlarm] = {}
        self._counters: dict[str, float] = {}
        self._gauges: dict[str, float] = {}
        self._subscribers: dict[str, Subscriber] = {}
        self._step_subscribers: dict[str, Subscriber] = {}
        self._limit = LogLimit()

    def handle(self, message: MonitorCommand) -> None:  # noqa: C901  # one flat match over the whole mailbox
        """Serve one command; the most frequent come first."""
        match message:
            case JourneySteps():
                self._journeys.add(message)
                if self._step_subscribers:
                    self._publish(message, self._step_subscribers)
            case CountFacts():
                for name, amount in message.counts:
                    self._counters[name] = self._counters.get(name, 0.0) + amount
            case SetGauges():
                self._gauges.update(message.gauges)
            case ReportEvent():
                self._report(message)
            case RaiseAlarm():
                self._raise(message)
            case ClearAlarm():
                self._clear(message)
            case Subscribe():
                self._subscribe(message)
            case Unsubscribe():
                self._drop(_key(message.subscriber))
            case ReadJourney():
                steps = self._journeys.read(message.id)
                message.reply_to.tell(JourneyRead(request=message.request, steps=steps))
            case ReadMonitor():
                self._answer(message)
            case ActorFailed():
                self._note_failure(message)
            case Wake() | Ping():
                pass  # no timers here; the base answers pings
            case _:
                assert_never(message)

    def _report(self, event: ReportEvent) -> None:
        self._events.append(event)
        self._log(event.kind, event.level, event.text, user=event.user, message_id=event.message_id)
        self._publish(event)

    def _raise(self, alarm: RaiseAlarm) -> None:
        if self._alarms.get(alarm.name) == alarm:
            return  # raised again by whoever still suffers from it: not news
        self._alarms[alarm.name] = alarm
        self._log(f"alarm {alarm.name}", Level.ALARM, f"{alarm.text}; {alarm.advice}")
        self._publish(alarm)

    def _clear(self, clear: ClearAlarm) -> None:
        if self._alarms.pop(clear.name, None) is not None:
            self._log(f"alarm {clear.name}", Level.INFO, f"over: {clear.name}")
            self._publish(clear)

    def _answer(self, question: ReadMonitor) -> None:
        newest = max(0, question.limit)
        question.reply_to.tell(
            MonitorRead(
                request=question.request,
                events=tuple(self._events)[-newest:] if newest else (),
                alarms=tuple(self._alarms.values()),
                counters=dict(self._counters),
                gauges=dict(self._gauges),
            )
        )

    def _note_failure(self, failure: ActorFailed) -> None:
        self._counters["actor_failures_total"] = self._counters.get("actor_failures_total", 0.0) + 1.0
        level = Level.ALARM if failure.fatal else Level.WARNING
        text = f"{failure.actor} failed at {failure.command}: {failure.error}"
        event = ReportEvent(at=self.clock.wall(), level=level, kind="actor-failed", text=text)
        self._events.append(event)
        self._log(f"{failure.actor} {failure.command}", level, text, detail=failure.trace)
        self._publish(event)

    def _log(
        self, kind: str, level: Level, text: str, detail: str = "", *, user: str = "", message_id: str = ""
    ) -> None:
        held_back = self._limit.allow(kind, self.clock.monotonic())
        if held_back is None:
            return
        line = printable(text)
        if held_back:
            line += f" ({held_back} more of this kind were not logged)"
        fields = {"kind": kind, "user": user, "message_id": message_id, "detail": printable(detail.rstrip(), keep="\n")}
        logger.bind(**{key: value for key, value in fields.items() if value}).log(LOG_LEVELS[level], "{}", line)

    def _subscribe(self, wish: Subscribe) -> None:
        key = _key(wish.subscriber)
        self._subscribers[key] = wish.subscriber
        if wish.steps:
            self._step_subscribers[key] = wish.subscriber
        else:
            self._step_subscribers.pop(key, None)

    def _publish(self, notable: Notable, to: dict[str, Subscriber] | None = None) -> None:
        subscribers = self._subscribers if to is None else to
        if subscribers:
            self.each(
                tuple(subscribers.items()),
                lambda entry: self._publish_to(*entry, notable),
                lambda entry, _: self._drop(entry[0]),
            )

    def _publish_to(self, key: str, subscriber: Subscriber, notable: Notable) -> None:
        if isinstance(subscriber, ActorRef) and not subscriber.alive:
            self._drop(key)
        else:
            subscriber.tell(notable)

    def _drop(self, key: str) -> None:
        self._subscribers.pop(key, None)
        self._step_subscribers.pop(key, None)


def _key(subscriber: Subscriber) -> str:
    """Name who stands behind a reference: two references may lead to one actor."""
    return subscriber.pykka_ref.actor_urn if isinstance(subscriber, ActorRef) else str(id(subscriber))
