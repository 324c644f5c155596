"""Summaries reach everybody, whatever is lost, and tell where a name may live."""

from __future__ import annotations

import itertools
import tracemalloc
from random import Random

import pytest

from actors.messages.links import NodeRoute, Summary, SummaryWanted
from actors.model import NodeName, UserName
from actors.state.routing.name_hashes import NOTHING, changed, name_hash, pack, unpack
from actors.state.routing.nodes import HIGHEST
from actors.state.routing.summaries import ASK_AGAIN, PART, Summaries
from tests.actors.state.routing.network import Network, random_graph

A, B, C = (NodeName(name) for name in "abc")


def users(*names: str) -> list[UserName]:
    return [UserName(name) for name in names]


def collide() -> tuple[UserName, UserName]:
    """Find two names with the same hash: after some thousands there are some."""
    seen: dict[int, UserName] = {}
    for number in itertools.count():
        name = UserName(f"user{number}")
        other = seen.setdefault(name_hash(name), name)
        if other != name:
            return other, name
    raise AssertionError


def pair() -> tuple[Summaries, Summaries]:
    """Make A, and B that follows A."""
    a, b = Summaries(A, version=10), Summaries(B)
    b.follow([(A, A)])
    return a, b


def pass_on(source: Summaries, me: NodeName, target: Summaries, neighbour: NodeName, now: float = 0.0) -> int:
    """Bring what one has for the other, and the answers back; gives how many contents that were."""
    count = 0
    for item in source.take_updates(now).get(neighbour, ()):
        count += 1
        if isinstance(item, Summary):
            target.heard(me, item)
        else:
            for answer in target.answer(me, item):
                count += 1
                source.heard(neighbour, answer)
    return count


def test_a_follower_is_told_of_changes() -> None:
    a, b = pair()
    a.add(users("alice", "bob"))
    pass_on(b, B, a, A)
    assert b.candidates(UserName("alice")) == ()
    pass_on(a, A, b, B)
    assert b.candidates(UserName("alice")) == (A,)
    assert b.version_of(A) == a.version == 11
    a.remove(users("alice", "nobody"))
    a.add(users("carol"))
    assert pass_on(a, A, b, B) == 1
    assert b.candidates(UserName("alice")) == ()
    assert b.candidates(UserName("carol")) == (A,)
    assert b.candidates(UserName("bob")) == (A,)
    assert b.version_of(A) == 12
    assert not a.pending
    assert not b.pending


def test_what_takes_itself_back_is_no_news() -> None:
    a = Summaries(A)
    a.add(users("alice"))
    a.remove(users("alice"))
    assert a.take_updates(0.0) == {}
    assert a.version == 0
    a.add(users("bob"))
    a.take_updates(0.0)
    a.remove(users("bob"))
    a.add(users("bob"))
    a.take_updates(0.0)
    assert a.version == 1


def test_a_late_follower_gets_the_whole_and_one_behind_the_change() -> None:
    a = Summaries(A)
    a.add(users("alice"))
    a.take_updates(0.0)
    a.add(users("bob"))
    a.take_updates(0.0)
    (whole,) = a.answer(B, SummaryWanted(A, 0))
    assert (whole.base, whole.version, whole.added) == (0, 2, pack(map(name_hash, users("alice", "bob"))))
    (change,) = a.answer(C, SummaryWanted(A, 1))
    assert (change.base, change.added) == (1, pack([name_hash(UserName("bob"))]))
    assert a.answer(C, SummaryWanted(A, 2)) == ()


def test_a_lost_change_is_asked_for() -> None:
    a, b = pair()
    a.add(users("alice"))
    pass_on(b, B, a, A)
    pass_on(a, A, b, B)
    a.add(users("bob"))
    a.take_updates(0.0)  # lost
    a.add(users("carol"))
    pass_on(a, A, b, B)
    assert b.candidates(UserName("carol")) == ()
    pass_on(b, B, a, A)
    assert [b.candidates(name) for name in users("alice", "bob", "carol")] == [(A,)] * 3


