"""What a queue of mail is made of in memory: rows, in lanes by their recipients."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from typing import NamedTuple

from actors.model import Seq, StoredMessage, UserName


class Phase(IntEnum):
    """What goes on with a row."""

    WAITING = 0
    FLYING = 1
    """On the wire to a neighbour."""
    HELD = 2
    """Being routed, moved or ended."""
    OVER = 3
    """The neighbour has it; its row here is about to go."""


class Row:
    """One message in the queue."""

    __slots__ = ("accepted", "doubt", "lane", "message", "phase", "seq")

    def __init__(self, message: StoredMessage, lane: Lane, doubt: bool) -> None:
        self.seq = message.seq
        self.lane = lane
        self.accepted = message.envelope.accepted
        self.message: StoredMessage | None = None
        self.phase = Phase.WAITING
        self.doubt = doubt
        """Perhaps the neighbour has it (PROTOCOL 18)."""


class Lane:
    """The messages to one recipient, in order; one of them at a time is on the wire (PROTOCOL 19)."""

    __slots__ = ("busy", "doubts", "failures", "leaving", "recipient", "resting", "seqs", "staying")

    def __init__(self, recipient: UserName) -> None:
        self.recipient = recipient
        self.seqs: deque[Seq] = deque()
        """All rows indexed that are not over."""
        self.busy = 0
        """Rows flying or held."""
        self.doubts = 0
        self.failures = 0
        self.resting = False
        """Backs off."""
        self.staying = False
        """The Router has no way for it now; it tells when to ask again."""
        self.leaving = Seq(0)
        """Not 0: the neighbour refused its head for good, and what stands in it up to here is routed anew."""


class Reading(NamedTuple):
    """What to read from the disk: rows behind `after`, or exactly `seqs`."""

    after: Seq
    limit: int
    seqs: tuple[Seq, ...] = ()
