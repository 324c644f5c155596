"""The oracle sees what it is there to see."""

from __future__ import annotations

from tests.faults.oracle import Fact, judge

A1, A2 = "s0>phone0 1", "s0>phone0 2"


def facts(*more: Fact) -> list[Fact]:
    return [Fact("sent", A1), Fact("accepted", A1, "id1"), Fact("sent", A2), Fact("accepted", A2, "id2"), *more]


def test_all_is_well() -> None:
    verdict = judge(facts(Fact("delivered", A1, "id1", "b1"), Fact("delivered", A2, "id2", "b2")))
    assert verdict.failures == 0
    assert (verdict.accepted, verdict.delivered, verdict.repeats) == (2, 2, 0)


def test_lost() -> None:
    assert judge(facts(Fact("delivered", A2, "id2", "b2"))).lost == [A1]


def test_a_body_under_two_ids_is_doubled() -> None:
    verdict = judge(facts(Fact("delivered", A1, "id1", "b1"), Fact("delivered", A1, "id3", "b3")))
    assert verdict.doubled == [A1]


def test_kept_twice_by_our_client_is_doubled() -> None:
    assert judge(facts(Fact("kept", A1, "id1"), Fact("kept", A1, "id1"))).doubled == [A1]


def test_a_new_branch_with_the_old_id_is_a_repeat_only() -> None:
    verdict = judge(
        facts(*(Fact("delivered", A1, "id1", branch) for branch in ("b1", "b2")), Fact("delivered", A2, "id2", "b"))
    )
    assert verdict.failures == 0
    assert verdict.repeats == 1


def test_order() -> None:
    verdict = judge(facts(Fact("delivered", A2, "id2", "b2"), Fact("delivered", A1, "id1", "b1")))
    assert verdict.inverted == [A1]


def test_refused_but_delivered() -> None:
    verdict = judge(facts(Fact("sent", "s1>p 1"), Fact("refused", "s1>p 1"), Fact("delivered", "s1>p 1", "id9", "b")))
    assert verdict.unasked == ["s1>p 1"]
