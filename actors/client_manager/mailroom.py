"""What goes on between mailbox and devices: results, acknowledgements, reading on, expiry (PROTOCOL 8 to 15)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actors.client_manager.core import Core
from actors.client_manager.edge_deliveries import EdgeDeliveries
from actors.client_manager.intake import Ended, ending_of
from actors.messages.client_manager import DeliveryResult
from actors.messages.requests import OutboundRequest
from actors.messages.server_manager import MessagesQueued, QueuedMessage, RelayDeliveries
from actors.messages.sip_adapter import SendRequests
from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    FindExpired,
    ReadQueue,
    StoreOutcome,
    StoreResult,
)
from actors.model import (
    DeviceKey,
    End,
    QueueName,
    Seq,
    Step,
    StoredMessage,
    UserName,
    mailbox_queue,
    queue_user,
)
from actors.state.delivery_table import BUFFER
from actors.state.trail import AT_SERVER

EXPIRY_BATCH = 200


class Acknowledging(NamedTuple):
    """Answers of devices on their way to the disk."""

    items: tuple[Acknowledgement, ...]


class Reading(NamedTuple):
    """A device reads on in its mailbox."""

    user: UserName
    device: DeviceKey
    seqs: tuple[Seq, ...] = ()
    """Given: what stepped aside is read again."""


class Expiring(NamedTuple):
    """The store looks for messages whose life has ended."""


class Mailroom:
    """Deliveries, from the mailbox to the acknowledgement on disk."""

    def __init__(self, core: Core, edge_deliveries: EdgeDeliveries) -> None:
        self._core = core
        self._edge_deliveries = edge_deliveries
        self._expiring = False
        self._skip: tuple[Seq, ...] = ()
        self._many = False
        """The last look found a full batch: there may be more."""

    def result(self, result: DeliveryResult) -> None:
        """A device answered, or did not."""
        if result.delivery < 0:
            self._edge_deliveries.result(result)
        else:
            self._core.deliveries.ended(result, self._core.now())

    def acknowledged(self, what: Acknowledging) -> None:
        """What devices answered is on disk."""
        core, now = self._core, self._core.now()
        closed = [item for item in what.items if item.close]
        core.outbox.steps_of(Step.ACKNOWLEDGED, [item.id for item in closed], [item.device for item in closed])
        committed = core.deliveries.committed
        for item in what.items:
            committed(item.user, item.device, item.seq, now, removed=item.remove)
        core.outbox.count("messages_acknowledged_total", len(what.items))

    def acknowledge_again(self, what: Acknowledging) -> None:
        """The store failed on acknowledgements: each gets a commit of its own, so that a bad one is alone."""
        core = self._core
        for item in what.items:
            number = core.expect(Acknowledging((item,)))
            core.refs.storage.tell(AcknowledgeMessages(reply_to=core.refs.me, request=number, items=(item,)))

    def ended(self, what: Ended, notices: Sequence[StoreResult]) -> None:
        """A message ended without a 2xx, and its notice, if any, waits for the sender."""
        core, now = self._core, self._core.now()
        envelope = what.ending.envelope
        core.outbox.step(Step.ENDED, envelope.id, f"{what.ending.end}: {what.ending.reason}")
        core.outbox.count(f'messages_ended_total{{end="{what.ending.end}"}}')
        item = what.item
        if isinstance(item, Acknowledgement):
            core.deliveries.committed(item.user, item.device, item.seq, now, removed=item.remove)
        else:
            core.ending.discard(item.seq)
            core.deliveries.end_committed(item.seq)
            if self._many and not core.ending:
                self.look_for_expired()
        if item.notice is None or not notices or notices[0].outcome is not StoreOutcome.STORED:
            return
        stored = StoredMessage(notices[0].seq, item.notice.envelope, True, notices[0].expires)
        user = queue_user(item.notice.queue)
        record = core.registry.get(user) if user is not None else None
        if user is None:
            core.outbox.queued.append(QueuedMessage(item.notice.queue, stored))
        elif record is not None and stored.seq:
            core.deliveries.offer(record, stored, now)
        elif stored.seq and core.registry.absent(user) is not None:
            core.stray.add(user)

    # Reading on.

    def read(self, what: Reading, messages: Sequence[StoredMessage], more: bool) -> None:
        """Messages of the mailbox for one device."""
        deliveries, now = self._core.deliveries, self._core.now()
        if what.seqs:
            deliveries.read_aside(what.user, what.device, what.seqs, messages, now)
        else:
            deliveries.read(what.user, what.device, messages, more, now)

    def read_failed(self, what: Reading) -> None:
        """Try again later."""
        self._core.deliveries.read_failed(what.user, what.device, self._core.now())

    # Expiry.

    def look_for_expired(self) -> None:
        """Ask the store for what has outlived its time, unless it is still at it."""
        core = self._core
        if self._expiring or core.ending:
            return
        self._expiring = True
        number = core.expect(Expiring())
        core.refs.storage.tell(FindExpired(reply_to=core.refs.me, request=number, limit=EXPIRY_BATCH, skip=self._skip))

    def expiry_failed(self) -> None:
        """The store could not look: the next wake-up asks again."""
        self._expiring = False

    def expired(self, messages: Sequence[StoredMessage]) -> None:
        """End what is not in flight; what is waits for its transaction (PROTOCOL 15)."""
        core = self._core
        self._expiring = False
        self._many = len(messages) >= EXPIRY_BATCH
        skipped: list[Seq] = []
        for message in messages:
            if message.seq in core.ending:
                continue
            recipient = message.envelope.recipient
            if recipient in core.moving or core.registry.absent(recipient) is not None:
                skipped.append(message.seq)  # he is going, and takes it along
                continue
            if core.deliveries.is_in_flight(recipient, message.seq):
                skipped.append(message.seq)
                continue
            core.deliveries.end(recipient, message.seq)
            if core.deliveries.is_open(message):
                core.outbox.endings.append(ending_of(message, End.EXPIRED, "nobody took it in time"))
            else:
                core.outbox.endings.append(ending_of(message, End.DELIVERED, "not by every device"))
        self._skip = tuple(skipped)

    # Flushing.

    def flush(self) -> None:
        """Hand on sends, acknowledgements and reads."""
        core, outbox = self._core, self._core.outbox
        if outbox.acks:
            acks, outbox.acks = tuple(outbox.acks), []
            number = core.expect(Acknowledging(acks))
            core.refs.storage.tell(AcknowledgeMessages(reply_to=core.refs.me, request=number, items=acks))
        if outbox.sends:
            sends, outbox.sends = tuple(outbox.sends), []
            far = tuple([send for send in sends if send.route])
            near = tuple([send for send in sends if not send.route]) if far else sends
            if near:
                core.refs.sip_adapter.tell(SendRequests(items=near))
            if far:
                core.refs.server_manager.tell(RelayDeliveries(items=far))
            messages = [send for send in sends if send.message_id is not None and send.delivery > 0]
            devices = [_device(core.deliveries.device_of(send.delivery), send) for send in messages]
            outbox.steps_of(Step.SENT, [send.message_id for send in messages if send.message_id], devices)
        if outbox.queued:
            queued, outbox.queued = tuple(outbox.queued), []
            core.refs.server_manager.tell(MessagesQueued(items=queued))
        if outbox.reads:
            reads, outbox.reads = outbox.reads, []
            for read in reads:
                number = core.expect(Reading(read.user, read.device, read.seqs))
                queue: QueueName = mailbox_queue(read.user)
                core.refs.storage.tell(
                    ReadQueue(
                        reply_to=core.refs.me,
                        request=number,
                        queue=queue,
                        after=read.after,
                        limit=BUFFER,
                        seqs=read.seqs,
                    )
                )


def _device(device: DeviceKey | None, send: OutboundRequest) -> str:
    """Name the device that a request goes to, and the server that it is at if that is another one."""
    named = device or ""
    return f"{named}{AT_SERVER}{send.route[-2].decode()}" if len(send.route) > 1 else named
