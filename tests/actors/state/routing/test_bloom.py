"""The filter forgets nobody, rarely takes one for another, and fits a header."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.model import NodeName
from actors.state.routing.bloom import empty_filter, filter_size, merged, probably_in, with_node


@given(st.lists(st.text(max_size=8)), st.text(max_size=8), st.sampled_from((50, 200, 10_000)))
def test_it_forgets_nobody(nodes: list[str], salt: str, size: int) -> None:
    seen = empty_filter(size)
    for node in nodes:
        seen = with_node(seen, salt, NodeName(node))
    assert all(probably_in(seen, salt, NodeName(node)) for node in nodes)
    assert len(seen) == filter_size(size)


def test_it_rarely_takes_one_for_another_and_never_the_same_by_another_salt() -> None:
    one, other = empty_filter(1000), empty_filter(1000)
    for number in range(250):
        one = with_node(one, "a.1", NodeName(f"n{number}"))
        other = with_node(other, "a.2", NodeName(f"n{number}"))
    strangers = [NodeName(f"x{number}") for number in range(2000)]
    wrong = {node for node in strangers if probably_in(one, "a.1", node)}
    assert len(wrong) < 0.06 * len(strangers)
    assert wrong != {node for node in strangers if probably_in(other, "a.2", node)}


def test_merging() -> None:
    one = with_node(empty_filter(10), "s", NodeName("a"))
    other = with_node(empty_filter(10), "s", NodeName("b"))
    both = merged(one, other)
    assert probably_in(both, "s", NodeName("a"))
    assert probably_in(both, "s", NodeName("b"))
    large = with_node(empty_filter(1000), "s", NodeName("c"))
    assert merged(one, large) == large
    assert merged(large, one) == large


def test_without_a_filter_nobody_is_in_it() -> None:
    assert with_node(b"", "s", NodeName("a")) == b""
    assert not probably_in(b"", "s", NodeName("a"))


def test_sizes() -> None:
    assert [filter_size(nodes) for nodes in (1, 100, 101, 300, 301, 10_000)] == [64, 64, 128, 128, 256, 256]
