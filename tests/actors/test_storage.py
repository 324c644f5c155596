"""Storage among probes: commits are shared, answers follow them, and a failure costs nobody else anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from actors.messages.client_manager import MailStored
from actors.messages.lifecycle import ActorFailed, CommandFailed, Ping, Pong
from actors.messages.monitor import ClearAlarm, CountFacts, RaiseAlarm
from actors.messages.storage import (
    AccountSaved,
    EndMessages,
    ExpiredFound,
    FindAccepted,
    FindExpired,
    MessagesAcknowledged,
    MessagesStored,
    MessageStateRead,
    MoveItem,
    MoveMessages,
    OpenStore,
    QueueRead,
    ReadMessageState,
    ReadQueue,
    ReadStoreStats,
    ReadUser,
    ReadUsers,
    RegistrationSaved,
    RemoveAccount,
    SaveProgress,
    StoreMessages,
    StoreOpened,
    StoreOutcome,
    StoreStatsRead,
    UserRead,
    UsersRead,
)
from actors.model import End, MessageId, NodeName, Seconds, Seq, UserName, neighbour_queue
from actors.storage import ROWS, USERS, Command, Storage
from actors.stores.connection import Connection, Sqlite3Connection
from actors.stores.memory import Disk, MemoryStore
from actors.stores.port import Alarm, Opened, Result, StoreError, StoreFailed, StoreFull, Write
from actors.stores.sqlite import SqliteStore
from actors.testing import Probe, Started, VirtualClock, running
from tests.actors.stores.build import (
    BOB,
    BOBS,
    accounts,
    ack,
    acknowledge,
    device,
    end,
    item,
    key_of,
    progress,
    register,
    store,
)


class ScriptedStore(MemoryStore):
    """A memory store that notes its commits, and fails them as it is told."""

    def __init__(self, disk: Disk | None = None, clock: VirtualClock | None = None) -> None:
        super().__init__(realm=None, clock=clock or VirtualClock(), disk=disk)
        self.log: list[object] = []
        self.failures: list[Exception] = []

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        if self.failures:
            raise self.failures.pop(0)
        results = super().commit(commands)
        self.log.append(len(commands))
        return results


class LoggingProbe(Probe):
    """A probe that writes the type of what it hears into somebody else's log, too."""

    def __init__(self, log: list[object]) -> None:
        super().__init__()
        self._log = log

    def tell(self, message: Any) -> None:
        self._log.append(type(message))
        super().tell(message)


