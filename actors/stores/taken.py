"""Hand-overs that were taken from neighbours: whatever comes again is known, until the neighbour says it is over.

A 202 may be lost, and then the same hand-over comes again, perhaps after a restart of both (PROTOCOL 17). A mark says
which row of which data folder it was; it is known if row and message id match, so that a folder put back from a backup,
which counts the same rows again, loses nothing. All marks are in memory, too, some 150 bytes each: a neighbour has a
few thousand, or 65,536 at most where one of its messages does not get on for long.
"""

from __future__ import annotations

from actors.messages.storage import LinkMark
from actors.model import MessageId, NodeName, Seq
from actors.stores.connection import Connection

STEP = 256
"""By so many rows a floor must have moved before rows below it are deleted: one statement for many. It goes back, too:
the rows of a backup that was put back, unnoticed, count up to it again."""
MOST = 65_536
"""Marks of one neighbour at most; more are refused. Who keeps his floor stops before (`link_queue.AHEAD`)."""
LARGEST_ROW = (1 << 63) - 1
"""What SQLite can hold."""

Places = dict[tuple[NodeName, str, Seq], MessageId]


class Link:
    """The marks of one neighbour's data folder."""

    def __init__(self, incarnation: str) -> None:
        self.incarnation = incarnation
        self.floor = Seq(0)
        """Rows below it are gone from the table."""
        self.ids: dict[Seq, MessageId] = {}


class Taken:
    """Finds and adds marks: `add` and `write` inside the caller's transaction, then `settle` or `roll_back`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._new: Places = {}
        self._floors: dict[NodeName, LinkMark] = {}
        self._written: dict[NodeName, LinkMark] = {}
        self._links: dict[NodeName, Link] = {}
        for node, incarnation, row, name in connection.fetchall("SELECT node, incarnation, row, id FROM taken"):
            self._link(node, incarnation).ids[row] = name

    def knows(self, mark: LinkMark, message_id: MessageId) -> bool:
        """Tell whether this very hand-over was taken; its floor counts from the next `write` on."""
        floor = self._floors.get(mark.node)
        if floor is None or floor.incarnation != mark.incarnation or floor.floor < mark.floor:
            self._floors[mark.node] = mark
        new = self._new.get((mark.node, mark.incarnation, mark.row))
        if new is not None:
            return new == message_id
        link = self._links.get(mark.node)
        return link is not None and link.incarnation == mark.incarnation and link.ids.get(mark.row) == message_id

    def has_room(self, mark: LinkMark) -> bool:
        """Tell whether this mark can be kept."""
        link = self._links.get(mark.node)
        return 0 < mark.row <= LARGEST_ROW and (link is None or len(link.ids) < MOST)

    def add(self, mark: LinkMark, message_id: MessageId) -> None:
        """Remember a mark."""
        self._new[(mark.node, mark.incarnation, mark.row)] = message_id

    def write(self) -> int:
        """Bring new marks to the table, and delete what is over; how many rows were written."""
        for node, mark in self._floors.items():
            self._prune(node, mark)
        self._floors.clear()
        if not self._new:
            return 0
        rows = [(*place, name) for place, name in self._new.items()]
        self._connection.executemany("INSERT OR REPLACE INTO taken VALUES (?, ?, ?, ?)", rows)
        return len(rows)

    def settle(self) -> None:
        """What was written is on disk."""
        for node, mark in self._written.items():
            link = self._link(node, mark.incarnation)
            link.floor = mark.floor
            link.ids = {row: name for row, name in link.ids.items() if row >= mark.floor}
        for (node, incarnation, row), name in self._new.items():
            self._link(node, incarnation).ids[row] = name
        self.roll_back()

    def roll_back(self) -> None:
        """What was written is not on disk."""
        self._new.clear()
        self._floors.clear()
        self._written.clear()

    def _prune(self, node: NodeName, mark: LinkMark) -> None:
        link = self._links.get(node)
        if link is None:
            return
        if link.incarnation != mark.incarnation:
            # The neighbour began anew: its old rows will not come again.
            sql = "DELETE FROM taken WHERE node = ? AND incarnation <> ?"
            self._connection.execute(sql, (node, mark.incarnation))
        elif abs(mark.floor - link.floor) >= STEP and mark.floor <= LARGEST_ROW:
            sql = "DELETE FROM taken WHERE node = ? AND incarnation = ? AND row < ?"
            self._connection.execute(sql, (node, mark.incarnation, mark.floor))
        else:
            return
        self._written[node] = mark

    def _link(self, node: NodeName, incarnation: str) -> Link:
        link = self._links.get(node)
        if link is None or link.incarnation != incarnation:
            link = self._links[node] = Link(incarnation)
        return link
