"""Ends of mail that is not in a mailbox: its life is over, or nobody has its recipient; the sender is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from actors.messages.router import MessagesRouted, NotKept, RouteMessages, Searching, ToMailbox, ToNeighbour
from actors.messages.storage import (
    EndItem,
    EndMessages,
    ExpiredFound,
    FindExpired,
    MessagesAcknowledged,
    StoreItem,
    StoreOutcome,
)
from actors.model import (
    UNROUTED,
    End,
    Envelope,
    QueueName,
    Seconds,
    Seq,
    Step,
    StoredMessage,
    mailbox_queue,
    neighbour_queue,
)
from actors.server_manager.core import Core
from actors.server_manager.custody import Custody
from actors.state.mail_queue import MailQueue
from actors.state.notices import NoticeDesk

NOTICE_LIFE = Seconds(432_000.0)
EXPIRY_BATCH = 200
DOUBT_DAYS = 86_400.0
"""Seconds that a message in doubt outlives its life, waiting for a definite answer."""
SKIPPED = 2_000
"""Messages whose life is over and that wait for an answer, at most."""
AGAIN = 0.5


class Ending(NamedTuple):
    """A message that ends, with the notice to its sender, if he is told."""

    queue: MailQueue | None
    envelope: Envelope
    item: EndItem
    notice: Envelope | None = None


class Endings:
    """Looks for what has outlived its time, and ends messages, each with its notice in one commit (PROTOCOL 14, 15)."""

    def __init__(self, core: Core, custody: Custody) -> None:
        self._core = core
        self._custody = custody
        self._desk = NoticeDesk()
        self._to_route: list[Ending] = []
        self._to_commit: list[Ending] = []
        self._skip: dict[Seq, float] = {}
        """What is in doubt, with the ends of their lives."""

    # Expiry.

    def start(self) -> None:
        """From now on time counts."""
        self._core.after(self._core.settings.expiry_interval, self._look)

    def _look(self) -> None:
        core = self._core
        node_time = core.node_time()
        waiting = [
            (expires, seq)
            for seq, expires in self._skip.items()
            if node_time < expires + DOUBT_DAYS and self._in_doubt(seq, self._custody.holder(seq))
        ]
        self._skip = {seq: expires for expires, seq in sorted(waiting)[-SKIPPED:]}
        request = core.expect(self._found, lambda _: self.start())
        skip = tuple(self._skip)
        core.refs.storage.tell(FindExpired(core.refs.me, request, EXPIRY_BATCH, skip, mailboxes=False))

    def _found(self, answer: ExpiredFound) -> None:
        """End what nobody may have; what is on the wire or being moved is looked at again next time."""
        core = self._core
        node_time, ended = core.node_time(), 0
        for message in answer.messages:
            seq = message.seq
            if seq in self._custody.ending:
                continue
            queue = self._custody.holder(seq)
            doubt = self._in_doubt(seq, queue)
            if doubt and node_time < message.expires + DOUBT_DAYS and len(self._skip) < SKIPPED:
                self._skip[seq] = message.expires
            elif queue is None or queue.hold(seq):
                reason = "no server took it in time"
                if doubt:
                    reason = "a server that may have taken it has not been heard of since; it may have arrived"
                self._begin(queue, message, End.EXPIRED, reason)
                ended += 1
                if queue is self._custody.unrouted:
                    core.refs.router.tell(NotKept((message.envelope.recipient,)))
        full = len(answer.messages) >= EXPIRY_BATCH
        core.after(0.0 if full and ended else core.settings.expiry_interval, self._look)

    def _in_doubt(self, seq: Seq, queue: MailQueue | None) -> bool:
        """Of what memory does not know, all that may be on its way to a neighbour since the last run may be in doubt;
        nobody had what is without a route."""
        if queue is not None:
            return queue.doubts(seq)
        return any(link.may_doubt_unread(seq) for link in self._custody.links.values())

    # Ends.

    def end(self, queue: MailQueue, message: StoredMessage, end: End, reason: str) -> None:
        """End a row that its queue holds for this."""
        self._begin(queue, message, end, reason)

    def _begin(self, queue: MailQueue | None, message: StoredMessage, end: End, reason: str) -> None:
        core, envelope = self._core, message.envelope
        self._custody.ending.add(message.seq)
        item = EndItem(
            seq=message.seq,
            id=envelope.id,
            sender=envelope.sender,
            recipient=envelope.recipient,
            accepted=envelope.accepted,
            end=end,
            reason=reason,
        )
        notice = self._desk.write(envelope, end, reason, core.now(), core.clock.wall())
        ending = Ending(queue, envelope, item, notice)
        (self._to_commit if notice is None else self._to_route).append(ending)

    def flush(self) -> None:
        """Ask where notices go, and bring ends to the disk."""
        if self._to_route:
            endings, self._to_route = tuple(self._to_route), []
            self._route(endings)
        if self._to_commit:
            endings, self._to_commit = tuple(self._to_commit), []
            self._commit(endings)

    def _route(self, endings: tuple[Ending, ...]) -> None:
        core = self._core

        def answered(answer: MessagesRouted) -> None:
            for ending, destination in zip(endings, answer.destinations, strict=True):
                self._to_commit.append(_with_notice(ending, destination))

        def failed(_: str) -> None:
            core.after(AGAIN, again)

        def again() -> None:
            for ending in endings:  # each for itself, so that a bad one is alone
                self._route((ending,))

        request = core.expect(answered, failed)
        notices = tuple(ending.notice for ending in endings if ending.notice is not None)
        core.refs.router.tell(RouteMessages(core.refs.me, request, notices))

    def _commit(self, endings: tuple[Ending, ...]) -> None:
        core = self._core

        def answered(answer: MessagesAcknowledged) -> None:
            self._ended(endings, answer)

        def failed(_: str) -> None:
            core.after(AGAIN, again)

        def again() -> None:
            for ending in endings:
                self._commit((ending,))

        def broken(_: str) -> None:
            self._forget(endings)
            for queue in self._custody.queues():
                queue.read_anew()

        request = core.expect(answered, failed, broken)
        items = tuple(ending.item for ending in endings)
        core.refs.storage.tell(EndMessages(core.refs.me, request, items, core.refs.client_manager))

    def _ended(self, endings: Sequence[Ending], answer: MessagesAcknowledged) -> None:
        core, results = self._core, iter(answer.notices)
        self._forget(endings)
        for ending in endings:
            item = ending.item
            core.step(Step.ENDED, item.id, f"{item.end}: {item.reason}")
            if item.end is not End.DELIVERED:
                text = f"from {item.sender} to {item.recipient}: {item.end}: {item.reason}"
                core.warn("not-delivered", text, item.id)
            core.count(f'messages_ended_total{{end="{item.end}"}}')
            if item.notice is None:
                continue
            result = next(results)
            if result.outcome is StoreOutcome.STORED and result.seq:
                notice = StoredMessage(result.seq, item.notice.envelope, True, result.expires)
                self._custody.placed(item.notice.queue, notice)

    def _forget(self, endings: Sequence[Ending]) -> None:
        for ending in endings:
            self._custody.ending.discard(ending.item.seq)
            if ending.queue is not None:
                ending.queue.gone(ending.item.seq)


def _with_notice(ending: Ending, destination: object) -> Ending:
    """The end with its notice, if that has a place to go; a sender whom nobody knows is told nothing."""
    assert ending.notice is not None
    queue: QueueName
    envelope = ending.notice
    match destination:
        case ToMailbox():
            queue = mailbox_queue(envelope.recipient)
        case ToNeighbour():
            queue, envelope = neighbour_queue(destination.node), destination.envelope
        case Searching():
            queue = UNROUTED
        case _:
            return ending
    notice = StoreItem(b"", queue, envelope, NOTICE_LIFE, once=isinstance(destination, ToMailbox))
    return ending._replace(item=msgspec.structs.replace(ending.item, notice=notice))
