"""The Supervisor among probes, and with an actor that hangs."""

from __future__ import annotations

import threading
from typing import Any

from actors.base import ActorBase, Context
from actors.messages.lifecycle import ActorFailed, Ping, Pong, Wake, WatchActor
from actors.state.watch import FailureBudget, LifeWatch
from actors.supervisor import Supervisor
from actors.testing import Probe, running


def failed(actor: str = "router", *, fatal: bool = False) -> ActorFailed:
    return ActorFailed(actor=actor, command="RouteMessages", error="KeyError: 1", trace="", fatal=fatal)


class Hanging(ActorBase[Any]):
    """Hangs in its first message until it is released."""

    name = "hanging"

    def __init__(self, *, context: Context, released: threading.Event) -> None:
        super().__init__(context=context)
        self._released = released

    def handle(self, message: Any) -> None:
        self._released.wait()


def test_who_answers_in_time_lives() -> None:
    watch = LifeWatch(interval=1.0, patience=5.0)
    watch.add("a")
    watch.add("b")
    assert watch.tick(0.0) == (("a", 1), ("b", 2))
    watch.answered("a", 1)
    watch.answered("b", 99)
    watch.answered("stranger", 1)
    assert watch.tick(1.0) == (("a", 3),)
    assert watch.hanging(5.0) is None
    assert watch.hanging(5.1) == "b"
    watch.add("b")
    assert watch.hanging(5.1) is None


def test_time_in_which_the_watcher_slept_counts_for_nobody() -> None:
    watch = LifeWatch(interval=1.0, patience=5.0)
    watch.add("a")
    watch.tick(0.0)
    watch.tick(3600.0)
    assert watch.hanging(3600.0) is None
    for now in (3601.0, 3602.0, 3603.0):
        watch.tick(now)
        assert watch.hanging(now) is None
    watch.tick(3604.0)
    assert watch.hanging(3604.0) == "a"


def test_a_budget_is_spent_within_its_window_only() -> None:
    budget = FailureBudget(failures=2, window=10.0)
    assert [budget.spend("a", now) for now in (0.0, 9.0, 11.0, 12.0)] == [True, True, True, False]
    assert budget.spend("b", 12.0)


def test_failures_reach_the_monitor_and_end_nothing() -> None:
    monitor, reasons = Probe("monitor"), Probe("reasons")
    with running(Supervisor, monitor=monitor, on_fatal=reasons.tell) as supervisor:
        supervisor.serve(failed(), failed())
    assert monitor.messages == (failed(), failed())
    reasons.expect_none()


def test_a_fatal_failure_ends_at_once_and_once() -> None:
    reasons = Probe("reasons")
    with running(Supervisor, monitor=Probe(), on_fatal=reasons.tell) as supervisor:
        supervisor.serve(failed("storage", fatal=True), failed("storage", fatal=True))
    assert reasons.messages == ("storage cannot go on: KeyError: 1",)


def test_an_actor_that_fails_too_often_ends_the_process() -> None:
    reasons = Probe("reasons")
    with running(Supervisor, monitor=Probe(), on_fatal=reasons.tell, failures=3, window=10.0) as supervisor:
        supervisor.serve(failed("a"), failed("b"), failed("a"), failed("a"))
        supervisor.advance(11.0)
        supervisor.serve(failed("a"))
        reasons.expect_none()
        supervisor.serve(failed("a"), failed("a"), failed("a"))
        assert "a fails too often" in reasons.expect(str)


def test_watched_actors_are_asked_again_and_again() -> None:
    watched, reasons = Probe("watched"), Probe("reasons")
    with running(Supervisor, monitor=Probe(), on_fatal=reasons.tell) as supervisor:
        supervisor.serve(WatchActor(name="router", target=watched))
        for _ in range(20):
            supervisor.advance(1.0)
            supervisor.serve(Pong(actor="router", id=watched.expect(Ping).id))
        reasons.expect_none()


def test_a_stale_tick_is_ignored() -> None:
    watched = Probe("watched")
    with running(Supervisor, monitor=Probe(), on_fatal=Probe().tell) as supervisor:
        supervisor.serve(WatchActor(name="router", target=watched))
        supervisor.advance(1.0)
        watched.expect(Ping)
        supervisor.serve(Wake(id=0))
        watched.expect_none(Ping)


def test_an_actor_that_hangs_ends_the_process() -> None:
    released, reasons = threading.Event(), Probe("reasons")
    with (
        running(Supervisor, monitor=Probe(), on_fatal=reasons.tell, watchdog=5.0) as supervisor,
        running(Hanging, released=released) as hanging,
    ):
        hanging.tell(Wake(id=1))
        supervisor.serve(WatchActor(name="hanging", target=hanging.ref))
        supervisor.advance(6.0)
        reasons.expect_none()
        supervisor.advance(1.0)
        assert reasons.expect(str) == "hanging has not answered for 5 s"
        released.set()


def test_without_a_watchdog_nobody_is_asked() -> None:
    watched, reasons = Probe("watched"), Probe("reasons")
    with running(Supervisor, monitor=Probe(), on_fatal=reasons.tell, watchdog=0.0) as supervisor:
        supervisor.serve(WatchActor(name="router", target=watched))
        supervisor.advance(100.0)
    watched.expect_none()
    reasons.expect_none()


def test_the_watch_goes_on_after_a_failed_tick() -> None:
    watched = Probe("watched")

    class Stumbling(Supervisor):
        """Fails at its first tick."""

        stumbled = False

        def handle(self, message: Any) -> None:
            if isinstance(message, Wake) and not self.stumbled:
                self.stumbled = True
                raise KeyError("stumbled")
            super().handle(message)

    with running(Stumbling, monitor=Probe("monitor"), on_fatal=lambda reason: None) as supervisor:
        supervisor.serve(WatchActor(name="watched", target=watched))
        supervisor.advance(3.5)
        supervisor.failures.expect(ActorFailed)
    assert watched.of(Ping)
