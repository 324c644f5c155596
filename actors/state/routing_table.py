"""Where a name lives, as far as this node knows: the names whose home is here."""

from __future__ import annotations

from collections.abc import Iterable

from actors.messages.router import Destination, ToMailbox, Unknown
from actors.model import POSTMASTER, Envelope, UserName

# Destinations without fields of their own are shared: one look-up and no new object per message.
HERE = ToMailbox()
NOBODY = Unknown()


class RoutingTable:
    """The names of this node. Without neighbours, a name that is not here is nowhere."""

    def __init__(self) -> None:
        self._here: dict[UserName, Destination] = {POSTMASTER: HERE}

    def add(self, names: Iterable[UserName]) -> None:
        """These users have their home here; naming one twice does no harm."""
        self._here.update(dict.fromkeys(names, HERE))

    def remove(self, names: Iterable[UserName]) -> None:
        """These users have their home here no longer; the reserved name stays."""
        for name in names:
            if name != POSTMASTER:
                self._here.pop(name, None)

    def route(self, envelopes: Iterable[Envelope]) -> tuple[Destination, ...]:
        """Say for each envelope where it goes, in the same order. Case matters (RFC 3261 19.1.4)."""
        find = self._here.get
        return tuple([find(envelope.recipient, NOBODY) for envelope in envelopes])

    def __contains__(self, name: UserName) -> bool:
        return name in self._here

    def __len__(self) -> int:
        """How many users have their home here."""
        return len(self._here) - 1
