"""Ways to nodes: never a circle, the shortest ones after a while, and no node deaf for ever."""

from __future__ import annotations

from random import Random

import pytest

from actors.messages.links import NodeRoute
from actors.model import NodeName
from actors.state.routing.nodes import FORGET, HIGHEST, NO_WAY, REFRESH, NodeTable
from tests.actors.state.routing.network import Graph, Network, line, random_graph, ring

A, B, C, D = (NodeName(name) for name in "abcd")


def settle(graph: Graph, seed: int = 1) -> Network:
    network = Network(Random(seed), graph)
    network.build(graph)
    network.quiet(300.0)
    return network


def shake(network: Network, graph: Graph, changes: int) -> None:
    """Let links fall and come back, new ones come, and nodes restart; look for circles after everything."""
    random = network.random
    nodes = list(graph)
    for _ in range(changes):
        one, other = random.sample(nodes, 2)
        linked = sorted((a, b) for a in network.graph for b in network.graph[a] if a < b)
        if linked and random.random() < 0.6:
            network.cut(*random.choice(linked))
        else:
            network.connect(one, other)
        until = network.now + random.choice((0.1, 1.0, 5.0, 20.0))
        while network._events and network._events[0][0] <= until:
            network.step()
            network.check_no_circle()
        network.now = until


@pytest.mark.parametrize("seed", range(40))
def test_never_a_circle_and_the_shortest_ways_in_the_end(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, random.randrange(4, 12), random.choice((2.0, 3.0, 4.0)))
    network = Network(random, graph)
    network.build(graph)
    shake(network, graph, 25)
    network.quiet(REFRESH / 2)
    network.check_no_circle()
    network.check_shortest()


@pytest.mark.parametrize("seed", range(20))
def test_never_a_circle_though_what_is_told_is_lost_or_overtaken(seed: int) -> None:
    random = Random(1000 + seed)
    graph = random_graph(random, random.randrange(4, 10), 3.0)
    network = Network(random, graph, loss=0.2, reorder=True)
    network.build(graph)
    shake(network, graph, 20)
    network.loss, network.reorder = 0.0, False
    network.quiet(3 * REFRESH)
    network.check_no_circle()
    network.check_shortest()


@pytest.mark.parametrize("graph", [line(100), ring(60)], ids=["line", "ring"])
def test_long_ways(graph: Graph) -> None:
    network = settle(graph)
    network.check_shortest()
    last = list(graph)[-1]
    before = list(graph)[-2]
    network.cut(before, last)
    network.quiet(300.0)
    network.check_shortest()
    network.connect(before, last)
    network.quiet(300.0)
    network.check_shortest()


@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_restarts_is_found_again(seed: int) -> None:
    random = Random(seed)
    network = settle(random_graph(random, 12, 3.0), seed)
    for node in random.sample(list(network.graph), 4):
        for _ in range(3):
            network.restart(node)
            network.quiet(60.0)
        network.check_no_circle()
        network.check_shortest()


def test_a_change_concerns_only_who_is_on_the_way() -> None:
    network = settle(random_graph(Random(3), 60, 6.0), 3)
    network.told = 0
    one = list(network.graph)[7]
    other = sorted(network.graph[one])[0]
    network.cut(one, other)
    network.quiet(100.0)
    network.check_shortest()
    assert network.told < 60 * 60 * 3, "less than half of what is told when the whole network comes up"


def test_a_smaller_number_than_in_an_earlier_life() -> None:
    table = NodeTable(A)
    table.neighbour_up(B, 0.0)
    table.heard(B, [NodeRoute(B, 57, 0, 0)], 0.0)
    table.neighbour_down(B, 1.0)
    assert table.way(B) is None
    table.neighbour_up(B, 2.0)
    table.take_updates(2.0)
    table.heard(B, [NodeRoute(B, 1, 0, 0)], 2.0)
    assert table.way(B) is None
    (asked,) = table.take_updates(3.0)[B]
    assert (asked.node, asked.metric) == (B, NO_WAY)
    neighbour = NodeTable(B)
    neighbour.neighbour_up(A, 3.0)
    neighbour.heard(A, [asked], 3.0)
    table.heard(B, neighbour.take_updates(3.0)[A], 3.0)
    assert table.way(B) == B


