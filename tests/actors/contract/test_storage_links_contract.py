"""What any Storage must do for mail between servers and for users who move; as `test_storage_contract.py`.

A test module of one's own says, beside its fixture `kind`,

    from tests.actors.contract.test_storage_links_contract import *
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.messages import storage as messages
from actors.messages.lifecycle import CommandFailed
from actors.messages.monitor import ClearAlarm
from actors.messages.storage import MoveItem, StoreOutcome, StoreResult
from actors.model import UNROUTED, Account, NodeName, QueueName, Seconds, Seq, neighbour_queue
from tests.actors.contract.storage_bench import Bench, CheckingProbe, ids, outcomes
from tests.actors.contract.test_storage_contract import bench, kind
from tests.actors.stores.build import (
    BOB,
    BOBS,
    NOBODY,
    accounts,
    ack,
    acknowledge,
    device,
    drop,
    envelope,
    forget_neighbour,
    item,
    mark,
    moving,
    register,
    save_neighbour,
    settled,
    store,
)

__all__ = ["bench", "kind"]

GONE, KNOWN, REFUSED, STORED = StoreOutcome.GONE, StoreOutcome.KNOWN, StoreOutcome.REFUSED, StoreOutcome.STORED
TO_B = neighbour_queue(NodeName("b"))
TO_C = neighbour_queue(NodeName("c"))


def transit(name: str, queue: QueueName = TO_B, **more: Any) -> messages.StoreItem:
    return msgspec.structs.replace(item(name, key=b"", **more), queue=queue)


def of_queue(bench: Bench, queue: QueueName) -> list[str]:
    return ids(bench.ask(messages.ReadQueue(NOBODY, 0, queue, Seq(0), 100), messages.QueueRead))


def move(bench: Bench, *items: MoveItem) -> tuple[StoreResult, ...]:
    return bench.ask(moving(*items), messages.MessagesMoved).results


def test_a_hand_over_is_taken_once(bench: Bench) -> None:
    one = transit("x", link=mark(3))
    assert outcomes(bench.keep(one)) == [STORED]
    bench.restart()
    assert outcomes(bench.keep(one, transit("y", link=mark(3)))) == [KNOWN, STORED]
    assert of_queue(bench, TO_B) == ["x", "y"]


def test_mail_from_elsewhere_comes_into_a_mailbox_once(bench: Bench) -> None:
    assert outcomes(bench.keep(item("x", key=b"", once=True, link=mark(3)))) == [STORED]
    bench.restart()
    assert outcomes(bench.keep(item("x", key=b"", once=True, link=mark(9, node="c")))) == [KNOWN]
    assert bench.waiting() == ["x"]


def test_messages_move_drop_and_are_told_in_order(bench: Bench) -> None:
    a, b, c = bench.keep(transit("a"), transit("b"), transit("c"))
    items = [MoveItem(c.seq, TO_C, envelope("c")), MoveItem(a.seq, BOBS, envelope("a"), once=True)]
    results = move(bench, *items, MoveItem(Seq(99), TO_C, envelope("z")))
    assert [(result.outcome, result.seq) for result in results] == [(STORED, 4), (STORED, 5), (GONE, 0)]
    assert bench.ask(drop(b.seq), messages.MessagesAcknowledged).notices == ()
    bench.restart()
    assert (of_queue(bench, TO_B), of_queue(bench, TO_C), bench.waiting()) == ([], ["c"], ["a"])


def test_new_mail_stands_aside_while_its_user_arrives(bench: Bench) -> None:
    bench.ask(accounts("bob", coming_from=NodeName("a")), messages.AccountSaved)
    (new,) = bench.keep(item("new"))
    assert (new.outcome, new.seq, new.queue) == (STORED, 0, "w:bob")
    (old,) = bench.keep(item("old", key=b"", once=True, moved=True))
    assert (old.outcome, old.queue, bench.waiting()) == (STORED, "", ["old"])
    bench.ask(settled(Account(BOB)), messages.AccountSaved)
    bench.restart()
    assert bench.waiting() == ["old", "new"]
    bob = bench.bob()
    assert bob is not None
    assert bob.account == Account(BOB)


def test_neighbours_and_the_queues_to_them_are_told(bench: Bench) -> None:
    bench.ask(save_neighbour("c", "tcp://127.0.0.3:5070"), messages.NeighbourSaved)
    bench.ask(save_neighbour("b", "tcp://127.0.0.2:5070"), messages.NeighbourSaved)
    bench.ask(forget_neighbour("c"), messages.NeighbourSaved)
    bench.keep(item("mine"), transit("x"), transit("y"), transit("z", UNROUTED))
    bench.restart()
    told = bench.ask(messages.ReadNeighbours(NOBODY, 0), messages.NeighboursRead)
    assert [known.node for known in told.neighbours] == ["b"]
    assert [(size.queue, size.messages) for size in told.queues] == [(UNROUTED, 1), (TO_B, 2)]


def test_what_expires_on_its_way_is_told_to_who_asks_for_it(bench: Bench) -> None:
    bench.keep(item("mine", life=Seconds(1)), transit("x", life=Seconds(1)))
    bench.actor.advance(2)
    here = bench.ask(messages.FindExpired(NOBODY, 0, 10), messages.ExpiredFound)
    elsewhere = bench.ask(messages.FindExpired(NOBODY, 0, 10, mailboxes=False), messages.ExpiredFound)
    assert (ids(here), ids(elsewhere)) == (["mine"], ["x"])


def test_a_folder_has_a_name_as_long_as_it_goes_on(bench: Bench) -> None:
    before = bench.opened().incarnation
    assert before
    bench.restart()
    assert bench.opened().incarnation == before


def test_every_answer_follows_its_commit(bench: Bench) -> None:
    asker = CheckingProbe(bench.log)
    writes: list[Any] = [
        store(transit("a"), transit("b")),
        moving(MoveItem(Seq(1), TO_C, envelope("a"))),
        drop(2),
        settled(Account(BOB)),
        save_neighbour("b", "tcp://127.0.0.2:5070"),
        forget_neighbour("b"),
    ]
    bench.batch(*(msgspec.structs.replace(one, reply_to=asker, request=n) for n, one in enumerate(writes, 500)))
    assert sorted(answer.request for answer in asker.messages) == list(range(500, 506))
    assert asker.durable == [True] * 6


def test_a_full_disk_lets_go_what_others_have(bench: Bench) -> None:
    """Else the queue of a neighbour stays as long as the disk is full, and the disk as long as the queue."""
    a, b = bench.keep(transit("a"), transit("b"))
    bench.store.full = True
    assert outcomes(bench.keep(item("x"))) == [REFUSED]
    bench.ask(drop(a.seq), messages.MessagesAcknowledged)
    assert outcomes(move(bench, MoveItem(b.seq, TO_C, envelope("b")))) == [STORED]
    bench.ask(save_neighbour("b", "tcp://127.0.0.2:5070"), messages.NeighbourSaved)
    assert (of_queue(bench, TO_B), of_queue(bench, TO_C)) == ([], ["b"])


def test_without_any_room_drops_are_kept_and_moves_fail(bench: Bench) -> None:
    a, b, c = bench.keep(transit("a"), transit("b"), item("c"))
    bench.store.crammed = True
    bench.actor.serve(
        moving_to(bench, b.seq),
        msgspec.structs.replace(drop(a.seq), reply_to=bench.asker, request=9),
        acknowledge(ack(c.seq, "c"), request=10, reply_to=bench.asker),
        register(device(), reply_to=bench.asker),
    )
    assert [failed.command for failed in bench.asker.of(CommandFailed)] == ["MoveMessages", "SaveRegistration"]
    bench.asker.take_all()
    bench.actor.advance(30)
    bench.asker.expect_none()
    bench.store.crammed = False
    bench.actor.advance(30)
    assert sorted(done.request for done in bench.asker.of(messages.MessagesAcknowledged)) == [9, 10]
    bench.monitor.expect(ClearAlarm)
    assert (of_queue(bench, TO_B), bench.waiting()) == (["b"], [])


def moving_to(bench: Bench, seq: Seq) -> messages.MoveMessages:
    one = moving(MoveItem(seq, TO_C, envelope("b")))
    return msgspec.structs.replace(one, reply_to=bench.asker, request=8)
