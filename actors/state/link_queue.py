"""The queue of one neighbour: what is sent next, what is under way, in doubt, refused (PROTOCOL 17, 18, 19).

A row waits, flies, and is over with the neighbour's 202; it leaves memory when its removal is on disk. Of each lane one
row flies at a time; a 503 has its lane back off, the others go on. A row that flew without a definite answer is in
doubt: it is sent again to this neighbour, and to nobody else, and its lane waits behind it. All rows that the last run
left are in doubt.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Set
from enum import Enum, auto
from random import Random

from actors.model import QueueName, Seq, StoredMessage, UserName
from actors.state.mail_lanes import Lane, Phase, Row
from actors.state.mail_queue import MailQueue

FLIGHTS = 64
"""Rows on the wire at once."""
AHEAD = 60_000
"""Rows over ahead of the floor: the neighbour has to remember each of them, and remembers 65,536 (`stores.taken`). With
as many, one recipient that does not move keeps the link from all others; each takes some 50 bytes here."""
REST_MOST = 60.0
"""Of our own back-off, and of what a Retry-After adds: nothing proves that it is the neighbour's."""
EXPIRED_REST = 5.0
"""Seconds left to whoever ends an expired message."""


class Way(Enum):
    """How it stands with the link."""

    UP = auto()
    DOWN = auto()
    """Just fallen, or not yet up: all wait for it."""
    CUT = auto()
    """Down for a while: lanes without doubts look for another way."""
    REMOVED = auto()
    """The operator has removed the neighbour: all go, even those in doubt."""


