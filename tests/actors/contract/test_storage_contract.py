"""What any Storage must do, by the typed messages it hears and tells; over each store of `STORES`.

A replacement is added to `STORAGES`; or, without touching this file, a test module of its own says

    from tests.actors.contract.test_storage_contract import *

    @pytest.fixture
    def kind() -> type[ActorBase[Any]]:
        return MyStorage

and every test here runs against it. It is started with `context`, `store` and `monitor`, as a node starts it. A store
of one's own joins by `STORES` in `tests/actors/stores/test_store_contract.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.base import ActorBase
from actors.messages import storage as messages
from actors.messages.lifecycle import ActorFailed, CommandFailed, Ping, Pong
from actors.messages.monitor import ClearAlarm, RaiseAlarm
from actors.messages.storage import StoreOutcome
from actors.model import End, Seconds, Seq, UserName
from actors.ref import Ref
from actors.storage import Storage
from actors.stores.port import Alarm, StoreError, StoreFailed
from actors.testing import VirtualClock, start_probe
from tests.actors.contract.plain_storage import PlainStorage
from tests.actors.contract.storage_bench import Bench, CheckingProbe, ids, outcomes
from tests.actors.stores.build import (
    ALICE,
    BOB,
    BOBS,
    DESK,
    LIFE,
    NOBODY,
    PHONE,
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
from tests.actors.stores.test_store_contract import STORES, Make

STORAGES: list[type[ActorBase[Any]]] = [Storage, PlainStorage]

KNOWN, LATE, REFUSED, STORED = StoreOutcome.KNOWN, StoreOutcome.LATE, StoreOutcome.REFUSED, StoreOutcome.STORED


@pytest.fixture(params=STORAGES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def kind(request: pytest.FixtureRequest) -> type[ActorBase[Any]]:
    """The class under test; a module that imports these tests defines a fixture of this name."""
    found: type[ActorBase[Any]] = request.param
    return found


@pytest.fixture(params=STORES, ids=lambda make: str(make.__name__))
def bench(request: pytest.FixtureRequest, kind: type[ActorBase[Any]], tmp_path: Path) -> Iterator[Bench]:
    clock = VirtualClock()
    make: Callable[[Path, VirtualClock], Make] = request.param
    made = Bench(kind, make(tmp_path, clock), clock)
    yield made
    made.stop()
    made.store.close()


# Messages come.


def test_messages_are_stored_in_order_each_with_its_result(bench: Bench) -> None:
    now = bench.opened().node_offset + bench.clock.monotonic()
    results = bench.keep(item("a"), item("b", life=Seconds(60)), item("c", to=ALICE))
    assert outcomes(results) == [STORED] * 3
    assert [result.seq for result in results] == [1, 2, 3]
    assert [result.id for result in results] == ["a", "b", "c"]
    assert [result.expires for result in results] == [now + LIFE, now + 60, now + LIFE]
    assert bench.waiting() == ["a", "b"]
    assert bench.waiting(ALICE) == ["c"]


def test_what_was_answered_outlives_a_restart_as_it_was(bench: Bench) -> None:
    bench.keep(item("a", body=b"\0\xff" * 1000), item("b"))
    before = bench.mailbox().messages
    bench.restart()
    assert bench.mailbox().messages == before
    assert bench.keep(item("c"))[0].seq == 3
    assert bench.opened().last_seq == 3


def test_a_key_seen_before_gets_the_first_answer_again(bench: Bench) -> None:
    first, again = bench.keep(item("a"), item("again", key=key_of("a")))
    assert (first.outcome, again.outcome, again.id) == (STORED, KNOWN, "a")
    bench.restart()
    (later,) = bench.keep(item("later", key=key_of("a")))
    assert (later.outcome, later.id) == (KNOWN, "a")
    assert bench.waiting() == ["a"]


def test_an_empty_key_is_never_the_same(bench: Bench) -> None:
    assert outcomes(bench.keep(item("a", key=b""), item("b", key=b""))) == [STORED, STORED]


def test_what_comes_too_late_is_not_stored(bench: Bench) -> None:
    now = bench.clock.monotonic()
    results = bench.keep(item("a", deadline=now - 0.1), item("b", deadline=now + 10.0))
    assert outcomes(results) == [LATE, STORED]
    assert bench.waiting() == ["b"]
    assert outcomes(bench.keep(item("a"))) == [STORED]


def test_keys_are_looked_up_without_storing(bench: Bench) -> None:
    bench.keep(item("a"))
    found = bench.ask(messages.FindAccepted(NOBODY, 0, (key_of("x"), key_of("a"))), messages.MessagesStored)
    assert [(result.outcome, result.id) for result in found.results] == [(REFUSED, ""), (KNOWN, "a")]
    assert bench.waiting() == ["a"]


# Queues.


def test_a_queue_is_read_in_portions(bench: Bench) -> None:
    bench.keep(*(item(f"m{number}") for number in range(1, 8)))
    first = bench.mailbox(limit=3)
    assert (first.queue, ids(first), first.more) == (BOBS, ["m1", "m2", "m3"], True)
    rest = bench.mailbox(after=first.messages[-1].seq, limit=4)
    assert (ids(rest), rest.more) == (["m4", "m5", "m6", "m7"], False)
    assert bench.mailbox(after=7) == messages.QueueRead(rest.request + 1, BOBS, (), False)


def test_a_portion_is_bounded_by_bytes_too_but_never_empty(bench: Bench) -> None:
    bench.keep(*(item(f"m{number}", body=b"x" * 2_000) for number in range(250)))
    some = bench.mailbox(max_bytes=50_000)
    assert 1 <= len(some.messages) < 250
    assert some.more
    assert bench.mailbox(max_bytes=1).messages


def test_exactly_those_asked_for_as_far_as_they_exist(bench: Bench) -> None:
    bench.keep(*(item(f"m{number}") for number in range(1, 6)))
    bench.acknowledge(ack(4, "m4"))
    assert ids(bench.mailbox(after=3, seqs=(Seq(2), Seq(4), Seq(5), Seq(99)))) == ["m2", "m5"]


# Acknowledgements and ends.


def test_an_acknowledged_message_is_gone_for_good(bench: Bench) -> None:
    bench.ask(register(device()), messages.RegistrationSaved)
    a, _ = bench.keep(item("a"), item("b"))
    assert bench.acknowledge(ack(a.seq, "a", end=End.DELIVERED)).notices == ()
    bench.restart()
    assert bench.waiting() == ["b"]
    assert bench.ended("a") is End.DELIVERED


def test_a_message_stays_for_another_device(bench: Bench) -> None:
    bench.ask(register(device(), device(DESK)), messages.RegistrationSaved)
    a, _ = bench.keep(item("a"), item("b"))
    bench.acknowledge(ack(a.seq, "a", remove=False))
    bench.restart()
    assert [(m.envelope.id, m.anyone) for m in bench.mailbox().messages] == [("a", False), ("b", True)]
    bob = bench.bob()
    assert bob is not None
    assert {found.key: found.cursor for found in bob.devices} == {PHONE: a.seq, DESK: 0}


def test_an_end_and_its_notice_are_one_commit(bench: Bench) -> None:
    a, b = bench.keep(item("a"), item("b"))
    notice = item("notice", to=ALICE, key=b"")
    done = bench.acknowledge(ack(a.seq, "a", close=False, end=End.REFUSED, notice=notice))
    assert [(result.outcome, result.id, result.seq) for result in done.notices] == [(STORED, "notice", 3)]
    told = bench.ask(end(b.seq, "b", notice=item("second", to=ALICE, key=b"")), messages.MessagesAcknowledged)
    assert [result.id for result in told.notices] == ["second"]
    bench.restart()
    assert (bench.waiting(), bench.waiting(ALICE)) == ([], ["notice", "second"])
    assert (bench.ended("a"), bench.ended("b")) == (End.REFUSED, End.EXPIRED)


def test_an_acknowledgement_said_twice_harms_nobody(bench: Bench) -> None:
    a, _ = bench.keep(item("a"), item("b"))
    bench.acknowledge(ack(a.seq, "a"))
    bench.acknowledge(ack(a.seq, "a"))
    assert bench.waiting() == ["b"]


def test_expired_messages_stay_until_they_are_ended(bench: Bench) -> None:
    a, b, _, _ = bench.keep(*(item(name, life=Seconds(5)) for name in "abc"), item("d", life=Seconds(50)))
    assert bench.ask(messages.FindExpired(NOBODY, 0, 10), messages.ExpiredFound).messages == ()
    bench.actor.advance(6)
    assert ids(bench.ask(messages.FindExpired(NOBODY, 0, 2), messages.ExpiredFound)) == ["a", "b"]
    assert ids(bench.ask(messages.FindExpired(NOBODY, 0, 10, (a.seq,)), messages.ExpiredFound)) == ["b", "c"]
    bench.ask(end(b.seq, "b"), messages.MessagesAcknowledged)
    assert ids(bench.ask(messages.FindExpired(NOBODY, 0, 10), messages.ExpiredFound)) == ["a", "c"]
    assert bench.waiting() == ["a", "c", "d"]


def test_where_a_message_is(bench: Bench) -> None:
    bench.keep(item("a"))
    here = bench.where("a")
    assert here.stored is not None
    assert (here.stored.envelope.id, here.queue, here.ended) == ("a", BOBS, None)
    bench.ask(end(1, "a"), messages.MessagesAcknowledged)
    gone = bench.where("a")
    assert gone.ended is not None
    assert (gone.stored, gone.queue) == (None, None)
    assert (gone.ended.sender, gone.ended.recipient, gone.ended.reason) == (ALICE, BOB, "too old")
    never = bench.where("never-seen")
    assert (never.stored, never.queue, never.ended) == (None, None, None)


# Users.


def test_a_registration_is_saved_with_its_bindings(bench: Bench) -> None:
    bench.keep(item("a"))
    phone = device(contact=b"sip:bob@127.0.0.1:5070", seen=3.0)
    saved = bench.ask(register(phone), messages.RegistrationSaved)
    assert (saved.user, [found.key for found in saved.devices]) == (BOB, [PHONE])
    assert saved.devices[0].since == 1
    bench.restart()
    bob = bench.bob()
    assert bob is not None
    assert (bob.account.name, bob.devices, bob.waiting >= 1) == (BOB, saved.devices, True)
    assert bob.devices[0].bindings == phone.bindings


def test_without_an_account_a_registration_is_saved_only_where_it_makes_one(bench: Bench) -> None:
    assert bench.ask(register(device(), create=False), messages.RegistrationSaved).devices == ()
    assert bench.bob() is None
    assert len(bench.ask(register(device(), create=True), messages.RegistrationSaved).devices) == 1


def test_forgotten_devices_are_gone(bench: Bench) -> None:
    bench.ask(register(device(), device(DESK)), messages.RegistrationSaved)
    saved = bench.ask(register(forget=(PHONE,)), messages.RegistrationSaved)
    assert [found.key for found in saved.devices] == [DESK]


def test_progress_is_saved(bench: Bench) -> None:
    bench.ask(register(device()), messages.RegistrationSaved)
    moved = device(cursor=7, since=0, aside=(Seq(3), Seq(5)), attempt=2, attempt_seq=Seq(8), seen=9.0)
    saved = bench.ask(progress(moved), messages.RegistrationSaved)
    assert (saved.user, saved.devices) == (BOB, (moved,))
    bench.restart()
    bob = bench.bob()
    assert bob is not None
    assert bob.devices == (moved,)


def test_accounts_are_saved_and_removed_with_what_waits(bench: Bench) -> None:
    bench.ask(accounts("bob", "alice"), messages.AccountSaved)
    bench.keep(item("a"), item("b", to=ALICE))
    bench.restart()
    bob = bench.bob()
    assert bob is not None
    assert (bob.account.ha1_md5, bob.account.ha1_sha256, bob.account.created) == ("md5", "sha", 1.0)
    bench.ask(messages.RemoveAccount(NOBODY, 0, BOB), messages.AccountSaved)
    assert bench.bob() is None
    assert (bench.waiting(), bench.waiting(ALICE)) == ([], ["b"])
    assert bench.ended("a") is End.UNDELIVERABLE


@pytest.mark.parametrize("count", [0, 1, 2500])
def test_all_users_come_by_name_and_the_last_message_says_so(bench: Bench, count: int) -> None:
    names = [f"u{number:05}" for number in range(count)]
    bench.ask(accounts(*reversed(names)), messages.AccountSaved)
    bench.actor.serve(messages.ReadUsers(bench.asker, 7))
    parts = bench.asker.of(messages.UsersRead)
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True]
    assert {part.request for part in parts} == {7}
    assert [user.account.name for part in parts for user in part.users] == names


def test_a_node_stays_the_same_one(bench: Bench) -> None:
    before = bench.opened()
    assert (before.realm, len(before.node_key), before.last_seq) == ("angarium", 32, 0)
    bench.restart()
    after = bench.opened()
    assert (after.realm, after.node_key) == (before.realm, before.node_key)
    assert after.node_offset + bench.clock.monotonic() >= before.node_offset


def test_counts_are_told(bench: Bench) -> None:
    bench.ask(accounts("bob"), messages.AccountSaved)
    bench.keep(item("a"), item("b"))
    stats = bench.stats()
    assert (stats.messages, stats.users, stats.damaged) == (2, 1, 0)
    assert stats.bytes > 0
    assert stats.commits >= 2
    assert stats.oldest_age == pytest.approx(bench.clock.wall() - 1_600_000_000.0)


# Answers and commits.


def test_every_answer_follows_its_commit(bench: Bench) -> None:
    asker = CheckingProbe(bench.log)
    writes: list[Any] = [
        accounts("bob"),
        register(device()),
        store(item("a"), item("b"), item("c")),
        progress(device(since=0)),
        acknowledge(ack(1, "a")),
        end(2, "b"),
        messages.RemoveAccount(asker, 0, BOB),
    ]
    numbered = [
        msgspec.structs.replace(write, reply_to=asker, request=number) for number, write in enumerate(writes, 500)
    ]
    bench.batch(*numbered)
    assert sorted(answer.request for answer in asker.messages) == list(range(500, 507))
    assert asker.durable == [True] * 7


def test_writes_are_done_and_answered_in_the_order_they_came(bench: Bench) -> None:
    bench.batch(*(store(item(f"m{number}"), request=number, reply_to=bench.asker) for number in range(30)))
    answers = bench.asker.of(messages.MessagesStored)
    assert [answer.request for answer in answers] == list(range(30))
    assert [answer.results[0].seq for answer in answers] == list(range(1, 31))


def test_a_read_shows_all_that_was_answered_before_it(bench: Bench) -> None:
    bench.batch(
        store(item("a"), reply_to=bench.asker),
        store(item("b"), reply_to=bench.asker),
        messages.ReadQueue(bench.asker, 9, BOBS, Seq(0), 10),
    )
    assert [type(message) for message in bench.asker.messages[:2]] == [messages.MessagesStored] * 2
    assert ids(bench.asker.expect(messages.QueueRead)) == ["a", "b"]


def test_a_command_that_cannot_be_done_is_answered_and_costs_nobody_else_anything(bench: Bench) -> None:
    bad = store(item("bad-1"), item("bad-2", to=UserName("\udc80")), request=2, reply_to=bench.asker)
    good = [store(item(name), request=1, reply_to=bench.asker) for name in ("a", "b")]
    bench.batch(good[0], bad, good[1])
    failed = bench.asker.expect(CommandFailed)
    assert (failed.request, failed.command) == (2, "StoreMessages")
    assert len(bench.asker.of(messages.MessagesStored)) == 2
    assert bench.waiting() == ["a", "b"]
    assert bench.actor.failures.take_all()


def test_nobody_there_to_be_answered_harms_nobody(bench: Bench) -> None:
    with start_probe() as (gone, _):
        dead: Ref[Any] = gone.ref
    bench.batch(store(item("a"), reply_to=dead), store(item("b"), request=2, reply_to=bench.asker))
    assert bench.asker.expect(messages.MessagesStored).request == 2
    assert bench.waiting() == ["a", "b"]


def test_stopped_it_has_committed_what_it_had_heard_and_closed_the_store(bench: Bench) -> None:
    bench.actor.tell(accounts("bob"))
    bench.actor.tell(store(item("a")))
    old = bench.store
    bench.restart()
    assert old.closed
    assert bench.waiting() == ["a"]
    assert bench.bob() is not None


# Trouble.


def test_after_a_failed_commit_nobody_is_answered_and_the_process_must_end(bench: Bench) -> None:
    bench.keep(item("a"))
    bench.store.broken = StoreFailed("disk I/O error")
    bench.actor.serve(store(item("b"), reply_to=bench.asker))
    bench.store.broken = None
    bench.actor.serve(store(item("c"), reply_to=bench.asker), messages.ReadStoreStats(bench.asker, 1))
    bench.asker.expect_none()
    assert [failure.fatal for failure in bench.actor.failures.take_all()] == [True]
    bench.restart()
    assert bench.waiting() == ["a"]


def test_a_full_disk_refuses_messages_takes_acknowledgements_and_ends_by_itself(bench: Bench) -> None:
    a, b = bench.keep(item("a"), item("b"))
    bench.store.full = True
    bench.batch(
        store(item("x"), item("y"), request=1, reply_to=bench.asker),
        acknowledge(ack(a.seq, "a"), request=2, reply_to=bench.asker),
    )
    refused = bench.asker.expect(messages.MessagesStored)
    assert [(result.outcome, result.id) for result in refused.results] == [(REFUSED, "x"), (REFUSED, "y")]
    assert bench.asker.expect(messages.MessagesAcknowledged).request == 2
    alarm = bench.monitor.expect(RaiseAlarm)
    assert alarm.text
    assert alarm.advice
    bench.ask(end(b.seq, "b"), messages.MessagesAcknowledged)
    bench.ask(accounts("bob"), messages.AccountSaved)
    assert outcomes(bench.keep(item("z"))) == [REFUSED]
    bench.actor.advance(30)
    bench.monitor.expect_none(ClearAlarm)
    bench.store.full = False
    bench.actor.advance(30)
    assert bench.monitor.expect(ClearAlarm).name == alarm.name
    assert outcomes(bench.keep(item("x"))) == [STORED]
    assert bench.waiting() == ["x"]


def test_acknowledgements_that_do_not_fit_are_kept_and_answered_later(bench: Bench) -> None:
    (a,) = bench.keep(item("a"))
    bench.store.crammed = True
    bench.actor.serve(
        acknowledge(ack(a.seq, "a"), request=2, reply_to=bench.asker),
        register(device(), reply_to=bench.asker),
    )
    assert bench.asker.expect(CommandFailed).command == "SaveRegistration"
    bench.actor.advance(30)
    bench.asker.expect_none()
    bench.store.crammed = False
    bench.actor.advance(30)
    assert bench.asker.expect(messages.MessagesAcknowledged).request == 2
    assert bench.waiting() == []


def test_damage_is_an_alarm(bench: Bench) -> None:
    bench.keep(item("a"))
    bench.monitor.expect_none(RaiseAlarm)
    bench.store.more_damage = 2
    bench.waiting()
    assert "2" in bench.monitor.expect(RaiseAlarm).text
    bench.waiting()
    bench.monitor.expect_none(RaiseAlarm)


def test_what_the_store_found_at_its_opening_is_told(bench: Bench) -> None:
    bench.store.alarms = (Alarm("database-damaged", "It is.", "Look."),)
    bench.start()
    assert bench.monitor.expect(RaiseAlarm) == RaiseAlarm("database-damaged", "It is.", "Look.")


def test_a_store_that_cannot_be_opened_ends_the_process(bench: Bench) -> None:
    bench.store.unopenable = StoreError("in use by process 1")
    started = bench.start()
    assert started.failures.expect(ActorFailed).fatal
    started.serve(store(item("a"), reply_to=bench.asker))
    bench.asker.expect_none()


def test_it_answers_a_ping_even_when_the_disk_has_failed(bench: Bench) -> None:
    bench.actor.serve(Ping(reply_to=bench.asker, id=4))
    assert bench.asker.expect(Pong) == Pong(actor="storage", id=4)
    bench.store.broken = StoreFailed("disk I/O error")
    bench.actor.serve(store(item("a")), Ping(reply_to=bench.asker, id=5))
    assert bench.asker.expect(Pong).id == 5
    bench.actor.failures.take_all()
