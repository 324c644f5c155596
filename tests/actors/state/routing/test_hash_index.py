"""The index finds what a look through all sets finds, however many there are and however they change."""

from __future__ import annotations

from random import Random

from actors.model import NodeName
from actors.state.routing.hash_index import MANY, HashIndex


def test_it_is_a_look_through_all() -> None:
    random = Random(1)
    index = HashIndex()
    plain: dict[NodeName, frozenset[int]] = {}
    for round_ in range(3 * MANY):
        node = NodeName(f"n{random.randrange(MANY + 200)}" if round_ > MANY + 200 else f"n{round_}")
        if random.random() < 0.2:
            index.drop(node)
            plain.pop(node, None)
        else:
            hashes = frozenset(random.randrange(5000) for _ in range(random.choice((0, 2, 5))))
            index.put(node, hashes)
            plain[node] = hashes
        assert index.get(node) == plain.get(node, frozenset())
        if round_ % 40 == 0:
            value = random.randrange(5000)
            assert sorted(index.find(value)) == sorted(node for node, hashes in plain.items() if value in hashes)
    assert dict(index) == plain


def test_what_went_does_not_pile_up() -> None:
    index = HashIndex()
    for number in range(MANY):
        index.put(NodeName(f"n{number}"), frozenset((number,)))
    for round_ in range(1000):
        index.put(NodeName("n5"), frozenset((100_000 + round_,)))
    assert max(len(block.all) for block in index._blocks) < 300
    assert index.find(100_999) == (NodeName("n5"),)
    assert index.find(100_000) == ()
