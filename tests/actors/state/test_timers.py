"""Deadlines: one a key, the newest counts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.state.timers import Deadlines


def test_setting_anew_replaces_and_dropping_forgets() -> None:
    deadlines: Deadlines[str] = Deadlines()
    assert deadlines.next() is None
    deadlines.set("a", 5.0)
    deadlines.set("a", 9.0)
    deadlines.set("b", 7.0)
    assert deadlines.next() == 7.0
    assert list(deadlines.due(8.0)) == ["b"]
    assert "a" in deadlines
    deadlines.drop("a")
    deadlines.drop("a")
    assert "a" not in deadlines
    assert deadlines.next() is None
    assert list(deadlines.due(100.0)) == []


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 50)))))
def test_it_is_a_dictionary_with_an_order(steps: list[tuple[str, int | None]]) -> None:
    deadlines: Deadlines[str] = Deadlines()
    wanted: dict[str, int] = {}
    for key, at in steps:
        if at is None:
            deadlines.drop(key)
            wanted.pop(key, None)
        else:
            deadlines.set(key, at)
            wanted[key] = at
        assert deadlines.next() == min(wanted.values(), default=None)
    due = list(deadlines.due(25))
    assert sorted(due) == sorted(key for key, at in wanted.items() if at <= 25)
    assert [wanted[key] for key in due] == sorted(wanted[key] for key in due)
