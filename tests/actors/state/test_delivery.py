"""Windows of devices: what is sent next, what an answer changes, and what waits. No actor, no disk."""

from __future__ import annotations

from random import Random

from actors.messages.client_manager import DeliveryResult
from actors.messages.requests import OutboundRequest
from actors.model import (
    Account,
    Binding,
    Device,
    DeviceKey,
    End,
    Envelope,
    MessageId,
    Proof,
    Seq,
    StoredMessage,
    UserName,
)
from actors.state.client_registry import GUEST, NEVER, ClientRegistry, UserRecord
from actors.state.delivery import Deliveries
from actors.state.delivery_outcome import BACKOFF_CAP
from actors.state.delivery_table import BUFFER
from actors.state.outbox import Outbox
from tests.actors.bench import flow

BOB = UserName("bob")


class Mailbox:
    """Bob's deliveries, with the disk played by the test."""

    def __init__(self, *devices: str, since: int = 0) -> None:
        self.registry, self.outbox = ClientRegistry(), Outbox()
        self.registry.put_account(Account(BOB))
        for number, key in enumerate(devices, 1):
            self.put(key, number, since)
        self.deliveries = Deliveries(
            self.registry, self.outbox, Random(1), node_key=b"k", offset=0.0, prove_addresses=False
        )

    @property
    def record(self) -> UserRecord:
        found = self.registry.get(BOB)
        assert found is not None
        return found

    def put(self, key: str, number: int = 1, since: int = 0, expires: float = 1e9) -> Device:
        binding = Binding(b"sip:bob@%d" % number, flow(number), expires, b"c", 1, "angarium")
        device = Device(DeviceKey(key), Seq(since), Seq(0), 0.0, bindings=(binding,))
        self.registry.put_device(BOB, device)
        return device

    def offer(self, *seqs: int) -> None:
        for seq in seqs:
            self.deliveries.offer(self.record, message(seq), 0.0)

    def sent(self) -> list[OutboundRequest]:
        sends, self.outbox.sends = self.outbox.sends, []
        return sends

    def answer(self, request: OutboundRequest, status: int = 200, *, answered: bool = True, now: float = 0.0) -> None:
        self.deliveries.ended(DeliveryResult(request.delivery, status, answered), now)

    def commit(self, now: float = 0.0) -> None:
        acks, self.outbox.acks = self.outbox.acks, []
        for ack in acks:
            self.deliveries.committed(ack.user, ack.device, ack.seq, now, removed=ack.remove)


def message(seq: int, *, anyone: bool = True) -> StoredMessage:
    envelope = Envelope(MessageId(f"m{seq}"), UserName("alice"), BOB, b"c", (), b"%d" % seq, 0.0, Proof.OPEN)
    return StoredMessage(Seq(seq), envelope, anyone, 1e9)


def bodies(requests: list[OutboundRequest]) -> list[bytes]:
    return [request.body for request in requests]


def test_the_row_goes_with_the_last_device_and_the_end_with_the_first() -> None:
    box = Mailbox("a", "b")
    box.offer(1)
    first, second = box.sent()
    box.answer(first)
    (ack,) = box.outbox.acks
    assert (ack.remove, ack.close, ack.end) == (False, True, End.DELIVERED)
    box.commit()
    box.answer(second)
    (ack,) = box.outbox.acks
    assert (ack.remove, ack.close, ack.end) == (True, True, None)


def test_a_refusal_ends_a_message_only_if_nobody_else_may_take_it() -> None:
    box = Mailbox("a", "b")
    box.offer(1)
    first, second = box.sent()
    box.answer(first, 415)
    (ack,) = box.outbox.acks
    assert (ack.remove, ack.close, ack.end) == (False, False, None)
    box.commit()
    box.answer(second, 415)
    (ending,) = box.outbox.endings
    assert ending.end is End.REFUSED
    assert ending.item.reason == "the recipient's device refused it with 415"


def test_a_guest_that_is_there_may_still_take_what_another_refused() -> None:
    box = Mailbox(GUEST + "one", GUEST + "two", since=NEVER)
    box.offer(1)
    first, second = box.sent()
    box.answer(first, 415)
    assert box.outbox.endings == []
    box.commit()
    box.answer(second)
    (ack,) = box.outbox.acks
    assert (ack.remove, ack.end) == (True, End.DELIVERED)


def test_two_guests_that_refuse_at_once_end_it() -> None:
    box = Mailbox(GUEST + "one", GUEST + "two", since=NEVER)
    box.offer(1)
    for request in box.sent():
        box.answer(request, 415)
    assert len(box.outbox.acks) == len(box.outbox.endings) == 1


def test_a_guest_that_refuses_what_another_has_just_taken_ends_nothing() -> None:
    box = Mailbox(GUEST + "one", GUEST + "two", since=NEVER)
    box.offer(1)
    first, second = box.sent()
    box.answer(first)
    box.answer(second, 415)
    assert box.outbox.endings == []
    assert [ack.end for ack in box.outbox.acks] == [End.DELIVERED, None]


def test_a_guest_whose_binding_lapsed_is_not_waited_for() -> None:
    box = Mailbox(GUEST + "one", since=NEVER)
    box.put(GUEST + "two", 2, since=NEVER, expires=-1.0)
    box.offer(1)
    (first,) = box.sent()
    box.answer(first, 415)
    assert len(box.outbox.endings) == 1


