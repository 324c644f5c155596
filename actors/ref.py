"""References to actors: the only way one actor speaks to another."""

from __future__ import annotations

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
    """A `Ref` whose receiver is set later: actors refer to each other in circles, constructors cannot."""

    __slots__ = ("_target", "tell")

    def __init__(self) -> None:
        self._target: Ref[T] | None = None
        self.tell: Callable[[T], None] = self._unset

    def _unset(self, message: T) -> None:
        raise LookupError(f"told {type(message).__name__} before the receiver was set")

    def set(self, target: Ref[T]) -> None:
        """Name the receiver; from now on `tell` is its `tell`."""
        self._target = target
        self.tell = target.tell
