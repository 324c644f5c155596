"""A neighbour's queue against a model of the disk: order, doubts, back-off, floor, bounds, and nothing forgotten."""

from __future__ import annotations

from random import Random

import pytest

from actors.model import Envelope, MessageId, Proof, QueueName, Routing, Seq, StoredMessage, UserName
from actors.state.link_queue import AHEAD, FLIGHTS, REST_MOST, LinkQueue, Way
from actors.state.mail_queue import PAGE
from actors.stores.taken import MOST, STEP

QUEUE = QueueName("n:b")


def message(seq: int, recipient: str = "bob", expires: float = 1e9) -> StoredMessage:
    envelope = Envelope(
        id=MessageId(f"m{seq}"),
        sender=UserName("alice"),
        recipient=UserName(recipient),
        call_id=b"c%d" % seq,
        headers=(),
        body=b"hello",
        accepted=float(seq),
        proof=Proof.DIGEST,
        routing=Routing(origin="a", path=("a",), visited=("a",), step=1),
    )
    return StoredMessage(Seq(seq), envelope, True, expires)


def queue(*messages: StoredMessage, size: int = 0, start: int = 0, index: int = 20_000, window: int = 256) -> LinkQueue:
    made = LinkQueue(QUEUE, Random(1), set(), start=Seq(start), size=size, index=index, window=window)
    made.set_way(Way.UP)
    for one in messages:
        made.add(one)
    return made


def taken(made: LinkQueue, now: float = 0.0) -> list[int]:
    made.wake(now)
    return [one.seq for one in made.take(now, now)]


def routed(made: LinkQueue) -> list[int]:
    return [one.seq for one in made.to_route()]


def test_one_of_a_recipient_flies_and_others_beside_it() -> None:
    made = queue(message(1), message(2), message(3, "carol"))
    assert taken(made) == [1, 3]
    assert taken(made) == []
    made.accepted(Seq(1))
    assert taken(made) == [2]
    assert made.in_flight == 2
    assert made.waiting == 2


def test_so_many_fly_at_most() -> None:
    made = queue(*(message(n, f"u{n}") for n in range(1, FLIGHTS + 10)))
    assert len(taken(made)) == FLIGHTS
    made.accepted(Seq(5))
    assert taken(made) == [FLIGHTS + 1]


def test_a_retry_after_that_anybody_on_the_way_may_have_written_is_not_for_ever() -> None:
    made = queue(message(1), message(2, "carol"))
    assert taken(made) == [1, 2]
    made.later(Seq(1), 0.0, 4_294_967_295)
    made.unanswered(Seq(2), 0.0, 4_294_967_295)
    assert taken(made, 2 * REST_MOST) == [1, 2]


def test_a_503_has_one_recipient_wait_and_keeps_the_order() -> None:
    made = queue(message(1), message(2), message(3, "carol"))
    assert taken(made) == [1, 3]
    made.later(Seq(1), 0.0, 5)
    made.accepted(Seq(3))
    made.add(message(4, "carol"))
    assert taken(made, 4.9) == [4]
    assert not made.doubts(Seq(1))
    assert taken(made, 70.0) == [1]


def test_back_off_grows_to_a_minute_and_ends_with_a_202() -> None:
    made = queue(message(1), message(2))
    now, waits = 0.0, []
    for _ in range(40):
        assert taken(made, now) == [1]
        made.later(Seq(1), now, 0)
        due = made.rests.next()
        assert due is not None
        waits.append(due - now)
        now = due
    assert max(waits[:3]) <= 4
    assert 10 < max(waits) <= 60
    assert taken(made, now) == [1]
    made.accepted(Seq(1))
    assert taken(made, now) == [2]
    made.later(Seq(2), now, 0)
    due = made.rests.next()
    assert due is not None
    assert due - now <= 1


def test_without_an_answer_it_is_in_doubt_and_its_recipient_bound() -> None:
    made = queue(message(1), message(2), message(3, "carol"), message(4, "carol"))
    assert taken(made) == [1, 3]
    made.accepted(Seq(3))
    made.unanswered(Seq(1), 0.0)
    assert made.in_doubt == 1
    made.set_way(Way.DOWN)
    assert routed(made) == []
    made.set_way(Way.CUT)
    assert routed(made) == [4]
    made.gone(Seq(4))
    made.set_way(Way.UP)
    assert taken(made) == [1]
    made.later(Seq(1), 0.0, 0)
    assert made.doubts(Seq(1)), "a 503 to the second try says nothing of the first"
    assert taken(made, 61.0) == [1]
    made.refused(Seq(1))
    assert routed(made) == [1, 2]


