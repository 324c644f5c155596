"""A Router of your own: `angarium node --open --router examples/custom_router.py:QuietRouter` refuses the boss."""

from __future__ import annotations

from typing import Any

from actors.base import ActorBase, Context
from actors.messages import router as messages
from actors.messages.router import Destination, RouterCommand, ToMailbox, Unknown
from actors.model import POSTMASTER, Envelope, UserName
from actors.ref import Ref


class QuietRouter(ActorBase[RouterCommand]):
    """Knows the names of this node, and nobody for whom the boss asks."""

    name = "router"

    def __init__(self, *, context: Context, monitor: Ref[Any]) -> None:
        super().__init__(context=context)
        self._names: set[UserName] = {POSTMASTER}

    def handle(self, message: RouterCommand) -> None:
        """Serve one command."""
        if isinstance(message, messages.NamesAreOurs):
            self._names.update(message.names)
        elif isinstance(message, messages.NamesAreGone):
            self._names.difference_update(set(message.names) - {POSTMASTER})
        elif isinstance(message, messages.RouteMessages):
            destinations = tuple(self._place(envelope) for envelope in message.envelopes)
            message.reply_to.tell(messages.MessagesRouted(message.request, destinations))

    def _place(self, envelope: Envelope) -> Destination:
        if envelope.recipient in self._names and envelope.sender != "boss":
            return ToMailbox()
        return Unknown("Nobody is here for you")
