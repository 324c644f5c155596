"""Ports: what actors need of the world, as narrow protocols that tests and simulations implement too."""

from __future__ import annotations

from typing import Any, Protocol

import pykka
from pykka._actor import ActorInbox

from actors.ref import Ref


class Clock(Protocol):
    """Time. Deadlines use `monotonic`, display `wall`; lives use node time (`messages.storage.StoreOpened`)."""

    def monotonic(self) -> float:
        """Seconds since some fixed point in this run."""

    def wall(self) -> float:
        """Seconds since 1970; may jump."""


class Scheduler(Protocol):
    """Timers: a message to somebody after a while. Nothing is cancelled; a stale one is ignored by its id."""

    def after(self, delay: float, target: Ref[Any], message: object) -> None:
        """Tell `target` the message in `delay` seconds (0 or more)."""


class Runtime(Protocol):
    """Where actors live: on threads, on a network loop, or in a seeded simulation (Pykka's points for actor types)."""

    def create_inbox(self) -> ActorInbox:
        """Make the inbox of an actor that is about to start."""

    def start_loop(self, actor: pykka.Actor) -> None:
        """Run the actor's loop from now on; must not block."""
