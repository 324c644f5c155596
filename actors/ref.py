"""References to actors: the only way one actor speaks to another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import pykka

T_contra = TypeVar("T_contra", contravariant=True)
T = TypeVar("T")


class Ref(Protocol[T_contra]):
    """Whoever takes messages of one kind. `tell` never raises and never waits."""

    def tell(self, message: T_contra) -> None:
        """Put a message into the receiver's inbox."""


class DeadLetters:
    """Counts messages told to actors that had stopped, per receiver name."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, receiver: str) -> None:
        """Count one message that nobody will read."""
        self.counts[receiver] = self.counts.get(receiver, 0) + 1


class ActorRef(Generic[T]):
    """A `Ref` to a running Pykka actor; a dead receiver is a counted dead letter, not an exception."""

    __slots__ = ("_dead_letters", "_name", "_ref", "_tell")

    def __init__(self, ref: pykka.ActorRef[Any], name: str, dead_letters: DeadLetters) -> None:
        self._ref = ref
        self._name = name
        self._tell = ref.tell
        self._dead_letters = dead_letters

    @property
    def name(self) -> str:
        """The actor's name, for logs and alarms."""
        return self._name

    @property
    def pykka_ref(self) -> pykka.ActorRef[Any]:
        """The reference beneath: for the composition, which starts and stops actors."""
        return self._ref

    @property
    def alive(self) -> bool:
        """Whether the actor still serves; a true answer may be out of date at once."""
        return self._ref.is_alive()

    def tell(self, message: T) -> None:
        """Put a message into the actor's inbox, or count it as dead."""
        try:
            self._tell(message)
        except pykka.ActorDeadError:
            self._dead_letters.add(self._name)


class LateRef(Generic[T]):
    """A `Ref` whose receiver is set later: actors refer to each other in circles, constructors cannot.

    What is told before is kept and handed over in order: a node that starts with mail waiting sends before its network
    is open.
    """

    __slots__ = ("_early", "_lock", "_target", "tell")

    def __init__(self) -> None:
        self._target: Ref[T] | None = None
        self._early: list[T] = []
        self._lock = threading.Lock()
        self.tell: Callable[[T], None] = self._keep

    def _keep(self, message: T) -> None:
        with self._lock:
            if self._target is None:
                self._early.append(message)
                return
        self._target.tell(message)

    def set(self, target: Ref[T]) -> None:
        """Name the receiver; from now on `tell` is its `tell`."""
        with self._lock:
            for message in self._early:
                target.tell(message)
            self._early.clear()
            self._target = target
            self.tell = target.tell
