"""A thousand nodes, real actors joined above the codec: first messages find their way at the cost of the shortest."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from actors.routers.first_unvisited import FirstUnvisited
from actors.state.routing.settings import SEARCH, RouterSettings
from apps.simulated.large import LargeNetwork
from apps.simulated.shapes import mean_distance, random_graph, scale_free
from apps.simulated.switch import DELAY

EXTRA = 512
"""Bytes of extra headers at most."""
STATE = 4_000_000
BUDGET = 512
"""Requests that a search for a name costs at most."""


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Millions of objects live to the end: looking through them again and again takes a third of the time."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("collector_off")
def test_a_thousand_nodes_find_everybody_on_the_shortest_way() -> None:
    links = random_graph(1_000, 6, seed=1)
    with LargeNetwork(links=links, users=10) as net:
        net.start()
        net.learn()
        assert {net.routes(name).nodes for name in net.names[::20]} == {999}
        pairs = net.draw_pairs(300)
        cost = net.send(pairs)
        assert net.ears.failures == []
        assert cost.found == cost.messages == 300
        shortest = mean_distance(links, [(origin, net.home_of(user)) for origin, user in pairs])
        assert cost.mean <= 4.5
        assert cost.mean <= 1.1 * shortest
        assert cost.extra_bytes <= EXTRA
        assert net.state_bytes() <= STATE
        later = net.send(pairs)
        assert later.found == 300
        assert later.mean <= shortest + 0.01


def test_the_same_seed_is_the_same_run() -> None:
    def run(seed: int) -> tuple[object, ...]:
        with LargeNetwork(links=scale_free(20, 4, seed=3), users=2, seed=seed) as net:
            net.start()
            return net.learn(measure=True), net.send(net.draw_pairs(10)), net.simulation.steps

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_name_that_nobody_has_costs_no_more_than_the_budget() -> None:
    with LargeNetwork(links=random_graph(100, 6, seed=2), users=2) as net:
        net.start()
        net.learn()
        key = net.nodes["n0"].port.submit(net.user(0), net.user(100_000), b"hello")
        net.switch.traffic.clear()
        net.simulation.run_for(BUDGET * DELAY)  # one step of a search after the other; then it may begin anew
        assert net.switch.answers[key].status == 202
        assert BUDGET / 2 < net.switch.traffic.of("search", "searched") <= BUDGET


@pytest.mark.parametrize("rungs", [(SEARCH,)])
def test_a_search_alone_finds_everybody_too(rungs: tuple[str, ...]) -> None:
    with LargeNetwork(links=random_graph(50, 6, seed=2), users=2, routing=RouterSettings(rungs=rungs)) as net:
        net.start()
        net.learn()
        cost = net.send(net.draw_pairs(20))
        assert cost.found == 20
        assert cost.searches > cost.carries


def test_another_router_can_be_put_in() -> None:
    with LargeNetwork(links=random_graph(20, 4, seed=2), users=2, router=FirstUnvisited) as net:
        net.start()
        net.learn()
        cost = net.send(net.draw_pairs(20))
        assert cost.found == 20
        assert cost.searches == 0
        assert cost.mean > 5
