"""The mail part of ServerManager: what it asks, in which order, what it answers, and what it does when others fail."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from actors.messages.links import Carry, Frame, LinkContent
from actors.messages.router import (
    Destination,
    GrantOrigin,
    MailKept,
    MessagesRouted,
    NeighbourDown,
    NotKept,
    Refused,
    RouteFailed,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import LinkAnswered, LinkRequested, QueuedMessage
from actors.messages.sip_adapter import LinkRequest
from actors.messages.storage import (
    DropMessages,
    EndMessages,
    FindExpired,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MoveMessages,
    QueueSize,
    ReadQueue,
    StoreMessages,
    StoreOutcome,
    StoreResult,
)
from actors.model import (
    UNROUTED,
    End,
    Flow,
    FormerHome,
    MessageId,
    NodeName,
    Proof,
    Routing,
    Seq,
    StoredMessage,
    TransactionKey,
    UserName,
    neighbour_queue,
)
from actors.server_manager.core import Core, LinkSettings, References
from actors.server_manager.links import Done
from actors.server_manager.mail import Mail
from actors.state.grants import grant_for, grant_key
from actors.state.ids import notice_id
from actors.state.vouch import vouch_for, vouched
from actors.testing import Probe, VirtualClock
from tests.actors.mail_bench import MailNetwork, MailNode, envelope_of

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
DAY = 86_400.0


def notice(message: str) -> str:
    return notice_id(MessageId(message))


class FakeLinks:
    """Links that say what they are told to, and keep what is sent."""

    def __init__(self) -> None:
        self.ups: set[str] = set()
        self.sent: list[tuple[NodeName, Carry, Done]] = []
        self.answers: list[tuple[bytes, int, int]] = []

    def up(self, node: NodeName) -> bool:
        return node in self.ups

    def send(self, node: NodeName, content: LinkContent, done: Done, seconds: float) -> None:
        assert isinstance(content, Carry)
        self.sent.append((node, content, done))

    def answer(
        self, request: LinkRequested, status: int, reason: str = "", content: Any = None, retry_after: int = 0
    ) -> None:
        self.answers.append((request.transaction, status, retry_after))


class Desk:
    """The mail of node `me`, and probes."""

    def __init__(self) -> None:
        self.router, self.storage, self.clients = Probe("router"), Probe("storage"), Probe("client_manager")
        self.clock = VirtualClock()
        refs = References(
            me=Probe("me"),
            router=self.router,
            storage=self.storage,
            sip_adapter=Probe("sip"),
            client_manager=self.clients,
            monitor=Probe("monitor"),
        )
        self.core = Core(refs, LinkSettings(node=NodeName("me")), self.clock, Random(1))
        self.core.node_key = b"k" * 32
        self.core.incarnation = "inc"
        self.links = FakeLinks()
        self.mail = Mail(self.core, self.links)  # type: ignore[arg-type]  # it needs no more of Links
        self.carried = 0

    def start(self, *queues: QueueSize, last: int = 0) -> None:
        self.mail.start(Seq(last), queues)
        self.mail.flush()

    def answer(self, message: Any) -> None:
        """As the actor brings the answer of Router or Storage."""
        question = self.core.answered(message.request)
        assert question is not None
        question.answered(message)
        self.mail.flush()

    def fail(self, request: int) -> None:
        question = self.core.answered(request)
        assert question is not None
        question.failed("Trouble")
        self.mail.flush()

    def route(self, *destinations: Destination) -> RouteMessages:
        asked = self.router.expect(RouteMessages)
        given = destinations * len(asked.envelopes) if len(destinations) == 1 else destinations
        self.answer(MessagesRouted(asked.request, given))
        return asked

    def carry(self, message: str = "m1", recipient: str = "bob", node: str = "a", **more: Any) -> None:
        self.carried += 1
        routing = Routing(origin="a", path=(node,), visited=(node,), step=1)
        envelope = msgspec.structs.replace(envelope_of(message, recipient), routing=routing)
        fields: dict[str, Any] = {"envelope": envelope, "life": 60.0, "incarnation": "i", "row": 5, "floor": 3}
        content = Carry(**(fields | more))
        request = LinkRequested(
            TransactionKey(b"t%d" % self.carried), Flow("tcp", 0, "127.0.0.1", 1, 1), Frame(), content, 0.0
        )
        self.mail.carry(NodeName(node), request)

    def queued(self, seq: int, recipient: str = "bob", node: str = "b", life: float = 1e9) -> None:
        routing = Routing(origin="me", path=("me",), visited=("me",), step=1)
        envelope = msgspec.structs.replace(envelope_of(f"m{seq}", recipient), routing=routing)
        message = StoredMessage(Seq(seq), envelope, True, self.core.node_time() + life)
        self.mail.queued((QueuedMessage(neighbour_queue(NodeName(node)), message),))
        self.mail.flush()

    def statuses(self) -> list[int]:
        return [status for _, status, _ in self.links.answers]

    def advance(self, seconds: float) -> None:
        self.clock.move_to(self.clock.monotonic() + seconds)
        for timer in self.core.due():
            if timer.call is not None:
                timer.call()
        self.mail.flush()


def stored(asked: StoreMessages, outcome: StoreOutcome = StoreOutcome.STORED, first: int = 100) -> MessagesStored:
    results = tuple(
        StoreResult(outcome, Seq(first + n if outcome is StoreOutcome.STORED else 0), item.envelope.id, 1e6)
        for n, item in enumerate(asked.items)
    )
    return MessagesStored(asked.request, results)


# Arrivals.


def test_hundreds_of_arrivals_cost_one_question_and_one_commit_and_are_answered_after_it() -> None:
    desk = Desk()
    desk.start()
    for number in range(300):
        desk.carry(f"m{number}", f"b{number % 7}", row=number + 3)
    desk.mail.flush()
    asked = desk.route(ToMailbox())
    assert len(asked.envelopes) == 300
    assert asked.arrived_from == A
    desk.router.expect_none(RouteMessages)
    storing = desk.storage.expect(StoreMessages)
    desk.storage.expect_none(StoreMessages)
    assert [item.envelope.id for item in storing.items] == [f"m{number}" for number in range(300)]
    assert all(item.once and item.link is not None and item.link.node == A for item in storing.items)
    assert desk.links.answers == []
    desk.clients.expect_none()
    desk.answer(stored(storing))
    assert desk.statuses() == [202] * 300
    assert storing.mail_to is desk.clients


def test_what_was_taken_before_is_taken_and_not_delivered_again() -> None:
    desk = Desk()
    desk.start()
    desk.carry()
    desk.mail.flush()
    desk.route(ToMailbox())
    desk.answer(stored(desk.storage.expect(StoreMessages), StoreOutcome.KNOWN))
    assert desk.statuses() == [202]
    desk.clients.expect_none()


@pytest.mark.parametrize(
    ("destination", "status"),
    [(Unknown(), 404), (Refused(482, "Loop Detected"), 482), (Refused(403, "Not his"), 403), (Refused(483, ""), 483)],
)
def test_a_refusal_looks_first_whether_it_was_taken_before(destination: Destination, status: int) -> None:
    for outcome, answer in ((StoreOutcome.LATE, status), (StoreOutcome.KNOWN, 202), (StoreOutcome.REFUSED, 503)):
        desk = Desk()
        desk.start()
        desk.carry()
        desk.mail.flush()
        desk.route(destination)
        storing = desk.storage.expect(StoreMessages)
        (item,) = storing.items
        assert 0 < item.deadline < desk.clock.monotonic()
        assert item.link is not None
        desk.answer(stored(storing, outcome))
        assert desk.statuses() == [answer]


def test_no_room_and_failures_are_a_503_to_come_again() -> None:
    desk = Desk()
    desk.start()
    desk.carry()
    desk.mail.flush()
    desk.fail(desk.router.expect(RouteMessages).request)
    desk.carry()
    desk.mail.flush()
    desk.route(ToMailbox())
    desk.fail(desk.storage.expect(StoreMessages).request)
    desk.carry()
    desk.mail.flush()
    desk.route(ToMailbox())
    desk.answer(stored(desk.storage.expect(StoreMessages), StoreOutcome.REFUSED))
    assert desk.statuses() == [503, 503, 503]
    assert all(1 <= retry_after <= 5 for _, _, retry_after in desk.links.answers)


def test_one_bad_message_costs_no_other_its_way() -> None:
    desk = Desk()
    desk.start()
    for number in range(3):
        desk.carry(f"m{number}", row=number + 3)
    desk.mail.flush()
    desk.fail(desk.router.expect(RouteMessages).request)
    asked = [desk.router.expect(RouteMessages) for _ in range(3)]
    assert [len(one.envelopes) for one in asked] == [1, 1, 1]
    desk.fail(asked[1].request)
    assert desk.statuses() == [503]
    for one in (asked[0], asked[2]):
        desk.answer(MessagesRouted(one.request, (ToMailbox(),)))
    for _ in range(2):
        desk.answer(stored(desk.storage.expect(StoreMessages)))
    assert desk.statuses() == [503, 202, 202]


def test_what_goes_further_is_on_disk_before_it_is_sent() -> None:
    desk = Desk()
    desk.links.ups.add("b")
    desk.start()
    desk.carry("m1")
    desk.carry("m2", "carol")
    desk.mail.flush()
    asked = desk.router.expect(RouteMessages)
    onward = msgspec.structs.replace(asked.envelopes[0], routing=Routing("a", visited=("a", "me"), step=2))
    desk.answer(MessagesRouted(asked.request, (ToNeighbour(B, onward), Searching())))
    storing = desk.storage.expect(StoreMessages)
    assert [(item.queue, item.once) for item in storing.items] == [("n:b", False), (UNROUTED, False)]
    assert desk.links.sent == []
    desk.answer(stored(storing))
    assert desk.statuses() == [202, 202]
    ((node, carry, _),) = desk.links.sent
    assert (node, carry.row, carry.floor, carry.envelope) == (B, 100, 100, onward)
    desk.clients.expect_none()


def test_a_hand_over_that_is_not_as_it_should_be_is_refused() -> None:
    desk = Desk()
    desk.start()
    desk.carry(incarnation="")
    desk.carry(incarnation="x" * 65)
    desk.carry(floor=6)
    desk.carry(row=0, floor=0)
    desk.carry(life=-1.0)
    desk.carry(life=float("nan"))
    desk.carry(row=2**63)
    desk.carry(envelope=envelope_of("m1", "bob"))
    desk.carry(message="m" * 300)
    desk.mail.flush()
    assert desk.statuses() == [403] * 9
    assert desk.router.messages == ()


def test_one_whose_life_is_over_is_only_looked_up() -> None:
    for outcome, status in ((StoreOutcome.KNOWN, 202), (StoreOutcome.LATE, 404)):
        desk = Desk()
        desk.start()
        desk.carry(life=0.0)
        desk.mail.flush()
        storing = desk.storage.expect(StoreMessages)
        desk.answer(stored(storing, outcome))
        assert desk.statuses() == [status]
        assert desk.router.messages == ()


def test_a_message_that_says_it_began_here_must_bear_our_mark() -> None:
    desk = Desk()
    desk.start()
    mine = msgspec.structs.replace(envelope_of("m1", "bob"), routing=Routing("me", visited=("me", "a"), leg=1))
    marked = vouched(desk.core.node_key, "me", mine)
    assert marked.routing is not None
    assert marked.routing.vouch == vouch_for(desk.core.node_key, mine)
    desk.carry(envelope=mine)
    desk.carry(envelope=msgspec.structs.replace(marked, body=b"other words"))
    desk.carry(envelope=msgspec.structs.replace(marked, sender=UserName("mallory")))
    desk.carry(envelope=marked)
    desk.mail.flush()
    assert desk.statuses() == [403, 403, 403]
    assert desk.router.expect(RouteMessages).envelopes == (marked,)


def test_a_grant_of_ours_is_told_to_the_router_before_it_judges() -> None:
    desk = Desk()
    desk.start()
    right = grant_for(grant_key(desk.core.node_key, UserName("alice")), UserName("alice"), "c", DAY)
    for message, grant in (("m1", right), ("m2", right), ("m3", "ab" * 16), ("m4", "")):
        routing = Routing("c", path=("c",), visited=("c",), step=1, grant=grant)
        desk.carry(envelope=msgspec.structs.replace(envelope_of(message, "bob"), routing=routing))
    desk.mail.flush()
    told = desk.router.expect(GrantOrigin)
    assert (told.name, told.node, told.seconds > 0) == ("alice", "c", True)
    assert len(desk.router.expect(RouteMessages).envelopes) == 4
    desk.router.expect_none()


def test_a_grant_for_another_node_is_none() -> None:
    desk = Desk()
    desk.start()
    key = grant_key(desk.core.node_key, UserName("alice"))
    routing = Routing("c", step=1, grant=grant_for(key, UserName("alice"), "d", DAY))
    desk.carry(envelope=msgspec.structs.replace(envelope_of("m1", "bob"), routing=routing))
    desk.mail.flush()
    assert len(desk.router.expect(RouteMessages).envelopes) == 1
    desk.router.expect_none()


def test_what_a_former_home_granted_counts_until_its_time_is_over() -> None:
    desk = Desk()
    desk.start()
    alice, key = UserName("alice"), b"k" * 32
    until = desk.core.node_time() + 100.0
    desk.mail.arrivals.trust(alice, (FormerHome(NodeName("a"), key.hex(), 0.0, until),))
    routing = Routing("c", step=1, grant=grant_for(key, alice, "c", until + DAY))
    for seconds, believed in ((99.0, True), (1.0, False)):
        desk.advance(seconds)
        desk.carry(envelope=msgspec.structs.replace(envelope_of(f"m{seconds}", "bob"), routing=routing))
        desk.mail.flush()
        if believed:
            assert desk.router.expect(GrantOrigin).node == "c"
        assert len(desk.router.expect(RouteMessages).envelopes) == 1
        desk.router.expect_none()


# Forwarding.


def test_what_is_sent_bears_our_mark_its_row_its_life_and_the_floor() -> None:
    desk = Desk()
    desk.links.ups.add("b")
    desk.start(last=9)
    desk.queued(10, life=50.0)
    desk.queued(12, "carol")
    (_, first, _), (_, second, _) = desk.links.sent
    assert (first.row, first.floor, first.incarnation) == (10, 10, "inc")
    assert first.life == pytest.approx(50.0)
    assert second.floor == 10
    assert first.envelope.routing is not None
    assert first.envelope.routing.vouch == vouch_for(desk.core.node_key, first.envelope)


def test_202s_of_one_wake_up_are_one_drop_and_until_it_is_done_the_floor_stays() -> None:
    desk = Desk()
    desk.links.ups.add("b")
    desk.start()
    for seq in range(1, 11):
        desk.queued(seq, f"b{seq}")
    for _, _, done in desk.links.sent:
        done(LinkAnswered(0, 202, answered=True))
    desk.mail.flush()
    drop = desk.storage.expect(DropMessages)
    assert drop.seqs == tuple(range(1, 11))
    desk.queued(11)
    assert desk.links.sent[-1][1].floor == 1
    desk.fail(drop.request)
    desk.advance(1)
    again = [desk.storage.expect(DropMessages) for _ in range(10)]
    assert [one.seqs for one in again] == [(seq,) for seq in range(1, 11)]
    for one in again:
        desk.answer(MessagesAcknowledged(one.request))
    desk.queued(12, "carol")
    assert desk.links.sent[-1][1].floor == 11
    assert len(desk.links.sent) == 12


@pytest.mark.parametrize("status", [403, 404, 482, 483, 513])
def test_a_refusal_tells_the_router_and_routes_what_was_stored_anew(status: int) -> None:
    desk = Desk()
    desk.links.ups |= {"b", "c"}
    desk.start()
    desk.queued(1)
    desk.queued(2)
    ((_, _, done),) = desk.links.sent
    done(LinkAnswered(0, status, answered=True))
    desk.mail.flush()
    failed = desk.router.expect(RouteFailed)
    assert (failed.node, failed.name, failed.status, failed.sender) == (B, "bob", status, "alice")
    asked = desk.router.expect(RouteMessages)
    assert [one.id for one in asked.envelopes] == ["m1", "m2"]
    assert asked.arrived_from == ""
    assert all(one.routing is not None and not one.routing.vouch for one in asked.envelopes)
    moved = tuple(msgspec.structs.replace(one, routing=Routing("me", leg=1)) for one in asked.envelopes)
    desk.answer(MessagesRouted(asked.request, tuple(ToNeighbour(C, one) for one in moved)))
    moving = desk.storage.expect(MoveMessages)
    assert [(item.seq, item.queue, item.once) for item in moving.items] == [(1, "n:c", False), (2, "n:c", False)]
    assert len(desk.links.sent) == 1
    results = tuple(StoreResult(StoreOutcome.STORED, Seq(n)) for n in (7, 8))
    desk.answer(MessagesMoved(moving.request, results))
    assert [(node, one.row) for node, one, _ in desk.links.sent] == [("b", 1), ("c", 7)]
    assert desk.links.sent[1][1].life == pytest.approx(1e9)


def test_a_home_that_is_here_after_all_gets_it_once() -> None:
    desk = Desk()
    desk.links.ups.add("b")
    desk.start()
    desk.queued(1)
    desk.queued(2)
    desk.links.sent[0][2](LinkAnswered(0, 404, answered=True))
    desk.mail.flush()
    desk.route(ToMailbox())
    moving = desk.storage.expect(MoveMessages)
    assert [(item.queue, item.once) for item in moving.items] == [("u:bob", True), ("u:bob", True)]
    results = (StoreResult(StoreOutcome.STORED, Seq(7), expires=1e6), StoreResult(StoreOutcome.KNOWN))
    desk.answer(MessagesMoved(moving.request, results))
    assert moving.mail_to is desk.clients
    assert desk.mail.sizes(B).waiting == 0


def test_too_large_for_the_link_is_a_refusal_where_it_never_went_out() -> None:
    desk = Desk()
    desk.links.ups.add("b")
    desk.start()
    desk.queued(1)
    desk.links.sent[0][2](LinkAnswered(0, 513, answered=False))
    desk.mail.flush()
    assert desk.mail.sizes(B).in_doubt == 0
    desk.route(Unknown("Nobody is called so"))


@pytest.mark.parametrize("status", [500, 400, 486])
def test_other_answers_leave_it_in_doubt(status: int) -> None:
    desk = Desk()
    desk.links.ups.add("b")
    desk.start()
    desk.queued(1)
    desk.links.sent[0][2](LinkAnswered(0, status, answered=True))
    desk.mail.flush()
    assert desk.mail.sizes(B).in_doubt == 1
    desk.router.expect_none(RouteMessages)
    desk.advance(61)
    assert [carry.row for _, carry, _ in desk.links.sent] == [1, 1]


def test_a_queue_longer_than_memory_is_read_on_and_keeps_its_order() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        b.kill()
        a.names.sticks = True
        for _ in range(30):
            a.submit(*(f"b{n % 3}" for n in range(100)))
            network.run(0.01)
        assert len(a.queue("n:b")) == 3000
        a.restart()
        b.start()
        peak = 0
        for _ in range(300):
            network.run(0.1)
            peak = max(peak, a.in_memory("b"))
        assert a.queue("n:b") == []
        assert peak <= 256 + 128
        for name in ("b0", "b1", "b2"):
            assert b.mailbox(name) == [message for recipient, message in a.all_accepted() if recipient == name]


def test_a_neighbour_that_never_answers_slows_nobody_else() -> None:
    with MailNetwork() as network:
        a, b, c = network.node("a", "b", "c"), network.node("b", "a"), network.node("c", "a")
        a.names.ways |= {"bob": ("b",), "carol": ("c",)}
        b.names.ours, c.names.ours = {"bob"}, {"carol"}
        network.run(1)

        def swallow(caller: str, callee: str, passing: LinkRequest) -> LinkRequest | None:
            return None if callee == "b" else passing

        network.on_request = swallow
        for _ in range(50):
            a.submit("bob", "carol")
            network.run(0.05)
        assert len(c.mailbox("carol")) == 50
        assert b.mailbox("bob") == []
        network.on_request = lambda caller, callee, request: request
        network.run(90)
        assert len(b.mailbox("bob")) == 50


def test_storage_that_fails_now_and_then_loses_nothing() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        a.names.sticks = True
        for kind in (DropMessages, ReadQueue, FindExpired):
            a.storage.failing[kind] = 3
        b.storage.failing[StoreMessages] = 3
        b.kill()
        a.submit(*(f"b{n % 5}" for n in range(600)))
        network.run(1)
        b.start()
        network.run(60)
        assert sum(len(b.mailbox(f"b{n}")) for n in range(5)) == 600
        assert a.queue("n:b") == []


# Down, refused, removed.


def three(network: MailNetwork) -> tuple[MailNode, MailNode, MailNode]:
    """a has b and c, who both can reach bob at c."""
    a, b, c = network.node("a", "b", "c"), network.node("b", "a", "c"), network.node("c", "a", "b")
    a.names.ours.add("alice")
    a.names.ways["bob"] = ("b", "c")
    b.names.ways |= {"bob": ("c",), "alice": ("a",)}
    c.names.ours.add("bob")
    c.names.ways["alice"] = ("a",)
    network.run(1)
    return a, b, c


def test_a_neighbour_that_is_down_is_gone_around_in_order() -> None:
    with MailNetwork() as network:
        a, b, c = three(network)
        a.names.sticks = True
        b.kill()
        network.run(0.5)
        a.submit(*["bob"] * 100)
        network.run(1)
        assert len(a.queue("n:b")) == 100
        a.names.sticks = False
        network.run(3)
        assert a.queue("n:b") == []
        assert c.mailbox("bob") == [message for _, message in a.all_accepted()]


def test_a_neighbour_that_is_down_keeps_what_has_no_other_way() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        a.names.sticks = True
        b.kill()
        network.run(0.5)
        a.submit("bob", "bob")
        a.names.sticks = False
        network.run(5)
        assert len(a.queue("n:b")) == 2
        asked = len(a.names.asked)
        network.run(60)
        assert len(a.names.asked) == asked
        b.start()
        network.run(30)
        assert b.mailbox("bob") == ["m000001", "m000002"]


def test_a_neighbour_that_is_removed_gives_up_what_it_has_even_in_doubt() -> None:
    with MailNetwork() as network:
        a, b, c = three(network)
        network.on_request = lambda caller, callee, request: None if isinstance(request.content, Carry) else request
        a.submit("bob", "bob")
        network.run(20)
        assert a.neighbours()["b"].in_doubt == 1
        network.on_request = lambda caller, callee, request: request
        b.kill()
        a.remove("b")
        network.run(5)
        assert a.queue("n:b") == []
        assert c.mailbox("bob") == ["m000001", "m000002"]


def test_the_router_counts_as_unrouted_only_what_goes_there() -> None:
    with MailNetwork() as network:
        a, b, _ = three(network)
        a.names.sticks = True
        b.kill()
        network.run(0.5)
        a.submit("bob", "dave")
        a.names.sticks = False
        a.names.ways["bob"] = ("b",)
        network.run(5)
        assert len(a.queue("n:b")) == 1
        assert {asked.kept for asked in a.names.asked} == {True}
        a.names.asked.clear()
        a.remove("b")
        network.run(5)
        assert len(a.queue("?")) == 2
        assert a.names.asked[0].kept is False
        assert {asked.kept for asked in a.names.asked[1:]} == {True}


# Without a way.


def test_the_unrouted_wait_for_the_router_and_go_in_order() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        del a.names.ways["bob"]
        for _ in range(10):
            a.submit(*["bob", "dave"] * 30)
            network.run(0.05)
        assert len(a.queue("?")) == 600
        assert a.unrouted() == 600
        asked = len(a.names.asked)
        assert asked < 60
        a.names.ways["bob"] = ("b",)
        network.run(30)
        assert len(a.queue("?")) == 600, "nobody asks unless the Router says so"
        a.route_again("bob", "nobody")
        network.run(5)
        assert b.mailbox("bob") == [message for recipient, message in a.all_accepted() if recipient == "bob"]
        assert len(a.queue("?")) == 300


def test_the_unrouted_are_asked_about_after_a_start_once_the_router_knows_of_a_neighbour() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        del a.names.ways["bob"]
        a.submit(*["bob"] * 700)
        network.run(1)
        b.kill()
        heard = len(a.router.messages)
        a.restart()
        network.run(60)
        kinds = [type(message) for message in a.router.messages[heard:]]
        assert kinds.index(NeighbourDown) < kinds.index(RouteMessages), "before, it takes everybody for unknown"
        assert len(a.queue("?")) == 700
        a.names.ways["bob"] = ("b",)
        b.start()
        network.run(60)
        assert b.mailbox("bob") == [message for _, message in a.all_accepted()]
        assert a.queue("?") == []


def test_the_unrouted_wait_for_no_link_when_their_recipient_begins_to_live_here() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        b.kill()
        a.restart()
        network.run(5)
        a.submit("carol", "carol")
        network.run(5)
        assert len(a.queue("?")) == 2
        a.names.ours.add("carol")
        a.route_again("carol")
        network.run(1)
        assert a.mailbox("carol") == ["m000001", "m000002"]


def test_the_router_hears_that_what_it_sent_on_could_not_be_moved() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        del a.names.ways["bob"]
        a.submit("bob", "bob")
        network.run(1)
        a.names.ways["bob"] = ("b",)
        a.storage.failing[MoveMessages] = 1
        heard = len(a.router.of(MailKept))
        a.route_again("bob")
        network.run(0.5)
        assert a.router.of(MailKept)[heard:] == (MailKept((UserName("bob"),) * 2, more=False),)
        network.run(5)
        assert b.mailbox("bob") == ["m000001", "m000002"]


def test_a_word_of_the_router_that_came_too_early_is_not_missed() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        del a.names.ways["bob"]
        a.submit("bob")
        a.names.ways["bob"] = ("b",)  # and the word was told before the row was announced
        network.run(5)
        assert b.mailbox("bob") == ["m000001"]


# Ends.


def test_proved_unknown_ends_with_one_notice() -> None:
    with MailNetwork() as network:
        a, _ = network.pair()
        a.submit("dave", "dave")
        a.submit("dave", proof=Proof.OPEN)
        network.run(1)
        assert len(a.queue("?")) == 3
        a.names.otherwise = Unknown("Nobody is called so")
        a.route_again("dave")
        network.run(2)
        assert a.queue("?") == []
        assert a.mailbox("alice") == [notice("m000001"), notice("m000002")]
        assert [message.envelope.id for message in a.clients.mail] == [notice("m000001"), notice("m000002")]
        assert b"Nobody is called so" in a.clients.mail[0].envelope.body


def test_what_nobody_takes_in_time_ends_with_a_notice_that_finds_its_way() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        b.submit("zoe", life=30.0)  # alice sent it from b, where nobody knows zoe
        b.names.ways["carl"] = ("a",)
        b.names.sticks = True
        network.run(29)
        assert len(b.queue("?")) == 1
        network.run(5)
        assert b.queue("?") == []
        assert b.router.of(NotKept) == (NotKept((UserName("zoe"),)),), "later messages need not queue up behind it"
        assert a.mailbox("alice") == [notice("m000001")]
        network.run(100)
        assert a.mailbox("alice") == [notice("m000001")]


def test_in_doubt_it_outlives_its_life_and_is_asked_about() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        network.on_answer = lambda callee, caller, reply: None if callee == "b" else reply
        a.submit("bob", life=30.0)
        network.run(300)
        assert b.mailbox("bob") == ["m000001"]
        assert len(a.queue("n:b")) == 1
        assert a.mailbox("alice") == []
        network.on_answer = lambda callee, caller, reply: reply
        network.run(60)
        assert a.queue("n:b") == []
        assert a.mailbox("alice") == []


def test_in_doubt_and_not_there_it_ends_as_soon_as_that_is_known() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        network.on_request = lambda caller, callee, request: None if isinstance(request.content, Carry) else request
        a.submit("bob", life=30.0)
        network.run(300)
        assert len(a.queue("n:b")) == 1
        network.on_request = lambda caller, callee, request: request
        network.run(90)
        assert a.queue("n:b") == []
        assert b.mailbox("bob") == []
        assert a.mailbox("alice") == [notice("m000001")]


@pytest.mark.parametrize("restart", [False, True])
def test_in_doubt_for_a_day_it_ends_with_a_notice_that_says_so(restart: bool) -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        network.on_request = lambda caller, callee, request: None if isinstance(request.content, Carry) else request
        a.submit("bob", life=30.0)
        network.run(20)
        b.kill()
        if restart:
            a.restart()
            network.run(1)
        network.simulation.clock.move_to(network.simulation.clock.monotonic() + DAY - 100)
        network.run(60)
        assert a.mailbox("alice") == []
        network.run(200)
        assert a.mailbox("alice") == [notice("m000001")]
        assert b"may have arrived" in a.clients.mail[-1].envelope.body
        assert a.queue("n:b") == []


def test_what_the_last_run_left_without_a_route_ends_with_its_life_where_there_is_no_neighbour() -> None:
    with MailNetwork() as network:
        a = network.node("a")
        a.names.ours.add("alice")
        a.submit("zoe", life=30.0)
        network.run(1)
        a.restart()
        network.run(60)
        assert a.queue("?") == []
        assert a.mailbox("alice") == [notice("m000001")]
        assert b"no server took it in time" in a.clients.mail[-1].envelope.body


def test_ends_are_tried_again_where_router_or_store_fail() -> None:
    with MailNetwork() as network:
        a, _ = network.pair()
        for _ in range(5):
            a.submit("dave", life=10.0)
        network.run(5)
        a.storage.failing[EndMessages] = 2
        a.storage.failing[FindExpired] = 2
        network.run(6)
        a.names.failing = 2
        network.run(30)
        assert a.queue("?") == []
        assert sorted(a.mailbox("alice")) == sorted(notice(f"m00000{n}") for n in range(1, 6))
        ends = [item for message in a.storage.of(EndMessages) for item in message.items]
        assert {item.end for item in ends} == {End.EXPIRED}


def test_more_than_a_batch_expires_at_once() -> None:
    with MailNetwork() as network:
        a, _ = network.pair()
        for _ in range(9):
            a.submit(*["dave"] * 100, life=20.0, proof=Proof.OPEN)
            network.run(0.1)
        network.run(25)
        assert a.queue("?") == []


def test_moves_that_fail_are_tried_again() -> None:
    with MailNetwork() as network:
        a, b = network.pair()
        del a.names.ways["bob"]
        a.submit("bob", "bob", "bob")
        network.run(1)
        a.names.ways["bob"] = ("b",)
        a.storage.failing[MoveMessages] = 2
        a.names.failing = 1
        a.route_again("bob")
        network.run(20)
        assert b.mailbox("bob") == ["m000001", "m000002", "m000003"]