def test_all_rows_of_the_last_run_are_in_doubt() -> None:
    made = queue(size=3, start=10)
    made.set_way(Way.CUT)
    reading = made.next_read()
    assert reading is not None
    assert (reading.after, reading.seqs) == (0, ())
    made.page([message(4), message(7), message(9, "carol")], False)
    made.add(message(11, "carol"))
    made.add(message(12, "dave"))
    assert made.in_doubt == 3
    assert routed(made) == [12]
    made.set_way(Way.REMOVED)
    made.release(Seq(12))
    reading = made.next_read()
    assert reading is not None
    assert sorted(reading.seqs) == [4, 7, 9, 11]
    made.page([message(4), message(7), message(9, "carol"), message(11, "carol")], False)
    assert sorted(routed(made)) == [4, 7, 9, 11, 12]


def test_a_refused_lane_is_routed_anew_in_order_and_what_stays_backs_off() -> None:
    made = queue(message(1), message(2), message(3))
    assert taken(made) == [1]
    made.refused(Seq(1))
    assert taken(made) == []
    assert routed(made) == [1, 2, 3]
    assert made.leaves_when_searched(Seq(1))
    made.gone(Seq(1))
    for seq in (2, 3):
        made.stay(Seq(seq), 0.0)
    assert taken(made) == []
    assert taken(made, 61.0) == [2]


def test_what_has_no_other_way_waits_for_the_link_or_the_router() -> None:
    made = queue(message(1))
    made.set_way(Way.DOWN)
    made.set_way(Way.CUT)
    assert routed(made) == [1]
    assert not made.leaves_when_searched(Seq(1))
    made.stay(Seq(1), 0.0)
    made.add(message(2))
    assert routed(made) == []
    made.route_again((UserName("carol"),))
    assert routed(made) == []
    made.route_again((UserName("bob"),))
    assert routed(made) == [1]
    made.stay(Seq(1), 0.0)
    made.set_way(Way.UP)
    assert taken(made) == [1]


def test_a_row_is_at_the_floor_until_its_removal_is_on_disk() -> None:
    made = queue(message(3), message(5, "carol"))
    assert made.floor == 3
    assert taken(made) == [3, 5]
    made.accepted(Seq(3))
    assert made.floor == 3
    made.gone(Seq(3))
    assert made.floor == 5
    made.accepted(Seq(5))
    made.gone(Seq(5))
    assert made.floor == 6
    assert made.waiting == 0


def test_what_was_not_read_keeps_the_floor_down() -> None:
    made = queue(size=2, start=9)
    assert made.floor == 1
    assert made.next_read() is not None
    made.page([message(4)], True)
    assert made.floor == 4
    assert taken(made) == [4]
    made.accepted(Seq(4))
    made.gone(Seq(4))
    assert made.floor == 5


def test_what_was_not_read_may_be_in_doubt() -> None:
    made = queue(size=2, start=9)
    assert [made.may_doubt_unread(Seq(seq)) for seq in (1, 9, 10)] == [True, True, False]
    assert made.next_read() is not None
    made.page([message(4)], True)
    assert [made.may_doubt_unread(Seq(seq)) for seq in (3, 5, 9)] == [False, True, True]
    assert made.next_read() is not None
    made.page([], False)
    assert not made.may_doubt_unread(Seq(5))


def test_the_neighbour_remembers_what_is_ahead_of_the_floor() -> None:
    assert 50_000 < AHEAD < MOST - FLIGHTS - STEP  # one that does not move keeps few others waiting


def test_far_ahead_of_the_floor_nothing_goes_but_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    many = 600
    monkeypatch.setattr("actors.state.link_queue.AHEAD", many)
    made = queue(message(1))
    assert taken(made) == [1]
    made.later(Seq(1), 0.0, 5)
    for seq in range(2, many + 2):
        made.add(message(seq, f"u{seq % 50}"))
        assert taken(made) == [seq]
        made.accepted(Seq(seq))
        made.gone(Seq(seq))
    made.add(message(many + 2, "carol"))
    made.add(message(many + 3, "dave"))
    assert taken(made) == []
    assert taken(made, 61.0) == [1]
    made.accepted(Seq(1))
    made.gone(Seq(1))
    assert taken(made, 61.0) == [many + 2, many + 3]


