"""Routers joined to networks: names are found by each rung, waits end when something changes, unknown is proved."""

from __future__ import annotations

from random import Random

import pytest

from actors.messages.router import Claim, Found, Searching
from actors.model import Envelope, MessageId, NodeName, Proof, UserName
from actors.state.routing.network import Network
from actors.state.routing.settings import RouterSettings
from tests.actors.routing_lab import Lab, line, random_graph, ring


def test_a_line_delivers_along_summaries_without_a_search() -> None:
    lab = Lab(line("a", "b", "c"))
    lab.user("carol", "c")
    lab.settle()
    mail = lab.send("a", "carol")
    lab.run(1.0)
    assert (mail.state, mail.hands) == ("home", ["b", "c"])
    assert lab.packets == {"Carry": 2}


@pytest.mark.parametrize("rungs", [("search",), ("learned", "search")])
def test_a_search_finds_what_no_summary_tells(rungs: tuple[str, ...]) -> None:
    lab = Lab(line("a", "b", "c", "d"), rungs=rungs)
    lab.user("dora", "d")
    mail = lab.send("a", "dora")
    lab.run(5.0)
    assert (mail.state, mail.hands) == ("home", ["b", "c", "d"])
    assert lab.packets == {"SearchStep": 3, "SearchAnswer": 3, "Carry": 3}
    again = lab.send("b", "dora", sender="bob")
    lab.run(5.0)
    assert (again.state, again.hands) == ("home", ["c", "d"])
    assert lab.packets["SearchStep"] == 3  # b learned it from the answer that passed


def test_a_name_nobody_has_is_proved_unknown() -> None:
    lab = Lab(ring("a", "b", "c", "d"))
    lab.settle()
    mail = lab.send("a", "nobody")
    assert mail.state == "waiting"
    lab.run(12.0)
    assert mail.state == "unknown"
    assert lab.send("a", "nobody").state == "unknown"  # for a minute without a search
    lab.run(61.0)
    assert lab.send("a", "nobody").state == "waiting"


def test_a_summary_wakes_what_waits_for_a_name() -> None:
    lab = Lab(line("a", "b", "c"), rungs=("summaries",))
    lab.settle()
    mail = lab.send("a", "carol")
    lab.run(30.0)
    assert mail.state == "waiting"
    lab.user("carol", "c")
    lab.run(10.0)
    assert mail.state == "home"


def test_mail_waits_near_a_home_that_is_down_and_arrives_when_it_is_back() -> None:
    lab = Lab(line("a", "b", "c"))
    lab.user("carol", "c")
    lab.settle()
    lab.stop("c")
    lab.run(5.0)
    mail = lab.send("a", "carol")
    lab.run(200.0)
    assert (mail.state, mail.at) == ("waiting", "b")
    lab.start("c")
    lab.run(5.0)
    assert mail.state == "home"


def test_mail_goes_around_a_node_that_is_down() -> None:
    lab = Lab(ring("a", "b", "c", "d"))
    lab.user("carol", "c")
    lab.settle()
    first = lab.send("a", "carol")
    lab.run(1.0)
    over = first.hands[0]
    lab.stop(over)
    second = lab.send("a", "carol")
    lab.run(60.0)
    assert second.state == "home"
    assert over not in second.hands


def test_a_search_ends_incomplete_while_a_registered_neighbour_is_down_and_finds_him_later() -> None:
    lab = Lab(line("a", "b", "c"), rungs=("learned", "search"))
    lab.user("carol", "c")
    lab.stop("c")
    mail = lab.send("a", "carol")
    lab.run(700.0)
    assert mail.state == "waiting"
    lab.start("c")
    lab.run(700.0)
    assert mail.state == "home"


