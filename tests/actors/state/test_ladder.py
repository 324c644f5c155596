"""The ladder by itself: which rung places a message, and what is held against a route that failed."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any

import msgspec
import pytest

from actors.messages.router import (
    Claim,
    Destination,
    Refused,
    RouteFailed,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.model import MAX_LEGS, MAX_STEPS, POSTMASTER, Envelope, MessageId, NodeName, Proof, Routing, UserName
from actors.state.routing.ladder import BLOCKED_LIFE, VISITED, Ladder
from actors.state.routing.settings import RouterSettings
from actors.state.routing.wanted import WantedNames
from actors.state.routing_table import RoutingTable

ME, A, B, C, D = (NodeName(name) for name in ("me", "a", "b", "c", "d"))
ALICE, BOB = UserName("alice"), UserName("bob")
HERE_ALREADY = NodeName("")


class PlannedWays:
    """Ways as the test says: the neighbours towards each node, best first, and their distance."""

    def __init__(self) -> None:
        self.hops_to: dict[NodeName, list[NodeName]] = {}

    def way(self, node: NodeName, avoid: Collection[NodeName] = ()) -> NodeName | None:
        return next((hop for hop in self.hops_to.get(node, []) if hop not in avoid), None)

    def hops(self, node: NodeName) -> int:
        return 1 if node in self.hops_to.get(node, []) else 2


class Bench:
    """A ladder at the node `me` with the neighbours a and b, both up."""

    def __init__(self, **settings: Any) -> None:
        self.ways = PlannedWays()
        self.ways.hops_to = {A: [A], B: [B]}
        self.summaries: dict[UserName, list[NodeName]] = {}
        self.wanted = WantedNames(Random(1))
        self.table = RoutingTable()
        self.ladder = Ladder(
            RouterSettings(node=ME, **settings),
            self.table,
            self.ways,
            lambda name: self.summaries.get(name, []),
            self.wanted,
        )
        self.ladder.neighbours = {A: True, B: True}
        self.now = 100.0

    def learn(self, home: NodeName, epoch: int = 1, via: NodeName = HERE_ALREADY) -> None:
        self.ladder.learned.learn(Claim(BOB, home, epoch), via, 2, self.now)

    def route(
        self, routing: Routing | None = None, arrived_from: NodeName = HERE_ALREADY, **changes: Any
    ) -> Destination:
        return self.ladder.route(envelope(routing, **changes), arrived_from, self.now)

    def sent(self, routing: Routing | None = None, arrived_from: NodeName = HERE_ALREADY) -> tuple[NodeName, Routing]:
        """Route a message that must go to a neighbour; gives who gets it, and with what routing state."""
        destination = self.route(routing, arrived_from)
        assert isinstance(destination, ToNeighbour), destination
        assert destination.envelope.routing is not None
        return destination.node, destination.envelope.routing

    def fail(self, node: NodeName, home: NodeName, status: int, sender: UserName = ALICE) -> None:
        self.ladder.failed(RouteFailed(node, BOB, home, status, sender), self.now)


def envelope(routing: Routing | None = None, **changes: Any) -> Envelope:
    plain = Envelope(
        id=MessageId("m"),
        sender=ALICE,
        recipient=BOB,
        call_id=b"c",
        headers=(),
        body=b"",
        accepted=0.0,
        proof=Proof.DIGEST,
        routing=routing,
    )
    return msgspec.structs.replace(plain, **changes)


def test_a_first_step_carries_origin_home_path_and_visited() -> None:
    bench = Bench()
    bench.learn(C, epoch=3)
    bench.ways.hops_to[C] = [B]
    node, routing = bench.sent()
    assert node == B
    assert routing == Routing(origin=ME, home=C, leg=0, path=(ME,), visited=(ME,), epoch=3, step=1)


def test_without_neighbours_nobody_is_elsewhere() -> None:
    bench = Bench()
    bench.ladder.neighbours = {}
    assert isinstance(bench.route(), Unknown)
    assert BOB not in bench.wanted


def test_what_nobody_known_has_waits_and_is_wanted() -> None:
    bench = Bench()
    assert isinstance(bench.route(), Searching)
    assert bench.wanted.due(bench.now, 10) == [BOB]


def test_proved_unknown_ends_while_it_holds() -> None:
    bench = Bench()
    bench.ladder.unknown.put(BOB, bench.now + 60.0)
    assert isinstance(bench.route(), Unknown)
    bench.now += 61.0
    assert isinstance(bench.route(), Searching)


def test_a_summary_that_has_him_since_ends_proved_unknown() -> None:
    bench = Bench()
    bench.ladder.unknown.put(BOB, bench.now + 60.0)
    bench.summaries[BOB] = [B]
    assert bench.sent()[0] == B


def test_a_claim_beats_proved_unknown() -> None:
    bench = Bench()
    bench.ladder.unknown.put(BOB, bench.now + 60.0)
    bench.learn(A)
    assert bench.sent()[0] == A


def test_the_nearest_of_the_summaries_is_tried_first() -> None:
    bench = Bench()
    bench.ways.hops_to[C] = [B]
    bench.summaries[BOB] = [C, A]
    node, routing = bench.sent()
    assert (node, routing.home, routing.epoch) == (A, A, 0)


def test_a_claim_counts_more_than_summaries_and_than_an_older_claim_of_the_message() -> None:
    bench = Bench()
    bench.ways.hops_to[C] = [B]
    bench.learn(C, epoch=2)
    bench.summaries[BOB] = [A]
    node, routing = bench.sent(Routing(origin="x", home=A, epoch=1, path=("x",), visited=("x",), step=1), A)
    assert (node, routing.home, routing.epoch) == (B, C, 2)
    assert (routing.leg, routing.visited) == (1, (ME,))


def test_the_message_s_newer_claim_counts_more_than_ours() -> None:
    bench = Bench()
    bench.learn(A, epoch=1)
    node, routing = bench.sent(Routing(origin="x", home=B, epoch=2, path=("x",), visited=("x",), step=1), A)
    assert (node, routing.home, routing.epoch, routing.leg) == (B, B, 2, 0)


def test_equal_claims_go_to_the_smaller_name() -> None:
    bench = Bench()
    bench.learn(B, epoch=2)
    node, routing = bench.sent(Routing(origin="x", home=A, epoch=2, path=("x",), visited=("x",), step=1), B)
    assert (node, routing.home, routing.leg) == (A, A, 0)


def test_without_a_way_it_goes_to_the_neighbour_the_claim_came_from() -> None:
    bench = Bench()
    bench.learn(C, via=B)
    assert bench.sent()[0] == B
    bench.ladder.neighbours[B] = False
    assert isinstance(bench.route(), Searching)
    assert bench.wanted.waiting_for([C]) == [BOB]
    assert bench.wanted.due(bench.now + 59.0, 10) == []
    assert bench.wanted.due(bench.now + 60.0, 10) == [BOB]


def test_a_home_next_door_is_reached_directly_though_it_has_not_told_of_ways_yet() -> None:
    bench = Bench()
    bench.learn(B)
    bench.ways.hops_to[B] = [A]
    assert bench.sent()[0] == B
    bench.ladder.neighbours[B] = False
    assert bench.sent()[0] == A


def test_a_silent_home_is_approached_by_the_last_way_known() -> None:
    bench = Bench()
    bench.learn(C)
    bench.ladder.last_ways[C] = B
    assert bench.sent()[0] == B
    assert isinstance(
        bench.route(Routing(origin="b", home=C, epoch=1, visited=("b",), path=("b",), step=1), B), Searching
    )


def test_a_stale_home_is_corrected_in_a_new_leg() -> None:
    bench = Bench()
    bench.summaries[BOB] = [A]
    came = Routing(origin="a", home=ME, leg=0, path=("a", "b"), visited=("a", "b"), step=2)
    assert isinstance(bench.route(came, B), Searching)  # a has passed it on already
    bench.summaries[BOB] = [C]
    bench.ways.hops_to[C] = [B]
    node, routing = bench.sent(came, B)
    assert (node, routing.leg, routing.visited, routing.home) == (B, 1, (ME,), C)
    assert routing.path == ("a", "b", ME)


def test_legs_end() -> None:
    bench = Bench()
    bench.learn(A, epoch=5)
    last = Routing(origin="a", home=ME, leg=MAX_LEGS - 1, path=("a", "b"), visited=("a", "b"), epoch=4, step=9)
    assert isinstance(bench.route(last, B), Searching)


def test_a_full_visited_list_begins_a_new_leg() -> None:
    bench = Bench()
    nodes = tuple(f"n{number}" for number in range(VISITED))
    bench.learn(A)
    node, routing = bench.sent(Routing(origin="n0", home=A, path=nodes[-16:], visited=nodes, epoch=1, step=VISITED), B)
    assert (node, routing.leg, routing.visited) == (A, 1, (ME,))
    assert len(routing.path) == 16


def test_what_was_refused_as_not_there_is_not_taken_for_its_home_again() -> None:
    bench = Bench()
    bench.summaries[BOB] = [A, B]
    assert bench.sent()[0] == A
    bench.fail(A, A, 404)
    assert bench.sent()[0] == B
    bench.fail(B, B, 404)
    assert isinstance(bench.route(), Searching)
    bench.ladder.confirmed(BOB, A)
    assert bench.sent()[0] == A


def test_a_claim_that_proves_stale_is_dropped() -> None:
    bench = Bench()
    bench.learn(C, via=B)
    bench.fail(B, C, 404)
    assert isinstance(bench.route(), Searching)
    assert bench.ladder.learned.get(BOB, bench.now) is None


@pytest.mark.parametrize("status", [482, 483, 513])
def test_a_neighbour_that_refuses_for_another_reason_is_left_alone_for_a_while(status: int) -> None:
    bench = Bench()
    bench.learn(C)
    bench.ways.hops_to[C] = [A, B]
    bench.fail(A, C, status)
    assert bench.sent()[0] == B
    bench.fail(B, C, status)
    assert isinstance(bench.route(), Searching)
    bench.now += BLOCKED_LIFE + 1.0
    assert bench.sent()[0] == A


def test_what_is_too_large_for_one_way_takes_another_or_ends_and_holds_up_nothing() -> None:
    bench = Bench()
    bench.learn(C)
    bench.ways.hops_to[C] = [A, B]
    failed = RouteFailed(A, BOB, C, 513, ALICE, MessageId("m"))
    bench.ladder.failed(failed, bench.now)
    assert bench.sent()[0] == B
    bench.ladder.failed(msgspec.structs.replace(failed, node=B), bench.now)
    assert isinstance(bench.route(), Unknown)
    destination = bench.route(id=MessageId("another"))
    assert isinstance(destination, ToNeighbour)
    assert destination.node == A


def test_a_sender_that_his_home_does_not_believe_waits_or_ends() -> None:
    bench = Bench()
    bench.learn(A)
    bench.fail(A, A, 403)
    assert isinstance(bench.route(proof=Proof.PEER), Searching)
    assert isinstance(bench.route(proof=Proof.OPEN), Unknown)
    assert isinstance(bench.route(sender=UserName("carol")), ToNeighbour)
    bench.now += 3.0
    assert isinstance(bench.route(proof=Proof.PEER), Searching)
    assert isinstance(bench.route(proof=Proof.OPEN), ToNeighbour), "another one, perhaps by another way: his home says"


def test_a_proved_sender_who_is_doubted_for_long_blocks_nobody_for_ever() -> None:
    bench = Bench()
    bench.learn(A)
    answers: list[str] = []
    for _ in range(7):
        bench.fail(A, A, 403)
        answers.append(type(bench.route(proof=Proof.PEER)).__name__)
        bench.now += 60.0
    assert answers == ["Searching"] * 5 + ["Unknown"] * 2
    bench.now += 600.0
    bench.fail(A, A, 403)
    assert isinstance(bench.route(proof=Proof.PEER), Searching), "long ago: it may be true now"


def test_a_step_of_ours_that_did_not_do_is_taken_back() -> None:
    bench = Bench()
    bench.learn(C)
    bench.ways.hops_to[C] = [A, B]
    came = Routing(origin="x", home=C, epoch=1, path=("x",), visited=("x",), step=1)
    _, sent = bench.sent(came, NodeName("x"))
    bench.fail(A, C, 482)
    node, again = bench.sent(sent)
    assert node == B
    assert again == sent


def test_neighbours_cannot_speak_for_users_of_ours() -> None:
    bench = Bench()
    bench.table.add([ALICE, BOB])
    came = Routing(origin="x", visited=("x",), path=("x",), step=1)
    refused = bench.route(came, A)
    assert isinstance(refused, Refused)
    assert refused.status == 403
    bench.ladder.grants.put((ALICE, NodeName("x")), bench.now + 600.0)
    assert isinstance(bench.route(came, A), ToMailbox)
    bench.now += 601.0
    assert isinstance(bench.route(came, A), Refused)
    assert isinstance(bench.route(came, A, sender=POSTMASTER, notice=True), ToMailbox)
    assert isinstance(bench.route(msgspec.structs.replace(came, origin=ME), A), ToMailbox)


def test_far_is_far_enough() -> None:
    bench = Bench()
    bench.learn(B)
    refused = bench.route(Routing(origin="x", path=("x",), visited=("x",), step=MAX_STEPS), A)
    assert isinstance(refused, Refused)
    assert refused.status == 483
    assert isinstance(bench.route(Routing(origin="x", path=("x",), visited=("x",), step=MAX_STEPS - 1)), Unknown)


def test_hints_name_the_neighbours_towards_those_that_may_have_it() -> None:
    bench = Bench()
    bench.ways.hops_to |= {C: [B], D: [B]}
    bench.learn(C)
    bench.summaries[BOB] = [D, A]
    assert bench.ladder.hints(BOB, bench.now) == [B, A]


@pytest.mark.parametrize(("rungs", "goes"), [(("learned",), True), (("summaries",), False), (("search",), True)])
def test_rungs_can_be_left_out(rungs: tuple[str, ...], goes: bool) -> None:
    bench = Bench(rungs=rungs)
    bench.summaries[BOB] = [A]
    bench.learn(C, via=B)
    bench.ways.hops_to[C] = []
    bench.now += 61.0
    lasts = rungs == ("learned",)
    destination = bench.route()
    if rungs == ("summaries",):
        assert isinstance(destination, ToNeighbour)
        assert destination.node == A
    else:
        assert isinstance(destination, ToNeighbour) is (lasts and goes)
