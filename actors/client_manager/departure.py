"""How far one user is on his way out."""

from __future__ import annotations

from enum import IntEnum

from actors.messages.client_manager import MoveUser
from actors.model import Account, Device, Flow, NodeName
from actors.state.moving import MAIL_BYTES


class Phase(IntEnum):
    """How far a departure is."""

    DRAINING = 1
    PREPARING = 2
    DECIDED = 3
    LEAVING = 4
    """The new home knows: all that is left here travels."""


class Departure:
    """One user's way out."""

    def __init__(self, account: Account, to: NodeName, epoch: int, *, merge: bool = False) -> None:
        self.account = account
        self.user = account.name
        self.to = to
        self.epoch = epoch
        """Of the claim of his new home."""
        self.merge = merge
        """Not a move: of two homes this one gives way."""
        self.phase = Phase.DRAINING
        self.devices: tuple[Device, ...] = ()
        """As the disk has them."""
        self.guests: tuple[Device, ...] = ()
        self.live: frozenset[Flow] = frozenset()
        self.waiting: list[MoveUser] = []
        self.tries = 0
        self.room = MAIL_BYTES
        """Bytes of mail in one request: fewer where there are links that do not hold so many."""
        self.takes_until = 0.0
        """Monotonic seconds: until then mail for him is taken in here."""