def test_the_last_change_lost_is_noticed_by_the_version_told_with_the_way() -> None:
    a, b = pair()
    a.add(users("alice"))
    pass_on(b, B, a, A)
    a.take_updates(0.0)  # lost
    b.told(C, [NodeRoute(A, 1, 1, a.version)])
    assert not b.pending, "only the next hop is asked"
    b.told(A, [NodeRoute(A, 1, 0, a.version)])
    assert b.take_updates(5.0) == {A: (SummaryWanted(A, 0),)}  # lost, too
    b.told(A, [NodeRoute(A, 1, 0, a.version)])
    assert not b.pending, "it is asked already"
    assert b.next_deadline() == 5.0 + ASK_AGAIN
    pass_on(b, B, a, A, now=5.0 + ASK_AGAIN)
    assert b.candidates(UserName("alice")) == (A,)
    assert b.next_deadline() is None


def test_what_did_not_reach_a_neighbour_is_sent_again() -> None:
    a, b = pair()
    a.add(users("alice"))
    wanted = b.take_updates(0.0)[A]
    b.silent(A, wanted)
    pass_on(b, B, a, A)
    a.silent(B, a.take_updates(0.0)[B])
    pass_on(a, A, b, B)
    a.add(users("bob"))
    a.silent(B, a.take_updates(0.0)[B])
    (again,) = a.take_updates(0.0)[B]
    assert isinstance(again, Summary)
    assert again.base == b.version_of(A)


def test_parts() -> None:
    a, b = pair()
    names = [UserName(f"u{number}") for number in range(2 * PART + 200)]
    a.add(names)
    pass_on(b, B, a, A)
    parts = a.take_updates(0.0)[B]
    assert [isinstance(part, Summary) and part.more for part in parts] == [True, True, False]
    for part in (parts[0], parts[2]):
        assert isinstance(part, Summary)
        b.heard(A, part)
    pass_on(b, B, a, A)
    assert b.version_of(A) == a.version, "a part was missing: it asked again"
    assert all(b.candidates(name) == (A,) for name in (names[0], names[PART], names[-1]))
    assert b.encoded_size() >= 3 * len({name_hash(name) for name in names})
    a.remove(names[: PART + 1])
    assert pass_on(a, A, b, B) == 1
    assert b.candidates(names[0]) == ()


def test_two_names_of_one_hash() -> None:
    one, other = collide()
    a, b = pair()
    c = Summaries(C)
    b.follow([(C, C)])
    a.add([one])
    c.add([other])
    for source, me in ((a, A), (c, C)):
        b_wants = b.take_updates(0.0)
        for neighbour, items in b_wants.items():
            for item in items:
                if isinstance(item, SummaryWanted):
                    {A: a, C: c}[neighbour].answer(B, item)
        pass_on(source, me, b, B)
    assert sorted(b.candidates(one)) == sorted(b.candidates(other)) == [A, C]
    both = Summaries(B)
    both.add([one, other, other])
    both.take_updates(0.0)
    both.remove([one])
    assert not both.pending, "the other has the hash still"
    both.remove([other])
    assert both.pending


def test_watched_names_and_names_of_ours() -> None:
    a, b = pair()
    b.watch(UserName("alice"))
    b.watch(UserName("bob"))
    b.unwatch(UserName("bob"))
    b.unwatch(UserName("never"))
    b.add(users("carol"))
    a.add(users("alice", "bob", "carol"))
    pass_on(b, B, a, A)
    pass_on(a, A, b, B)
    assert b.take_hits() == (UserName("alice"),)
    assert b.take_clashes() == (UserName("carol"),)
    assert b.take_hits() == b.take_clashes() == ()


def test_a_node_that_restarts_goes_beyond_its_old_versions() -> None:
    a, b = pair()
    a.add(users("alice", "old"))
    pass_on(b, B, a, A)
    pass_on(a, A, b, B)
    again = Summaries(A, version=3)
    again.add(users("alice"))
    again.take_updates(0.0)
    b.neighbour_down(A)
    b.follow([(A, NodeName(""))])
    assert b.candidates(UserName("alice")) == (A,), "it may come back"
    b.follow([(A, A)])
    pass_on(b, B, again, A)
    pass_on(again, A, b, B)
    assert b.version_of(A) == again.version > 11
    assert b.candidates(UserName("old")) == ()
    third = Summaries(A, version=0)
    third.told(B, [NodeRoute(A, 1, 1, again.version)])
    assert third.version > again.version
    b.forget([A])
    assert b.candidates(UserName("alice")) == ()


def test_a_follower_behind_a_fallen_link_is_told_nothing() -> None:
    a, b = pair()
    a.add(users("alice"))
    pass_on(b, B, a, A)
    a.neighbour_down(B)
    assert a.take_updates(0.0) == {}


