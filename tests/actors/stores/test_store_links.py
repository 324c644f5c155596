"""What any store must do for mail between servers and for users who move, by its port alone; over `STORES`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.messages.storage import (
    MoveItem,
    QueueSize,
    RemoveAccount,
    SavedNeighbour,
    StoreItem,
    StoreOutcome,
    StoreResult,
)
from actors.model import (
    UNROUTED,
    Account,
    End,
    MessageId,
    NodeName,
    QueueName,
    Routing,
    Seconds,
    Seq,
    UserName,
    arrivals_queue,
    neighbour_queue,
)
from actors.stores.home import LONGEST_LIFE, SPARE
from actors.stores.meta import DAY
from actors.stores.port import Store
from tests.actors.stores.build import (
    BOB,
    BOBS,
    DESK,
    NOBODY,
    PHONE,
    accounts,
    ack,
    acknowledge,
    device,
    drop,
    end,
    envelope,
    forget_neighbour,
    item,
    key_of,
    mark,
    moved,
    of_queue,
    progress,
    register,
    save_neighbour,
    settled,
    store,
    stored,
    waiting,
)
from tests.actors.stores.test_store_contract import Node, devices_of, node

__all__ = ["node"]

TO_B = neighbour_queue(NodeName("b"))
TO_C = neighbour_queue(NodeName("c"))
ASIDE = arrivals_queue(BOB)
STORED, KNOWN, REFUSED, GONE = StoreOutcome.STORED, StoreOutcome.KNOWN, StoreOutcome.REFUSED, StoreOutcome.GONE


def transit(name: str, queue: QueueName = TO_B, **more: Any) -> StoreItem:
    """A message on its way elsewhere."""
    return msgspec.structs.replace(item(name, key=b"", **more), queue=queue)


def home(name: str, **more: Any) -> StoreItem:
    """A message from elsewhere for bob, who is at home here."""
    return item(name, key=b"", once=True, **more)


def outcomes(results: tuple[StoreResult, ...]) -> list[StoreOutcome]:
    return [result.outcome for result in results]


def arriving(held: Store, **more: Any) -> None:
    held.commit([accounts("bob", coming_from=NodeName("a"), **more)])


# Hand-overs.


def test_a_hand_over_is_taken_once_however_often_it_comes(node: Node) -> None:
    one = transit("x", link=mark(7))
    assert outcomes(stored(node.store, one, one)) == [STORED, KNOWN]
    again = stored(node.store, one)
    assert (again[0].outcome, again[0].id) == (KNOWN, "x")
    assert outcomes(stored(node.restart(), one)) == [KNOWN]
    assert of_queue(node.store, TO_B) == ["x"]


def test_a_hand_over_is_known_after_its_message_went_on(node: Node) -> None:
    one = transit("x", link=mark(7))
    (first,) = stored(node.store, one)
    node.store.commit([drop(first.seq)])
    assert outcomes(stored(node.restart(), one)) == [KNOWN]
    assert of_queue(node.store, TO_B) == []


@pytest.mark.parametrize(
    "other",
    [
        transit("y", link=mark(7)),
        transit("x", link=mark(8)),
        transit("x", link=mark(7, incarnation="restored")),
        transit("x", link=mark(7, node="c")),
        transit("x"),
    ],
    ids=["id", "row", "incarnation", "node", "no link"],
)
def test_another_hand_over_is_another(node: Node, other: StoreItem) -> None:
    """Else a folder put back from a backup, which counts the same rows again, would lose mail."""
    stored(node.store, transit("x", link=mark(7)))
    assert outcomes(stored(node.restart(), other)) == [STORED]


def test_hand_overs_below_the_floor_are_forgotten_and_the_others_are_not(node: Node) -> None:
    stored(node.store, *(transit(f"m{n}", link=mark(n)) for n in range(1, 1001)))
    stored(node.store, transit("m1001", link=mark(1001, floor=900)))
    for _ in range(2):
        assert outcomes(stored(node.store, transit("m900", link=mark(900, floor=900)))) == [KNOWN]
        node.restart()
    assert outcomes(stored(node.store, transit("m5", link=mark(5, floor=900)))) == [STORED]


def test_a_neighbour_that_began_anew_leaves_nothing_behind(node: Node) -> None:
    stored(node.store, *(transit(f"m{n}", link=mark(n)) for n in range(1, 11)))
    stored(node.store, transit("n1", link=mark(1, incarnation="restored")))
    assert outcomes(stored(node.restart(), transit("n1", link=mark(1, incarnation="restored")))) == [KNOWN]
    assert outcomes(stored(node.store, transit("m3", link=mark(3)))) == [STORED]


@pytest.mark.parametrize("row", [0, -5, 1 << 63, 1 << 70])
def test_a_row_that_no_store_has_is_refused_and_costs_the_others_nothing(node: Node, row: int) -> None:
    results = stored(node.store, transit("x", link=mark(row)), transit("y", link=mark(1, floor=1 << 70)))
    assert outcomes(results) == [REFUSED, STORED]
    assert of_queue(node.store, TO_B) == ["y"]


def test_a_hand_over_that_was_rolled_back_may_come_again(node: Node) -> None:
    one, two = transit("x", link=mark(7)), home("h", link=mark(8))
    with pytest.raises(Exception, match="surrogates"):
        stored(node.store, one, two, item("bad", to=UserName("\udc80")))
    assert outcomes(stored(node.store, one, two)) == [STORED, STORED]


def test_an_id_that_was_written_and_rolled_back_may_come_again(node: Node) -> None:
    with pytest.raises(Exception, match="surrogates"):
        node.store.commit([store(home("h", link=mark(8))), settled(Account(BOB)), accounts("\udc80")])
    assert outcomes(stored(node.store, home("h", link=mark(8)))) == [STORED]
    assert outcomes(stored(node.restart(), home("h"))) == [KNOWN]


# The home's ledger.


def test_a_message_comes_into_a_mailbox_once_whatever_way_it_takes(node: Node) -> None:
    """Else a copy that went another way is read twice (PROTOCOL 17)."""
    stored(node.store, home("x", link=mark(7)))
    others = [home("x", link=mark(9)), home("x", link=mark(7, node="c")), home("x")]
    assert outcomes(stored(node.store, *others)) == [KNOWN] * 3
    assert outcomes(stored(node.restart(), *others)) == [KNOWN] * 3
    assert waiting(node.store) == ["x"]


def test_an_id_is_known_after_its_end_in_every_slice(node: Node) -> None:
    for day in range(LONGEST_LIFE + SPARE):
        (result,) = stored(node.store, home(f"x{day}"))
        node.store.commit([acknowledge(ack(result.seq, f"x{day}", end=End.DELIVERED))])
        node.clock.move_to(node.clock.monotonic() + DAY)
    node.store.tend()
    repeats = [home(f"x{day}") for day in range(LONGEST_LIFE + SPARE)]
    assert outcomes(stored(node.restart(), *repeats)) == [KNOWN] * len(repeats)


def test_an_id_is_forgotten_two_days_after_the_longest_life(node: Node) -> None:
    stored(node.store, home("short"))
    stored(node.store, home("long", life=Seconds(30 * DAY)))
    node.clock.move_to(node.clock.monotonic() + 31 * DAY)
    node.restart().tend()
    assert outcomes(stored(node.store, home("long"))) == [KNOWN]
    node.clock.move_to(node.clock.monotonic() + 2 * DAY)
    node.store.tend()
    assert outcomes(stored(node.restart(), home("long"))) == [STORED]


def test_mail_is_refused_rather_than_an_id_forgotten_early(node: Node) -> None:
    """Else the oldest copies would come in twice (PROTOCOL 17)."""
    node.most_ids = 3
    held = node.restart()
    assert outcomes(stored(held, home("a"), home("b"), home("c"), home("d"))) == [STORED] * 3 + [REFUSED]
    assert outcomes(stored(held, home("a"), item("local"), transit("t"))) == [KNOWN, STORED, STORED]
    (waits,) = stored(held, transit("w", UNROUTED))
    assert outcomes(moved(held, MoveItem(waits.seq, BOBS, envelope("w"), once=True))) == [REFUSED]
    assert of_queue(held, UNROUTED) == ["w"]
    held = node.restart()
    assert outcomes(stored(held, home("d"))) == [REFUSED]
    node.clock.move_to(node.clock.monotonic() + (LONGEST_LIFE + SPARE + 1) * DAY)
    for _ in range(3):
        held.tend()  # one table at a time
    assert outcomes(stored(held, home("d"))) == [STORED]
    assert waiting(held) == ["a", "b", "c", "local", "d"]


def test_what_was_not_stored_is_not_known(node: Node) -> None:
    late = home("x", link=mark(1), deadline=node.clock.monotonic() - 1)
    assert outcomes(stored(node.store, late)) == [StoreOutcome.LATE]
    assert outcomes(stored(node.store, home("x", link=mark(1)))) == [STORED]


# Moving to other queues.


def test_messages_go_to_the_end_of_another_queue_in_the_order_given(node: Node) -> None:
    a, b, c = stored(node.store, transit("a", anyone=False), transit("b"), transit("c", TO_C))
    new = msgspec.structs.replace(envelope("b"), routing=Routing("here", leg=1))
    results = moved(node.store, MoveItem(b.seq, TO_C, new), MoveItem(a.seq, TO_C, envelope("a")))
    assert outcomes(results) == [STORED, STORED]
    assert [result.seq for result in results] == [c.seq + 1, c.seq + 2]
    assert [result.expires for result in results] == [b.expires, a.expires]
    held = node.restart()
    assert (of_queue(held, TO_B), of_queue(held, TO_C)) == ([], ["c", "b", "a"])
    messages, _ = held.read_queue(TO_C, Seq(0), 10, 1000, ())
    assert [message.anyone for message in messages] == [True, True, False]
    assert messages[1].envelope == new
    assert held.stats().messages == 3


def test_what_is_gone_cannot_be_moved(node: Node) -> None:
    a, b = stored(node.store, transit("a"), transit("b"))
    node.store.commit([drop(a.seq)])
    one = MoveItem(b.seq, TO_C, envelope("b"))
    wrong = MoveItem(b.seq, TO_C, envelope("other"))
    results = moved(node.store, MoveItem(a.seq, TO_C, envelope("a")), wrong, one, one)
    assert outcomes(results) == [GONE, GONE, STORED, GONE]
    assert (of_queue(node.store, TO_B), of_queue(node.store, TO_C)) == ([], ["b"])


def test_what_the_mailbox_had_before_goes_when_it_is_moved_there(node: Node) -> None:
    stored(node.store, home("a"))
    a, b = stored(node.store, transit("a", UNROUTED), transit("b", UNROUTED))
    items = [MoveItem(a.seq, BOBS, envelope("a"), once=True), MoveItem(b.seq, BOBS, envelope("b"), once=True)]
    assert outcomes(moved(node.store, *items)) == [KNOWN, STORED]
    assert outcomes(stored(node.restart(), home("b"))) == [KNOWN]
    assert (of_queue(node.store, UNROUTED), waiting(node.store)) == ([], ["a", "b"])


def test_dropped_messages_are_gone_and_did_not_end(node: Node) -> None:
    a, _ = stored(node.store, transit("a"), transit("b"))
    assert node.store.commit([drop(a.seq, 99)]) == [()]
    found = node.restart().find_message(MessageId("a"))
    assert (found.stored, found.ended) == (None, None)
    assert (of_queue(node.store, TO_B), node.store.stats().messages) == (["b"], 1)


def test_mail_that_moved_away_with_its_user_may_come_back_with_him(node: Node) -> None:
    """Else it is KNOWN at his old and new home, the place it comes from drops it, and it is lost."""
    a, b, _ = stored(node.store, home("a"), home("b"), home("c"))
    node.store.commit([drop(a.seq)])
    moved(node.store, MoveItem(b.seq, TO_B, envelope("b")))
    assert outcomes(stored(node.restart(), home("a"), home("b"), home("c"))) == [STORED, STORED, KNOWN]


# Users who arrive.


def test_new_mail_for_a_user_who_arrives_stands_aside_until_his_mail_is_in(node: Node) -> None:
    """Else what was sent to his new home overtakes what was sent to the old one (PROTOCOL 24)."""
    arriving(node.store)
    (waits,) = stored(node.store, transit("w", UNROUTED))
    aside = [
        *stored(node.store, item("new"), home("far", link=mark(1))),
        *moved(node.store, MoveItem(waits.seq, BOBS, envelope("w"), once=True)),
    ]
    assert [(result.outcome, result.seq, result.queue) for result in aside] == [(STORED, 0, ASIDE)] * 3
    held = node.restart()
    into = stored(
        held,
        home("old1", moved=True),
        home("old2", moved=True, anyone=False),
        home("old3", moved=True, done=(PHONE,)),
    )
    assert [(result.outcome, result.queue) for result in into] == [(STORED, "")] * 3
    assert (waiting(held), of_queue(held, ASIDE)) == (["old1", "old2", "old3"], ["new", "far", "w"])
    assert outcomes(stored(held, item("again", key=key_of("new")), home("far", link=mark(1)))) == [KNOWN, KNOWN]
    held.commit([settled(Account(BOB, epoch=2))])
    held = node.restart()
    assert (waiting(held), of_queue(held, ASIDE)) == (["old1", "old2", "old3", "new", "far", "w"], [])
    user = held.read_user(BOB)
    assert user is not None
    assert (user.account.epoch, user.account.coming_from, user.waiting) == (2, "", 1)
    (now,) = stored(held, item("later"))
    assert (now.queue, now.seq > into[-1].seq + 3) == ("", True)
    assert held.stats().messages == 7


def test_settling_again_changes_nothing(node: Node) -> None:
    arriving(node.store)
    stored(node.store, item("a"))
    for _ in range(2):
        node.store.commit([settled(Account(BOB))])
    assert waiting(node.restart()) == ["a"]


def test_many_settle_in_order(node: Node) -> None:
    arriving(node.store)
    names = [f"m{n}" for n in range(1200)]
    stored(node.store, *(item(name, key=b"") for name in names))
    node.store.commit([settled(Account(BOB))])
    messages, _ = node.store.read_queue(BOBS, Seq(0), 2000, 1 << 30, ())
    assert [message.envelope.id for message in messages] == names


def test_no_mail_stays_aside_when_somebody_says_otherwise(node: Node) -> None:
    arriving(node.store)
    stored(node.store, item("a"))
    node.store.commit([accounts("alice", "bob")])
    assert (waiting(node.store), of_queue(node.store, ASIDE)) == (["a"], [])
    arriving(node.store)
    stored(node.store, item("b"))
    node.store.commit([RemoveAccount(reply_to=NOBODY, request=1, name=BOB)])
    assert of_queue(node.store, ASIDE) == []
    ended = node.store.find_message(MessageId("b")).ended
    assert ended is not None
    assert ended.end is End.UNDELIVERABLE
    assert stored(node.restart(), item("c"))[0].queue == ""


def test_an_arrival_that_was_rolled_back_did_not_begin(node: Node) -> None:
    with pytest.raises(Exception, match="surrogates"):
        node.store.commit([accounts("bob", "\udc80", coming_from=NodeName("a"))])
    assert stored(node.store, item("a"))[0].queue == ""


def test_notices_for_a_user_who_arrives_stand_aside_too(node: Node) -> None:
    arriving(node.store)
    (a,) = stored(node.store, transit("a"))
    (b,) = stored(node.store, transit("b"))
    node.store.commit([end(a.seq, "a", notice=item("notice", key=b""))])
    node.store.commit([end(b.seq, "b", notice=home("from a link"))])
    assert (waiting(node.store), of_queue(node.store, ASIDE)) == ([], ["notice", "from a link"])


def test_devices_that_need_no_copy_move_past_it_and_miss_nothing(node: Node) -> None:
    """Else a message is read twice, or one before it not at all."""
    (old,) = stored(node.store, item("old"))
    node.store.commit([register(device(), device(DESK, since=0))])
    a, b, c, d = stored(
        node.store,
        home("a"),
        home("b", anyone=False),
        home("c", anyone=False, done=(PHONE,)),
        home("d", anyone=False, done=(PHONE, DESK)),
    )
    phone, desk = devices_of(node.restart())[PHONE], devices_of(node.store)[DESK]
    assert (phone.cursor, phone.aside) == (d.seq, (old.seq, a.seq, b.seq))
    assert (desk.cursor, desk.aside) == (d.seq, (old.seq, a.seq, b.seq, c.seq))
    stored(node.store, home("e", done=(DESK,)), home("f", done=(PHONE, DESK)))
    assert devices_of(node.store)[DESK].aside == (old.seq, a.seq, b.seq, c.seq)


def test_a_device_that_knows_older_mail_already_does_not_wait_for_it(node: Node) -> None:
    node.store.commit([register(device())])
    closed, left_open = stored(node.store, home("closed", anyone=False), home("open"))
    node.store.commit([register(device(DESK))])
    (last,) = stored(node.store, home("last", anyone=False, done=(DESK,)))
    desk = devices_of(node.store)[DESK]
    assert (desk.cursor, desk.aside) == (last.seq, (left_open.seq,))
    assert closed.seq < desk.since


def test_devices_nobody_knows_and_places_beyond_are_left_alone(node: Node) -> None:
    node.store.commit([register(device())])
    node.store.commit([progress(device(cursor=50, aside=(Seq(3),)))])
    stored(node.store, home("a", done=(PHONE, DESK)))
    devices = devices_of(node.store)
    assert (set(devices), devices[PHONE].cursor, devices[PHONE].aside) == ({PHONE}, 50, (3,))


# What a node knows of the others.


def test_expired_mail_is_found_where_it_is_asked_for(node: Node) -> None:
    arriving(node.store)
    stored(node.store, home("old", life=Seconds(1)), item("aside", life=Seconds(1)))
    stored(node.store, transit("b", life=Seconds(2)), transit("?", UNROUTED, life=Seconds(1)), transit("later"))
    node.clock.move_to(node.clock.monotonic() + 5)
    here = node.store.find_expired(10, ())
    elsewhere = node.store.find_expired(10, (), mailboxes=False)
    assert [message.envelope.id for message in here] == ["old", "aside"]
    assert [message.envelope.id for message in elsewhere] == ["?", "b"]
    rest = node.store.find_expired(10, (elsewhere[0].seq,), mailboxes=False)
    assert [message.envelope.id for message in rest] == ["b"]


def test_neighbours_are_remembered_and_forgotten(node: Node) -> None:
    assert node.store.read_neighbours() == ((), ())
    node.store.commit([save_neighbour("c", "tcp://127.0.0.3:5070"), save_neighbour("b", "udp://127.0.0.2:5070")])
    node.store.commit([save_neighbour("b", "tcp://127.0.0.2:5071")])
    b, c = (
        SavedNeighbour(NodeName("b"), "tcp://127.0.0.2:5071"),
        SavedNeighbour(NodeName("c"), "tcp://127.0.0.3:5070"),
    )
    assert node.restart().read_neighbours() == ((b, c), ())
    node.store.commit([forget_neighbour("b"), forget_neighbour("never")])
    assert node.restart().read_neighbours() == ((c,), ())


def test_queues_that_lead_elsewhere_are_counted(node: Node) -> None:
    arriving(node.store)
    older = msgspec.structs.replace(envelope("old"), accepted=5.0)
    stored(node.store, item("aside"), home("mine"))
    (first,) = stored(node.store, transit("x", UNROUTED))
    stored(node.store, transit("a"), transit("b"), msgspec.structs.replace(transit("c", TO_C), envelope=older))
    neighbours, queues = node.restart().read_neighbours()
    assert neighbours == ()
    assert queues == (
        QueueSize(UNROUTED, 1, 1_600_000_000.0),
        QueueSize(TO_B, 2, 1_600_000_000.0),
        QueueSize(TO_C, 1, 5.0),
    )
    node.store.commit([drop(first.seq)])
    assert [size.queue for size in node.store.read_neighbours()[1]] == [TO_B, TO_C]


def test_mail_for_a_forgotten_neighbour_stays(node: Node) -> None:
    node.store.commit([save_neighbour("b", "tcp://127.0.0.2:5070")])
    stored(node.store, transit("a"))
    node.store.commit([forget_neighbour("b")])
    assert of_queue(node.restart(), TO_B) == ["a"]


def test_a_folder_keeps_its_incarnation(node: Node) -> None:
    before = node.store.open().incarnation
    assert len(before) == 16
    assert node.restart().open().incarnation == before


def test_the_routing_state_of_a_message_comes_back(node: Node) -> None:
    way = Routing("a", "c", 2, ("a", "b"), ("b",), 7, 3, "00ff")
    given = msgspec.structs.replace(transit("x"), envelope=msgspec.structs.replace(envelope("x"), routing=way))
    stored(node.store, given)
    (message,), _ = node.restart().read_queue(TO_B, Seq(0), 10, 1000, ())
    assert message.envelope.routing == way
