"""The seeded runtime: a seed is a run, a crash forgets, timers come in order."""

from __future__ import annotations

from typing import Any

import pytest
from pykka import ActorRegistry

from actors.base import ActorBase, Context, start_actor
from actors.messages.lifecycle import ActorFailed, Wake
from actors.model import Value
from actors.ref import ActorRef, DeadLetters, Ref
from actors.simulation import Simulation, StepsExhausted
from actors.testing import Probe


class Ball(Value, frozen=True, gc=False):
    """Passed from player to player until it has been hit `left` times."""

    left: int


class Player(ActorBase[Any]):
    """Passes each ball on to a player drawn at random, at its flush."""

    name = "player"

    def __init__(self, *, context: Context, simulation: Simulation, others: list[Ref[Any]], heard: Probe) -> None:
        super().__init__(context=context)
        self._simulation = simulation
        self._others = others
        self._heard = heard
        self._holding: list[Ball] = []

    def on_start(self) -> None:
        self._heard.tell("started")

    def handle(self, message: Any) -> None:
        if message == "break":
            raise ValueError("broken")
        if message == "stop":
            self.stop()
        elif isinstance(message, Ball) and message.left:
            self._holding.append(Ball(left=message.left - 1))
        self._heard.tell(message)

    def flush(self) -> None:
        holding, self._holding = self._holding, []
        for ball in holding:
            other = self._others[self._simulation.random_bytes(1)[0] % len(self._others)]
            if ball.left % 7:
                other.tell(ball)
            else:
                self.context.scheduler.after(ball.left / 10, other, ball)

    def release(self) -> None:
        self._heard.tell("released")


def players(simulation: Simulation, count: int = 3) -> tuple[list[ActorRef[Any]], Probe, Context]:
    heard, failures = Probe("heard"), Probe("failures")
    context = Context(
        clock=simulation.clock,
        scheduler=simulation.scheduler,
        supervisor=failures,
        dead_letters=DeadLetters(),
    )
    refs: list[ActorRef[Any]] = []
    for _ in range(count):
        refs.append(start_actor(Player, simulation.runtime, context, simulation=simulation, others=refs, heard=heard))
    return refs, heard, context


def play(seed: int) -> tuple[list[tuple[float, str, str]], int, float, bytes]:
    with Simulation(seed, slowness=0.1, record=True) as simulation:
        refs, _, _ = players(simulation)
        for number in range(5):
            refs[number % 3].tell(Ball(left=200))
        assert not simulation.run_until(lambda: False)
        assert simulation.trace is not None
        return simulation.trace, simulation.steps, simulation.clock.monotonic(), simulation.random_bytes(8)


def test_the_same_seed_is_the_same_run() -> None:
    first = play(7)
    assert first == play(7)
    assert first != play(8)
    assert len(first[0]) > 1_000


def test_an_actor_starts_at_a_step_of_its_own() -> None:
    with Simulation(1) as simulation:
        (ref,), heard, _ = players(simulation, 1)
        ref.tell("early")
        heard.expect_none()
        simulation.settle()
        assert heard.messages == ("started", "early")


def test_timers_come_in_order_and_time_stands_still_between() -> None:
    with Simulation(1) as simulation:
        probe = Probe()
        start = simulation.clock.monotonic()
        for delay, number in ((3.0, 1), (1.0, 2), (3.0, 3), (10.0, 4)):
            simulation.scheduler.after(delay, probe, Wake(id=number))
        assert simulation.run_until(lambda: len(probe.messages) == 1)
        assert simulation.clock.monotonic() == start + 1.0
        simulation.run_for(4.0)
        assert [wake.id for wake in probe.of(Wake)] == [2, 1, 3]
        assert simulation.clock.monotonic() == start + 5.0
        assert simulation.run_steps(10) == 1


def test_a_crash_drops_what_was_not_flushed_and_calls_no_hook() -> None:
    with Simulation(3) as simulation:
        (first, second), heard, context = players(simulation, 2)
        simulation.settle()
        for _ in range(10):
            first.tell(Ball(left=3))
        simulation.run_steps(5)
        served = len(heard.of(Ball))
        assert served == 5
        simulation.crash([first])
        assert not first.alive
        simulation.settle()
        assert len(heard.of(Ball)) == served, "no ball was passed on: the flush never came"
        assert "released" not in heard.messages
        first.tell(Ball(left=1))
        assert context.dead_letters.counts == {"player": 1}
        second.tell("still there")
        simulation.settle()
        assert heard.messages[-1] == "still there"
        simulation.crash([first])


def test_an_actor_that_stops_flushes_and_releases() -> None:
    with Simulation(3) as simulation:
        (ref,), heard, _ = players(simulation, 1)
        ref.tell("stop")
        ref.tell("last")
        ended = ref.pykka_ref.ask("question", block=False)
        simulation.settle()
        assert heard.messages == ("started", "stop", "last", "question", "released")
        assert ended.get(timeout=0) is None
        assert not ref.alive


def test_failures_are_contained_as_on_threads() -> None:
    with Simulation(3) as simulation:
        (ref,), heard, context = players(simulation, 1)
        ref.tell("break")
        ref.tell("next")
        simulation.settle()
        assert heard.messages[-1] == "next"
        assert isinstance(context.supervisor, Probe)
        context.supervisor.expect(ActorFailed)


def test_a_run_without_end_is_ended() -> None:
    with Simulation(5) as simulation:
        refs, _, _ = players(simulation)
        refs[0].tell(Ball(left=1_000_000))
        with pytest.raises(StepsExhausted, match="seed 5"):
            simulation.run_until(lambda: False, max_steps=100)


def test_slowness_lets_time_pass_while_mail_waits() -> None:
    with Simulation(5, slowness=0.5) as simulation:
        (ref,), heard, _ = players(simulation, 1)
        simulation.settle()
        simulation.scheduler.after(0.5, heard, Wake(id=1))
        for _ in range(20):
            ref.tell("mail")
        simulation.settle()
        assert heard.messages.index(Wake(id=1)) < len(heard.messages) - 1


def test_closing_leaves_no_actor() -> None:
    before = len(ActorRegistry.get_all())
    with Simulation(1) as simulation:
        players(simulation, 4)
        assert len(ActorRegistry.get_all()) == before + 4
    assert len(ActorRegistry.get_all()) == before