@pytest.mark.parametrize("seed", range(15))
def test_after_a_while_all_have_all_though_much_is_lost(seed: int) -> None:
    random = Random(seed)
    graph = random_graph(random, 15, 3.0)
    network = Network(random, graph, loss=0.1, reorder=bool(seed % 2))
    network.build(graph)
    homes: dict[UserName, NodeName] = {}
    for number in range(40):
        node = random.choice(list(graph))
        name = UserName(f"user{number}")
        homes[name] = node
        network.summaries[node].add([name])
        if number % 3 == 0:
            gone = random.choice(list(homes))
            network.summaries[homes.pop(gone)].remove([gone])
        if number % 10 == 5:
            network.restart(node)
            network.summaries[node].add([name for name, home in homes.items() if home == node])
        network.run(network.now + random.random() * 10)
    network.loss, network.reorder = 0.0, False
    network.quiet(4000.0)
    network.check_summaries()
    for node, summaries in network.summaries.items():
        for name, home in homes.items():
            assert node == home or home in summaries.candidates(name)


def test_without_loss_a_change_comes_to_each_node_about_once() -> None:
    graph = random_graph(Random(2), 40, 6.0)
    network = Network(Random(2), graph)
    network.build(graph)
    network.summaries[NodeName("n0")].add(users("alice"))
    network.quiet(200.0)
    network.check_summaries()
    network.told = 0
    network.summaries[NodeName("n0")].add(users("bob"))
    network.quiet(60.0)
    network.check_summaries()
    assert 39 <= network.told <= 60, "a flood over all links would be about 200"


def test_equal_sets_are_shared() -> None:
    packed = pack(range(0, 300_000, 100))
    tracemalloc.start()
    try:
        first = changed(NOTHING, packed, b"")
        once = tracemalloc.get_traced_memory()[0]
        others = [changed(NOTHING, bytes(bytearray(packed)), b"") for _ in range(100)]
        assert all(other is first for other in others)
        assert tracemalloc.get_traced_memory()[0] < 1.2 * once
    finally:
        tracemalloc.stop()
    assert changed(first, b"", b"") is first
    assert changed(first, pack([7]), pack([0])) == first - {0} | {7}


def test_bytes_that_are_no_whole_hash_are_left_out() -> None:
    assert unpack(b"\0\0\1\0\0") == {1}


def test_who_is_asked_by_one_that_is_ahead_gets_the_summary_all_the_same() -> None:
    a, b = pair()
    a.add(users("alice"))
    a.take_updates(0.0)
    b.answer(C, SummaryWanted(A, a.version))
    pass_on(b, B, a, A)
    assert b.candidates(UserName("alice")) == (A,)


def test_a_version_of_an_earlier_life_is_outdone_though_its_holder_is_far() -> None:
    a, b = pair()
    a.add(users("alice"))
    pass_on(b, B, a, A)
    pass_on(a, A, b, B)
    b.answer(C, SummaryWanted(A, a.version + 5))
    pass_on(b, B, a, A)
    pass_on(a, A, b, B)
    assert b.version_of(A) == a.version > 16
    ((neighbour, (summary,)),) = b.take_updates(0.0).items()
    assert isinstance(summary, Summary)
    assert (neighbour, summary.version, summary.base) == (C, a.version, 0)


def test_a_neighbour_that_invents_nodes_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.state.routing.summaries.MOST_NODES", 3)
    a = Summaries(A)
    for number in range(100):
        a.heard(B, Summary(NodeName(f"n{number}"), 1, 0, pack([number])))
        a.answer(B, SummaryWanted(NodeName(f"m{number}"), 0))
    assert [a.version_of(NodeName(f"n{number}")) for number in range(3)] == [1, 0, 0]
    assert a.encoded_size() < 100


def test_versions_that_no_encoding_can_outdo_are_not_believed() -> None:
    a, b = pair()
    a.add(users("alice"))
    a.take_updates(0.0)
    assert a.answer(B, SummaryWanted(A, HIGHEST)) == ()
    a.told(B, [NodeRoute(A, 1, 1, HIGHEST)])
    assert a.version == 11
    b.heard(A, Summary(A, HIGHEST, 0, pack([1])))
    assert b.version_of(A) == 0
