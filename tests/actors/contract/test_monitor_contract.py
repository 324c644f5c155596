"""What any Monitor must do, by the typed messages it hears and tells. Replacements: `MONITORS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.base import ActorBase
from actors.messages.lifecycle import ActorFailed, Ping, Pong
from actors.messages.monitor import (
    ClearAlarm,
    CountFacts,
    JourneyRead,
    JourneyStep,
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
from actors.model import MessageId, Step
from actors.monitor import Monitor
from actors.testing import Probe, Started, running, start_probe

MONITORS: list[type[ActorBase[Any]]] = [Monitor]

Running = Started[MonitorCommand]
ALARM = RaiseAlarm(name="disk-full", text="The disk is full", advice="free some space")


@pytest.fixture(params=MONITORS, ids=lambda monitor: f"{monitor.__module__}.{monitor.__name__}")
def monitor(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(request.param) as started:
        yield started


def event(text: str, level: Level = Level.INFO) -> ReportEvent:
    return ReportEvent(at=1.0, level=level, kind="registered", text=text, user="alice")


def read(monitor: Running, limit: int = 100) -> MonitorRead:
    asker = Probe()
    monitor.serve(ReadMonitor(reply_to=asker, request=3, limit=limit))
    answer = asker.expect(MonitorRead)
    assert answer.request == 3
    return answer


def journey(monitor: Running, message: str) -> tuple[JourneyStep, ...]:
    asker = Probe()
    monitor.serve(ReadJourney(reply_to=asker, request=9, id=MessageId(message)))
    answer = asker.expect(JourneyRead)
    assert answer.request == 9
    return answer.steps


def test_a_journey_is_told_by_time(monitor: Running) -> None:
    one, two = MessageId("m1"), MessageId("m2")
    monitor.tell(JourneySteps(at=1.0, step=Step.ACCEPTED, ids=(one, two)))
    monitor.tell(JourneySteps(at=3.0, step=Step.ANSWERED, ids=(two, one), details=("200", "480")))
    monitor.tell(JourneySteps(at=2.0, step=Step.SENT, ids=(one,), details=("phone",)))
    assert journey(monitor, "m1") == (
        JourneyStep(at=1.0, step=Step.ACCEPTED, detail=""),
        JourneyStep(at=2.0, step=Step.SENT, detail="phone"),
        JourneyStep(at=3.0, step=Step.ANSWERED, detail="480"),
    )
    assert journey(monitor, "never-seen") == ()


def test_the_newest_events_are_read_newest_last(monitor: Running) -> None:
    for number in range(5):
        monitor.tell(event(f"event {number}"))
    assert [item.text for item in read(monitor, limit=2).events] == ["event 3", "event 4"]
    assert read(monitor, limit=0).events == ()


def test_an_alarm_stays_until_cleared(monitor: Running) -> None:
    monitor.tell(ALARM)
    monitor.tell(ALARM)
    assert read(monitor).alarms == (ALARM,)
    monitor.tell(ClearAlarm(name="another"))
    assert read(monitor).alarms == (ALARM,)
    monitor.tell(ClearAlarm(name="disk-full"))
    assert read(monitor).alarms == ()


def test_counters_add_up_and_gauges_are_replaced(monitor: Running) -> None:
    for _ in range(3):
        monitor.tell(CountFacts(counts=(("accepted_total", 2.0), ("refused_total", 1.0))))
        monitor.tell(SetGauges(gauges=(("waiting", 5.0),)))
    monitor.tell(SetGauges(gauges=(("waiting", 4.0),)))
    answer = read(monitor)
    assert answer.counters["accepted_total"] == 6.0
    assert answer.counters["refused_total"] == 3.0
    assert answer.gauges["waiting"] == 4.0


def test_what_was_read_does_not_change_later(monitor: Running) -> None:
    monitor.tell(CountFacts(counts=(("accepted_total", 1.0),)))
    before = read(monitor)
    monitor.serve(CountFacts(counts=(("accepted_total", 1.0),)))
    assert before.counters["accepted_total"] == 1.0


def test_subscribers_hear_all_from_then_on(monitor: Running) -> None:
    first, second = Probe("first"), Probe("second")
    monitor.tell(event("before"))
    monitor.tell(Subscribe(subscriber=first))
    monitor.tell(Subscribe(subscriber=first))
    monitor.tell(Subscribe(subscriber=second))
    monitor.serve(event("after"), ALARM, ClearAlarm(name=ALARM.name))
    assert first.messages == (event("after"), ALARM, ClearAlarm(name=ALARM.name))
    assert second.messages == first.messages
    monitor.serve(Unsubscribe(subscriber=first), event("last"))
    assert len(first.messages) == 3
    assert second.of(ReportEvent)[-1].text == "last"


def test_a_dead_subscriber_harms_nobody(monitor: Running) -> None:
    alive = Probe("alive")
    with start_probe() as (dead, _):
        monitor.serve(Subscribe(subscriber=dead.ref), Subscribe(subscriber=alive))
    monitor.serve(event("after its end"))
    assert alive.expect(ReportEvent).text == "after its end"


def test_a_failed_actor_is_an_event(monitor: Running) -> None:
    monitor.tell(ActorFailed(actor="router", command="RouteMessages", error="KeyError: 'x'", trace="Traceback"))
    (found,) = read(monitor).events
    assert "router" in found.text
    assert found.level is Level.WARNING


def test_it_answers_a_ping(monitor: Running) -> None:
    asker = Probe()
    monitor.serve(Ping(reply_to=asker, id=4))
    assert asker.expect(Pong) == Pong(actor="monitor", id=4)