def test_an_expired_row_is_left_to_its_end_but_one_in_doubt_is_asked_about() -> None:
    made = queue(message(1, expires=5.0), message(2))
    assert taken(made, 6.0) == []
    assert made.hold(Seq(1))
    made.gone(Seq(1))
    assert taken(made, 12.0) == [2]
    made = queue(message(1, expires=5.0))
    assert taken(made, 4.0) == [1]
    made.unanswered(Seq(1), 4.0)
    assert taken(made, 6.0) == [1]
    assert not made.hold(Seq(1))
    made.outlived(Seq(1), 6.0)
    assert not made.doubts(Seq(1))
    assert made.hold(Seq(1))


def test_a_late_announcement_of_what_was_read_and_sent_is_no_new_row() -> None:
    made = queue(size=1)
    assert made.next_read() is not None
    made.page([message(1), message(2)], False)
    assert taken(made) == [1]
    made.accepted(Seq(1))
    made.gone(Seq(1))
    made.add(message(1))
    made.add(message(2))
    made.add(message(3))
    assert taken(made) == [2]
    assert made.waiting == 2


def test_what_is_announced_while_a_page_is_read_is_not_lost() -> None:
    made = queue(size=1)
    assert made.next_read() is not None
    made.add(message(2))
    made.page([message(1)], False)
    reading = made.next_read()
    assert reading is not None
    assert reading.after == 1
    made.page([message(2)], False)
    assert made.next_read() is None
    assert made.waiting == 2


def test_a_damaged_row_is_forgotten() -> None:
    made = queue(window=4)
    for seq in range(1, 60):
        made.add(message(seq, f"u{seq}"))
    assert len(taken(made)) == 4
    for seq in range(1, 5):
        made.accepted(Seq(seq))
        made.gone(Seq(seq))
    reading = made.next_read()
    assert reading is not None
    assert 5 in reading.seqs
    made.page([message(seq, f"u{seq}") for seq in reading.seqs if seq != 5], False)
    assert not made.holds(Seq(5))


