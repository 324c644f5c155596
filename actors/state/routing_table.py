"""Which names have their home at this node, and by which claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actors.messages.router import Destination, ToMailbox, Unknown
from actors.model import POSTMASTER, Envelope, UserName

# Destinations without fields of their own are shared: one look-up and no new object per message.
HERE = ToMailbox()
NOBODY = Unknown()


class RoutingTable:
    """The names of this node. Without neighbours, a name that is not here is nowhere."""

    def __init__(self) -> None:
        self._here: dict[UserName, Destination] = {POSTMASTER: HERE}
        self._epochs: dict[UserName, int] = {}
        """Of claims beyond the first: most users never move."""

    def add(self, names: Iterable[UserName], epochs: Iterable[int] = ()) -> None:
        """These users have their home here, by claims of these epochs (1 each by default); twice does no harm."""
        names = tuple(names)
        self._here.update(dict.fromkeys(names, HERE))
        for name in names:
            self._epochs.pop(name, None)
        self._epochs.update((name, epoch) for name, epoch in zip(names, epochs, strict=False) if epoch != 1)

    def remove(self, names: Iterable[UserName]) -> None:
        """These users have their home here no longer; the reserved name stays."""
        for name in names:
            if name != POSTMASTER:
                self._here.pop(name, None)
                self._epochs.pop(name, None)

    def route(self, envelopes: Iterable[Envelope]) -> tuple[Destination, ...]:
        """Say for each envelope whether it stays here or is for nobody, in the same order.

        Case matters (RFC 3261 19.1.4). What is not here is `NOBODY` itself, for the caller to know it again.
        """
        find = self._here.get
        return tuple([find(envelope.recipient, NOBODY) for envelope in envelopes])

    def epoch(self, name: UserName) -> int:
        """Tell the epoch of the claim by which a name is here."""
        return self._epochs.get(name, 1)

    def claim(self, name: UserName) -> int | None:
        """Tell the epoch by which a name is claimed here; None if it is not, as the reserved name never is."""
        return self._epochs.get(name, 1) if name in self._here and name != POSTMASTER else None

    def __contains__(self, name: UserName) -> bool:
        return name in self._here

    def __iter__(self) -> Iterator[UserName]:
        return (name for name in self._here if name != POSTMASTER)

    def __len__(self) -> int:
        """How many users have their home here."""
        return len(self._here) - 1
