"""Messages that every actor hears, and what the supervisor hears of actors."""

from __future__ import annotations

from typing import Any

from actors.model import Value
from actors.ref import Ref


class Ping(Value, frozen=True, gc=False):
    """Are you serving? Every actor answers with `Pong`; the watchdog asks."""

    reply_to: Ref[Any]
    id: int


class Pong(Value, frozen=True, gc=False):
    """The actor called `actor` serves its inbox."""

    actor: str
    id: int


class Wake(Value, frozen=True, gc=False):
    """A timer of an actor came due; `id` tells a stale one."""

    id: int


class CommandFailed(Value, frozen=True, gc=False):
    """A command with a `request` number raised in its receiver: nothing of it was done, or it was rolled back."""

    request: int
    command: str
    reason: str


class ActorFailed(Value, frozen=True, gc=False):
    """An exception was contained in an actor; it serves on."""

    actor: str
    command: str
    error: str
    trace: str
    fatal: bool = False
    """The process must end (an I/O error at commit): PROTOCOL rule 4."""


class WatchActor(Value, frozen=True, gc=False):
    """Ask this actor for a sign of life from now on."""

    name: str
    target: Ref[Any]


class Listening(Value, frozen=True, gc=False):
    """An adapter's sockets are open: `udp://127.0.0.1:5060`, ... as they were bound, in the order asked."""

    addresses: tuple[str, ...]


class ListenFailed(Value, frozen=True, gc=False):
    """An adapter could not open this address and has stopped."""

    address: str
    reason: str


SupervisorCommand = ActorFailed | WatchActor | Pong | Wake | Ping
