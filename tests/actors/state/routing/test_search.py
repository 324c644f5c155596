"""A search finds what is there, proves what is not, and never says "unknown" of what it did not see."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

import pytest

from actors.messages.links import SearchAnswer, SearchStep
from actors.model import NodeName, UserName
from actors.state.routing import bloom
from actors.state.routing.search import LONGEST, SearchEnded, Searches
from tests.actors.state.routing.network import Graph, distances, line, random_graph, ring

ALICE = UserName("alice")
A, B, C, D = (NodeName(name) for name in "abcd")
Content = SearchStep | SearchAnswer


def edges(graph: Graph) -> int:
    return sum(map(len, graph.values())) // 2


class Walk:
    """One search through a network; every content that is told counts."""

    def __init__(self, graph: Graph, home: NodeName | None, *, summaries: bool = False) -> None:
        self.graph = graph
        self.home = home
        self.requests = 0
        self.now = 0.0
        self.silent: set[NodeName] = set()
        self.forgetful: set[NodeName] = set()
        """Nodes that take the search, and never say anything more of it."""
        self.up = {node: dict.fromkeys(sorted(graph[node]), True) for node in graph}
        far = distances(graph, home) if home and summaries else {}
        self.searches = {
            node: Searches(
                node,
                neighbours=self.up[node],
                ours=lambda _, node=node: 3 if node == home else 0,  # type: ignore[misc]
                hints=self._hints(node, far),
                nodes=lambda: len(graph),
            )
            for node in graph
        }

    def _hints(self, node: NodeName, far: dict[NodeName, int]) -> Callable[[UserName, float], list[NodeName]]:
        nearer = [other for other in sorted(self.graph[node]) if far.get(other, 999) < far.get(node, 0)]
        return lambda _, __: nearer[:1]

    def run(self, start: NodeName, budget: int, seconds: float = 10.0) -> SearchEnded:
        self.searches[start].start(ALICE, self.now, budget, seconds)
        queue: deque[tuple[NodeName, NodeName, Content]] = deque()
        self._take(start, queue)
        while not (ended := self.searches[start].take_ended()):
            if not queue:
                self._wait(queue)
                continue
            source, target, content = queue.popleft()
            self.requests += 1
            if target in self.silent:
                if isinstance(content, SearchStep):
                    self.searches[source].silent(target, content, self.now)
                    self._take(source, queue)
                continue
            if isinstance(content, SearchStep):
                self.searches[target].step(source, content, self.now)
            else:
                self.searches[target].answer(source, content, self.now)
            if target in self.forgetful:
                self.searches[target].take_contents()
            self._take(target, queue)
        assert len(ended) == 1
        assert self.forgetful or not queue, "nothing of it is under way any more"
        return ended[0]

    def _take(self, node: NodeName, queue: deque[tuple[NodeName, NodeName, Content]]) -> None:
        queue.extend((node, target, content) for target, content in self.searches[node].take_contents())

    def _wait(self, queue: deque[tuple[NodeName, NodeName, Content]]) -> None:
        deadlines = [searches.next_deadline() for searches in self.searches.values()]
        self.now = min(deadline for deadline in deadlines if deadline is not None)
        for node, searches in self.searches.items():
            searches.due(self.now)
            if node not in self.forgetful:
                self._take(node, queue)


def unlimited(graph: Graph) -> int:
    return 4 * edges(graph) + 10


@pytest.mark.parametrize("seed", range(25))
def test_it_finds_what_is_there_and_proves_what_is_not(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, random.choice((2, 5, 30, 200, 1000)), 6.0)
    nodes = list(graph)
    start, home = random.sample(nodes, 2)
    walk = Walk(graph, home)
    end = walk.run(start, unlimited(graph))
    assert (end.found, end.home, end.epoch) == (True, home, 3)
    assert end.neighbour in graph[start]
    assert distances(graph, home)[start] <= end.hops
    nobody = Walk(graph, None)
    end = nobody.run(start, unlimited(graph))
    assert (end.found, end.complete) == (False, True)
    assert end.spent == nobody.requests <= 4 * edges(graph)


@pytest.mark.parametrize("seed", range(10))
def test_a_silent_node_makes_it_incomplete(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, 60, 6.0)
    start, mute = random.sample(list(graph), 2)
    walk = Walk(graph, None)
    walk.silent.add(mute)
    end = walk.run(start, unlimited(graph))
    assert (end.found, end.complete) == (False, False)


@pytest.mark.parametrize("seed", range(10))
def test_what_a_silent_node_does_not_hide_is_found(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, 60, 6.0)
    start, mute, home = random.sample(list(graph), 3)
    without = {node: others - {mute} for node, others in graph.items() if node != mute}
    walk = Walk(graph, home)
    walk.silent.add(mute)
    end = walk.run(start, unlimited(graph))
    assert end.found == (start in distances(without, home))
    assert not end.complete


@pytest.mark.parametrize("seed", range(10))
def test_a_lost_record_ends_it_at_the_deadline(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, 30, 4.0)
    start, lost = random.sample(list(graph), 2)
    walk = Walk(graph, None)
    walk.forgetful.add(lost)
    end = walk.run(start, unlimited(graph), seconds=10.0)
    assert (end.found, end.complete) == (False, False)
    assert walk.now == 10.0


def test_the_token_stays_within_its_budget() -> None:
    for seed in range(10):
        random = Random(seed)
        graph = random_graph(random, 300, 6.0)
        walk = Walk(graph, None)
        end = walk.run(random.choice(list(graph)), 64)
        assert (end.found, end.complete) == (False, False)
        assert walk.requests == end.spent == 64


def test_a_neighbour_that_is_down_makes_it_incomplete() -> None:
    walk = Walk(line(3), None)
    assert walk.run(NodeName("n0"), 100).complete
    walk.up[NodeName("n2")][NodeName("n1")] = False
    walk.up[NodeName("n1")][NodeName("n2")] = False
    assert not walk.run(NodeName("n0"), 100).complete
    assert walk.run(NodeName("n2"), 100) == SearchEnded("n2.1", ALICE, found=False, complete=False)


def test_alone_nobody_else_has_it() -> None:
    alone = Searches(A, neighbours={}, ours=lambda _: 1, hints=lambda _, __: ())
    alone.start(ALICE, 0.0, 10, 10.0)
    (end,) = alone.take_ended()
    assert (end.found, end.complete, end.spent) == (False, True, 0)


@pytest.mark.parametrize("seed", range(10))
def test_with_summaries_it_goes_straight_there(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, 500, 6.0)
    start, home = random.sample(list(graph), 2)
    walk = Walk(graph, home, summaries=True)
    end = walk.run(start, 512)
    far = distances(graph, home)[start]
    assert (end.found, end.hops) == (True, far)
    assert walk.requests == end.spent == 2 * far


@pytest.mark.parametrize("size", [64, 128, 256])
def test_filters_lose_nothing_and_save_a_part(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With filters of 64 to 256 bytes, as without, everything is found; they only say whom to ask last."""
    costs: dict[int, int] = {}
    for filter_size in (0, size):
        monkeypatch.setattr(bloom, "filter_size", lambda _, filter_size=filter_size: filter_size)
        for seed in range(12):
            random = Random(seed)
            graph = random_graph(random, 400, 6.0)
            start, home = random.sample(list(graph), 2)
            walk = Walk(graph, home)
            assert walk.run(start, unlimited(graph)).home == home
            costs[filter_size] = costs.get(filter_size, 0) + walk.requests
    assert costs[size] <= costs[0]


