"""What the lookout keeps: names wanted and their turns, learned routes, open questions, unconfirmed claims."""

from __future__ import annotations

from random import Random

from actors.messages.router import Claim, FindNames, Found, NameAnswer
from actors.model import NodeName, UserName
from actors.state.routing.confirming import TRIES, Confirmations
from actors.state.routing.lapsing import Lapsing
from actors.state.routing.learned import LearnedRoutes, wins
from actors.state.routing.questions import OpenQuestions
from actors.state.routing.wanted import LONGEST_WAIT, WantedNames
from actors.testing import Probe

ALICE, BOB, CAROL = (UserName(name) for name in ("alice", "bob", "carol"))
A, B = NodeName("a"), NodeName("b")
NOWHERE = NodeName("")


def test_a_fact_lapses_and_the_oldest_makes_room() -> None:
    facts = Lapsing[str](limit=2)
    facts.put("one", 10.0)
    facts.put("two", 20.0)
    assert facts.holds("one", 9.9)
    assert not facts.holds("one", 10.0)
    facts.put("three", 30.0)
    facts.put("four", 40.0)
    assert list(facts) == ["three", "four"]


def test_the_higher_epoch_wins_then_the_smaller_name() -> None:
    assert wins(2, B, 1, A)
    assert not wins(1, A, 2, B)
    assert wins(1, A, 1, B)
    assert not wins(1, A, 1, A)


def test_a_route_gives_way_to_a_better_claim_only() -> None:
    routes = LearnedRoutes(limit=10)
    assert routes.learn(Claim(BOB, A, 2), A, 1, 0.0)
    assert not routes.learn(Claim(BOB, B, 1), B, 1, 0.0)
    assert not routes.learn(Claim(BOB, A, 2), NOWHERE, 0, 0.0)
    route = routes.get(BOB, 0.0)
    assert route is not None
    assert (route.home, route.epoch, route.next_hop) == (A, 2, A)
    assert routes.learn(Claim(BOB, B, 3), NOWHERE, 0, 0.0)
    route = routes.get(BOB, 0.0)
    assert route is not None
    assert (route.home, route.next_hop) == (B, "")


def test_routes_not_used_make_room_and_lapse() -> None:
    routes = LearnedRoutes(limit=2, life=60.0)
    routes.learn(Claim(ALICE, A, 1), A, 1, 0.0)
    routes.learn(Claim(BOB, A, 1), A, 1, 0.0)
    routes.use(ALICE, 1.0)
    routes.learn(Claim(CAROL, A, 1), A, 1, 1.0)
    assert [route.name for route in routes] == [ALICE, CAROL]
    assert routes.encoded_size() > 0
    assert routes.get(ALICE, 60.0) is None


def test_a_wanted_name_has_its_turns_with_growing_pauses_while_somebody_asks() -> None:
    wanted = WantedNames(Random(1))
    wanted.want(BOB, ALICE, 0.0, wait=0.0)
    wanted.want(BOB, ALICE, 0.0, wait=0.0)
    now, longest = 0.0, 0.0
    for _ in range(20):
        assert wanted.due(now, 10) == [BOB]
        assert wanted.due(now, 10) == []
        assert wanted.failed(BOB, now)
        wanted.want(BOB, ALICE, now, wait=0.0)
        turn = wanted.next()
        assert turn is not None
        longest = max(longest, turn - now)
        now = turn
    assert 60.0 < longest <= LONGEST_WAIT + 1.0
    wanted.due(now, 10)
    wanted.failed(BOB, now)
    assert wanted.due(now + 1000.0, 10) == []  # nobody asked any more
    assert BOB not in wanted


def test_room_for_searches_is_kept_to() -> None:
    wanted = WantedNames(Random(1))
    for number in range(5):
        wanted.want(UserName(f"u{number}"), UserName(f"s{number}"), 0.0, wait=0.0)
    assert len(wanted.due(0.0, 2)) == 2
    assert wanted.due(0.0, 0) == []
    assert len(wanted.due(0.0, 10)) == 3


def test_names_beyond_the_limit_are_not_forgotten_altogether() -> None:
    wanted = WantedNames(Random(1), limit=1)
    wanted.want(ALICE, BOB, 0.0, wait=0.0)
    before = wanted.overflowed
    wanted.want(CAROL, BOB, 0.0, wait=0.0)
    assert (before, wanted.overflowed) == (False, True)
    assert list(wanted) == [ALICE]


def test_a_link_gives_all_their_turn_but_those_that_are_searched_for() -> None:
    wanted = WantedNames(Random(1))
    wanted.want(ALICE, BOB, 0.0, wait=0.0)
    wanted.want(CAROL, BOB, 0.0, home=A, wait=60.0)
    assert wanted.due(0.0, 10) == [ALICE]
    wanted.hurry(1.0)
    assert wanted.due(1.0, 10) == [CAROL]


def test_names_wait_for_homes() -> None:
    wanted = WantedNames(Random(1))
    wanted.want(CAROL, BOB, 0.0, home=A, wait=60.0)
    wanted.want(ALICE, BOB, 0.0, home=A, wait=60.0)
    assert wanted.waiting_for([A, B]) == [ALICE, CAROL]
    wanted.want(CAROL, BOB, 0.0, home=B, wait=60.0)
    assert wanted.waiting_for([A]) == [ALICE]
    wanted.drop(CAROL)
    assert wanted.homes() == [A]


def test_a_question_is_answered_as_a_whole_or_at_its_deadline() -> None:
    questions = OpenQuestions()
    first = FindNames(Probe(), 1, (ALICE, BOB))
    second = FindNames(Probe(), 2, (BOB, CAROL))
    questions.add(first, {ALICE: NameAnswer(ALICE, Found.HERE)}, 10.0)
    questions.add(second, {}, 20.0)
    done = questions.answer(BOB, lambda question: NameAnswer(BOB, Found.ELSEWHERE, A))
    assert [(question.request, [answer.found for answer in found]) for question, found in done] == [
        (1, [Found.HERE, Found.ELSEWHERE])
    ]
    assert questions.due(19.0) == []
    ((question, found),) = questions.due(20.0)
    assert (question.request, [answer.found for answer in found]) == (2, [Found.ELSEWHERE, Found.INCOMPLETE])
    assert len(questions) == 0
    assert questions.names() == []


def test_a_claim_of_ours_is_searched_for_a_few_times_and_at_each_new_link() -> None:
    claims = Confirmations(Random(1))
    claims.add([BOB], 0.0)
    now = 0.0
    for _ in range(TRIES):
        assert claims.due(now, 10) == [BOB]
        claims.ended(BOB, False, now)
        now = claims.next() or now
    assert claims.next() is None
    claims.hurry(now)
    assert claims.due(now, 10) == [BOB]
    claims.ended(BOB, True, now)
    claims.hurry(now)
    assert claims.due(now, 10) == []


def test_a_name_that_another_seems_to_have_is_looked_for_once() -> None:
    claims = Confirmations(Random(1))
    claims.suspect(BOB, 0.0)
    assert claims.suspected(0) == []
    assert claims.suspected(5) == [BOB]
    claims.ended(BOB, False, 0.0)
    assert claims.suspected(5) == []
    assert claims.next() is None