def test_memory_holds_a_few_and_the_rest_is_read_when_they_are_done() -> None:
    box = Mailbox("a")
    box.offer(*range(1, BUFFER + 10))
    done: list[bytes] = []
    while sent := box.sent():
        (request,) = sent
        done.append(request.body)
        box.answer(request)
        box.commit()
    assert done == [b"%d" % seq for seq in range(1, BUFFER + 2)]
    (read,) = box.outbox.reads
    assert (read.after, read.seqs) == (BUFFER + 1, ())
    box.deliveries.read(BOB, DeviceKey("a"), [message(BUFFER + 2)], False, 0.0)
    assert bodies(box.sent()) == [b"%d" % (BUFFER + 2)]


def test_what_is_not_for_a_device_is_passed_over_once() -> None:
    box = Mailbox("a", since=100)
    device = box.record.devices.values()[0]
    box.deliveries.resume(box.record, device, 0.0)
    (read,) = box.outbox.reads
    assert read.after == 0
    box.outbox.reads.clear()
    box.deliveries.read(BOB, device.key, [message(seq, anyone=False) for seq in range(1, 33)], True, 0.0)
    (read,) = box.outbox.reads
    assert read.after == 32


def test_an_old_message_that_is_open_goes_to_a_new_device() -> None:
    box = Mailbox("a", since=100)
    device = box.record.devices.values()[0]
    box.deliveries.resume(box.record, device, 0.0)
    box.deliveries.read(BOB, device.key, [message(1, anyone=False), message(2)], False, 0.0)
    assert bodies(box.sent()) == [b"2"]


def test_while_a_user_is_paused_nothing_is_sent_and_then_the_disk_is_asked() -> None:
    box = Mailbox("a")
    box.offer(1)
    (request,) = box.sent()
    box.deliveries.pause(BOB)
    device = box.record.devices.values()[0]
    box.offer(2)
    box.deliveries.alive(box.record, device, 0.0)
    box.deliveries.seen(flow(1), 0.0)
    box.answer(request)
    assert (box.sent(), box.outbox.acks, box.outbox.reads) == ([], [], [])
    box.deliveries.go_on(BOB)
    box.deliveries.resume(box.record, device, 0.0)
    assert len(box.outbox.reads) == 1


def test_back_off_grows_is_bounded_and_ends_with_a_registration() -> None:
    box = Mailbox("a")
    box.offer(1)
    now, waits = 0.0, []
    for _ in range(30):
        (request,) = box.sent()
        box.answer(request, 500, now=now)
        due = box.deliveries.retries.next()
        assert due is not None
        waits.append(due - now)
        now = due
        box.deliveries.retry(now)
    assert min(waits) >= 0.5
    assert max(waits) <= BACKOFF_CAP + 0.5
    assert max(waits[10:]) > max(waits[:2])
    (request,) = box.sent()
    box.answer(request, 500, now=now)
    box.deliveries.alive(box.record, box.record.devices.values()[0], now)
    assert bodies(box.sent()) == [b"1"]


def test_an_answer_after_a_registration_drops_no_fresh_binding() -> None:
    box = Mailbox("a")
    box.offer(1)
    (request,) = box.sent()
    box.put("a", 7)
    box.answer(request, 404)
    assert [binding.flow for binding in box.record.devices.values()[0].bindings] == [flow(7)]
    (again,) = box.sent()
    assert (again.flow, again.token) == (flow(7), request.token)


def test_the_best_binding_is_that_of_highest_q_that_lives() -> None:
    box = Mailbox("a")
    usual = box.record.devices.values()[0].bindings[0]
    choice = [
        Binding(b"sip:low", flow(2), 1e9, b"c", 1, "h", q=0.5),
        Binding(b"sip:dead", flow(3), -1.0, b"c", 1, "h", q=1.0),
        Binding(b"sip:high", flow(4), 1e9, b"c", 1, "h", q=0.9),
    ]
    assert usual.q == 1.0
    box.registry.put_device(BOB, Device(DeviceKey("a"), Seq(0), Seq(0), 0.0, bindings=tuple(choice)))
    box.offer(1)
    assert [request.target for request in box.sent()] == [b"sip:high"]


def test_results_nobody_waits_for_are_ignored() -> None:
    box = Mailbox("a")
    box.offer(1)
    (request,) = box.sent()
    box.answer(request)
    box.answer(request)
    assert len(box.outbox.acks) == 1
    assert box.deliveries.user_of(request.delivery) is None


def test_what_is_under_way_to_an_old_address_is_waited_for_before_a_move() -> None:
    mailbox = Mailbox("phone")
    mailbox.offer(1)
    (old,) = mailbox.sent()
    device = mailbox.put("phone", number=2)
    mailbox.deliveries.alive(mailbox.record, device, 1.0)
    (new,) = mailbox.sent()
    assert (new.token, new.flow) == (old.token, flow(2))
    mailbox.deliveries.drain(BOB)
    mailbox.answer(new)
    mailbox.commit()
    assert not mailbox.deliveries.is_idle(BOB)
    mailbox.answer(old, 408, answered=False)
    assert mailbox.deliveries.is_idle(BOB)


def test_after_an_exception_it_is_known_whose_result_it_was() -> None:
    box = Mailbox("a")
    box.offer(1)
    (request,) = box.sent()
    assert box.deliveries.user_of(request.delivery) == BOB
    assert box.deliveries.in_flight(BOB) == 1
    assert box.deliveries.is_in_flight(BOB, Seq(1))