def test_questions_are_answered_from_memory_or_after_a_search() -> None:
    lab = Lab(line("a", "b", "c"))
    lab.user("carol", "c", epoch=4)
    lab.settle()
    (known,) = lab.answers[lab.ask("a", "carol")]
    assert (known.found, known.home, known.next_hop, known.epoch) == (Found.ELSEWHERE, "c", "b", 0)
    assert lab.answers[lab.ask("c", "carol")][0].found is Found.HERE
    assert lab.answers[lab.ask("a", "nobody")][0].found is Found.INCOMPLETE
    sure = lab.ask("a", "carol", elsewhere=True, search=True)
    nobody = lab.ask("a", "nobody", search=True)
    only_here = lab.ask("c", "carol", elsewhere=True, search=True)
    assert lab.found(sure) is None
    lab.run(9.0)
    (certain,) = lab.answers[sure]
    assert (certain.found, certain.home, certain.epoch) == (Found.ELSEWHERE, "c", 4)
    assert lab.found(nobody) is Found.UNKNOWN
    assert lab.found(only_here) is Found.UNKNOWN


def test_a_question_is_answered_in_time_though_nobody_answers() -> None:
    lab = Lab(line("a", "b", "c"), rungs=("search",))
    lab.lossy.add((NodeName("b"), NodeName("a")))
    number = lab.ask("a", "carol", search=True)
    lab.run(10.1)
    assert lab.found(number) is Found.INCOMPLETE


def test_two_homes_of_a_new_name_are_told_both() -> None:
    lab = Lab(line("a", "b", "c"))
    lab.settle()
    lab.down("b", "c")
    lab.user("dave", "a", fresh=True)
    lab.user("dave", "c", fresh=True)
    lab.run(100.0)
    assert not lab.conflicts
    lab.up("b", "c")
    lab.run(60.0)
    assert (NodeName("a"), Claim(UserName("dave"), NodeName("c"), 1)) in lab.conflicts
    assert (NodeName("c"), Claim(UserName("dave"), NodeName("a"), 1)) in lab.conflicts


def test_a_name_confirmed_by_a_complete_search_is_not_searched_for_again() -> None:
    lab = Lab(line("a", "b", "c"))
    lab.settle()
    lab.user("dave", "a", fresh=True)
    lab.run(30.0)
    searches = lab.packets["SearchStep"]
    assert searches
    lab.down("b", "c")
    lab.up("b", "c")
    lab.run(700.0)
    assert lab.packets["SearchStep"] == searches


def test_a_random_network_finds_everybody_on_short_ways() -> None:
    lab = Lab(random_graph(40, 6, seed=3))
    for number in range(40):
        lab.user(f"u{number}", f"n{number}")
    lab.settle()
    mails = [lab.send(f"n{number}", f"u{(number * 7 + 3) % 40}", sender=f"u{number}") for number in range(40)]
    lab.run(5.0)
    assert {mail.state for mail in mails} == {"home"}
    assert not lab.packets["SearchStep"]
    assert lab.packets["Carry"] <= 40 * 4
    for number in range(40):
        mail = mails[number]
        assert len(mail.hands) == lab.nodes[NodeName(f"n{number}")].nodes.hops(mail.at)


@pytest.mark.parametrize("rungs", [("learned", "summaries", "search"), ("learned", "search")], ids=["all", "search"])
@pytest.mark.parametrize("seed", range(10))
def test_whatever_falls_and_rises_all_mail_comes_home(seed: int, rungs: tuple[str, ...]) -> None:
    edges = random_graph(8, 3, seed)
    lab = Lab(edges, seed=seed, rungs=rungs)
    for number in range(8):
        lab.user(f"u{number}", f"n{number}")
    trouble = Trouble(lab, edges, seed)
    for _ in range(80):
        trouble.make()
    trouble.end()
    lab.run(700.0)
    assert len(lab.mail) > 10
    assert [mail.state for mail in lab.mail] == ["home"] * len(lab.mail)


