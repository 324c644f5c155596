"""Rows that go another way than they were stored for: the Router is asked, then they move on disk, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from actors.messages.router import (
    Destination,
    MailKept,
    MessagesRouted,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.storage import (
    MessagesMoved,
    MoveItem,
    MoveMessages,
    QueueRead,
    ReadQueue,
    StoreOutcome,
    StoreResult,
)
from actors.model import UNROUTED, End, Seq, Step, StoredMessage, UserName, mailbox_queue, neighbour_queue, queue_node
from actors.server_manager.core import Core
from actors.server_manager.custody import Custody
from actors.server_manager.endings import Endings
from actors.state.link_queue import LinkQueue
from actors.state.mail_lanes import Reading
from actors.state.mail_queue import MailQueue

READ_AGAIN = 0.5


class Move(NamedTuple):
    """A row on its way to another queue."""

    message: StoredMessage
    item: MoveItem


class Rerouting:
    """Reads on in queues, and brings rows that are to be routed anew where the Router says."""

    def __init__(self, core: Core, custody: Custody, endings: Endings) -> None:
        self._core = core
        self._custody = custody
        self._endings = endings

    def serve(self, queue: MailQueue) -> None:
        """See what a queue wants of Storage and Router now."""
        messages = queue.to_route()
        for leaves in (True, False):
            some = tuple(message for message in messages if queue.leaves_when_searched(message.seq) is leaves)
            if some:
                self._ask(queue, some, kept=not leaves)
        reading = queue.next_read()
        if reading is not None:
            self._read(queue, reading)

    # Reading on.

    def _read(self, queue: MailQueue, reading: Reading) -> None:
        core = self._core

        def answered(answer: QueueRead) -> None:
            queue.page(answer.messages, answer.more)
            names, more = queue.take_found()
            if queue.queue == UNROUTED:
                core.refs.router.tell(MailKept(names, more))

        def failed(_: str) -> None:
            core.after(READ_AGAIN, queue.read_failed)

        request = core.expect(answered, failed)
        core.refs.storage.tell(
            ReadQueue(core.refs.me, request, queue.queue, reading.after, reading.limit, seqs=reading.seqs)
        )

    # Routing.

    def _ask(self, queue: MailQueue, messages: tuple[StoredMessage, ...], *, kept: bool) -> None:
        """`kept`: where the Router has to search they stay; it does not count them among the unrouted then."""
        core = self._core

        def answered(answer: MessagesRouted) -> None:
            self._routed(queue, messages, answer.destinations)

        def failed(_: str) -> None:
            lanes = _by_recipient(messages)
            for lane in lanes if len(lanes) > 1 else ():
                self._ask(queue, lane, kept=kept)  # each for itself, so that a bad one keeps nobody else
            if len(lanes) == 1:
                put_off("")

        def put_off(_: str) -> None:
            for message in messages:
                queue.again(message.seq, core.now())
            self._stay_unrouted(queue, messages)

        request = core.expect(answered, failed, put_off)
        envelopes = tuple(message.envelope for message in messages)
        core.refs.router.tell(RouteMessages(core.refs.me, request, envelopes, kept=kept))

    def _routed(self, queue: MailQueue, messages: Sequence[StoredMessage], destinations: Sequence[Destination]) -> None:
        """In order for each recipient: behind one that stays, all stay."""
        now = self._core.now()
        stopped: set[UserName] = set()
        staying: list[Seq] = []
        moves: list[Move] = []
        for message, destination in zip(messages, destinations, strict=True):
            recipient = message.envelope.recipient
            item = None if recipient in stopped else self._move(queue, message, destination)
            if item is not None:
                moves.append(Move(message, item))
            elif recipient not in stopped and isinstance(destination, Unknown):
                self._endings.end(queue, message, End.UNDELIVERABLE, destination.reason)
            else:
                stopped.add(recipient)
                staying.append(message.seq)
        for seq in staying:
            queue.stay(seq, now)
        if moves:
            self._tell_move(queue, tuple(moves))

    def _move(self, queue: MailQueue, message: StoredMessage, destination: Destination) -> MoveItem | None:
        """Where it goes; None: it stays, or ends."""
        seq, envelope = message.seq, message.envelope
        match destination:
            case ToMailbox():
                return MoveItem(seq, mailbox_queue(envelope.recipient), envelope, once=True)
            case ToNeighbour(node=node, envelope=routed):
                target = neighbour_queue(node)
                changed = target != queue.queue or routed.routing != envelope.routing
                if target == queue.queue and not (changed and self._returns(queue, seq)):
                    return None
                return MoveItem(seq, target, routed)
            case Searching() if queue.leaves_when_searched(seq):
                return MoveItem(seq, UNROUTED, envelope)
            case _:
                return None

    def _returns(self, queue: MailQueue, seq: Seq) -> bool:
        return isinstance(queue, LinkQueue) and queue.returns(seq, self._core.now())

    # Moving.

    def _tell_move(self, queue: MailQueue, moves: tuple[Move, ...]) -> None:
        core = self._core

        def answered(answer: MessagesMoved) -> None:
            self._moved(queue, moves, answer.results)

        def failed(_: str) -> None:
            lanes = _by_recipient([move.message for move in moves])
            of = {move.message.seq: move for move in moves}
            for lane in lanes if len(lanes) > 1 else ():
                self._tell_move(queue, tuple(of[message.seq] for message in lane))
            if len(lanes) == 1:
                for move in moves:
                    queue.again(move.message.seq, core.now())
                self._stay_unrouted(queue, [move.message for move in moves])

        def broken(_: str) -> None:
            for move in moves:
                queue.gone(move.message.seq)
            for one in self._custody.queues():
                one.read_anew()

        request = core.expect(answered, failed, broken)
        items = tuple(move.item for move in moves)
        core.refs.storage.tell(MoveMessages(core.refs.me, request, items, core.refs.client_manager))

    def _moved(self, queue: MailQueue, moves: Sequence[Move], results: Sequence[StoreResult]) -> None:
        now = self._core.now()
        stay = []
        for move, result in zip(moves, results, strict=True):
            if result.outcome in (StoreOutcome.REFUSED, StoreOutcome.LATE):
                queue.again(move.message.seq, now)
                stay.append(move.message)
                continue
            queue.gone(move.message.seq)
            if queue.queue == UNROUTED:
                node = queue_node(move.item.queue)
                found = "found here" if node is None else f"found, by way of {node}"
                self._core.step(Step.SEARCHED, move.message.envelope.id, found)
            if result.outcome is StoreOutcome.STORED and result.seq:  # else it waits for a user who is moving here
                self._place(move, result)
        self._stay_unrouted(queue, stay)

    def _stay_unrouted(self, queue: MailQueue, messages: Sequence[StoredMessage]) -> None:
        """The Router believes that these have left the queue of the unrouted: they have not, and will be asked about
        again; until then no other must overtake them."""
        if messages and queue.queue == UNROUTED:
            found, more = queue.take_found()
            names = (*found, *(message.envelope.recipient for message in messages))
            self._core.refs.router.tell(MailKept(names, more))

    def _place(self, move: Move, result: StoreResult) -> None:
        message = msgspec.structs.replace(
            move.message, seq=result.seq, envelope=move.item.envelope, expires=result.expires or move.message.expires
        )
        self._custody.placed(move.item.queue, message)


def _by_recipient(messages: Sequence[StoredMessage]) -> list[tuple[StoredMessage, ...]]:
    lanes: dict[UserName, list[StoredMessage]] = {}
    for message in messages:
        lanes.setdefault(message.envelope.recipient, []).append(message)
    return [tuple(lane) for lane in lanes.values()]