class Gate:
    """A `Ref` that holds up whoever tells it something, until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def tell(self, message: object) -> None:
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


class Bench:
    """One Storage among probes."""

    def __init__(self, started: Started[Command], held: ScriptedStore, monitor: Probe) -> None:
        self.started = started
        self.store = held
        self.monitor = monitor
        self.asker = Probe("asker")

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """What is told inside is in the inbox before the actor reads on."""
        gate = Gate()
        self.started.tell(Ping(reply_to=gate, id=0))
        yield
        gate.open()
        self.started.settle()

    def batch(self, *messages: Command) -> None:
        with self.held_up():
            for message in messages:
                self.started.tell(message)


@contextmanager
def bench(disk: Disk | None = None) -> Iterator[Bench]:
    monitor = Probe("monitor")
    clock = VirtualClock()
    held = ScriptedStore(disk, clock)
    with running(Storage, clock=clock, store=held, monitor=monitor) as started:
        yield Bench(started, held, monitor)


def outcomes(answer: MessagesStored) -> list[StoreOutcome]:
    return [result.outcome for result in answer.results]


def test_one_commit_serves_what_waits_and_each_is_answered_in_order() -> None:
    with bench() as b:
        b.batch(*(store(item(f"m{n}"), request=n, reply_to=b.asker) for n in range(20)))
        assert b.store.log == [20]
        assert [answer.request for answer in b.asker.of(MessagesStored)] == list(range(20))
        assert all(outcomes(answer) == [StoreOutcome.STORED] for answer in b.asker.of(MessagesStored))


def test_answers_follow_their_commit_and_reads_follow_the_answers() -> None:
    with bench() as b:
        asker = LoggingProbe(b.store.log)
        b.batch(
            store(item("a"), reply_to=asker),
            ReadQueue(reply_to=asker, request=2, queue=BOBS, after=Seq(0), limit=10),
            store(item("b"), reply_to=asker),
        )
        assert b.store.log == [2, MessagesStored, MessagesStored, QueueRead]
        read = asker.expect(QueueRead)
        assert [message.envelope.id for message in read.messages] == ["a", "b"]


def test_whoever_delivers_hears_of_all_mail_in_the_order_of_its_numbers() -> None:
    with bench() as b:
        clients = Probe("clients")
        onward = msgspec.structs.replace(item("d"), queue=neighbour_queue(NodeName("n")))
        elsewhere = StoreMessages(b.asker, 2, (item("b"), onward), clients)
        b.batch(store(item("a"), reply_to=clients), elsewhere, store(item("c"), reply_to=clients))
        assert [type(message) for message in clients.messages] == [MessagesStored, MailStored, MessagesStored]
        (mail,) = clients.of(MailStored)
        first, last = (answer.results[0].seq for answer in clients.of(MessagesStored))
        assert [message.envelope.id for message in mail.messages] == ["b"]
        assert first < mail.messages[0].seq < last
        b.batch(MoveMessages(b.asker, 3, (MoveItem(Seq(3), BOBS, onward.envelope),), clients))
        assert [message.envelope.id for message in clients.of(MailStored)[1].messages] == ["d"]
        notice = end(1, "a", notice=item("e"))
        b.batch(EndMessages(b.asker, 4, notice.items, clients))
        assert [message.envelope.id for message in clients.of(MailStored)[2].messages] == ["e"]


def test_a_commit_is_bounded() -> None:
    with bench() as b:
        size = ROWS // 2 - 1
        b.batch(*(store(*(item(f"{n}-{i}", key=b"") for i in range(size)), reply_to=b.asker) for n in range(5)))
        assert b.store.log == [2, 2, 1]
        assert len(b.asker.of(MessagesStored)) == 5


def test_every_write_is_answered() -> None:
    with bench() as b:
        b.started.serve(accounts("bob", reply_to=b.asker, request=7))
        assert b.asker.expect(AccountSaved).request == 7
        b.started.serve(register(device(), reply_to=b.asker))
        saved = b.asker.expect(RegistrationSaved)
        assert (saved.user, [d.key for d in saved.devices]) == (BOB, [device().key])
        b.started.serve(store(item("a"), item("b"), reply_to=b.asker))
        first, second = b.asker.expect(MessagesStored).results
        b.started.serve(SaveProgress(reply_to=b.asker, request=8, user=BOB, device=device(cursor=1)))
        assert b.asker.expect(RegistrationSaved).devices[0].cursor == 1
        notice = item("notice", to=UserName("alice"), key=b"")
        b.started.serve(acknowledge(ack(first.seq, "a", end=End.REFUSED, notice=notice), reply_to=b.asker))
        assert [n.outcome for n in b.asker.expect(MessagesAcknowledged).notices] == [StoreOutcome.STORED]
        b.started.serve(end(second.seq, "b"), RemoveAccount(b.asker, 7, BOB))
        assert b.asker.expect(AccountSaved).request == 7
        assert b.store.read_user(BOB) is None


def test_every_read_is_answered() -> None:
    with bench() as b:
        b.started.serve(accounts("bob"), store(item("a", life=Seconds(5))), store(item("b")))
        b.started.advance(6)
        b.started.serve(
            OpenStore(b.asker, 9),
            FindAccepted(b.asker, 9, (key_of("a"), key_of("x"))),
            ReadQueue(b.asker, 9, BOBS, after=Seq(1), limit=5),
            FindExpired(b.asker, 9, limit=5),
            ReadUser(b.asker, 9, BOB),
            ReadUser(b.asker, 9, UserName("nobody")),
            ReadMessageState(b.asker, 9, MessageId("b")),
            ReadStoreStats(b.asker, 9),
        )
        opened = b.asker.expect(StoreOpened)
        assert (opened.realm, len(opened.node_key), opened.last_seq) == ("angarium", 32, 2)
        known = b.asker.expect(MessagesStored)
        assert outcomes(known) == [StoreOutcome.KNOWN, StoreOutcome.REFUSED]
        assert known.results[0].id == "a"
        assert [m.seq for m in b.asker.expect(QueueRead).messages] == [2]
        assert [m.envelope.id for m in b.asker.expect(ExpiredFound).messages] == ["a"]
        read = b.asker.expect(UserRead)
        assert read.user is not None
        assert read.user.waiting
        assert b.asker.expect(UserRead).user is None
        where = b.asker.expect(MessageStateRead)
        assert (where.queue, where.ended) == (BOBS, None)
        stats = b.asker.expect(StoreStatsRead)
        assert (stats.request, stats.messages, stats.users) == (9, 2, 1)


def test_users_come_in_portions_and_others_are_served_between_them() -> None:
    with bench() as b:
        b.started.serve(accounts(*(f"u{n:05}" for n in range(2 * USERS + 10))))
        asker = LoggingProbe(b.store.log)
        b.store.log.clear()
        b.batch(ReadUsers(reply_to=asker, request=3), store(item("a"), reply_to=asker))
        read = asker.of(UsersRead)
        assert [(len(part.users), part.last) for part in read] == [(USERS, False), (USERS, False), (10, True)]
        names = [user.account.name for part in read for user in part.users]
        assert names == [f"u{n:05}" for n in range(2 * USERS + 10)]
        assert b.store.log.index(MessagesStored) < len(b.store.log) - 2


def test_a_command_that_cannot_be_done_fails_alone() -> None:
    with bench() as b:
        bad = store(item("bad", to=UserName("\udc80")), request=2, reply_to=b.asker)
        b.batch(store(item("a"), reply_to=b.asker), bad, store(item("b"), request=3, reply_to=b.asker))
        assert [answer.request for answer in b.asker.of(MessagesStored)] == [1, 3]
        failed = b.asker.expect(CommandFailed)
        assert (failed.request, failed.command) == (2, "StoreMessages")
        assert b.store.stats().messages == 2
        assert b.started.failures.take_all()


def test_an_answer_that_cannot_be_told_stores_nothing_twice() -> None:
    class Broken:
        def tell(self, message: object) -> None:
            raise LookupError("nobody here")

    with bench() as b:
        b.batch(
            store(item("a", key=b""), reply_to=Broken()),
            store(item("b", key=b""), request=2, reply_to=b.asker),
        )
        assert b.asker.expect(MessagesStored).request == 2
        assert b.store.stats().messages == 2
        assert b.started.failures.take_all()


def test_after_a_failed_commit_nobody_is_answered_and_the_process_must_end() -> None:
    with bench() as b:
        b.store.failures.append(StoreFailed("disk I/O error"))
        b.batch(store(item("a"), reply_to=b.asker), ReadUsers(reply_to=b.asker, request=2))
        b.started.serve(store(item("b"), reply_to=b.asker))
        b.asker.expect_none()
        assert b.store.log == []
        (failed,) = b.started.failures.take_all()
        assert isinstance(failed, ActorFailed)
        assert failed.fatal
        b.started.serve(Ping(reply_to=b.asker, id=4))
        assert b.asker.expect(Pong).id == 4


def test_a_full_disk_refuses_messages_and_takes_acknowledgements_until_there_is_room() -> None:
    disk = Disk()
    with bench(disk) as b:
        b.started.serve(store(*(item(f"m{n}") for n in range(50)), reply_to=b.asker))
        seqs = [result.seq for result in b.asker.expect(MessagesStored).results]
        disk.fill()
        big = store(*(item(f"x{n}", body=b"x" * 20_000) for n in range(50)), request=2, reply_to=b.asker)
        acks = acknowledge(*(ack(seq, f"m{n}") for n, seq in enumerate(seqs)), request=3, reply_to=b.asker)
        b.batch(big, acks)
        assert set(outcomes(b.asker.expect(MessagesStored))) == {StoreOutcome.REFUSED}
        assert b.asker.expect(MessagesAcknowledged).request == 3
        assert b.monitor.expect(RaiseAlarm).name == "disk-full"
        b.started.serve(store(item("y"), request=4, reply_to=b.asker))
        assert outcomes(b.asker.expect(MessagesStored)) == [StoreOutcome.REFUSED]
        b.started.advance(5)
        b.monitor.expect_none(ClearAlarm)
        disk.empty()
        b.started.advance(2)
        assert b.monitor.expect(ClearAlarm).name == "disk-full"
        b.started.serve(store(item("z"), request=5, reply_to=b.asker))
        assert outcomes(b.asker.expect(MessagesStored)) == [StoreOutcome.STORED]
        assert b.store.stats().messages == 1
    disk.close()


def test_acknowledgements_that_do_not_fit_are_kept_and_tried_again() -> None:
    disk = Disk()
    with bench(disk) as b:
        b.started.serve(store(item("a"), reply_to=b.asker))
        seq = b.asker.expect(MessagesStored).results[0].seq
        disk.full = True
        b.store.failures += [StoreFull(), StoreFull(), StoreFull()]
        late = register(device(), reply_to=b.asker)
        b.batch(acknowledge(ack(seq, "a"), reply_to=b.asker), late)
        assert b.asker.expect(CommandFailed).command == "SaveRegistration"
        b.asker.expect_none(MessagesAcknowledged)
        b.started.advance(3)
        assert b.asker.expect(MessagesAcknowledged).request == 2
        disk.full = False
        b.started.advance(2)
        assert b.monitor.expect(ClearAlarm).name == "disk-full"
        assert b.store.stats().messages == 0
    disk.close()


def test_damage_is_told(tmp_path: Path) -> None:
    monitor, asker = Probe("monitor"), Probe("asker")
    clock = VirtualClock()
    connections: list[Connection] = []

    def connect(path: Path) -> Connection:
        connections.append(Sqlite3Connection(path))
        return connections[-1]

    held = SqliteStore(data_dir=tmp_path, realm=None, clock=clock, connect=connect)
    with running(Storage, clock=clock, store=held, monitor=monitor) as started:
        started.serve(store(*(item(f"m{n}") for n in range(3))))
        assert held.stats().messages == 3
        connections[-1].execute("UPDATE message SET payload = zeroblob(9) WHERE seq = 2")
        started.serve(ReadQueue(reply_to=asker, request=1, queue=BOBS, after=Seq(0), limit=10))
        assert [m.envelope.id for m in asker.expect(QueueRead).messages] == ["m0", "m2"]
        alarm = monitor.expect(RaiseAlarm)
        assert alarm.name == "damaged-rows"
        assert "m1" not in alarm.text
        assert monitor.expect(CountFacts).counts == (("damaged_rows_total", 1),)
        started.serve(ReadStoreStats(reply_to=asker, request=2))
        stats = asker.expect(StoreStatsRead)
        assert (stats.messages, stats.damaged) == (2, 1)


class AlarmingStore(ScriptedStore):
    """A store that found something at its start."""

    def open(self) -> Opened:
        opened = super().open()
        alarm = Alarm("database-damaged", "text", "advice")
        return Opened(opened.node_key, opened.realm, opened.node_offset, opened.last_seq, (alarm,))


def test_what_was_found_at_the_start_is_told() -> None:
    monitor = Probe("monitor")
    with running(Storage, store=AlarmingStore(), monitor=monitor):
        assert monitor.expect(RaiseAlarm) == RaiseAlarm("database-damaged", "text", "advice")


def test_a_store_that_cannot_be_opened_is_fatal() -> None:
    class Locked(ScriptedStore):
        def open(self) -> Opened:
            raise StoreError("in use by process 1")

    asker = Probe("asker")
    with running(Storage, store=Locked(), monitor=Probe("monitor")) as started:
        assert started.failures.expect(ActorFailed).fatal
        started.serve(store(item("a"), reply_to=asker))
        asker.expect_none()


def test_a_stopped_storage_has_committed_what_it_had_heard() -> None:
    disk = Disk()
    with bench(disk) as b:
        b.started.tell(accounts("bob"))
        b.started.tell(progress(device()))
        b.started.tell(store(item("a")))
    again = MemoryStore(realm=None, clock=VirtualClock(), disk=disk)
    again.open()
    assert again.read_user(BOB) is not None
    assert again.stats().messages == 1
    again.close()
    disk.close()
