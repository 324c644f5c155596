"""Actors that fail at chosen messages: each actor once at each chosen kind, once they are armed."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

from actors.base import ActorBase
from actors.client_manager.actor import ClientManager
from actors.messages.client_manager import ClientManagerCommand
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.monitor import MonitorCommand
from actors.messages.router import RouterCommand
from actors.messages.server_manager import ServerManagerCommand
from actors.messages.sip_adapter import SipAdapterCommand
from actors.messages.storage import StorageCommand
from actors.monitor import Monitor
from actors.router import Router
from actors.server_manager.actor import ServerManager
from actors.storage import Storage
from sip_adapter.adapter import SipAdapter

Fault = tuple[str, type[Any]]
"""Which actor fails at which message kind."""
PARTS: dict[str, tuple[type[ActorBase[Any]], Any]] = {
    "client_manager": (ClientManager, ClientManagerCommand),
    "server_manager": (ServerManager, ServerManagerCommand),
    "router": (Router, RouterCommand),
    "storage": (Storage, StorageCommand),
    "monitor": (Monitor, MonitorCommand),
    "sip_adapter": (SipAdapter, SipAdapterCommand),
}
NEVER_THERE = {("monitor", Wake), ("router", CommandFailed)}
"""The one sets no timers, the other asks nobody."""


class Planted(Exception):
    """The fault."""


def kinds() -> list[Fault]:
    """Every actor with every message kind that its own code serves."""
    found = [(role, kind) for role, (_, commands) in PARTS.items() for kind in get_args(commands)]
    return [(role, kind) for role, kind in found if kind is not Ping and (role, kind) not in NEVER_THERE]


def name_of(fault: Fault) -> str:
    """What a test of this fault is called."""
    return f"{fault[0]}-{fault[1].__name__}"


def failing(role: str, kinds: set[type[Any]]) -> type[ActorBase[Any]]:
    """The actor, but for the first message of each kind; whoever is started anew fails anew."""
    base = PARTS[role][0]

    class Failing(base):  # type: ignore[misc, valid-type]  # whichever actor it is
        left: ClassVar[set[type[Any]]] = set(kinds)
        """Kinds at which none of them has failed yet."""
        armed: ClassVar[bool] = False

        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.to_fail = set(kinds)

        def handle(self, message: Any) -> None:
            if Failing.armed and type(message) in self.to_fail:
                self.to_fail.discard(type(message))
                Failing.left.discard(type(message))
                raise Planted(type(message).__name__)
            super().handle(message)

    return Failing


class Faults:
    """What is planted into a world: classes for its actors, and what has become of them."""

    def __init__(self, *faults: Fault) -> None:
        roles = {role for role, _ in faults}
        self.parts: dict[str, Any] = {role: failing(role, {k for r, k in faults if r == role}) for role in roles}

    def arm(self) -> None:
        """From now on they happen."""
        for part in self.parts.values():
            part.armed = True

    def unspent(self) -> set[type[Any]]:
        """Faults that never happened."""
        return {kind for part in self.parts.values() for kind in part.left}