def test_a_node_hears_its_own_old_number_and_goes_beyond() -> None:
    table = NodeTable(A)
    table.neighbour_up(B, 0.0)
    table.heard(B, [NodeRoute(A, 99, 1, 0)], 0.0)
    (own,) = (item for item in table.take_updates(1.0)[B] if item.node == A)
    assert own == NodeRoute(A, 100, 0, 0)


def test_the_way_around_does_not_lead_back() -> None:
    table = NodeTable(A)
    for neighbour in (B, C, D):
        table.neighbour_up(neighbour, 0.0)
    table.heard(B, [NodeRoute(NodeName("x"), 1, 2, 0)], 0.0)
    table.heard(C, [NodeRoute(NodeName("x"), 1, 3, 0)], 0.0)
    table.heard(D, [NodeRoute(NodeName("x"), 1, 4, 0)], 0.0)
    assert table.way(NodeName("x")) == B
    assert table.hops(NodeName("x")) == 3
    assert table.way(NodeName("x"), {B}) == C
    assert table.way(NodeName("x"), {B, C}) is None, "by D it may come back through A"
    assert table.way(NodeName("y")) is None
    assert table.hops(A) == 0


def test_a_neighbour_that_is_down_says_nothing() -> None:
    table = NodeTable(A)
    table.heard(B, [NodeRoute(C, 1, 1, 0)], 0.0)
    assert table.way(C) is None
    table.neighbour_up(B, 0.0)
    told = table.take_updates(0.0)[B]
    assert told[0] == NodeRoute(B, 0, NO_WAY, 0), "so it is asked for everything"
    other = NodeTable(B)
    other.neighbour_up(A, 0.0)
    other.take_updates(0.0)
    other.heard(A, told, 0.0)
    assert NodeRoute(B, 1, 0, 0) in other.take_updates(0.0)[A]


def test_what_was_not_told_is_told_again() -> None:
    table = NodeTable(A)
    table.neighbour_up(B, 0.0)
    told = table.take_updates(0.0)[B]
    assert table.take_updates(0.0) == {}
    table.silent(B, told)
    assert NodeRoute(A, 1, 0, 0) in table.take_updates(0.0)[B]
    table.silent(C, told)
    assert table.take_updates(0.0) == {}


def test_a_node_long_gone_is_forgotten() -> None:
    table = NodeTable(A)
    table.neighbour_up(B, 0.0)
    table.heard(B, [NodeRoute(B, 1, 0, 0), NodeRoute(C, 5, 1, 0)], 0.0)
    assert set(table.nodes()) == {B, C}
    table.heard(B, [NodeRoute(C, 6, NO_WAY, 0)], 10.0)
    assert table.take_way_changes() == ((B, B), (C, NodeName("")))
    table.take_updates(FORGET)
    assert table.take_forgotten() == ()
    table.take_updates(FORGET + REFRESH + 20.0)
    assert table.take_forgotten() == (C,)
    assert [node for node, _, _ in table.claims()] == [B]


def test_the_size_counts_what_was_learned() -> None:
    network = settle(random_graph(Random(5), 50, 6.0), 5)
    sizes = [table.encoded_size() for table in network.tables.values()]
    assert 50 * 10 < min(sizes) <= max(sizes) < 50 * 60


def test_a_neighbour_that_invents_nodes_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.state.routing.nodes.MOST_NODES", 10)
    table = NodeTable(A)
    table.neighbour_up(B, 0.0)
    table.heard(B, [NodeRoute(NodeName(f"n{number}"), 1, 1, 0) for number in range(100)], 0.0)
    assert len(table.nodes()) == 10


def test_claims_that_nobody_may_make_are_not_believed() -> None:
    table = NodeTable(A)
    table.neighbour_up(B, 0.0)
    table.heard(B, [NodeRoute(C, HIGHEST, 1, 0), NodeRoute(D, 1, -1, 0), NodeRoute(D, -1, 1, 0)], 0.0)
    table.heard(B, [NodeRoute(A, HIGHEST, NO_WAY, 0), NodeRoute(A, HIGHEST + 1, 1, 0)], 0.0)
    assert table.nodes() == []
    assert NodeRoute(A, 1, 0, 0) in table.take_updates(0.0)[B]
