"""The Monitor among probes, beyond its contract: the program log, and bounds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from actors.messages.lifecycle import ActorFailed
from actors.messages.monitor import (
    ClearAlarm,
    JourneySteps,
    Level,
    MonitorRead,
    RaiseAlarm,
    ReadMonitor,
    ReportEvent,
    Subscribe,
)
from actors.model import MessageId, Step
from actors.monitor import Monitor
from actors.ref import ActorRef, DeadLetters
from actors.state.journey import Journeys
from actors.state.log_lines import KINDS, LogLimit, printable
from actors.testing import Probe, running, start_probe


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Every line of the program log, as `LEVEL text`."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line).rstrip("\n")), format="{level} {message}", level="DEBUG")
    yield lines
    logger.remove(sink)


def event(text: str, level: Level = Level.INFO, kind: str = "kind") -> ReportEvent:
    return ReportEvent(at=1.0, level=level, kind=kind, text=text)


def steps(at: float, *ids: str) -> JourneySteps:
    return JourneySteps(at=at, step=Step.STORED, ids=tuple(MessageId(one) for one in ids))


def test_journeys_forget_the_oldest_batches() -> None:
    journeys = Journeys(capacity=4)
    for at in range(3):
        journeys.add(steps(at, "same", f"other{at}"))
    assert len(journeys) == 4
    assert [step.at for step in journeys.read(MessageId("same"))] == [1, 2]
    journeys.add(steps(9, *"abcdefg"))
    assert len(journeys) == 7, "the newest batch is kept whatever its size"
    assert journeys.read(MessageId("same")) == ()
    assert journeys.read(MessageId("g"))[0].at == 9


def test_a_message_named_twice_in_a_batch_has_two_steps() -> None:
    journeys = Journeys()
    one = MessageId("m")
    journeys.add(JourneySteps(at=1.0, step=Step.SENT, ids=(one, one), details=("phone", "tablet")))
    assert [step.detail for step in journeys.read(one)] == ["phone", "tablet"]


def test_a_burst_goes_through_and_the_rest_is_counted() -> None:
    limit = LogLimit(burst=2, window=10.0)
    assert [limit.allow("a", 0.0) for _ in range(4)] == [0, 0, None, None]
    assert limit.allow("b", 0.0) == 0
    assert limit.allow("a", 10.0) == 2
    assert limit.allow("a", 20.0) == 0


def test_the_limit_remembers_a_bounded_number_of_kinds() -> None:
    limit = LogLimit(burst=1)
    for number in range(KINDS + 1):
        assert limit.allow(f"kind {number}", 0.0) == 0
    assert limit.allow("kind 0", 0.0) == 0, "forgotten"
    assert limit.allow(f"kind {KINDS}", 0.0) is None


def test_control_characters_are_escaped() -> None:
    assert printable("plain ü") == "plain ü"
    assert printable("a\x1b[2J\r\nb\u202e\udcff") == "a\\x1b[2J\\r\\nb\\u202e\\udcff"
    assert printable("a\n\tb", keep="\n") == "a\n\\tb"


def test_events_are_logged_by_level_few_of_a_kind(log: list[str]) -> None:
    with running(Monitor) as monitor:
        monitor.serve(event("one\x1b"), event("two {braces}", Level.WARNING), event("three", Level.DEBUG))
        assert log == ["INFO one\\x1b", "WARNING two {braces}", "DEBUG three"]
        log.clear()
        monitor.serve(*(event(f"many {number}", kind="other") for number in range(50)))
        assert len(log) == 10
        monitor.advance(60)
        monitor.serve(event("again", kind="other"))
        assert log[-1] == "INFO again (40 more of this kind were not logged)"


def test_journeys_are_not_logged(log: list[str]) -> None:
    with running(Monitor) as monitor:
        monitor.serve(*(steps(1.0, "m") for _ in range(10)))
    assert log == []


def test_an_alarm_is_logged_once_until_it_changes(log: list[str]) -> None:
    with running(Monitor) as monitor:
        alarm = RaiseAlarm(name="disk-full", text="The disk is full", advice="free some space")
        monitor.serve(alarm, alarm, ClearAlarm(name="disk-full"), ClearAlarm(name="disk-full"))
    assert log == ["ERROR The disk is full; free some space", "INFO over: disk-full"]


def test_a_failure_is_logged_with_its_trace() -> None:
    log: list[str] = []
    sink = logger.add(lambda line: log.append(str(line).rstrip("\n")), format="{level} {message}\n{extra[detail]}")
    with running(Monitor) as monitor:
        failed = ActorFailed(actor="router", command="X", error="E: \x07", trace="Trace\n  at\x07\n")
        monitor.serve(*([failed] * 100))
        assert log[0] == "WARNING router failed at X: E: \\x07\nTrace\n  at\\x07"
        assert len(log) == 10
        asker = Probe()
        monitor.serve(ReadMonitor(reply_to=asker, request=1))
        assert asker.expect(MonitorRead).counters["actor_failures_total"] == 100
    logger.remove(sink)


def test_a_line_is_bound_to_what_it_is_about() -> None:
    extras: list[dict[str, str]] = []
    sink = logger.add(lambda line: extras.append(line.record["extra"]))
    with running(Monitor) as monitor:
        monitor.serve(ReportEvent(1.0, Level.WARNING, "refused", "not {known}", user="alice", message_id="m1"))
    logger.remove(sink)
    assert extras == [{"kind": "refused", "user": "alice", "message_id": "m1"}]


def test_recent_events_are_bounded() -> None:
    asker = Probe()
    with running(Monitor, events=3) as monitor:
        monitor.serve(*(event(str(number), Level.DEBUG) for number in range(9)))
        monitor.serve(ReadMonitor(reply_to=asker, request=1))
    assert [one.text for one in asker.expect(MonitorRead).events] == ["6", "7", "8"]


def test_a_stopped_subscriber_is_dropped() -> None:
    dead_letters = DeadLetters()
    with running(Monitor) as monitor:
        with start_probe() as (actor, _):
            stopped = ActorRef[object](actor.ref.pykka_ref, "gone", dead_letters)
            monitor.serve(Subscribe(subscriber=stopped))
        monitor.serve(event("one"), event("two"))
    assert dead_letters.counts == {}


def test_a_subscriber_that_raises_is_dropped() -> None:
    class Broken:
        """Raises when it is told anything."""

        asked = 0

        def tell(self, message: object) -> None:
            self.asked += 1
            raise RuntimeError("the connection is gone")

    broken, sound = Broken(), Probe()
    with running(Monitor) as monitor:
        monitor.serve(Subscribe(subscriber=broken), Subscribe(subscriber=sound))
        monitor.serve(event("one"), event("two"))
        assert broken.asked == 1
        assert len(sound.messages) == 2
        monitor.failures.expect(ActorFailed)


def test_steps_are_told_to_who_wants_them_and_as_they_are() -> None:
    reader, other = Probe(), Probe()
    with running(Monitor) as monitor:
        monitor.serve(Subscribe(subscriber=other), Subscribe(subscriber=reader, steps=True))
        batch = steps(1.0, "m1")
        monitor.serve(batch, Subscribe(subscriber=reader), steps(2.0, "m2"), event("one"))
    assert reader.messages == (batch, event("one"))
    assert reader.messages[0] is batch
    assert other.messages == (event("one"),)
