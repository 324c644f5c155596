"""The Router among probes, beyond its contract: what it tells the monitor, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, cast

import pytest

from actors.messages.client_manager import ClaimConflicts
from actors.messages.lifecycle import ActorFailed, CommandFailed, Wake
from actors.messages.links import (
    NodeRoute,
    RouterContent,
    Routes,
    SearchAnswer,
    SearchStep,
    Summary,
    SummaryWanted,
)
from actors.messages.monitor import CountFacts, SetGauges
from actors.messages.router import (
    Claim,
    FindNames,
    Found,
    MessagesRouted,
    NameAnswer,
    NamesAreOurs,
    NamesFound,
    NamesLiveAt,
    NeighbourDown,
    NeighbourSaid,
    NeighbourSilent,
    NeighbourUp,
    RouteMessages,
    RouterCommand,
    Searching,
    ToMailbox,
    ToNeighbour,
)
from actors.messages.server_manager import NodeWays, RouteAgain, TellNeighbours
from actors.model import POSTMASTER, Envelope, MessageId, NodeName, Proof, UserName
from actors.router import Router
from actors.state.routing.settings import RouterSettings
from actors.state.routing_table import HERE, NOBODY, RoutingTable
from actors.testing import Probe, Started, running

ME, A, B, C = (NodeName(name) for name in ("me", "a", "b", "c"))
BOB = UserName("bob")


def to(recipient: UserName) -> Envelope:
    return Envelope(
        id=MessageId("m"),
        sender=UserName("alice"),
        recipient=recipient,
        call_id=b"c",
        headers=(),
        body=b"",
        accepted=0.0,
        proof=Proof.OPEN,
    )


def test_table_shares_its_destinations() -> None:
    table = RoutingTable()
    table.add([BOB, BOB])
    assert len(table) == 1
    assert BOB in table
    first, second, third = table.route([to(BOB), to(BOB), to(UserName("eve"))])
    assert first is HERE
    assert second is HERE
    assert third is NOBODY
    table.remove([BOB, POSTMASTER])
    assert BOB not in table
    assert POSTMASTER in table
    assert len(table) == 0


def test_it_tells_the_monitor_in_batches() -> None:
    monitor, asker = Probe("monitor"), Probe("asker")
    with running(Router, monitor=monitor) as router:
        router.serve(
            NamesAreOurs(names=(BOB,)),
            RouteMessages(reply_to=asker, request=1, envelopes=(to(BOB), to(UserName("eve")))),
            RouteMessages(reply_to=asker, request=2, envelopes=(to(UserName("eve")),)),
            Wake(id=1),
        )
        counted = sum(amount for facts in monitor.of(CountFacts) for _, amount in facts.counts)
        assert counted == 2.0
        assert monitor.of(SetGauges)[-1].gauges == (("names_here", 1.0),)


def test_a_question_that_breaks_is_answered_and_the_next_served() -> None:
    asker = Probe("asker")
    with running(Router, monitor=Probe("monitor")) as router:
        broken = cast(Any, RouteMessages)(reply_to=asker, request=5, envelopes=(object(),))
        router.serve(broken, NamesAreOurs(names=(BOB,)))
        assert asker.expect(CommandFailed).request == 5
        assert router.failures.expect(ActorFailed).actor == "router"
        router.serve(RouteMessages(reply_to=asker, request=6, envelopes=(to(BOB),)))
        assert asker.expect(MessagesRouted).destinations == (ToMailbox(),)


class Stumbling(Router):
    """Fails on the first names it is told."""

    stumbled = False

    def handle(self, message: Any) -> None:
        if isinstance(message, NamesAreOurs) and not self.stumbled:
            self.stumbled = True
            raise KeyError("stumbled")
        super().handle(message)


def test_names_are_taken_in_after_a_failure() -> None:
    asker = Probe("asker")
    with running(Stumbling, monitor=Probe("monitor")) as router:
        router.serve(NamesAreOurs(names=(BOB,)))
        router.failures.expect(ActorFailed)
        router.advance(1.0)
        router.serve(RouteMessages(reply_to=asker, request=1, envelopes=(to(BOB),)))
    assert asker.expect(MessagesRouted).destinations == (ToMailbox(),)


class Network:
    """A Router at the node `me` among probes, joined to a and b."""

    def __init__(self, router: Started[RouterCommand], servers: Probe, clients: Probe) -> None:
        self.router = router
        self.servers = servers
        self.clients = clients

    def told(self) -> list[tuple[NodeName, RouterContent]]:
        """Take what neighbours are told since the last time."""
        return [item for told in self.servers.take_all() if isinstance(told, TellNeighbours) for item in told.items]

    def steps(self) -> list[tuple[NodeName, SearchStep]]:
        """Take the searches that neighbours are told since the last time, and nothing else."""
        return [(node, content) for node, content in self.told() if isinstance(content, SearchStep)]


@pytest.fixture
def joined() -> Iterator[Network]:
    servers, clients = Probe("server_manager"), Probe("client_manager")
    with running(
        Router,
        monitor=Probe("monitor"),
        client_manager=clients,
        server_manager=servers,
        settings=RouterSettings(node=ME),
        random=Random(1),
    ) as router:
        router.serve(NeighbourUp(A), NeighbourUp(B))
        yield Network(router, servers, clients)


def test_changes_of_ways_are_told_together_and_not_too_often(joined: Network) -> None:
    first = joined.told()
    assert {node for node, content in first if isinstance(content, Routes)} == {A, B}
    joined.router.advance(3.0)
    joined.told()
    for number in range(20):
        routes = Routes((NodeRoute(NodeName(f"n{number}"), 1, 2, 0),))
        joined.router.serve(NeighbourSaid(A, (routes,)))
        joined.router.advance(0.01)
    joined.router.advance(3.0)
    to_b = [content for node, content in joined.told() if node == B and isinstance(content, Routes)]
    assert len(to_b) == 2  # at once, and after half a second
    assert sum(len(routes.items) for routes in to_b) == 20


def test_ways_are_told_to_the_links(joined: Network) -> None:
    joined.router.serve(NeighbourSaid(A, (Routes((NodeRoute(A, 1, 0, 0), NodeRoute(C, 1, 1, 0))),)))
    assert (C, A) in [way for told in joined.servers.of(NodeWays) for way in told.ways]
    joined.router.serve(NeighbourDown(A))
    assert joined.servers.of(NodeWays)[-1].ways == ((A, NodeName("")), (C, NodeName("")))


def test_names_of_ours_are_told_as_a_change(joined: Network) -> None:
    joined.router.serve(NeighbourSaid(A, (SummaryWanted(ME, 0),)))
    joined.router.advance(5.0)
    joined.told()
    joined.router.serve(NamesAreOurs((BOB,)), NamesAreOurs((UserName("eve"),)))
    joined.router.advance(5.0)
    told = [(node, content) for node, content in joined.told() if isinstance(content, Summary)]
    assert [node for node, _ in told] == [A]
    assert sum(len(content.added) for _, content in told) == 6


def test_a_search_of_ours_ends_with_a_route(joined: Network) -> None:
    asker = Probe("asker")
    joined.router.advance(3.0)
    joined.told()
    joined.router.serve(RouteMessages(asker, 1, (to(BOB),)))
    assert asker.expect(MessagesRouted).destinations == (Searching(),)
    ((node, step),) = joined.steps()
    answer = SearchAnswer(step.search, BOB, "found", 100, home=C, epoch=3, hops=1)
    joined.router.serve(NeighbourSaid(node, (answer,)))
    assert joined.servers.expect(RouteAgain).names == (BOB,)
    joined.router.serve(RouteMessages(asker, 2, (to(BOB),), kept=True))
    (destination,) = asker.expect(MessagesRouted).destinations
    assert isinstance(destination, ToNeighbour)
    assert destination.node == node


def test_what_did_not_reach_a_neighbour_is_asked_of_the_next(joined: Network) -> None:
    joined.router.advance(3.0)
    joined.told()
    joined.router.serve(RouteMessages(Probe(), 1, (to(BOB),)))
    ((first, step),) = joined.steps()
    joined.router.serve(NeighbourSilent(first, (step,)))
    ((second, _),) = joined.steps()
    assert {first, second} == {A, B}


def test_a_claim_to_a_name_of_ours_is_told_to_the_client_manager(joined: Network) -> None:
    joined.router.serve(NamesAreOurs((BOB,), fresh=True))
    ((node, step),) = joined.steps()
    joined.router.serve(NeighbourSaid(node, (SearchAnswer(step.search, BOB, "found", 100, home=C, epoch=1),)))
    assert joined.clients.expect(ClaimConflicts).claims == (Claim(BOB, C, 1),)


def test_claims_that_are_certain_are_routes(joined: Network) -> None:
    asker = Probe("asker")
    joined.router.serve(
        NamesLiveAt((Claim(BOB, A, 2),)),
        RouteMessages(asker, 1, (to(BOB),)),
        FindNames(asker, 2, (BOB,)),
    )
    (destination,) = asker.expect(MessagesRouted).destinations
    assert isinstance(destination, ToNeighbour)
    assert asker.expect(NamesFound).answers == (NameAnswer(BOB, Found.ELSEWHERE, A, A, 2),)


def test_a_neighbour_is_up_after_a_failure() -> None:
    asker = Probe("asker")
    with running(Tripping, monitor=Probe("monitor"), settings=RouterSettings(node=ME)) as router:
        router.serve(NeighbourUp(A))
        router.failures.expect(ActorFailed)
        router.advance(1.0)
        router.serve(NamesLiveAt((Claim(BOB, A, 1),)), RouteMessages(asker, 1, (to(BOB),)))
    assert isinstance(asker.expect(MessagesRouted).destinations[0], ToNeighbour)


class Tripping(Router):
    """Fails on the first neighbour."""

    tripped = False

    def handle(self, message: Any) -> None:
        if isinstance(message, NeighbourUp) and not self.tripped:
            self.tripped = True
            raise KeyError("tripped")
        super().handle(message)


def test_alone_it_sets_no_timers() -> None:
    with running(Router, monitor=Probe("monitor")) as router:
        router.serve(NamesAreOurs((BOB,)), RouteMessages(Probe(), 1, (to(BOB), to(UserName("eve")))))
        assert router.scheduler.next_due is None
