"""What any store must do, by its port alone. A store of one's own joins by adding how it is made to `STORES`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from actors.messages.storage import RemoveAccount, StoreOutcome
from actors.model import Device, End, MessageId, Seconds, Seq, UserName, mailbox_queue
from actors.stores.memory import Disk, MemoryStore
from actors.stores.port import RealmMismatch, Store, StoreFull, Write
from actors.stores.sqlite import SqliteStore
from actors.testing import VirtualClock
from tests.actors.stores.build import (
    ALICE,
    BOB,
    BOBS,
    DESK,
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
    stored,
    waiting,
)


class Make(Protocol):
    """Makes a store in the same place as before; `more` are the settings all stores have (`most_ids`)."""

    def __call__(self, realm: str | None, **more: Any) -> Store: ...


def sqlite_stores(folder: Path, clock: VirtualClock) -> Make:
    return lambda realm, **more: SqliteStore(data_dir=folder, realm=realm, clock=clock, **more)


def memory_stores(folder: Path, clock: VirtualClock) -> Make:
    disk = Disk()
    return lambda realm, **more: MemoryStore(realm=realm, clock=clock, disk=disk, **more)


STORES: list[Callable[[Path, VirtualClock], Make]] = [sqlite_stores, memory_stores]
"""Each makes a maker: every store it makes is the same node again."""


class Node:
    """One store at a time, restarted at will."""

    def __init__(self, make: Make, clock: VirtualClock) -> None:
        self._make = make
        self.clock = clock
        self.most_ids = 0
        """How many ids of mail from elsewhere the next store is to remember; 0: as many as it does anyway."""
        self.store = make(None)
        self.store.open()

    def restart(self, realm: str | None = None, wall_gap: float = 0.0) -> Store:
        self.store.close()
        self.clock.jump_wall(wall_gap)
        more = {"most_ids": self.most_ids} if self.most_ids else {}
        self.store = self._make(realm, **more)
        self.store.open()
        return self.store

    @property
    def now(self) -> float:
        """Node time."""
        return self.store.open().node_offset + self.clock.monotonic()


@pytest.fixture(params=STORES, ids=lambda make: make.__name__)
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    clock = VirtualClock()
    node = Node(request.param(tmp_path / "data", clock), clock)
    yield node
    node.store.close()


def devices_of(held: Store, user: UserName = BOB) -> dict[str, Device]:
    found = held.read_user(user)
    assert found is not None
    return {device.key: device for device in found.devices}


# Messages.


def test_messages_are_read_in_the_order_of_storing(node: Node) -> None:
    results = stored(node.store, item("a"), item("b"), item("c", to=ALICE), item("d"))
    assert [result.outcome for result in results] == [StoreOutcome.STORED] * 4
    assert [result.seq for result in results] == sorted({result.seq for result in results})
    assert waiting(node.store) == ["a", "b", "d"]
    assert waiting(node.restart()) == ["a", "b", "d"]


def test_a_message_comes_back_as_it_was_given(node: Node) -> None:
    given = item("a", body=bytes(range(256)), life=Seconds(60.0))
    (result,) = stored(node.store, given)
    (message,), _ = node.restart().read_queue(BOBS, Seq(0), 10, 1000, ())
    assert message.envelope == given.envelope
    assert (message.seq, message.anyone, message.expires) == (result.seq, True, result.expires)
    assert message.expires == pytest.approx(node.now + 60.0, abs=0.01)


def test_a_queue_is_read_in_portions(node: Node) -> None:
    seqs = [result.seq for result in stored(node.store, *(item(f"m{n}") for n in range(200)))]
    first, more = node.store.read_queue(BOBS, Seq(0), 150, 1 << 30, ())
    assert ([message.seq for message in first], more) == (seqs[:150], True)
    rest, more = node.store.read_queue(BOBS, first[-1].seq, 150, 1 << 30, ())
    assert ([message.seq for message in rest], more) == (seqs[150:], False)
    exact, more = node.store.read_queue(BOBS, Seq(0), 200, 1 << 30, ())
    assert (len(exact), more) == (200, False)


def test_a_portion_is_bounded_by_bytes(node: Node) -> None:
    stored(node.store, *(item(f"m{n}", body=b"x" * 10_000) for n in range(300)))
    some, more = node.store.read_queue(BOBS, Seq(0), 300, 100_000, ())
    assert more
    assert 0 < len(some) < 150


def test_messages_are_read_by_seq(node: Node) -> None:
    a, b, _ = stored(node.store, item("a"), item("b"), item("c"))
    messages, more = node.store.read_queue(BOBS, Seq(99), 10, 1000, (b.seq, Seq(77), a.seq))
    assert [message.envelope.id for message in messages] == ["a", "b"]
    assert not more
    assert node.store.read_queue(mailbox_queue(ALICE), Seq(0), 10, 1000, (a.seq,)) == ((), False)


def test_a_seq_is_never_used_again(node: Node) -> None:
    a, b = stored(node.store, item("a"), item("b"))
    node.store.commit([acknowledge(ack(a.seq, "a"), ack(b.seq, "b"))])
    assert waiting(node.store) == []
    (c,) = stored(node.restart(), item("c"))
    assert c.seq > b.seq
    assert node.restart().open().last_seq == c.seq


# The ledger.


def test_a_known_message_is_answered_with_its_first_id(node: Node) -> None:
    stored(node.store, item("a"))
    again = item("z", key=key_of("a"))
    (result,) = stored(node.store, again)
    assert (result.outcome, result.id) == (StoreOutcome.KNOWN, "a")
    assert node.store.known([key_of("a"), key_of("b")]) == ["a", None]
    assert waiting(node.store) == ["a"]


def test_a_message_is_known_after_a_restart_and_after_its_end(node: Node) -> None:
    (a,) = stored(node.store, item("a"))
    node.store.commit([acknowledge(ack(a.seq, "a", end=End.DELIVERED))])
    (result,) = stored(node.restart(), item("z", key=key_of("a")))
    assert (result.outcome, result.id) == (StoreOutcome.KNOWN, "a")


def test_a_repeat_in_the_same_commit_is_known(node: Node) -> None:
    twice = [store(item("a"), item("y", key=key_of("a"))), store(item("z", key=key_of("a")))]
    results = [result for part in node.store.commit(twice) for result in part or ()]
    assert [(result.outcome, result.id) for result in results if not isinstance(result, Device)] == [
        (StoreOutcome.STORED, "a"),
        (StoreOutcome.KNOWN, "a"),
        (StoreOutcome.KNOWN, "a"),
    ]
    assert waiting(node.store) == ["a"]


def test_a_message_without_key_is_not_remembered(node: Node) -> None:
    stored(node.store, item("a", key=b""), item("b", key=b""))
    assert waiting(node.store) == ["a", "b"]


def test_a_key_is_remembered_for_ten_minutes_and_not_for_ever(node: Node) -> None:
    stored(node.store, item("a"))
    node.clock.move_to(node.clock.monotonic() + 599)
    stored(node.store, item("b"))
    assert node.store.known([key_of("a"), key_of("b")]) == ["a", "b"]
    node.clock.move_to(node.clock.monotonic() + 600)
    stored(node.store, item("c"))
    assert node.store.known([key_of("a"), key_of("b")]) == [None, "b"]
    node.store.tend()
    node.clock.move_to(node.clock.monotonic() + 600)
    assert node.store.known([key_of("a"), key_of("b"), key_of("c")]) == [None, None, "c"]
    node.store.tend()
    assert stored(node.restart(), item("a2", key=key_of("a")))[0].outcome is StoreOutcome.STORED
    assert node.store.known([key_of("a"), key_of("b"), key_of("c")]) == ["a2", None, "c"]
    assert waiting(node.store) == ["a", "b", "c", "a2"]


def test_many_keys_are_known_again_after_a_restart(node: Node) -> None:
    names = [f"m{n}" for n in range(6_000)]
    for start in range(0, len(names), 1_000):
        stored(node.store, *(item(name) for name in names[start : start + 1_000]))
        node.clock.move_to(node.clock.monotonic() + 70)
    keys = [key_of(name) for name in names]
    assert node.store.known(keys) == names
    assert node.restart().known(keys) == names
    assert node.store.known([key_of(f"x{n}") for n in range(5_000)]) == [None] * 5_000


def test_what_comes_too_late_is_not_stored(node: Node) -> None:
    now = node.clock.monotonic()
    late, early = stored(node.store, item("a", deadline=now - 1), item("b", deadline=now + 1))
    assert (late.outcome, early.outcome) == (StoreOutcome.LATE, StoreOutcome.STORED)
    assert waiting(node.store) == ["b"]
    assert node.store.known([key_of("a")]) == [None]


# Acknowledgements and ends.


def test_an_acknowledgement_removes_the_message_and_remembers_its_end(node: Node) -> None:
    a, b = stored(node.store, item("a"), item("b"))
    node.store.commit([acknowledge(ack(a.seq, "a", end=End.DELIVERED))])
    held = node.restart()
    assert waiting(held) == ["b"]
    ended = held.find_message(MessageId("a")).ended
    assert ended is not None
    assert (ended.end, ended.sender, ended.recipient) == (End.DELIVERED, ALICE, BOB)
    found = held.find_message(MessageId("b"))
    assert found.stored is not None
    assert (found.stored.seq, found.queue) == (b.seq, BOBS)
    nowhere = held.find_message(MessageId("never-seen"))
    assert (nowhere.stored, nowhere.queue, nowhere.ended) == (None, None, None)
    assert held.find_message(MessageId("")).ended is None


def test_acknowledging_again_changes_nothing(node: Node) -> None:
    (a,) = stored(node.store, item("a"))
    for how in (End.DELIVERED, End.EXPIRED):
        node.store.commit([acknowledge(ack(a.seq, "a", end=how))])
    ended = node.store.find_message(MessageId("a")).ended
    assert ended is not None
    assert ended.end is End.DELIVERED


def test_a_message_that_stays_moves_the_cursor_of_its_device(node: Node) -> None:
    node.store.commit([register(device(), device(DESK))])
    a, b = stored(node.store, item("a"), item("b"))
    node.store.commit([acknowledge(ack(a.seq, "a", remove=False), ack(b.seq, "b", remove=False, close=False))])
    held = node.restart()
    devices = devices_of(held)
    assert (devices[PHONE].cursor, devices[DESK].cursor) == (b.seq, 0)
    messages, _ = held.read_queue(BOBS, Seq(0), 10, 1000, ())
    assert [message.anyone for message in messages] == [False, True]


def test_a_cursor_never_goes_back(node: Node) -> None:
    node.store.commit([register(device())])
    a, b = stored(node.store, item("a"), item("b"))
    node.store.commit([acknowledge(ack(b.seq, "b", remove=False), ack(a.seq, "a", remove=False))])
    assert devices_of(node.store)[PHONE].cursor == b.seq


def test_a_message_that_stepped_aside_leaves_the_list_when_acknowledged(node: Node) -> None:
    node.store.commit([register(device())])
    a, b = stored(node.store, item("a"), item("b"))
    node.store.commit([progress(device(cursor=b.seq, aside=(a.seq, Seq(50)), attempt=3, attempt_seq=b.seq))])
    node.store.commit([acknowledge(ack(a.seq, "a", remove=False))])
    phone = devices_of(node.restart())[PHONE]
    assert (phone.cursor, phone.aside, phone.attempt, phone.attempt_seq) == (b.seq, (50,), 3, b.seq)


def test_a_notice_is_stored_with_the_end(node: Node) -> None:
    (a,) = stored(node.store, item("a"))
    notice = item("notice", to=ALICE, key=b"")
    (results,) = node.store.commit([end(a.seq, "a", notice=notice)])
    assert results is not None
    assert [(result.outcome, result.id) for result in results if not isinstance(result, Device)] == [
        (StoreOutcome.STORED, "notice")
    ]
    assert (waiting(node.restart()), waiting(node.store, ALICE)) == ([], ["notice"])


def test_a_message_that_is_gone_causes_no_second_notice(node: Node) -> None:
    (a,) = stored(node.store, item("a"))
    notice = item("notice", to=ALICE, key=b"")
    again: list[Write] = [
        end(a.seq, "a", notice=notice),
        acknowledge(ack(a.seq, "a", end=End.REFUSED, notice=notice)),
    ]
    node.store.commit(again)
    node.store.commit(again)
    assert waiting(node.store, ALICE) == ["notice"]


def test_stored_and_ended_in_one_commit(node: Node) -> None:
    seq = Seq(node.store.open().last_seq + 1)
    node.store.commit([store(item("a")), acknowledge(ack(seq, "a", end=End.DELIVERED))])
    assert waiting(node.store) == []
    assert node.store.stats().messages == 0


def test_messages_expire_by_node_time(node: Node) -> None:
    a, b, c = stored(node.store, item("a", life=Seconds(30)), item("b", life=Seconds(10)), item("c", life=Seconds(99)))
    assert node.store.find_expired(10, ()) == ()
    node.clock.move_to(node.clock.monotonic() + 31)
    assert [message.seq for message in node.store.find_expired(10, ())] == [b.seq, a.seq]
    assert [message.seq for message in node.store.find_expired(1, (b.seq,))] == [a.seq]
    node.clock.jump_wall(10 * 365 * 86_400)
    assert c.seq not in [message.seq for message in node.store.find_expired(10, ())]


# Users.


def test_a_new_device_gets_the_newest_seq(node: Node) -> None:
    (a,) = stored(node.store, item("a"))
    (devices,) = node.store.commit([register(device(contact=b"sip:bob@127.0.0.1:5070"))])
    assert isinstance(devices, tuple)
    (new,) = devices
    assert isinstance(new, Device)
    assert (new.since, new.cursor) == (a.seq, 0)
    assert node.restart().read_user(BOB) is not None
    assert devices_of(node.store)[PHONE] == new


def test_the_newest_seq_counts_what_the_same_commit_stored_before(node: Node) -> None:
    results = node.store.commit([store(item("a")), register(device()), store(item("b"))])
    first, _, second = results
    assert first is not None
    assert second is not None
    assert first[0].seq == devices_of(node.store)[PHONE].since < second[0].seq  # type: ignore[union-attr]  # results of StoreMessages


def test_a_known_device_keeps_its_place_and_changes_its_bindings(node: Node) -> None:
    node.store.commit([register(device(contact=b"sip:old@127.0.0.1"))])
    (a,) = stored(node.store, item("a"))
    node.store.commit([progress(device(cursor=a.seq, aside=(Seq(3),), attempt=2, seen=5.0))])
    node.store.commit([register(device(since=77, cursor=99, seen=9.0, contact=b"sip:new@127.0.0.1"), device(DESK))])
    devices = devices_of(node.restart())
    phone = devices[PHONE]
    assert (phone.since, phone.cursor, phone.aside, phone.attempt, phone.seen) == (0, a.seq, (3,), 2, 9.0)
    assert [binding.contact for binding in phone.bindings] == [b"sip:new@127.0.0.1"]
    assert devices[DESK].since == a.seq


def test_registering_without_account_saves_nothing_unless_asked_to(node: Node) -> None:
    assert node.store.commit([register(device(), create=False)]) == [()]
    assert node.store.read_user(BOB) is None
    node.store.commit([register(device(), create=True), register(device(DESK), create=False)])
    assert set(devices_of(node.store)) == {PHONE, DESK}


def test_progress_of_an_unknown_device_is_ignored(node: Node) -> None:
    node.store.commit([register(device()), progress(device(DESK, cursor=9))])
    assert set(devices_of(node.store)) == {PHONE}


def test_forgetting_a_device_ends_what_only_it_waited_for(node: Node) -> None:
    node.store.commit([register(device(), device(DESK))])
    a, b, _ = stored(node.store, item("a"), item("b"), item("c"))
    # The phone has a and b; the desk has nothing; nobody has c.
    node.store.commit([acknowledge(ack(a.seq, "a", remove=False), ack(b.seq, "b", remove=False))])
    (devices,) = node.store.commit([register(forget=(DESK,))])
    assert [d.key for d in devices or () if isinstance(d, Device)] == [PHONE]
    held = node.restart()
    assert waiting(held) == ["c"]
    ended = held.find_message(MessageId("a")).ended
    assert ended is not None
    assert ended.end is End.DELIVERED
    assert set(devices_of(held)) == {PHONE}


def test_forgetting_a_device_keeps_what_another_waits_for(node: Node) -> None:
    node.store.commit([register(device(), device(DESK))])
    a, b, _ = stored(node.store, item("a"), item("b"), item("c"))
    node.store.commit([acknowledge(ack(a.seq, "a", remove=False), ack(b.seq, "b", remove=False))])
    node.store.commit([progress(device(DESK, cursor=b.seq, aside=(a.seq,)))])
    node.store.commit([register(forget=(PHONE,))])
    assert waiting(node.store) == ["a", "c"]


def test_accounts_are_saved_replaced_and_removed(node: Node) -> None:
    node.store.commit([accounts("bob", "alice")])
    node.store.commit([register(device())])
    stored(node.store, item("a"), item("b", to=ALICE))
    node.store.commit([RemoveAccount(reply_to=NOBODY, request=1, name=BOB)])
    held = node.restart()
    assert held.read_user(BOB) is None
    assert (waiting(held), waiting(held, ALICE)) == ([], ["b"])
    ended = held.find_message(MessageId("a")).ended
    assert ended is not None
    assert ended.end is End.UNDELIVERABLE
    held.commit([accounts("bob")])
    user = held.read_user(BOB)
    assert user is not None
    assert (user.devices, user.account.ha1_md5) == ((), "md5")


def test_users_are_read_by_name_in_portions(node: Node) -> None:
    node.store.commit([accounts(*(f"u{n:03}" for n in range(30)))])
    node.store.commit([register(device(), user=UserName("u007")), store(item("a", to=UserName("u021")))])
    some = node.store.read_users(UserName(""), 20)
    rest = node.store.read_users(some[-1].account.name, 20)
    names = [user.account.name for user in (*some, *rest)]
    assert names == [f"u{n:03}" for n in range(30)]
    assert len(some) == 20
    assert [user.account.name for user in (*some, *rest) if user.devices] == ["u007"]
    assert [user.account.name for user in (*some, *rest) if user.waiting] == ["u021"]


# The node.


def test_what_a_node_is_stays(node: Node) -> None:
    before = node.store.open()
    assert len(before.node_key) == 32
    assert before.realm == "angarium"
    after = node.restart("angarium").open()
    assert (after.node_key, after.realm) == (before.node_key, before.realm)


def test_a_realm_is_for_ever(node: Node) -> None:
    with pytest.raises(RealmMismatch, match="'angarium', not 'other'"):
        node.restart("other")
    node.restart("angarium")


def test_node_time_goes_on_by_at_most_a_day(node: Node) -> None:
    for gap, counted in ((100.0, 100.0), (10 * 365 * 86_400.0, 86_400.0), (-5_000.0, 0.0)):
        before = node.now
        node.restart(wall_gap=gap)
        assert node.now == pytest.approx(before + counted, abs=0.01)


def test_counts_are_told(node: Node) -> None:
    node.store.commit([accounts("bob", "alice")])
    a, _, _ = stored(node.store, item("a"), item("b"), item("c"))
    assert node.store.stats().messages == 3
    node.store.commit([acknowledge(ack(a.seq, "a"), ack(a.seq, "a"))])
    stats = node.store.stats()
    assert (stats.messages, stats.users, stats.damaged) == (2, 2, 0)
    assert stats.commits >= 3
    assert stats.bytes > 0
    assert stats.oldest_age == pytest.approx(node.clock.wall() - 1_600_000_000.0)


def test_a_command_that_cannot_be_done_undoes_the_commit(node: Node) -> None:
    impossible = item("a", to=UserName("\udc80"))
    with pytest.raises(Exception, match="surrogates"):
        node.store.commit([store(item("b")), store(impossible)])
    assert waiting(node.store) == []
    assert node.store.known([key_of("b")]) == [None]
    stored(node.store, item("b"))
    assert waiting(node.restart()) == ["b"]


def test_full_memory_takes_acknowledgements(tmp_path: Path) -> None:
    disk = Disk()
    held = MemoryStore(realm=None, clock=VirtualClock(), disk=disk)
    held.open()
    results = stored(held, *(item(f"m{n}") for n in range(100)))
    disk.fill()
    with pytest.raises(StoreFull):
        stored(held, *(item(f"x{n}", body=b"x" * 10_000) for n in range(50)))
    assert held.known([key_of("x1")]) == [None]
    held.make_room()
    assert not held.has_room()
    held.commit([acknowledge(*(ack(r.seq, f"m{n}", end=End.DELIVERED) for n, r in enumerate(results)))])
    assert waiting(held) == []
    disk.empty()
    assert held.has_room()
    stored(held, item("y"))
    assert waiting(held) == ["y"]
