"""New messages queue up behind those that wait in the queue of the unrouted."""

from __future__ import annotations

from actors.messages.router import Destination, Searching, ToMailbox, ToNeighbour, Unknown
from actors.model import Envelope, MessageId, NodeName, Proof, UserName
from actors.state.routing.order import FORGET, Order

BOB = UserName("bob")
ENVELOPE = Envelope(MessageId("1"), UserName("alice"), BOB, b"c", (), b"", 0.0, Proof.OPEN)
AWAY = ToNeighbour(NodeName("b"), ENVELOPE)
SEARCHING = Searching()


def places(order: Order, *asked: tuple[Destination, bool], now: float = 1.0) -> list[Destination]:
    return [order.place(BOB, place, now, kept=kept) for place, kept in asked]


def test_nothing_waits_nothing_is_held() -> None:
    order = Order()
    assert places(order, (AWAY, False), (ToMailbox(), False), (Unknown(), False)) == [AWAY, ToMailbox(), Unknown()]
    assert not order


def test_what_comes_while_one_waits_goes_behind_it() -> None:
    order = Order()
    assert places(order, (SEARCHING, False), (AWAY, False)) == [SEARCHING, SEARCHING]
    assert places(order, (AWAY, True), (AWAY, False)) == [AWAY, SEARCHING]
    assert places(order, (AWAY, True), (AWAY, True), (AWAY, False)) == [AWAY, AWAY, AWAY]
    assert not order


def test_he_came_home_meanwhile() -> None:
    order = Order()
    assert places(order, (SEARCHING, False), (ToMailbox(), False)) == [SEARCHING, SEARCHING]
    assert places(order, (ToMailbox(), True), (ToMailbox(), True), (ToMailbox(), False)) == [ToMailbox()] * 3


def test_one_that_was_never_stored_costs_a_detour_and_no_more() -> None:
    order = Order()
    places(order, (SEARCHING, False), (SEARCHING, False))
    assert places(order, (AWAY, True), (AWAY, False)) == [AWAY, SEARCHING]
    assert places(order, (AWAY, True), (AWAY, False), now=2.0) == [AWAY, SEARCHING]
    assert places(order, (AWAY, True), now=3.0) == [AWAY]
    assert places(order, (AWAY, False), now=4.0) == [SEARCHING]
    assert places(order, (AWAY, False), now=4.1 + FORGET) == [AWAY]
    assert not order


def test_other_recipients_go_their_way() -> None:
    order = Order()
    places(order, (SEARCHING, False))
    assert order.place(UserName("carol"), AWAY, 1.0, kept=False) == AWAY


def test_it_is_bounded() -> None:
    order = Order(limit=1)
    places(order, (SEARCHING, False))
    assert order.place(UserName("carol"), SEARCHING, 1.0, kept=False) == SEARCHING
    assert order.place(UserName("carol"), AWAY, 1.0, kept=False) == AWAY


def test_what_the_last_run_left_goes_first() -> None:
    order = Order()
    order.kept((), more=True)
    assert places(order, (AWAY, False)) == [SEARCHING]  # nobody knows yet for whom there is mail
    order.kept((BOB,), more=False)
    assert order.place(UserName("carol"), AWAY, 1.0, kept=False) == AWAY
    assert places(order, (AWAY, False), (AWAY, True), (AWAY, True), (AWAY, False)) == [SEARCHING, AWAY, AWAY, SEARCHING]
    assert places(order, (AWAY, True), (AWAY, True), (AWAY, False)) == [AWAY, AWAY, AWAY]
    assert not order


def test_one_that_was_not_stored_is_told() -> None:
    order = Order()
    places(order, (SEARCHING, False))
    order.not_kept((BOB, UserName("carol")))
    assert not order
    assert places(order, (AWAY, False)) == [AWAY]
