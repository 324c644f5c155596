"""ClientManager among probes: who it asks, in which order, and what it does when it is answered late or badly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import msgspec
import pytest

from actors.client_manager import edge
from actors.client_manager.actor import ClientManager
from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import (
    AddUser,
    AddUsers,
    CommandDone,
    DeliveriesEnded,
    DeliveryResult,
    FlowsSeen,
    ListUsers,
    MailStored,
    RegisterContacts,
    RemoveUser,
    SubmitMessages,
    UsersListed,
)
from actors.messages.lifecycle import ActorFailed, CommandFailed
from actors.messages.monitor import ReportEvent
from actors.messages.requests import OutboundRequest
from actors.messages.router import (
    FindNames,
    Found,
    MessagesRouted,
    NameAnswer,
    NamesAreGone,
    NamesAreOurs,
    NamesFound,
    Refused,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import AskFar, FarAnswered, MessagesQueued
from actors.messages.sip_adapter import AnswerRequests, SendRequests
from actors.messages.storage import (
    AccountSaved,
    AcknowledgeMessages,
    EndMessages,
    ExpiredFound,
    FindAccepted,
    FindExpired,
    MessagesAcknowledged,
    MessagesStored,
    OpenStore,
    QueueRead,
    ReadQueue,
    ReadUser,
    ReadUsers,
    RegistrationSaved,
    RemoveAccount,
    SaveAccounts,
    SaveRegistration,
    StoreMessages,
    StoreOpened,
    StoreOutcome,
    StoreResult,
    UserRead,
    UsersRead,
)
from actors.model import (
    Account,
    Device,
    DeviceKey,
    Envelope,
    MessageId,
    NodeName,
    Proof,
    Routing,
    Seq,
    StoredMessage,
    User,
    UserName,
)
from actors.testing import Probe, Started, running
from tests.actors.bench import Bench, Requests, contact, flow

BOB, ALICE = UserName("bob"), UserName("alice")
make = Requests()


class Desk:
    """The actor and everybody it knows."""

    def __init__(
        self, actor: Started[Any], router: Probe, storage: Probe, sip: Probe, monitor: Probe, servers: Probe
    ) -> None:
        self.actor, self.router, self.storage, self.sip, self.monitor = actor, router, storage, sip, monitor
        self.servers = servers

    def loaded(self, *users: User) -> None:
        """Answer the questions of the start."""
        self.actor.settle()
        opening = self.storage.expect(OpenStore)
        self.actor.serve(StoreOpened(opening.request, b"k" * 32, "angarium", -1000.0, Seq(0)))
        reading = self.storage.expect(ReadUsers)
        self.actor.serve(UsersRead(reading.request, users, True))

    def answers(self) -> list[int]:
        """Statuses answered so far."""
        return [answer.status for message in self.sip.of(AnswerRequests) for answer in message.items]

    def send(self) -> OutboundRequest:
        """The next request to a device."""
        (request,) = self.sip.expect(SendRequests).items
        return request


@contextmanager
def desk(open_mode: bool = True, *, federated: bool = False) -> Iterator[Desk]:
    router, storage, sip, monitor = (Probe(name) for name in ("router", "storage", "sip_adapter", "monitor"))
    servers = Probe("server_manager")
    with running(
        ClientManager,
        settings=ClientSettings(open_mode=open_mode, federated=federated),
        random=Random(1),
        router=router,
        storage=storage,
        sip_adapter=sip,
        monitor=monitor,
        server_manager=servers,
    ) as actor:
        yield Desk(actor, router, storage, sip, monitor, servers)


@pytest.fixture
def busy() -> Iterator[Desk]:
    """Bob has a phone; the node is loaded."""
    with desk() as one:
        one.loaded(User(Account(BOB)), User(Account(ALICE)))
        request = registration(one, "bob")
        one.actor.serve(RegisterContacts(items=(request,)))
        saving = one.storage.expect(SaveRegistration)
        stored = tuple(msgspec.structs.replace(device, since=Seq(0)) for device in saving.devices)
        one.actor.serve(RegistrationSaved(saving.request, BOB, stored))
        assert one.answers() == [200]
        reading = one.storage.expect(ReadQueue)
        one.actor.serve(QueueRead(reading.request, reading.queue, (), False))
        for probe in (one.router, one.storage, one.sip, one.monitor):
            probe.take_all()
        yield one


@pytest.fixture
def roamer() -> Iterator[Desk]:
    """A node with neighbours where everybody has a password."""
    with desk(open_mode=False, federated=True) as one:
        one.loaded()
        yield one


def registration(one: Desk, user: str) -> Any:
    return make.registration(user, contact(user, instance=f"urn:{user}"), over=flow(2))


def submission(one: Desk, number: int = 1, **more: Any) -> Any:
    return make.submission("alice", "bob", b"%d" % number, arrived=one.actor.clock.monotonic(), **more)


def stored_message(seq: int, **changes: Any) -> StoredMessage:
    envelope = Envelope(MessageId(f"m{seq}"), ALICE, BOB, b"c%d" % seq, (), b"%d" % seq, 0.0, Proof.OPEN)
    return StoredMessage(Seq(seq), msgspec.structs.replace(envelope, **changes), True, 1e9)


def accept(one: Desk, seq: int) -> None:
    """Bring a message all the way to the disk."""
    one.actor.serve(SubmitMessages(items=(submission(one, seq),)))
    route = one.router.expect(RouteMessages)
    one.actor.serve(MessagesRouted(route.request, (ToMailbox(),)))
    store = one.storage.expect(StoreMessages)
    result = StoreResult(StoreOutcome.STORED, Seq(seq), store.items[0].envelope.id, 1e9)
    one.actor.serve(MessagesStored(store.request, (result,)))


# Starting.


def test_it_answers_questions_about_users_only_when_all_are_loaded() -> None:
    with desk() as one:
        asker = Probe()
        one.actor.serve(ListUsers(reply_to=asker, request=3))
        asker.expect_none()
        one.loaded(User(Account(BOB)))
        listed = asker.expect(UsersListed)
        assert (listed.request, [user.name for user in listed.users], listed.total) == (3, ["bob"], 1)
        assert one.router.expect(NamesAreOurs).names == ("bob",)


def test_a_start_that_fails_is_tried_again() -> None:
    with desk() as one:
        opening = one.storage.expect(OpenStore)
        one.actor.serve(CommandFailed(opening.request, "OpenStore", "x"))
        one.actor.advance(0.3)
        opening = one.storage.expect(OpenStore)
        one.actor.serve(StoreOpened(opening.request, b"k" * 32, "angarium", 0.0, Seq(0)))
        first = one.storage.expect(ReadUsers)
        one.actor.serve(UsersRead(first.request, (User(Account(ALICE)),), False))
        one.actor.serve(CommandFailed(first.request, "ReadUsers", "x"))
        one.actor.serve(UsersRead(first.request, (), True))  # the rest of a stream with a gap
        asker = Probe()
        one.actor.serve(ListUsers(reply_to=asker, request=1))
        asker.expect_none()
        one.actor.advance(0.3)
        second = one.storage.expect(ReadUsers)
        one.actor.serve(UsersRead(second.request, (User(Account(ALICE)), User(Account(BOB))), True))
        assert asker.expect(UsersListed).total == 2


# The way of a message.


def test_the_way_of_a_message(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=(submission(one),)))
    route = one.router.expect(RouteMessages)
    assert [envelope.recipient for envelope in route.envelopes] == ["bob"]
    one.actor.serve(MessagesRouted(route.request, (ToMailbox(),)))
    store = one.storage.expect(StoreMessages)
    assert store.items[0].queue == "u:bob"
    assert store.items[0].deadline == one.actor.clock.monotonic() + 10
    one.sip.expect_none()
    one.actor.serve(
        MessagesStored(store.request, (StoreResult(StoreOutcome.STORED, Seq(1), store.items[0].envelope.id, 1e9),))
    )
    assert one.answers() == [200, 202]
    request = one.send()
    one.actor.serve(DeliveriesEnded(items=(DeliveryResult(request.delivery, 200, True),)))
    done = one.storage.expect(AcknowledgeMessages)
    assert [(item.seq, item.remove, item.close) for item in done.items] == [(1, True, True)]


def test_what_came_in_one_wake_up_goes_on_in_one_message(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=tuple(submission(one, number) for number in range(1, 6))))
    route = one.router.expect(RouteMessages)
    assert len(route.envelopes) == 5
    one.actor.serve(MessagesRouted(route.request, (ToMailbox(),) * 4 + (Unknown("nobody"),)))
    assert len(one.storage.expect(StoreMessages).items) == 4
    assert one.answers() == [200]
    not_accepted_before(one)
    assert one.answers() == [200, 404]


def not_accepted_before(one: Desk) -> None:
    """Tell it that what it looked up has not been stored."""
    lookup = one.storage.expect(FindAccepted)
    results = tuple(StoreResult(StoreOutcome.REFUSED) for _ in lookup.keys)
    one.actor.serve(MessagesStored(lookup.request, results))


def test_a_router_that_answers_too_little_costs_a_500_and_no_more(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=(submission(one),)))
    route = one.router.expect(RouteMessages)
    one.actor.serve(MessagesRouted(route.request, ()))
    assert one.answers() == [200, 500]
    assert one.actor.failures.expect(ActorFailed).command == "MessagesRouted"
    accept(one, 1)
    assert one.answers() == [200, 500, 202]


def test_an_answer_that_nobody_waits_for_is_ignored(busy: Desk) -> None:
    one = busy
    for message in (
        MessagesRouted(999, ()),
        MessagesStored(999, ()),
        MessagesAcknowledged(999),
        QueueRead(999, "u:bob", (), False),  # type: ignore[arg-type]  # a queue's name
        RegistrationSaved(999, BOB, ()),
        AccountSaved(999),
        UserRead(999, BOB, None),
        CommandFailed(999, "x", "y"),
    ):
        one.actor.serve(message)
    assert one.sip.messages == one.sip.messages[:1]
    accept(one, 1)


# Other servers.


def test_what_goes_elsewhere_is_server_managers_once_it_is_on_disk(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=tuple(submission(one, number) for number in (1, 2, 3))))
    route = one.router.expect(RouteMessages)
    far = msgspec.structs.replace(route.envelopes[0], routing=Routing("here", visited=("here",)))
    one.actor.serve(MessagesRouted(route.request, (ToNeighbour(NodeName("b"), far), Searching(), Refused(403, "no"))))
    store = one.storage.expect(StoreMessages)
    assert [(item.queue, item.envelope) for item in store.items] == [("n:b", far), ("?", route.envelopes[1])]
    one.servers.expect_none()
    not_accepted_before(one)
    assert one.answers() == [200, 403]
    results = tuple(
        StoreResult(StoreOutcome.STORED, Seq(seq), item.envelope.id, 1e9) for seq, item in enumerate(store.items, 1)
    )
    one.actor.serve(MessagesStored(store.request, results))
    assert one.answers() == [200, 403, 202, 202]
    (first, second) = one.servers.expect(MessagesQueued).items
    assert (first.queue, first.message) == ("n:b", StoredMessage(Seq(1), far, True, 1e9))
    assert (second.queue, second.message.seq) == ("?", 2)


def test_what_is_known_or_late_is_not_handed_on(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=(submission(one, 1), submission(one, 2))))
    route = one.router.expect(RouteMessages)
    one.actor.serve(MessagesRouted(route.request, (Searching(), Searching())))
    store = one.storage.expect(StoreMessages)
    results = (StoreResult(StoreOutcome.KNOWN, id=MessageId("x")), StoreResult(StoreOutcome.LATE))
    one.actor.serve(MessagesStored(store.request, results))
    assert one.answers() == [200, 202, 503]
    one.servers.expect_none()


def test_a_notice_for_somebody_elsewhere_goes_there(busy: Desk) -> None:
    one = busy
    one.actor.serve(RemoveUser(reply_to=Probe(), request=4, name=BOB))
    queue = one.storage.expect(ReadQueue)
    one.actor.serve(QueueRead(queue.request, queue.queue, (stored_message(1, proof=Proof.PEER),), False))
    route = one.router.expect(RouteMessages)
    far = msgspec.structs.replace(route.envelopes[0], routing=Routing("here"))
    one.actor.serve(MessagesRouted(route.request, (ToNeighbour(NodeName("b"), far),)))
    ending = one.storage.expect(EndMessages)
    notice = ending.items[0].notice
    assert notice is not None
    assert (notice.queue, notice.envelope) == ("n:b", far)
    result = StoreResult(StoreOutcome.STORED, Seq(9), far.id, 1e9)
    one.actor.serve(MessagesAcknowledged(ending.request, (result,)))
    (queued,) = one.servers.expect(MessagesQueued).items
    assert (queued.queue, queued.message.seq, queued.message.envelope) == ("n:b", 9, far)


def test_mail_from_elsewhere_for_a_user_who_was_removed_ends(busy: Desk) -> None:
    one = busy
    nobody = UserName("nobody")
    one.actor.serve(MailStored(messages=(stored_message(5, recipient=nobody),)))
    (ended,) = one.storage.expect(EndMessages).items
    assert (ended.seq, ended.reason) == (5, "the user was removed")


def test_a_router_or_a_server_manager_that_fails_costs_a_500(roamer: Desk) -> None:
    one = roamer
    one.actor.serve(RegisterContacts(items=(registration(one, "carol"),)))
    one.actor.serve(CommandFailed(one.router.expect(FindNames).request, "FindNames", "x"))
    assert one.answers() == [500]
    one.actor.serve(RegisterContacts(items=(registration(one, "carol"),)))
    found = NameAnswer(UserName("carol"), Found.ELSEWHERE, NodeName("h"), NodeName("m"), 1)
    one.actor.serve(NamesFound(one.router.expect(FindNames).request, (found,)))
    one.actor.serve(CommandFailed(one.servers.expect(AskFar).request, "AskFar", "x"))
    assert one.answers() == [500, 500]
    asker = Probe()
    one.actor.serve(AddUser(reply_to=asker, request=5, name=UserName("carol"), ha1_md5="x", ha1_sha256="y"))
    one.actor.serve(CommandFailed(one.router.expect(FindNames).request, "FindNames", "x"))
    assert asker.expect(CommandDone).error == "the router failed: x"


def test_an_answer_without_what_was_asked_for_costs_a_500(roamer: Desk) -> None:
    one = roamer
    one.actor.serve(RegisterContacts(items=(registration(one, "carol"),)))
    one.actor.serve(NamesFound(one.router.expect(FindNames).request, ()))
    assert one.actor.failures.expect(ActorFailed).command == "NamesFound"
    assert one.answers() == [500]
    one.actor.serve(NamesFound(999, ()), FarAnswered(999, 200, "", True))


def test_too_many_errands_are_told_to_come_again(roamer: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    one = roamer
    monkeypatch.setattr(edge, "MAX_ERRANDS", 2)
    for _ in range(3):
        one.actor.serve(RegisterContacts(items=(registration(one, "carol"),)))
    assert one.answers() == [503]
    one.actor.serve(NamesFound(one.router.expect(FindNames).request, (NameAnswer(UserName("c"), Found.UNKNOWN),)))
    one.actor.serve(RegisterContacts(items=(registration(one, "carol"),)))
    assert one.answers() == [503, 401]


# Failures of others.


def test_a_failed_acknowledgement_is_repeated_each_alone_and_blocks_the_next_meanwhile(busy: Desk) -> None:
    one = busy
    accept(one, 1)
    accept(one, 2)
    request = one.send()
    one.actor.serve(DeliveriesEnded(items=(DeliveryResult(request.delivery, 200, True),)))
    done = one.storage.expect(AcknowledgeMessages)
    for _ in range(3):
        one.actor.serve(CommandFailed(done.request, "AcknowledgeMessages", "x"))
        one.sip.expect_none(SendRequests)
        one.actor.advance(0.3)
        again = one.storage.expect(AcknowledgeMessages)
        assert again.items == done.items
        done = again
    one.actor.serve(MessagesAcknowledged(done.request))
    assert one.send().body == b"2"


def test_a_failed_store_is_a_500(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=(submission(one),)))
    one.actor.serve(MessagesRouted(one.router.expect(RouteMessages).request, (ToMailbox(),)))
    one.actor.serve(CommandFailed(one.storage.expect(StoreMessages).request, "StoreMessages", "x"))
    assert one.answers() == [200, 500]


def test_a_failed_registration_is_a_500_and_the_disk_is_believed(busy: Desk) -> None:
    one = busy
    one.actor.serve(RegisterContacts(items=(registration(one, "bob"),)))
    one.actor.serve(CommandFailed(one.storage.expect(SaveRegistration).request, "SaveRegistration", "x"))
    assert one.answers() == [200, 500]
    reading = one.storage.expect(ReadUser)
    one.actor.serve(UserRead(reading.request, BOB, User(Account(BOB))))
    asker = Probe()
    one.actor.serve(ListUsers(reply_to=asker, request=1, name="bob"))
    assert asker.expect(UsersListed).users[0].devices == ()


def test_a_failed_read_is_tried_again(busy: Desk) -> None:
    one = busy
    accept(one, 1)
    request = one.send()
    for number in range(2, 40):
        accept(one, number)  # more than memory keeps for one device
    for _ in range(34):
        one.actor.serve(DeliveriesEnded(items=(DeliveryResult(request.delivery, 200, True),)))
        one.actor.serve(MessagesAcknowledged(one.storage.expect(AcknowledgeMessages).request))
        sent = one.sip.take_all()
        found = [request for message in sent if isinstance(message, SendRequests) for request in message.items]
        if not found:
            break
        (request,) = found
    reading = one.storage.expect(ReadQueue)
    one.actor.serve(CommandFailed(reading.request, "ReadQueue", "x"))
    one.actor.advance(6)
    again = one.storage.expect(ReadQueue)
    assert (again.queue, again.after) == (reading.queue, reading.after)
    one.actor.serve(QueueRead(again.request, again.queue, (stored_message(39),), False))
    assert one.send().body == b"39"


# A user read again.


def test_nothing_is_sent_to_a_user_while_he_is_read_again_and_registers_wait(busy: Desk) -> None:
    one = busy
    accept(one, 1)
    old = one.send()
    one.actor.serve(RegisterContacts(items=(registration(one, "bob"),)))
    failed = one.storage.expect(SaveRegistration)
    one.actor.serve(CommandFailed(failed.request, "SaveRegistration", "x"))
    reading = one.storage.expect(ReadUser)
    accept(one, 2)
    one.actor.serve(FlowsSeen(flows=(flow(2),)), RegisterContacts(items=(registration(one, "bob"),)))
    one.sip.take_all()
    one.storage.expect_none(SaveRegistration)
    device = Device(DeviceKey("instance:urn:bob"), Seq(0), Seq(0), 0.0, bindings=failed.devices[0].bindings)
    one.actor.serve(UserRead(reading.request, BOB, User(Account(BOB), (device,), waiting=1)))
    one.storage.expect(SaveRegistration)
    queue = one.storage.expect(ReadQueue)
    first = stored_message(1, id=old.message_id)
    one.actor.serve(QueueRead(queue.request, queue.queue, (first, stored_message(2)), False))
    again = one.send()
    assert again.token == old.token  # the same bytes: the phone absorbs what it has had
    one.actor.serve(DeliveriesEnded(items=(DeliveryResult(old.delivery, 200, True),)))
    one.storage.expect_none(AcknowledgeMessages)


# Operators.


def test_a_user_is_removed_only_after_his_mail_has_ended(busy: Desk) -> None:
    one = busy
    asker = Probe()
    one.actor.serve(RemoveUser(reply_to=asker, request=4, name=BOB))
    assert one.router.expect(NamesAreGone).names == ("bob",)
    queue = one.storage.expect(ReadQueue)
    one.actor.serve(QueueRead(queue.request, queue.queue, (stored_message(1),), False))
    ending = one.storage.expect(EndMessages)
    one.storage.expect_none(RemoveAccount)
    one.actor.serve(
        AddUser(reply_to=asker, request=5, name=BOB, ha1_md5="x", ha1_sha256="y"),
        AddUsers(reply_to=asker, request=6, items=((BOB, "x", "y"),)),
        RegisterContacts(items=(registration(one, "bob"),)),
    )
    assert [asker.expect(CommandDone).error for _ in range(2)] == ["refused", "refused"]
    assert one.answers()[-1] == 503
    one.storage.expect_none(SaveAccounts)
    one.actor.serve(MessagesAcknowledged(ending.request))
    one.actor.serve(AccountSaved(one.storage.expect(RemoveAccount).request))
    assert asker.expect(CommandDone) == CommandDone(request=4)
    one.actor.serve(AddUser(reply_to=asker, request=7, name=BOB, ha1_md5="x", ha1_sha256="y"))
    one.actor.serve(AccountSaved(one.storage.expect(SaveAccounts).request))
    assert asker.expect(CommandDone) == CommandDone(request=7)


def test_a_removal_that_fails_leaves_the_user(busy: Desk) -> None:
    one = busy
    asker = Probe()
    one.actor.serve(RemoveUser(reply_to=asker, request=4, name=BOB))
    one.actor.serve(CommandFailed(one.storage.expect(ReadQueue).request, "ReadQueue", "x"))
    assert asker.expect(CommandDone).error.startswith("the store failed")
    one.actor.serve(UserRead(one.storage.expect(ReadUser).request, BOB, User(Account(BOB))))
    assert one.router.expect(NamesAreOurs).names == ("bob",)
    one.actor.serve(RemoveUser(reply_to=asker, request=5, name=BOB))
    one.storage.expect(ReadQueue)


def test_mail_that_was_in_the_pipeline_of_a_removed_user_ends(busy: Desk) -> None:
    one = busy
    one.actor.serve(SubmitMessages(items=(submission(one),)))
    one.actor.serve(MessagesRouted(one.router.expect(RouteMessages).request, (ToMailbox(),)))
    one.actor.serve(RemoveUser(reply_to=Probe(), request=4, name=BOB))
    store = one.storage.expect(StoreMessages)
    result = StoreResult(StoreOutcome.STORED, Seq(1), store.items[0].envelope.id, 1e9)
    one.actor.serve(MessagesStored(store.request, (result,)))
    (ended,) = one.storage.expect(EndMessages).items
    assert (ended.seq, ended.reason) == (1, "the user was removed")


def test_users_are_listed_in_pages() -> None:
    with desk() as one:
        names = [UserName(f"u{number:03}") for number in range(25)]
        one.loaded(*(User(Account(name)) for name in reversed(names)))
        found: list[str] = []
        after = ""
        while True:
            asker = Probe()
            one.actor.serve(ListUsers(reply_to=asker, request=1, after=after, limit=10))
            listed = asker.expect(UsersListed)
            assert listed.total == 25
            if not listed.users:
                break
            found += [user.name for user in listed.users]
            after = found[-1]
        assert found == names


# Time.


def test_timers_do_not_multiply(busy: Desk) -> None:
    one = busy
    accept(one, 1)
    for _ in range(11):
        request = one.send()
        one.actor.serve(DeliveriesEnded(items=(DeliveryResult(request.delivery, 503, False),)))
        one.actor.advance(310)
        looking = one.storage.take_all()[-1]
        assert isinstance(looking, FindExpired)
        one.actor.serve(ExpiredFound(looking.request, ()))
    assert len(one.actor.scheduler._heap) <= 3


def test_expired_mail_is_looked_for_once_at_a_time(busy: Desk) -> None:
    one = busy
    one.actor.advance(5)
    looking = one.storage.expect(FindExpired)
    one.storage.expect_none(FindExpired)
    one.actor.serve(ExpiredFound(looking.request, ()))
    one.actor.advance(1)
    one.storage.expect(FindExpired)


def test_who_watches_is_told_who_comes_and_goes() -> None:
    with Bench() as bench:
        bench.register("alice", over=flow(1))
        bench.register("alice", over=flow(1))  # a refresh is no news
        bench.register("alice", over=flow(1), expires=0)
        told = [item.kind for item in bench.monitor.messages if isinstance(item, ReportEvent) and item.user == "alice"]
        assert told == ["registered", "deregistered"]
