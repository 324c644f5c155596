"""What any Router must do among neighbours, by the typed messages it hears and tells. Replacements join `ROUTERS`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec
import pytest

from actors.base import ActorBase
from actors.messages.links import RouterContent, SearchAnswer, SearchStep
from actors.messages.router import (
    Destination,
    FindNames,
    Found,
    GrantOrigin,
    MessagesRouted,
    NamesAreOurs,
    NamesFound,
    NeighbourDown,
    NeighbourSaid,
    NeighbourUp,
    ReadRoutes,
    Refused,
    RouteFailed,
    RouteMessages,
    RouterCommand,
    RoutesRead,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import RouteAgain, TellNeighbours
from actors.model import MAX_STEPS, POSTMASTER, Envelope, MessageId, NodeName, Proof, Routing, UserName
from actors.router import Router
from actors.routers.first_unvisited import FirstUnvisited
from actors.routers.flood import Flood
from actors.state.routing.settings import RouterSettings
from actors.testing import Probe, Started, running
from examples.custom_router import QuietRouter

ROUTERS: list[type[ActorBase[Any]]] = [Router, FirstUnvisited, Flood, QuietRouter]

ME, A, B, C, X = (NodeName(name) for name in ("me", "a", "b", "c", "x"))
ALICE, BOB, CAROL = (UserName(name) for name in ("alice", "bob", "carol"))
HERE = NodeName("")


@dataclass
class Bench:
    """A Router at the node `me` whose neighbours a and b are up, and c is not; bob and alice are at home here."""

    router: Started[RouterCommand]
    servers: Probe

    def route(self, *envelopes: Envelope, arrived_from: NodeName = HERE) -> tuple[Destination, ...]:
        asker = Probe("asker")
        question = RouteMessages(reply_to=asker, request=3, envelopes=envelopes, arrived_from=arrived_from)
        self.router.serve(question)
        answer = asker.expect(MessagesRouted)
        asker.expect_none()
        assert (answer.request, len(answer.destinations)) == (3, len(envelopes))
        return answer.destinations

    def said(self) -> list[tuple[NodeName, RouterContent]]:
        return [item for told in self.servers.of(TellNeighbours) for item in told.items]


@pytest.fixture(params=ROUTERS, ids=lambda router: f"{router.__module__}.{router.__name__}")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    servers = Probe("server_manager")
    with running(
        request.param,
        monitor=Probe("monitor"),
        client_manager=Probe("client_manager"),
        server_manager=servers,
        settings=RouterSettings(node=ME),
        random=Random(1),
    ) as router:
        router.serve(
            NamesAreOurs(names=(BOB, ALICE)),
            NeighbourDown(node=C),
            NeighbourUp(node=A),
            NeighbourUp(node=B),
        )
        yield Bench(router, servers)


def envelope(recipient: UserName, routing: Routing | None = None, **changes: Any) -> Envelope:
    plain = Envelope(
        id=MessageId("m"),
        sender=ALICE,
        recipient=recipient,
        call_id=b"c",
        headers=(),
        body=b"",
        accepted=0.0,
        proof=Proof.DIGEST,
        routing=routing,
    )
    return msgspec.structs.replace(plain, **changes)


def on_its_way(recipient: UserName, *visited: str, **changes: Any) -> Envelope:
    routing = Routing(origin="x", path=visited, visited=visited, step=len(visited))
    return envelope(recipient, msgspec.structs.replace(routing, **changes), sender=UserName("eve"))


def test_what_arrives_for_our_user_goes_to_the_mailbox(bench: Bench) -> None:
    assert bench.route(on_its_way(BOB, "x", "a"), arrived_from=A) == (ToMailbox(),)


def test_what_has_been_here_in_this_leg_is_refused(bench: Bench) -> None:
    (refused,) = bench.route(on_its_way(CAROL, "x", "me", "a"), arrived_from=A)
    assert isinstance(refused, Refused)
    assert refused.status == 482


def test_what_came_too_far_is_refused(bench: Bench) -> None:
    (refused,) = bench.route(on_its_way(CAROL, "x", "a", step=MAX_STEPS), arrived_from=A)
    assert isinstance(refused, Refused)
    assert refused.status == 483


def test_a_sender_of_ours_needs_a_grant_from_elsewhere(bench: Bench) -> None:
    message = msgspec.structs.replace(on_its_way(BOB, "x", "a"), sender=ALICE)
    (refused,) = bench.route(message, arrived_from=A)
    assert isinstance(refused, Refused)
    assert refused.status == 403
    bench.router.serve(GrantOrigin(name=ALICE, node=X, seconds=60.0))
    assert bench.route(message, arrived_from=A) == (ToMailbox(),)
    bench.router.advance(61.0)
    (refused,) = bench.route(message, arrived_from=A)
    assert isinstance(refused, Refused)


def test_notices_of_other_nodes_come_through(bench: Bench) -> None:
    notice = msgspec.structs.replace(on_its_way(BOB, "x", "a"), sender=POSTMASTER, notice=True)
    assert bench.route(notice, arrived_from=A) == (ToMailbox(),)


def test_no_message_goes_where_it_was_nor_where_nobody_is(bench: Bench) -> None:
    for visited in (("a",), ("b",), ("x", "a"), ("x", "b"), ("a", "b"), ("x", "a", "b")):
        for home in ("", "a", "b", "c", "x", "me"):
            for destination in bench.route(on_its_way(CAROL, *visited, home=home, epoch=1 if home else 0)):
                if isinstance(destination, ToNeighbour):
                    routing = destination.envelope.routing
                    assert routing is not None
                    assert destination.node in (A, B)
                    assert destination.node not in routing.visited
                    assert routing.leg > 0 or destination.node not in visited


def test_what_goes_on_carries_its_way(bench: Bench) -> None:
    (destination,) = bench.route(on_its_way(CAROL, "x", "b", home="a", epoch=2), arrived_from=B)
    if isinstance(destination, ToNeighbour):
        assert destination.envelope.routing is not None
        routing = destination.envelope.routing
        assert (routing.origin, routing.step, routing.path[-1], routing.visited[-1]) == ("x", 3, "me", "me")
        assert destination.envelope == msgspec.structs.replace(
            on_its_way(CAROL, "x", "b"), routing=destination.envelope.routing
        )
    else:
        assert isinstance(destination, Searching)


def test_a_route_that_failed_is_not_taken_again_at_once(bench: Bench) -> None:
    seen: set[NodeName] = set()
    message = on_its_way(CAROL, "x", home="a", epoch=0)
    while True:
        (destination,) = bench.route(message)
        if not isinstance(destination, ToNeighbour):
            break
        assert destination.node not in seen
        seen.add(destination.node)
        assert destination.envelope.routing is not None
        home = NodeName(destination.envelope.routing.home)
        bench.router.serve(RouteFailed(node=destination.node, name=CAROL, home=home, status=404))


def test_while_a_neighbour_is_down_nobody_is_unknown(bench: Bench) -> None:
    bench.router.serve(NeighbourDown(node=A), NeighbourDown(node=B))
    assert bench.route(envelope(CAROL)) == (Searching(),)


def test_without_neighbours_he_is_unknown(bench: Bench) -> None:
    for node in (A, B, C):
        bench.router.serve(NeighbourDown(node=node, removed=True))
    (destination,) = bench.route(envelope(CAROL))
    assert isinstance(destination, Unknown)
    assert destination.reason


def test_what_waits_is_called_when_a_link_comes_up(bench: Bench) -> None:
    bench.router.serve(NeighbourDown(node=A), NeighbourDown(node=B))
    assert bench.route(envelope(CAROL)) == (Searching(),)
    bench.router.advance(1.0)
    before = len(bench.servers.of(RouteAgain))
    bench.router.serve(NeighbourUp(node=B))
    bench.router.advance(30.0)
    again = bench.servers.of(RouteAgain)[before:]
    assert any(not told.names or CAROL in told.names for told in again)


def test_a_search_for_our_user_is_answered(bench: Bench) -> None:
    bench.router.serve(NamesAreOurs(names=(CAROL,), epochs=(7,)))
    step = SearchStep(search="a.1", name=CAROL, origin=X, budget=20, seconds=5.0, hops=2)
    bench.router.serve(NeighbourSaid(node=A, items=(step,)))
    (answer,) = [item for node, item in bench.said() if node == A and isinstance(item, SearchAnswer)]
    assert (answer.search, answer.name, answer.found) == ("a.1", CAROL, "found")
    assert (answer.home, answer.epoch) == (ME, 7)


def test_every_search_is_answered_in_its_time_and_never_unknown_while_somebody_was_not_asked(bench: Bench) -> None:
    step = SearchStep(search="a.2", name=CAROL, origin=X, budget=20, seconds=5.0, hops=2)
    bench.router.serve(NeighbourSaid(node=A, items=(step,)))
    bench.router.advance(6.0)
    (answer,) = [item for node, item in bench.said() if node == A and isinstance(item, SearchAnswer)]
    assert (answer.search, answer.found) == ("a.2", "incomplete")


def test_every_question_is_answered_in_its_time(bench: Bench) -> None:
    asker = Probe("asker")
    bench.router.serve(FindNames(reply_to=asker, request=8, names=(BOB, CAROL), search=True))
    bench.router.advance(20.0)
    answer = asker.expect(NamesFound)
    asker.expect_none()
    assert answer.request == 8
    bob, carol = answer.answers
    assert (bob.name, bob.found) == (BOB, Found.HERE)
    assert (carol.name, carol.found) == (CAROL, Found.INCOMPLETE)


def test_its_routes_can_be_read(bench: Bench) -> None:
    asker = Probe("asker")
    bench.router.serve(ReadRoutes(reply_to=asker, request=9))
    read = asker.expect(RoutesRead)
    assert (read.request, read.names_here) == (9, 2)


def test_it_says_nothing_to_who_is_down(bench: Bench) -> None:
    bench.route(envelope(CAROL))
    bench.router.advance(60.0)
    assert C not in {node for node, _ in bench.said()}