class LinkQueue(MailQueue):
    """What waits for a neighbour, and what is on the wire to it."""

    def __init__(
        self,
        queue: QueueName,
        random: Random,
        ending: Set[Seq],
        *,
        start: Seq,
        size: int = 0,
        index: int = 20_000,
        window: int = 256,
    ) -> None:
        super().__init__(queue, random, ending, start=start, size=size, index=index, window=window)
        self.way = Way.DOWN
        self.in_flight = 0
        self.sent = 0
        """Rows handed over."""
        self._doubt_to = start
        self._ready: list[tuple[Seq, UserName]] = []
        """A heap of lanes by their heads; some entries are out of date."""
        self._handed: list[Seq] = []
        """A heap of rows over and gone ahead of the floor."""

    def set_way(self, way: Way) -> None:
        """The link went up or down, or the neighbour is no more."""
        self.way = way
        for lane in self._lanes.values():
            lane.staying = False
            if way is Way.UP:
                lane.leaving = Seq(0)
                if lane.doubts:
                    lane.resting = False
        if way is not Way.DOWN:
            self._touch_all()

    def _may_have_arrived(self, seq: Seq) -> bool:
        return seq <= self._doubt_to

    def may_doubt_unread(self, seq: Seq) -> bool:
        """Tell whether a row that memory does not know may stand in this queue: then it is in doubt."""
        unread = self._behind and seq > self._read_to
        return self._may_have_arrived(seq) and (unread or any(seq >= cut for cut in self._cuts.values()))

    def _useful(self, lane: Lane) -> bool:
        if lane.staying:
            return False
        if self.way is Way.CUT:
            return not lane.doubts and not lane.resting
        return self.way is Way.DOWN or not lane.resting

    def _routes(self, lane: Lane) -> bool:
        if self.way is Way.UP:
            return self._free(self._rows[lane.seqs[0]])
        return self.way is Way.REMOVED or (self.way is Way.CUT and not lane.doubts)

    def _free(self, row: Row) -> bool:
        if self.way is Way.UP:
            return not row.doubt and row.seq <= row.lane.leaving
        return not row.doubt or self.way is Way.REMOVED

    def leaves_when_searched(self, seq: Seq) -> bool:
        """Tell whether a held row goes to the unrouted where the Router has to search: not if the link is just down."""
        row = self._rows.get(seq)
        return row is not None and (self.way is Way.REMOVED or seq <= row.lane.leaving)

    def _stay(self, lane: Lane, now: float) -> None:
        if lane.leaving or self.way is Way.REMOVED:
            self._back_off(lane, now, 0.0)
            lane.leaving = Seq(0)
        else:
            lane.staying = self.way is Way.CUT

    def returns(self, seq: Seq, now: float) -> bool:
        """Tell whether a held row that the neighbour refused may go to its queue again, to be sent after a while."""
        row = self._rows.get(seq)
        if row is None or seq > row.lane.leaving or self.way is Way.REMOVED:
            return False
        if not row.lane.resting:
            self._back_off(row.lane, now, 0.0)
        return True

    # Sending.

    def _can_send(self, lane: Lane) -> None:
        heapq.heappush(self._ready, (lane.seqs[0], lane.recipient))

    def take(self, now: float, node_time: float) -> Iterator[StoredMessage]:
        """Take what is to be sent now, oldest heads first; its answer, or none, is told by the methods below."""
        while self._ready and self.in_flight < FLIGHTS and self.way is Way.UP:
            seq, recipient = self._ready[0]
            lane = self._lanes.get(recipient)
            row = self._rows.get(seq)
            if lane is None or row is None or not self._sendable(lane, row):
                heapq.heappop(self._ready)
            elif not row.doubt and row.message is not None and row.message.expires <= node_time:
                heapq.heappop(self._ready)
                self.rest(lane, now, EXPIRED_REST)
            elif self._is_too_far_ahead(seq):
                return
            else:
                heapq.heappop(self._ready)
                if row.message is None:
                    self._touch(lane)
                    continue
                row.phase = Phase.FLYING
                lane.busy += 1
                self.in_flight += 1
                yield row.message

    def _sendable(self, lane: Lane, row: Row) -> bool:
        head = bool(lane.seqs) and lane.seqs[0] == row.seq and row.phase is Phase.WAITING
        return head and not lane.busy and self._useful(lane) and not self._routes(lane)

    def _is_too_far_ahead(self, seq: Seq) -> bool:
        """Tell whether the neighbour would have to remember too much: then only the row at the floor may go."""
        floor = self.floor
        while self._handed and self._handed[0] < floor:
            heapq.heappop(self._handed)
        return len(self._handed) >= AHEAD and seq != floor

    # Ends of what was sent.

    def accepted(self, seq: Seq) -> None:
        """202: the neighbour has it on its disk. The row is over, and counts until its removal is on ours."""
        row = self._land(seq)
        if row is None:
            return
        row.phase = Phase.OVER
        self._over += 1
        self.sent += 1
        self._unload(row)
        lane = row.lane
        lane.doubts -= row.doubt
        row.doubt = False
        lane.failures = 0
        self._take_out(lane, seq)
        heapq.heappush(self._handed, seq)
        self._touch(lane)

    def later(self, seq: Seq, now: float, retry_after: float, *, doubt: bool = False) -> None:
        """It cannot take it now: this recipient backs off. `doubt`: that was no word about this very message."""
        row = self._land(seq)
        if row is not None:
            self._doubt(row, doubt or row.doubt)
            self._back_off(row.lane, now, retry_after)

    def unanswered(self, seq: Seq, now: float, retry_after: float = 0.0) -> None:
        """It may have arrived: in doubt."""
        row = self._land(seq)
        if row is not None:
            self._doubt(row, True)
            if self.way is Way.UP:
                self._back_off(row.lane, now, retry_after)
            self._touch(row.lane)

    def refused(self, seq: Seq) -> None:
        """The neighbour does not have it, and will not take it: its lane is routed anew."""
        row = self._land(seq)
        if row is not None:
            self._doubt(row, False)
            row.lane.leaving = max(self._top, row.lane.seqs[-1])
            self._touch(row.lane)

    def outlived(self, seq: Seq, now: float) -> None:
        """The neighbour does not have it, and its life is over: it waits for its end."""
        row = self._land(seq)
        if row is not None:
            self._doubt(row, False)
            self.rest(row.lane, now, EXPIRED_REST)

    def _land(self, seq: Seq) -> Row | None:
        row = self._rows.get(seq)
        if row is None or row.phase is not Phase.FLYING:
            return None
        row.phase = Phase.WAITING
        row.lane.busy -= 1
        self.in_flight -= 1
        return row

    def _doubt(self, row: Row, doubt: bool) -> None:
        row.lane.doubts += doubt - row.doubt
        row.doubt = doubt

    def _back_off(self, lane: Lane, now: float, retry_after: float) -> None:
        lane.failures += 1
        most = min(REST_MOST, 2.0 ** min(lane.failures - 1, 10))
        self.rest(lane, now, min(retry_after, REST_MOST) + most * self._random.random())
