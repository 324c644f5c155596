"""A queue of mail that goes elsewhere, as memory knows it: bounded, however long it is on disk.

Of each row memory keeps its number, in a lane of its recipient, up to `index` rows; of the first rows of lanes that
can move it keeps the message too, up to about `window`. What is not indexed is found by reading on from the disk: all
rows up to `read_to` have been seen. A lane that fills half of the index is cut: its later rows are skipped, and looked
for again once its earlier ones are gone and all others have been seen. So no recipient keeps others from being found.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice

from actors.model import Seq, StoredMessage, UserName
from actors.state.mail_index import MailIndex
from actors.state.mail_lanes import Lane, Phase, Reading, Row

PAGE = 128
"""Rows read at once."""
LANE_WINDOW = 32
"""Messages of one recipient in memory at most, but for what is being routed."""
ROUTE_AT_ONCE = 256
AGAIN_AFTER = 1.0
"""Seconds until what Router or Storage failed on is tried again."""


class MailQueue(MailIndex):
    """The queue of the unrouted as it is; of a neighbour's queue the part that is not about sending."""

    # What comes in.

    def add(self, message: StoredMessage) -> None:
        """A row has been committed, and is announced."""
        seq = message.seq
        self._size += 1
        self._top = max(self._top, seq)
        if self._behind or seq in self._rows or seq <= self._read_to or seq in self._ending:
            return  # it was read already, or will be
        if len(self._rows) >= self._index:
            self._behind = True
            return
        lane = self._lane(message.envelope.recipient)
        if lane.recipient not in self._cuts:
            self._insert(message, lane, doubt=False)

    def next_read(self) -> Reading | None:
        """What is to be read now; then `page` or `read_failed` follows."""
        if self._reading is not None:
            return None
        reading = self._choose_read()
        if reading is not None:
            self._reading = (reading, self._top)
        return reading

    def _choose_read(self) -> Reading | None:
        low = self._lowest()
        unread = Reading(self._read_to, PAGE) if self._behind and self._has_room() else None
        if unread is not None and self._read_to + 1 < low:
            return unread  # it keeps the floor down
        if self._loaded > self._window // 2:
            first = self._rows.get(low)
            if first is None or first.message is not None or first.lane.recipient not in self._hungry:
                return None
            del self._hungry[first.lane.recipient]
            return Reading(Seq(0), 1, (low,))  # the oldest of all never waits for room
        self._reads_on = unread is not None and not self._reads_on  # in turn: neither keeps the other waiting
        seqs = () if self._reads_on else self._missing()
        return Reading(Seq(0), len(seqs), seqs) if seqs else unread

    def _has_room(self) -> bool:
        """Tell whether the index can take more."""
        if self._full and len(self._rows) <= self._index * 3 // 4:
            self._full = False
        elif not self._full and len(self._rows) >= self._index:
            self._full = not self._cut_longest()
        return not self._full

    def page(self, messages: Sequence[StoredMessage], more: bool) -> None:
        """What was read; `more`: the queue goes on behind it."""
        if self._reading is None:
            return
        (reading, top), self._reading = self._reading, None
        if reading.seqs:
            self._load(reading.seqs, messages)
        else:
            self._read_on(reading, messages, more, top)
        self._gone_meanwhile.clear()

    def read_failed(self) -> None:
        """Nothing was read; `next_read` asks again."""
        if self._reading is not None:
            (reading, _), self._reading = self._reading, None
            for seq in reading.seqs:
                if seq in self._rows:
                    self._touch(self._rows[seq].lane)

    def read_anew(self) -> None:
        """Look at the whole queue on disk again: what memory does not know of it comes in."""
        self._read_from(Seq(1))

    def _read_from(self, seq: Seq) -> None:
        """What memory does not know of from there on is looked for, as of now; what was skipped too."""
        self._read_to = min(self._read_to, Seq(min(seq, *self._cuts.values(), seq) - 1))
        self._behind = True
        self._cuts.clear()

    def _load(self, seqs: Sequence[Seq], messages: Sequence[StoredMessage]) -> None:
        found = {message.seq: message for message in messages}
        for seq in seqs:
            row = self._rows.get(seq)
            if row is None or row.message is not None or row.phase is Phase.OVER:
                continue
            if seq in found:
                row.message = found[seq]
                self._loaded += 1
            elif row.phase is Phase.WAITING:
                self.gone(seq)  # damaged, and put aside
        for recipient in {self._rows[seq].lane.recipient: None for seq in seqs if seq in self._rows}:
            self._touch(self._lanes[recipient])

    def _read_on(self, reading: Reading, messages: Sequence[StoredMessage], more: bool, top: Seq) -> None:
        last = reading.after
        for message in messages:
            seq = message.seq
            if seq not in self._rows and seq not in self._gone_meanwhile and seq not in self._ending:
                if len(self._rows) >= self._index:
                    more = True
                    break
                lane = self._lane(message.envelope.recipient)
                if seq < self._cuts.get(lane.recipient, seq + 1):
                    self._insert(message, lane, self._may_have_arrived(seq))
                    self._found.append(lane.recipient)
            last = seq
        if reading.after != self._read_to:
            return  # it was set back meanwhile
        if more:
            self._read_to = max(last, self._read_to)
            return
        # All that was announced when the reading began was on disk then, and has been seen.
        self._read_to = max(last, top)
        self._behind = self._top > self._read_to
        if not self._behind:
            self._size = len(self._rows) - self._over if not self._cuts else self._size
            self._see_to_cuts()

    def take_found(self) -> tuple[tuple[UserName, ...], bool]:
        """Take the recipients of what reading on has found, and whether there may be more to find."""
        found, self._found = tuple(self._found), []
        return found, self._behind

    def _see_to_cuts(self) -> None:
        """Once all has been seen, look for what was skipped of lanes that have come to their cut."""
        come = [cut for recipient, cut in self._cuts.items() if not self._lanes[recipient].seqs]
        if come and not self._behind:
            self._read_from(min(come))

    def _may_have_arrived(self, seq: Seq) -> bool:
        """Tell whether a row that is found on disk is in doubt."""
        return False

    def _insert(self, message: StoredMessage, lane: Lane, doubt: bool) -> None:
        row = Row(message, lane, doubt)
        lane.doubts += doubt
        ahead = len(lane.seqs)
        near = ahead < LANE_WINDOW and (not ahead or self._rows[lane.seqs[-1]].message is not None)
        if near and self._loaded < self._window and self._useful(lane):
            row.message = message
            self._loaded += 1
        self._rows[row.seq] = row
        heapq.heappush(self._order, row.seq)
        if not lane.seqs or row.seq > lane.seqs[-1]:
            lane.seqs.append(row.seq)
        else:
            lane.seqs = deque(sorted((*lane.seqs, row.seq)))
        self._touch(lane)

    def _missing(self) -> tuple[Seq, ...]:
        """Rows at the heads of lanes that could move if they were in memory."""
        seqs: list[Seq] = []
        for recipient in tuple(self._hungry):
            if len(seqs) >= PAGE // 2:
                break
            del self._hungry[recipient]
            lane = self._lanes.get(recipient)
            if lane is not None and self._useful(lane):
                ahead = islice(lane.seqs, LANE_WINDOW // 2)
                seqs += [seq for seq in ahead if self._rows[seq].message is None]
        return tuple(seqs)

    def _cut_longest(self) -> bool:
        """Make room in the index at the cost of the longest lane; False: none is that long."""
        lane = max(self._lanes.values(), key=lambda one: len(one.seqs))
        if len(lane.seqs) <= self._index // 2:
            return False
        cut = Seq(0)
        while len(lane.seqs) > max(1, self._index * 3 // 8) and self._rows[lane.seqs[-1]].phase is Phase.WAITING:
            row = self._rows[lane.seqs[-1]]
            if row.doubt and not self._may_have_arrived(row.seq):
                break  # only memory knows of this doubt
            cut = lane.seqs.pop()
            self._unload(row)
            lane.doubts -= row.doubt
            del self._rows[cut]
        if cut:
            self._cuts[lane.recipient] = min(cut, self._cuts.get(lane.recipient, cut))
        return cut != 0

    # Lanes: what can be done with each.

    def _useful(self, lane: Lane) -> bool:
        """Tell whether its messages are worth having in memory now."""
        return not lane.staying and not lane.resting

    def _routes(self, lane: Lane) -> bool:
        """Tell whether it is to be routed anew."""
        return True

    def _free(self, row: Row) -> bool:
        """Tell whether a row of such a lane may go elsewhere."""
        return not row.doubt

    def _can_send(self, lane: Lane) -> None:
        """Its head waits, in memory, and is not to be routed."""

    def _touch(self, lane: Lane) -> None:
        """Something changed with it: see what can be done now."""
        if not lane.seqs:
            self._see_to_cuts()
            if lane.recipient not in self._cuts and not lane.resting:
                self._lanes.pop(lane.recipient, None)
        elif lane.busy or not self._useful(lane):
            return
        elif self._rows[lane.seqs[0]].message is None:
            self._hungry[lane.recipient] = None
        elif self._routes(lane):
            self._to_route[lane.recipient] = None
        else:
            self._can_send(lane)

    def _touch_all(self) -> None:
        for lane in tuple(self._lanes.values()):
            if not self._useful(lane):
                self._shed(lane)
            self._touch(lane)

    def _shed(self, lane: Lane) -> None:
        """It will not move for a while: its messages are left on the disk, unless there is room enough."""
        if self._loaded > self._window // 4:
            for seq in islice(lane.seqs, LANE_WINDOW * 2):
                self._unload(self._rows[seq])

    def rest(self, lane: Lane, now: float, seconds: float) -> None:
        """Leave a lane alone for a while."""
        lane.resting = True
        self.rests.set(lane.recipient, now + seconds)
        self._shed(lane)

    def wake(self, now: float) -> None:
        """Time has passed: lanes that have rested go on."""
        for recipient in self.rests.due(now):
            lane = self._lanes.get(recipient)
            if lane is not None and lane.resting:
                lane.resting = False
                self._touch(lane)

    # Routing anew.

    def to_route(self) -> list[StoredMessage]:
        """Take messages to ask the Router about, in order for each recipient; each is settled later."""
        taken: list[StoredMessage] = []
        for recipient in tuple(self._to_route):
            if len(taken) >= ROUTE_AT_ONCE:
                break
            del self._to_route[recipient]
            lane = self._lanes.get(recipient)
            if lane is None or lane.busy or not self._useful(lane) or not self._routes(lane):
                continue
            for seq in tuple(islice(lane.seqs, 2 * LANE_WINDOW)):
                row = self._rows[seq]
                if row.message is None or not self._free(row) or row.phase is not Phase.WAITING:
                    break
                self._hold(row)
                taken.append(row.message)
            if not lane.busy:
                self._touch(lane)
        return taken

    def leaves_when_searched(self, seq: Seq) -> bool:
        """Tell whether a held row goes to the unrouted where the Router has to search."""
        return False

    def stay(self, seq: Seq, now: float) -> None:
        """A held row stays where it is: there is no other way for it now."""
        row = self._rows.get(seq)
        if row is not None and row.phase is Phase.HELD:
            self._stay(row.lane, now)
            self.release(seq)

    def _stay(self, lane: Lane, now: float) -> None:
        lane.staying = True

    def again(self, seq: Seq, now: float) -> None:
        """Router or Storage failed on a held row: a little later once more."""
        row = self._rows.get(seq)
        if row is not None and row.phase is Phase.HELD:
            self.rest(row.lane, now, AGAIN_AFTER * (1 + self._random.random()))
            self.release(seq)

    def release(self, seq: Seq) -> None:
        """A held row goes back into its place."""
        row = self._rows.get(seq)
        if row is not None and row.phase is Phase.HELD:
            row.phase = Phase.WAITING
            row.lane.busy -= 1
            if not row.lane.busy:
                if not self._useful(row.lane):
                    self._shed(row.lane)
                self._touch(row.lane)

    def hold(self, seq: Seq) -> bool:
        """Hold a waiting row: it is about to end. False: it is not here, or something else goes on with it."""
        row = self._rows.get(seq)
        if row is None or row.phase is not Phase.WAITING:
            return False
        self._hold(row)
        return True

    def _hold(self, row: Row) -> None:
        row.phase = Phase.HELD
        row.lane.busy += 1

    def gone(self, seq: Seq) -> None:
        """The row is in this queue no more."""
        if self._reading is not None:
            self._gone_meanwhile.add(seq)
        row = self._rows.pop(seq, None)
        if row is None:
            return
        self._size = max(0, self._size - 1)
        lane = row.lane
        if row.phase is Phase.OVER:
            self._over -= 1
            return
        if row.phase is not Phase.WAITING:
            lane.busy -= 1
            row.phase = Phase.WAITING
        self._unload(row)
        lane.doubts -= row.doubt
        self._take_out(lane, seq)
        self._touch(lane)

    def route_again(self, names: Iterable[UserName]) -> None:
        """The Router may know more now; none given: of all recipients."""
        for recipient in tuple(names) or tuple(self._lanes):
            lane = self._lanes.get(recipient)
            if lane is not None and lane.staying:
                lane.staying = False
                self._touch(lane)
