"""PROTOCOL 22: a search ends found, unknown or incomplete, and only "unknown" with every edge answered ends a message.

Else a home that restarts for 2 s is "unknown", and one typing error costs more than a flood.
"""

from __future__ import annotations

import pytest

from actors.model import NodeName
from tests.actors.routing_lab import Lab, line, random_graph, ring

SEARCHING = ("learned", "search")


def test_a_home_that_restarts_for_two_seconds_is_not_unknown() -> None:
    lab = Lab(line("a", "b", "c"), rungs=SEARCHING)
    lab.user("carol", "c")
    lab.run(5.0)
    lab.stop("c")
    mail = lab.send("a", "carol")
    lab.run(2.0)
    assert mail.state == "waiting"
    lab.start("c")
    lab.run(60.0)
    assert mail.state == "home"


def test_a_home_that_restarts_while_it_is_searched_for_is_not_unknown() -> None:
    lab = Lab(line("a", "b", "c"), rungs=SEARCHING)
    lab.user("carol", "c")
    mail = lab.send("a", "carol")
    lab.run(0.015)  # the search is between b and c
    lab.stop("c")
    lab.run(2.0)
    assert mail.state == "waiting"
    lab.start("c")
    lab.run(60.0)
    assert mail.state == "home"


def test_a_silent_neighbour_makes_it_incomplete_and_it_is_repeated_until_he_is_found() -> None:
    lab = Lab(ring("a", "b", "c", "d"), rungs=SEARCHING)
    lab.user("carol", "c")
    for one, other in (("b", "c"), ("d", "c")):
        lab.lossy.add((NodeName(one), NodeName(other)))
    mail = lab.send("a", "carol")
    lab.run(300.0)
    assert mail.state == "waiting"
    assert lab.packets["SearchStep"] > 6  # more than one search
    lab.lossy.clear()
    lab.run(1300.0)
    assert mail.state == "home"


def test_a_lost_record_is_no_proof() -> None:
    lab = Lab(line("a", "b", "c", "d"), rungs=SEARCHING)
    lab.user("dora", "d")
    mail = lab.send("a", "dora")
    lab.run(0.025)
    lab.stop("b")
    lab.start("b")
    lab.run(0.5)
    assert mail.state in ("waiting", "home")
    lab.run(60.0)
    assert mail.state == "home"


def test_a_name_nobody_has_costs_no_more_than_the_budget() -> None:
    lab = Lab(random_graph(100, 6, seed=2), rungs=SEARCHING, search_budget=64)
    mail = lab.send("n0", "typo")
    lab.run(1.0)
    assert lab.packets["SearchStep"] + lab.packets["SearchAnswer"] <= 64
    assert mail.state == "waiting"  # the budget was spent: nothing is proved


def test_unknown_is_proved_within_the_budget_where_that_is_enough() -> None:
    lab = Lab(random_graph(30, 4, seed=2), rungs=SEARCHING)
    mail = lab.send("n0", "typo")
    lab.run(12.0)
    assert mail.state == "unknown"
    assert lab.packets["SearchStep"] + lab.packets["SearchAnswer"] <= 512


def test_there_is_one_search_a_name_at_a_time() -> None:
    lab = Lab(line("a", "b", "c"), rungs=SEARCHING)
    lab.user("carol", "c")
    mails = [lab.send("a", "carol", sender=f"s{number}") for number in range(50)]
    lab.ask("a", "carol", search=True)
    lab.run(5.0)
    assert {mail.state for mail in mails} == {"home"}
    assert lab.packets["SearchStep"] == 2


def test_a_sender_causes_a_few_searches_a_minute_and_the_others_come_later() -> None:
    lab = Lab(line("a", "b"), rungs=SEARCHING)
    mails = [lab.send("a", f"typo{number}", sender="mallory") for number in range(100)]
    honest = lab.send("a", "bob", sender="alice")
    lab.run(5.0)
    assert honest.state == "unknown"
    assert lab.packets["SearchStep"] == 11
    assert sum(mail.state == "unknown" for mail in mails) == 10
    lab.run(60.0)
    assert 18 <= sum(mail.state == "unknown" for mail in mails) <= 22
    lab.run(700.0)
    assert {mail.state for mail in mails} == {"unknown"}


def test_proved_unknown_is_remembered_for_a_minute_and_a_new_link_ends_it() -> None:
    lab = Lab([*line("a", "b"), ("b", "c")], rungs=SEARCHING)
    lab.send("a", "carol")
    lab.run(5.0)
    searches = lab.packets["SearchStep"]
    assert lab.send("a", "carol").state == "unknown"
    assert lab.packets["SearchStep"] == searches
    lab.down("a", "b")
    lab.user("carol", "c")
    lab.up("a", "b")
    mail = lab.send("a", "carol")
    lab.run(5.0)
    assert mail.state == "home"


@pytest.mark.parametrize("seed", range(5))
def test_all_are_found_by_search_alone_in_any_network(seed: int) -> None:
    lab = Lab(random_graph(25, 4, seed), seed=seed, rungs=("search",))
    for number in range(25):
        lab.user(f"u{number}", f"n{number}")
    mails = [lab.send(f"n{number}", f"u{(number + 11) % 25}", sender=f"u{number}") for number in range(25)]
    lab.run(30.0)
    assert {mail.state for mail in mails} == {"home"}


def test_a_home_out_of_reach_is_searched_for_again_after_a_minute() -> None:
    lab = Lab(ring("a", "b", "c", "d"))
    lab.user("carol", "c")
    lab.settle()
    lab.ask("a", "carol", elsewhere=True, search=True)
    lab.run(5.0)
    lab.stop("c")
    lab.run(5.0)
    mail = lab.send("a", "carol")
    lab.run(5.0)
    lab.packets.clear()
    lab.run(50.0)
    assert not lab.packets["SearchStep"]
    lab.user("carol", "d", epoch=2)  # moved there from a copy of c's disk
    lab.run(80.0)
    assert (mail.state, mail.at) == ("home", "d")