class Model:
    """The disk, the neighbour and chance."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.disk: dict[int, StoredMessage] = {}
        self.unannounced: list[StoredMessage] = []
        self.flying: dict[int, StoredMessage] = {}
        self.done: dict[str, list[int]] = {}
        self.routing: list[int] = []
        self.doubt: set[int] = set()
        self.seq = self.random.randint(0, 400)
        for seq in range(1, self.seq + 1):
            self.disk[seq] = message(seq, self.name())
        self.doubt = set(self.disk)
        self.queue = LinkQueue(
            QUEUE, self.random, set(), start=Seq(self.seq), size=len(self.disk), index=200, window=24
        )
        self.page: list[StoredMessage] | None = None
        self.more = False
        self.now = 0.0
        self.dropping: list[int] = []

    def name(self) -> str:
        return self.random.choice(["hog", "hog", "hog", *(f"u{n}" for n in range(30))])

    def step(self) -> None:
        made, chance = self.queue, self.random.random()
        self.now += self.random.random()
        made.wake(self.now)
        if chance < 0.25:
            for _ in range(self.random.randint(1, 12)):
                self.seq += 1
                self.disk[self.seq] = message(self.seq, self.name())
                self.unannounced.append(self.disk[self.seq])
        elif chance < 0.35:
            made.set_way(self.random.choice([Way.UP, Way.UP, Way.DOWN, Way.CUT]))
            if made.way is not Way.UP:
                for seq in tuple(self.flying):
                    del self.flying[seq]
                    self.doubt.add(seq)
                    made.unanswered(Seq(seq), self.now)
        elif chance < 0.4 and self.routing:
            self.settle()
        self.announce()
        self.send()
        self.answer()
        self.route()
        self.read()
        self.check()

    def announce(self) -> None:
        self.random.shuffle(self.unannounced)
        for _ in range(self.random.randint(0, len(self.unannounced))):
            self.queue.add(self.unannounced.pop())

    def send(self) -> None:
        for one in self.queue.take(self.now, self.now):
            assert one.seq in self.disk, "sent from memory only"
            assert one.envelope.recipient not in {m.envelope.recipient for m in self.flying.values()}
            self.flying[one.seq] = one

    def answer(self) -> None:
        made = self.queue
        for seq, one in tuple(self.flying.items()):
            chance = self.random.random()
            if chance > 0.6:
                continue
            del self.flying[seq]
            if chance < 0.4:
                made.accepted(Seq(seq))
                self.doubt.discard(seq)
                self.dropping.append(seq)
                self.done.setdefault(one.envelope.recipient, []).append(seq)
            elif chance < 0.45:
                made.later(Seq(seq), self.now, 1)
            elif chance < 0.55:
                self.doubt.add(seq)
                made.unanswered(Seq(seq), self.now)
            else:
                self.doubt.discard(seq)
                made.refused(Seq(seq))
        if self.random.random() < 0.5:
            for seq in self.dropping:
                del self.disk[seq]
                made.gone(Seq(seq))
            self.dropping.clear()

    def route(self) -> None:
        for one in self.queue.to_route():
            assert one.seq not in self.doubt, "in doubt, and on its way elsewhere"
            assert one.seq not in self.flying
            self.routing.append(one.seq)

    def settle(self) -> None:
        for seq in self.routing:
            chance = self.random.random()
            if chance < 0.4:
                del self.disk[seq]
                self.queue.gone(Seq(seq))
            elif chance < 0.8:
                self.queue.stay(Seq(seq), self.now)
            else:
                self.queue.again(Seq(seq), self.now)
        self.routing.clear()

    def read(self) -> None:
        if self.page is not None and self.random.random() < 0.5:
            if self.random.random() < 0.1:
                self.queue.read_failed()
            else:
                self.queue.page(self.page, self.more)
            self.page = None
        reading = self.queue.next_read() if self.page is None else None
        if reading is not None and reading.seqs:
            self.page, self.more = [self.disk[seq] for seq in reading.seqs if seq in self.disk], False
        elif reading is not None:
            behind = sorted(seq for seq in self.disk if seq > reading.after)
            self.page, self.more = [self.disk[seq] for seq in behind[:PAGE]], len(behind) > PAGE

    def check(self) -> None:
        made = self.queue
        announced = set(self.disk) - {one.seq for one in self.unannounced}
        assert made.in_memory <= 24 + 3 * PAGE
        assert made.in_flight == len(self.flying)
        assert made.floor <= min(announced, default=made.floor)

    def drain(self) -> None:
        """All is well from now on: nothing may be left behind."""
        made = self.queue
        self.settle()
        made.set_way(Way.UP)
        for one in self.unannounced:
            made.add(one)
        self.unannounced.clear()
        for _ in range(20_000):
            self.now += 5
            made.wake(self.now)
            self.send()
            for seq in tuple(self.flying):
                del self.flying[seq]
                made.accepted(Seq(seq))
                self.dropping.append(seq)
            for seq in self.dropping:
                del self.disk[seq]
                made.gone(Seq(seq))
            self.dropping.clear()
            self.route()
            self.settle()
            self.read()
            if not self.disk:
                break
        assert not self.disk
        assert made.in_memory == 0
        assert made.in_doubt == 0


@pytest.mark.parametrize("seed", range(120))
def test_whatever_happens_nothing_is_lost_doubled_or_bound_elsewhere(seed: int) -> None:
    model = Model(seed)
    for _ in range(model.random.randint(20, 250)):
        model.step()
    model.drain()
    assert model.queue.waiting == 0


def test_one_recipient_with_more_than_the_index_holds_keeps_nobody_waiting() -> None:
    rows = {seq: message(seq, "hog") for seq in range(1, 1001)}
    rows[1001] = message(1001, "bob")
    made = queue(size=1001, index=100, window=40)
    sent: list[int] = []
    for _ in range(3000):
        reading = made.next_read()
        if reading is not None and reading.seqs:
            made.page([rows[seq] for seq in reading.seqs if seq in rows], False)
        elif reading is not None:
            behind = sorted(seq for seq in rows if seq > reading.after)
            made.page([rows[seq] for seq in behind[:PAGE]], len(behind) > PAGE)
        for one in made.take(0.0, 0.0):
            sent.append(one.seq)
            made.accepted(one.seq)
            del rows[one.seq]
            made.gone(one.seq)
        assert made.in_memory <= 40 + PAGE
    assert not rows
    assert sent.index(1001) < 400
    assert [seq for seq in sent if seq != 1001] == list(range(1, 1001))
