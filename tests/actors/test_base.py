"""The frame of every actor: what it raises is contained, what it gathers is flushed in batches."""

from __future__ import annotations

import threading
from typing import Any

from actors.base import BATCH, ActorBase, Context
from actors.messages.lifecycle import ActorFailed, CommandFailed, Ping, Pong
from actors.model import Value
from actors.ref import Ref
from actors.testing import Probe, running


class Work(Value, frozen=True, gc=False):
    """Something to do: `fail` says where it goes wrong."""

    fail: str = ""
    reply_to: Ref[Any] | None = None
    request: int | None = None


class Hold(Value, frozen=True, gc=False):
    """Keeps the actor busy until it is let go, so that mail gathers."""

    busy: threading.Event
    go: threading.Event


class Worker(ActorBase[Work | Hold]):
    """Counts what it has done; tells it at each flush."""

    name = "worker"

    def __init__(self, *, context: Context, told: Probe) -> None:
        super().__init__(context=context)
        self._told = told
        self._done = 0
        self._fail_flush = False

    def handle(self, message: Work | Hold) -> None:
        if isinstance(message, Hold):
            message.busy.set()
            message.go.wait()
            return
        done = self._done + 1
        if message.fail == "each":
            self.each((1, 0, 2), lambda item: self._told.tell(10 // item), self._item_failed)
        elif message.fail == "flush":
            self._fail_flush = True
        elif message.fail:
            raise ValueError(f"cannot do {message.fail}")
        self._done = done

    def recover(self, message: Work | Hold, error: Exception) -> None:
        if isinstance(message, Work) and message.fail == "recovery too":
            raise RuntimeError("cannot recover")
        super().recover(message, error)

    def flush(self) -> None:
        if self._fail_flush:
            self._fail_flush = False
            raise OSError("cannot flush")
        self._told.tell(("flushed", self._done))
        self._done = 0

    def release(self) -> None:
        self._told.tell("released")

    def _item_failed(self, item: int, error: Exception) -> None:
        self._told.tell(("failed", item, type(error).__name__))


def batches(told: Probe) -> list[int]:
    return [message[1] for message in told.of(tuple) if message[0] == "flushed"]


def test_an_exception_is_reported_and_the_next_message_served() -> None:
    told = Probe()
    with running(Worker, told=told) as worker:
        worker.serve(Work(fail="this"), Work())
        failure = worker.failures.expect(ActorFailed)
        assert (failure.actor, failure.command, failure.fatal) == ("worker", "Work", False)
        assert failure.error == "ValueError: cannot do this"
        assert "in handle" in failure.trace
    assert sum(batches(told)) == 1, "state is assigned last: the failed message left no mark"


def test_who_asked_with_a_number_hears_of_the_failure() -> None:
    asker = Probe()
    with running(Worker, told=Probe()) as worker:
        worker.serve(Work(fail="this", reply_to=asker, request=8), Work(fail="that", reply_to=asker))
        assert len(worker.failures.take_all()) == 2
    assert asker.messages == (CommandFailed(request=8, command="Work", reason="ValueError"),)


def test_a_failing_recovery_is_contained_too() -> None:
    told = Probe()
    with running(Worker, told=told) as worker:
        worker.serve(Work(fail="recovery too"), Work())
        commands = [failure.command for failure in worker.failures.of(ActorFailed)]
        assert commands == ["Work", "recovery from Work"]
        worker.failures.take_all()
    assert sum(batches(told)) == 1


def test_a_failing_flush_is_contained_too() -> None:
    told = Probe()
    with running(Worker, told=told) as worker:
        worker.serve(Work(fail="flush"))
        assert worker.failures.expect(ActorFailed).command == "flush"
        worker.serve(Work())
    assert batches(told)[0] == 2, "what was gathered before waits for the next flush"


def test_one_bad_item_costs_only_itself() -> None:
    told = Probe()
    with running(Worker, told=told) as worker:
        worker.serve(Work(fail="each"))
        assert worker.failures.expect(ActorFailed).error.startswith("ZeroDivisionError")
    assert told.messages[:3] == (10, ("failed", 0, "ZeroDivisionError"), 5)


def test_mail_that_waits_is_flushed_in_batches() -> None:
    told, busy, go = Probe(), threading.Event(), threading.Event()
    with running(Worker, told=told) as worker:
        worker.tell(Hold(busy=busy, go=go))
        assert busy.wait(3)
        for _ in range(2 * BATCH + 10):
            worker.tell(Work())
        go.set()
        worker.settle()
        assert batches(told) == [BATCH - 1, BATCH, 11], "the message that held it belongs to the first batch"


def test_a_lone_message_is_flushed_at_once() -> None:
    told = Probe()
    with running(Worker, told=told) as worker:
        worker.serve(Work())
        assert batches(told) == [1]


def test_a_ping_is_answered_among_failures() -> None:
    asker = Probe()
    with running(Worker, told=Probe()) as worker:
        worker.serve(Work(fail="x"))
        worker.failures.take_all()
        worker.ref.tell(Ping(reply_to=asker, id=5))  # type: ignore[arg-type]  # every actor hears it
        assert asker.expect(Pong) == Pong(actor="worker", id=5)


def test_stopping_flushes_then_releases() -> None:
    told, busy, go = Probe(), threading.Event(), threading.Event()
    with running(Worker, told=told) as worker:
        worker.tell(Hold(busy=busy, go=go))
        assert busy.wait(3)
        worker.tell(Work())
        stopped = worker.ref.pykka_ref.stop(block=False)
        go.set()
        assert stopped.get(timeout=3)
    assert told.messages[-2:] == (("flushed", 1), "released")


def test_every_failure_kind_leaves_the_actor_serving() -> None:
    told = Probe()
    with running(Worker, told=told) as worker:
        for kind in ("handle", "each", "flush", "recovery too"):
            worker.serve(Work(fail=kind))
            worker.serve(Work())
            assert worker.failures.take_all(), kind
        told.wait(lambda messages: sum(batches(told)) >= 4)


def test_starting_names_the_thread_and_the_reference() -> None:
    with running(Worker, told=Probe()) as worker:
        assert worker.ref.name == "worker"
        assert "angarium-worker" in [thread.name for thread in threading.enumerate()]
