"""What memory knows of a queue on disk: which rows, in whose lanes, and how far the disk has been read."""

from __future__ import annotations

import heapq
from collections.abc import Set
from random import Random

from actors.model import QueueName, Seq, UserName
from actors.state.mail_lanes import Lane, Phase, Reading, Row
from actors.state.timers import Deadlines


class MailIndex:
    """Rows, lanes, and how much of the disk has been seen.

    `ending`: rows that are being ended, wherever they stand. `start`: the newest row of all when this run began.
    `size`: how many rows the disk had then. All times are monotonic seconds.
    """

    def __init__(
        self,
        queue: QueueName,
        random: Random,
        ending: Set[Seq],
        *,
        start: Seq,
        size: int = 0,
        index: int = 100_000,
        window: int = 256,
    ) -> None:
        self.queue = queue
        self.rests: Deadlines[UserName] = Deadlines()
        self._random = random
        self._ending = ending
        self._index = index
        self._window = window
        self._read_to = Seq(0) if size else start
        self._behind = size > 0
        """The disk has, or may have, rows behind `read_to`."""
        self._top = start
        """The newest row announced."""
        self._size = size
        self._rows: dict[Seq, Row] = {}
        self._order: list[Seq] = []
        """A heap of rows, some of them gone."""
        self._lanes: dict[UserName, Lane] = {}
        self._loaded = 0
        self._over = 0
        self._cuts: dict[UserName, Seq] = {}
        """Of lanes that were cut: rows from there on are on disk only."""
        self._hungry: dict[UserName, None] = {}
        """Lanes that would move if their head were in memory."""
        self._to_route: dict[UserName, None] = {}
        self._reading: tuple[Reading, Seq] | None = None
        """With the newest row announced when it began."""
        self._reads_on = False
        self._full = False
        """The index was full: a quarter of it is to be free before it is filled again."""
        self._gone_meanwhile: set[Seq] = set()
        self._found: list[UserName] = []

    # What stands in it.

    @property
    def waiting(self) -> int:
        """Messages in it, on disk; an estimate until all of it has been read."""
        known = len(self._rows) - self._over
        return max(known, self._size) if self._behind or self._cuts else known

    @property
    def in_memory(self) -> int:
        """Messages whose bodies are in memory."""
        return self._loaded

    @property
    def in_doubt(self) -> int:
        """Messages that perhaps have arrived."""
        return sum(lane.doubts for lane in self._lanes.values())

    @property
    def oldest(self) -> float:
        """When the first message was accepted (wall-clock seconds); 0: unknown, or none waits."""
        row = self._rows.get(self._lowest())
        return row.accepted if row is not None else 0.0

    def holds(self, seq: Seq) -> bool:
        """Tell whether memory knows this row."""
        return seq in self._rows

    def doubts(self, seq: Seq) -> bool:
        """Tell whether this row is in doubt."""
        return seq in self._rows and self._rows[seq].doubt

    @property
    def floor(self) -> Seq:
        """No row below this one is left in the queue, announced or read."""
        low = min(self._lowest(), *self._cuts.values()) if self._cuts else self._lowest()
        return min(low, Seq(self._read_to + 1)) if self._behind else low

    def _lowest(self) -> Seq:
        """The first row in memory."""
        while self._order and self._order[0] not in self._rows:
            heapq.heappop(self._order)
        return self._order[0] if self._order else Seq(self._top + 1)

    # Parts of larger steps.

    def _lane(self, recipient: UserName) -> Lane:
        lane = self._lanes.get(recipient)
        if lane is None:
            lane = self._lanes[recipient] = Lane(recipient)
        return lane

    def _unload(self, row: Row) -> None:
        if row.message is not None and row.phase in (Phase.WAITING, Phase.OVER):
            row.message = None
            self._loaded -= 1

    def _take_out(self, lane: Lane, seq: Seq) -> None:
        if lane.seqs and lane.seqs[0] == seq:
            lane.seqs.popleft()
        else:
            lane.seqs.remove(seq)