class Trouble:
    """Nodes stop and start, links fall and rise in one direction or both, and mail is sent all the time."""

    def __init__(self, lab: Lab, edges: list[tuple[str, str]], seed: int) -> None:
        self.lab = lab
        self.edges = edges
        self.random = Random(seed)
        self.stopped: set[str] = set()

    def make(self) -> None:
        lab, random = self.lab, self.random
        lab.run(random.random() * 3.0)
        node = f"n{random.randrange(8)}"
        one, other = random.sample(random.choice(self.edges), 2)
        act = random.randrange(8)
        if act == 0 and node not in self.stopped and len(self.stopped) < 3:
            lab.stop(node)
            self.stopped.add(node)
        elif act == 1 and self.stopped:
            self.start(min(self.stopped))
        elif act < 4 and not self.stopped & {one, other}:
            self.turn(act, one, other)
        elif node not in self.stopped:
            lab.send(node, f"u{random.randrange(8)}", sender=f"u{node[1:]}")

    def turn(self, act: int, one: str, other: str) -> None:
        both = self.random.random() < 0.5
        if act == 2:
            self.lab.drop_link(one, other)
        elif not self.lab.is_up(NodeName(one), NodeName(other)):
            self.lab.raise_link(one, other)
        if both and act == 2:
            self.lab.drop_link(other, one)

    def start(self, node: str) -> None:
        self.stopped.discard(node)
        self.lab.start(node)
        for neighbour in self.lab.registered[NodeName(node)]:
            if neighbour in self.stopped:
                self.lab.down(node, neighbour)

    def end(self) -> None:
        for node in sorted(self.stopped):
            self.start(node)
        for edge in self.edges:
            for one, other in (edge, edge[::-1]):
                if not self.lab.is_up(NodeName(one), NodeName(other)):
                    self.lab.raise_link(one, other)


@pytest.mark.parametrize("late", [0.3, 10.0, 100.0])
def test_two_links_that_rise_apart_bring_all_that_is_known(late: float) -> None:
    lab = Lab(line("a", "b", "c"), up=False)
    lab.user("alice", "a")
    lab.user("carol", "c")
    for one, other in (("a", "b"), ("c", "b")):
        lab.raise_link(one, other)
    lab.run(late)
    for one, other in (("b", "a"), ("b", "c")):
        lab.raise_link(one, other)
    lab.run(15.0)
    assert lab.send("a", "carol").state == "on its way"
    assert lab.send("c", "alice", sender="carol").state == "on its way"


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")])
def test_one_link_that_falls_and_rises_loses_no_change(one: str, other: str) -> None:
    lab = Lab(line("a", "b", "c"))
    lab.settle()
    lab.drop_link(one, other)
    lab.run(5.0)
    lab.user("carol", "c")
    lab.user("alice", "a")
    lab.run(5.0)
    lab.raise_link(one, other)
    lab.run(15.0)
    lab.user("chris", "c")
    lab.user("anna", "a")
    lab.run(15.0)
    for start, name in (("a", "carol"), ("a", "chris"), ("c", "alice"), ("c", "anna")):
        assert lab.send(start, name, sender="bob").state == "on its way", name


def test_the_whole_state_can_be_listed() -> None:
    lab = Lab(line("a", "b", "c"), rungs=("learned", "summaries", "search"))
    lab.user("carol", "c", epoch=2)
    lab.settle()
    lab.ask("a", "carol", elsewhere=True, search=True)
    lab.run(5.0)
    routes = lab.nodes[NodeName("a")].routes(10, lab.now)
    assert [(route.name, route.home, route.next_hop, route.epoch, route.hops) for route in routes] == [
        ("carol", "c", "b", 2, 2),
        ("", "b", "b", 0, 1),
        ("", "c", "b", 0, 2),
    ]
    assert lab.nodes[NodeName("a")].state_bytes() > 0


def test_no_search_begins_while_every_neighbour_is_down() -> None:
    network = Network(RouterSettings(node=NodeName("a")), Random(1), 0.0)
    network.neighbour_up(NodeName("b"), 0.0)
    network.neighbour_down(NodeName("b"), False, 0.0)
    for number in range(100):
        assert isinstance(network.ladder.route(mail_to(f"u{number}", f"s{number}"), NodeName(""), 0.0), Searching)
    network.work(1.0)
    assert len(network.searches) == 0, "they would all end at once, and be begun anew"
    assert (network.next_deadline() or 2.0) > 1.0
    network.neighbour_up(NodeName("b"), 2.0)
    network.work(2.0)
    assert network.lookout.running == 32
    network.neighbour_down(NodeName("b"), False, 3.0)
    network.work(3.0)
    assert network.lookout.running == 0
    assert len(network.searches) == 32


def mail_to(name: str, sender: str) -> Envelope:
    return Envelope(MessageId("m"), UserName(sender), UserName(name), b"c", (), b"", 0.5, Proof.DIGEST)
