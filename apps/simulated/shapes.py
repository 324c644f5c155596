"""Shapes of networks: which nodes are neighbours, as pairs of names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, pairwise
from random import Random

Pair = tuple[str, str]
"""Two neighbours."""


def line(names: Iterable[str]) -> tuple[Pair, ...]:
    """Each one knows the next: `line("abc")` is a-b-c."""
    return tuple(pairwise(names))


def ring(names: Iterable[str]) -> tuple[Pair, ...]:
    """A line whose ends know each other."""
    all_names = tuple(names)
    return (*pairwise(all_names), (all_names[-1], all_names[0]))


def mesh(names: Iterable[str]) -> tuple[Pair, ...]:
    """Everybody knows everybody."""
    return tuple(combinations(names, 2))


def star(names: Iterable[str]) -> tuple[Pair, ...]:
    """All know the first one, and nobody else."""
    first, *others = names
    return tuple((first, other) for other in others)


def random_graph(count: int, degree: float, seed: int) -> tuple[Pair, ...]:
    """A connected graph of nodes `n0`, `n1`, ... whose mean number of neighbours is `degree`.

    Each node is joined to one before it, which makes it connected; the rest of the pairs are drawn at random.
    """
    random = Random(f"random graph {seed}")
    pairs = {(random.randrange(number), number) for number in range(1, count)}
    most = count * (count - 1) // 2
    while len(pairs) < min(round(count * degree / 2), most):
        one, other = random.randrange(count), random.randrange(count)
        if one != other:
            pairs.add((min(one, other), max(one, other)))
    return tuple((f"n{one}", f"n{other}") for one, other in sorted(pairs))


def scale_free(count: int, degree: int, seed: int) -> tuple[Pair, ...]:
    """A graph in which a few nodes have very many neighbours (Barabasi and Albert 1999): each new node joins
    `degree / 2` of those before it, the likelier the more neighbours they have."""
    random = Random(f"scale free {seed}")
    each = max(1, degree // 2)
    pairs: list[tuple[int, int]] = list(combinations(range(min(count, each + 1)), 2))
    ends = [end for pair in pairs for end in pair]
    for number in range(each + 1, count):
        chosen: dict[int, None] = {}
        while len(chosen) < each:
            chosen[random.choice(ends)] = None
        for other in chosen:
            pairs.append((other, number))
            ends += (other, number)
    return tuple((f"n{one}", f"n{other}") for one, other in pairs)


def names_of(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """All nodes that are in any pair, in order of appearance."""
    return tuple(dict.fromkeys(name for pair in pairs for name in pair))


def mean_distance(links: Iterable[Pair], pairs: Sequence[Pair]) -> float:
    """The mean number of links between the two of each pair, on the shortest ways."""
    neighbours: dict[str, list[str]] = {}
    for one, other in links:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    return sum(_distance(neighbours, *pair) for pair in pairs) / max(1, len(pairs))


def _distance(neighbours: Mapping[str, Sequence[str]], start: str, goal: str) -> int:
    hops, edge, seen = 0, [start], {start}
    while goal not in seen:
        hops += 1
        edge = [other for node in edge for other in neighbours[node] if other not in seen]
        seen.update(edge)
        if not edge:
            raise ValueError(f"there is no way from {start} to {goal}")
    return hops
