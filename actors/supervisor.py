"""Supervisor: watches the other actors, and ends the process when it cannot serve any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from actors.base import ActorBase, Context
from actors.messages.lifecycle import ActorFailed, Ping, Pong, SupervisorCommand, Wake, WatchActor
from actors.ref import Ref
from actors.state.watch import FailureBudget, LifeWatch

INTERVAL = 1.0
"""Seconds between pings."""
WATCHDOG = 5.0
"""Seconds without an answer after which an actor counts as hanging."""
FAILURES = 1_000
"""Contained failures of one actor that are borne within `WINDOW` seconds."""
WINDOW = 60.0


class Supervisor(ActorBase[SupervisorCommand]):
    """Hears of failures and asks for signs of life.

    A hanging thread cannot be ended, and an actor that fails all the time has lost its state: then
    `on_fatal` is called, once, with a reason for people. It ends the process; what starts it again finds all
    that was promised.
    """

    name = "supervisor"

    def __init__(
        self,
        *,
        context: Context,
        monitor: Ref[ActorFailed],
        on_fatal: Callable[[str], None],
        interval: float = INTERVAL,
        watchdog: float = WATCHDOG,
        failures: int = FAILURES,
        window: float = WINDOW,
    ) -> None:
        """Take seconds for `interval`, `watchdog` (0: ask nobody) and `window`."""
        super().__init__(context=context)
        self._monitor = monitor
        self._on_fatal = on_fatal
        self._interval = interval
        self._watchdog = watchdog
        self._life = LifeWatch(interval=interval, patience=watchdog)
        self._budget = FailureBudget(failures=failures, window=window)
        self._targets: dict[str, Ref[Any]] = {}
        self._ticks = 0
        self._ending = False

    def on_start(self) -> None:
        """Set the first tick."""
        if self._watchdog > 0:
            self.context.scheduler.after(self._interval, self.ref, Wake(id=self._ticks))

    def handle(self, message: SupervisorCommand) -> None:
        """Serve one command."""
        match message:
            case ActorFailed():
                self._failed(message)
            case WatchActor():
                self._targets[message.name] = message.target
                self._life.add(message.name)
            case Pong():
                self._life.answered(message.actor, message.id)
            case Wake():
                if message.id == self._ticks:
                    self._tick()
            case Ping():
                pass  # the base answers it
            case _:
                assert_never(message)

    def _failed(self, failure: ActorFailed) -> None:
        self._monitor.tell(failure)
        if failure.fatal:
            self._end(f"{failure.actor} cannot go on: {failure.error}")
        elif not self._budget.spend(failure.actor, self.clock.monotonic()):
            self._end(f"{failure.actor} fails too often, last at {failure.command}: {failure.error}")

    def _tick(self) -> None:
        self._ticks += 1
        self.context.scheduler.after(self._interval, self.ref, Wake(id=self._ticks))
        now = self.clock.monotonic()
        for name, ping in self._life.tick(now):
            self._targets[name].tell(Ping(reply_to=self.ref, id=ping))
        hanging = self._life.hanging(now)
        if hanging is not None:
            self._end(f"{hanging} has not answered for {self._watchdog:g} s")

    def recover(self, message: SupervisorCommand, error: Exception) -> None:
        """A tick that failed must not be the last one."""
        if isinstance(message, Wake):
            self._ticks += 1
            self.context.scheduler.after(self._interval, self.ref, Wake(id=self._ticks))
        else:
            super().recover(message, error)

    def _end(self, reason: str) -> None:
        if not self._ending:
            self._ending = True
            self._on_fatal(reason)
