"""Visitors: remembered for the life of their registration, and not without bound."""

from __future__ import annotations

import pytest

from actors.model import NodeName, UserName
from actors.state import visitors as module
from actors.state.visitors import Visitor, Visitors

ALICE, HOME = UserName("alice"), NodeName("h")


def test_a_visitor_is_known_as_long_as_he_is_registered() -> None:
    visitors = Visitors()
    visitors.put(ALICE, Visitor(HOME, 1, 100.0), 0.0)
    assert visitors.get(ALICE, 99.0) == Visitor(HOME, 1, 100.0)
    assert visitors.get(ALICE, 100.0) is None
    assert len(visitors) == 0


def test_only_where_he_lives_is_news() -> None:
    visitors = Visitors()
    assert visitors.put(ALICE, Visitor(HOME, 1, 100.0), 0.0)
    assert not visitors.put(ALICE, Visitor(HOME, 1, 200.0), 0.0)
    assert visitors.put(ALICE, Visitor(HOME, 2, 200.0), 0.0)
    assert visitors.put(ALICE, Visitor(NodeName("other"), 2, 200.0), 0.0)


def test_who_left_is_forgotten() -> None:
    visitors = Visitors()
    visitors.put(ALICE, Visitor(HOME, 1, 100.0), 0.0)
    visitors.drop(ALICE)
    visitors.drop(ALICE)
    assert visitors.get(ALICE, 0.0) is None


def test_there_are_never_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 10)
    visitors = Visitors()
    for number in range(30):
        visitors.put(UserName(f"u{number}"), Visitor(HOME, 1, 100.0 + number), 0.0)
        assert len(visitors) <= 10
    assert visitors.get(UserName("u29"), 0.0) is not None
    visitors.put(ALICE, Visitor(HOME, 1, 500.0), 125.0)  # most have lapsed: they go first
    assert len(visitors) == 5


def test_a_full_house_is_not_swept_for_each_guest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 10)
    visitors = Visitors()
    for number in range(11):
        visitors.put(UserName(f"u{number}"), Visitor(HOME, 1, 1.0 + number), 0.0)
    assert len(visitors) == 10
    visitors.put(ALICE, Visitor(HOME, 1, 500.0), 30.0)
    assert len(visitors) == 10, "all but her have lapsed, and one went to make room"
    visitors.put(UserName("bob"), Visitor(HOME, 1, 500.0), 60.0)
    assert len(visitors) == 2
