"""Who holds what: the rows on all disks, followed commit by commit, and told when more act on a message than may.

A row is *passed on* once another node's disk has taken it over; until the answer is back it still stands where it was,
and nobody acts on it. Of each message one row at most is not passed on: two of them, and two servers act on it (P5).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    DropMessages,
    EndItem,
    EndMessages,
    MoveItem,
    MoveMessages,
    RemoveAccount,
    SaveAccounts,
    SaveRegistration,
    SettleMove,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    StoreResult,
)
from actors.model import QueueName, Routing, queue_user
from actors.stores.port import Write

Rows = Iterable[tuple[int, str, str]]
"""Seq, id and queue of messages on a disk."""
Place = tuple[str, int]
"""A node, and a seq there."""


class Shelf(Protocol):
    """The disk of a node."""

    def rows(self) -> Rows:
        """All messages on it."""


class Row(msgspec.Struct):
    """A message on a disk."""

    id: str
    queue: QueueName
    routing: Routing | None = None
    """With which it is sent to a neighbour."""
    passed: bool = False


class Custody:
    """Follows the rows; `complain` hears of broken promises, `entered` of messages that come into a mailbox."""

    def __init__(self, complain: Callable[[str], None], entered: Callable[[str, str, int], None]) -> None:
        self._complain = complain
        self._entered = entered
        """Given id, node and seq."""
        self._rows: dict[Place, Row] = {}
        self._places: dict[str, set[Place]] = {}
        self._legs: dict[tuple[str, int], set[str]] = {}
        """Which nodes had a message in each of its legs."""
        self.most = 0
        """On how many disks one message ever stood at once, rows included whose 202 is on its way back."""

    def holders(self, message: str) -> set[str]:
        """Nodes on whose disks it is."""
        return {node for node, _ in self._places.get(message, ())}

    def row(self, node: str, seq: int) -> Row | None:
        """What stands there."""
        return self._rows.get((node, seq))

    def committed(self, node: str, shelf: Shelf, commands: Collection[Write], results: Collection[Any]) -> None:
        """These commands are on this node's disk."""
        anew = [self._follow(node, command, result) for command, result in zip(commands, results, strict=True)]
        if any(anew):
            self._look(node, shelf)

    def _follow(self, node: str, command: Write, result: Any) -> bool:
        """Note what a command did; True: only the disk can tell."""
        match command:
            case StoreMessages():
                looks = [self._stored(node, item, done) for item, done in zip(command.items, result, strict=True)]
                return any(looks)
            case MoveMessages():
                looks = [self._moved(node, move, done) for move, done in zip(command.items, result, strict=True)]
                return any(looks)
            case DropMessages():
                for seq in command.seqs:
                    self._gone(node, seq)
            case AcknowledgeMessages() | EndMessages():
                return self._ended(node, command.items, iter(result))
            case SettleMove() | RemoveAccount() | SaveAccounts():
                return True
            case SaveRegistration():
                return bool(command.forget)
            case _:
                pass
        return False

    def _ended(self, node: str, items: Iterable[Acknowledgement | EndItem], notices: Iterator[StoreResult]) -> bool:
        anew = False
        for item in items:
            if isinstance(item, EndItem) or item.remove:
                self._gone(node, item.seq)
            if item.notice is not None:
                anew = self._stored(node, item.notice, next(notices)) or anew
        return anew

    def _stored(self, node: str, item: StoreItem, result: StoreResult) -> bool:
        """Note a new row, and which one it was before; True: it stands elsewhere than it was told to."""
        if result.outcome is not StoreOutcome.STORED:
            return False
        message = str(item.envelope.id)
        if item.link is not None:
            self._pass((str(item.link.node), item.link.row), message, node)
        elif item.moved:
            for place in self._places.get(message, ()):
                if place[0] != node and queue_user(self._rows[place].queue) is not None:
                    self._rows[place].passed = True
        if result.queue:
            return True
        self._put(node, result.seq, message, item.queue, item.envelope.routing)
        return False

    def _moved(self, node: str, item: MoveItem, result: StoreResult) -> bool:
        if result.outcome in (StoreOutcome.STORED, StoreOutcome.KNOWN):
            self._gone(node, item.seq)
        if result.outcome is not StoreOutcome.STORED:
            return False
        if result.queue:
            return True
        self._put(node, result.seq, str(result.id), item.queue, item.envelope.routing)
        return False

    def _pass(self, place: Place, message: str, node: str) -> None:
        """A node has taken over the row at this place; in the same leg it had not had it before (PROTOCOL 20)."""
        row = self._rows.get(place)
        if row is None or row.id != message:
            return
        row.passed = True
        if row.routing is not None:
            visited = self._legs.setdefault((message, row.routing.leg), set())
            visited.update(row.routing.visited)
            if node in visited:
                self._complain(f"{message} came to {node} twice in a leg: {row.routing}")
            visited.add(node)

    def _put(self, node: str, seq: int, message: str, queue: QueueName, routing: Routing | None = None) -> None:
        self._rows[node, seq] = Row(message, queue, routing)
        self._places.setdefault(message, set()).add((node, seq))
        if queue_user(queue) is not None:
            self._entered(message, node, seq)
        self._judge(message)

    def _gone(self, node: str, seq: int) -> None:
        row = self._rows.pop((node, seq), None)
        if row is not None:
            self._places[row.id].discard((node, seq))

    def _look(self, node: str, shelf: Shelf) -> None:
        """Something happened that commands do not tell in full: look at the disk."""
        found = {seq: (message, queue) for seq, message, queue in sorted(shelf.rows())}
        for place in [place for place in self._rows if place[0] == node and place[1] not in found]:
            self._gone(*place)
        for seq, (message, queue) in found.items():
            row = self._rows.get((node, seq))
            if row is None:
                self._put(node, seq, message, QueueName(queue))

    def _judge(self, message: str) -> None:
        places = self._places[message]
        acting = sorted(place for place in places if not self._rows[place].passed)
        if len(acting) > 1:
            where = ", ".join(f"{node} ({self._rows[node, seq].queue}, {seq})" for node, seq in acting)
            self._complain(f"two act on {message}: {where}")
        self.most = max(self.most, len({node for node, _ in places}))