def test_a_ring_is_walked_once() -> None:
    walk = Walk(ring(20), None)
    assert walk.run(NodeName("n0"), 100).complete
    assert walk.requests <= 2 * 20


def make(neighbours: dict[NodeName, bool], first: int = 1, limit: int = 100) -> Searches:
    return Searches(A, neighbours=neighbours, ours=lambda _: 0, hints=lambda _, __: (), first=first, limit=limit)


def step(search: str = "x.1", budget: int = 20, seconds: float = 5.0) -> SearchStep:
    return SearchStep(search, ALICE, NodeName("x"), budget, seconds)


def contents(searches: Searches) -> list[tuple[NodeName, str]]:
    return [
        (node, content.found if isinstance(content, SearchAnswer) else "step")
        for node, content in searches.take_contents()
    ]


def test_a_node_that_has_a_record_answers_at_once() -> None:
    searches = make({B: True, C: True, D: True})
    searches.step(B, step(), 0.0)
    assert contents(searches) == [(C, "step")]
    searches.step(D, step(budget=7), 0.0)
    ((node, answer),) = searches.take_contents()
    assert isinstance(answer, SearchAnswer)
    assert (node, answer.found, answer.budget) == (D, "unknown", 7)
    searches.step(B, step(), 0.0)
    assert contents(searches) == [], "the one who asked first is answered when the branch is done"
    searches.answer(C, SearchAnswer("x.1", ALICE, "unknown", 10), 0.0)
    assert contents(searches) == [(B, "unknown")], "D asked, so it has a record: its edge is answered"


