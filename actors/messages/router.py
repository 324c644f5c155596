"""What Router hears and how it answers."""

from __future__ import annotations

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.model import Envelope, NodeName, UserName, Value
from actors.ref import Ref


class ToMailbox(Value, frozen=True, gc=False):
    """The recipient's home is here."""


class ToNeighbour(Value, frozen=True, gc=False):
    """The next server; `envelope` carries the routing state it shall travel with."""

    node: NodeName
    envelope: Envelope


class Searching(Value, frozen=True, gc=False):
    """Nobody known has him: keep it in the queue of the unrouted while a search runs."""


class Unknown(Value, frozen=True, gc=False):
    """Proved unknown, at once: answer 404."""

    reason: str = "No such user"


Destination = ToMailbox | ToNeighbour | Searching | Unknown


class RouteMessages(Value, frozen=True, gc=False):
    """Say for each of these messages where it goes; answered by one `MessagesRouted` with the same number."""

    reply_to: Ref[MessagesRouted | CommandFailed]
    request: int
    envelopes: tuple[Envelope, ...]


class MessagesRouted(Value, frozen=True, gc=False):
    """One destination for each envelope, in the order asked."""

    request: int
    destinations: tuple[Destination, ...]


class NamesAreOurs(Value, frozen=True, gc=False):
    """These users have their home at this node."""

    names: tuple[UserName, ...]


class NamesAreGone(Value, frozen=True, gc=False):
    """These users have their home here no longer."""

    names: tuple[UserName, ...]


RouterCommand = RouteMessages | NamesAreOurs | NamesAreGone | Wake | Ping