def test_answers_of_others_do_not_count() -> None:
    searches = make({B: True, C: True, D: True})
    searches.step(B, step(), 0.0)
    searches.take_contents()
    searches.answer(D, SearchAnswer("x.1", ALICE, "found", 10, D, 1), 0.0)
    searches.answer(D, SearchAnswer("x.1", ALICE, "unknown", 10), 0.0)
    searches.answer(B, SearchAnswer("x.1", ALICE, "unknown", 10), 0.0)
    searches.answer(C, SearchAnswer("x.9", ALICE, "unknown", 10), 0.0)
    searches.silent(D, step(), 0.0)
    searches.silent(C, step("x.9"), 0.0)
    assert contents(searches) == []
    searches.answer(C, SearchAnswer("x.1", ALICE, "unknown", 10_000), 0.0)
    ((node, content),) = searches.take_contents()
    assert isinstance(content, SearchStep)
    assert (node, content.budget) == (D, 16), "nobody makes the budget grow"


@pytest.mark.parametrize(("home", "epoch"), [("", 0), ("", 1), ("d", 0)])
def test_found_without_a_claim_is_not_found(home: str, epoch: int) -> None:
    searches = make({B: True, C: True, D: True})
    searches.step(B, step(), 0.0)
    searches.take_contents()
    searches.answer(C, SearchAnswer("x.1", ALICE, "found", 10, NodeName(home), epoch), 0.0)
    assert contents(searches) == [(D, "step")]
    searches.answer(D, SearchAnswer("x.1", ALICE, "unknown", 10), 0.0)
    assert contents(searches) == [(B, "incomplete")]


def test_an_answer_that_comes_late_counts_if_it_found() -> None:
    searches = make({B: True, C: True, D: True})
    searches.step(B, step(), 0.0)
    searches.take_contents()
    searches.neighbour_down(C, 0.0)
    assert contents(searches) == [(D, "step")]
    searches.answer(C, SearchAnswer("x.1", ALICE, "found", 10, C, 1), 0.0)
    assert contents(searches) == [(B, "found")]
    searches.answer(D, SearchAnswer("x.1", ALICE, "found", 10, C, 1), 0.0)
    assert contents(searches) == []


def test_a_filter_larger_than_any_is_not_kept() -> None:
    searches = Searches(A, neighbours={B: True, C: True}, ours=lambda _: 0, hints=lambda _, __: ())
    searches.step(B, SearchStep("b.1", ALICE, B, 64, 9.0, 0, b"\xff" * 100_000), 0.0)
    ((_, further),) = searches.take_contents()
    assert isinstance(further, SearchStep)
    assert further.seen == b""
    searches.answer(C, SearchAnswer("b.1", ALICE, "unknown", 60, seen=b"\xff" * 100_000), 1.0)
    ((_, answer),) = searches.take_contents()
    assert answer.seen == b""


def test_records_are_bounded_in_number_and_time() -> None:
    searches = make({B: True, C: True}, limit=2)
    searches.step(B, step("x.1"), 0.0)
    searches.step(B, step("x.2", seconds=1e9), 0.0)
    searches.step(B, step("x.3"), 0.0)
    searches.step(B, step("x.4", seconds=0.0), 0.0)
    assert contents(searches) == [(C, "step"), (C, "step"), (B, "incomplete"), (B, "incomplete")]
    searches.due(5.0)
    assert contents(searches) == [(B, "incomplete")]
    assert searches.next_deadline() == LONGEST
    searches.due(LONGEST)
    assert len(searches) == 0
    assert searches.next_deadline() is None


def test_each_search_has_a_name_of_its_own() -> None:
    searches = make({B: True}, first=77)
    assert len({searches.start(ALICE, 0.0, 10, 10.0) for _ in range(3)}) == 3
