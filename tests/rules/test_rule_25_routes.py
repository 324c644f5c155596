"""PROTOCOL 25, the Router's part: who may speak for a user, and from what routes are learned.

Else a neighbour that lies writes in the name of our users, or draws their mail to itself.
"""

from __future__ import annotations

from actors.messages.links import SearchAnswer, SearchStep
from actors.messages.router import Refused, ToMailbox, ToNeighbour
from actors.model import NodeName, Proof, Routing, UserName
from tests.actors.routing_lab import Lab, forged, line

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")


def lab_of_three() -> Lab:
    lab = Lab(line("a", "b", "c"))
    lab.user("alice", "a")
    lab.user("bob", "b")
    lab.user("carol", "c")
    lab.settle()
    return lab


def test_a_from_of_ours_is_refused_at_home_and_on_the_way() -> None:
    lab = lab_of_three()
    mail = lab.send("c", "bob", sender="bob", proof=Proof.OPEN)
    lab.run(1.0)
    assert mail.at == "c"
    assert mail.state == "unknown"  # for good: he was not proved
    through = lab.send("a", "carol", sender="bob", proof=Proof.OPEN)
    lab.run(1.0)
    assert (through.at, through.state) == ("a", "unknown")
    assert lab.send("b", "carol", sender="bob").state == "on its way"


def test_a_proved_sender_whose_grant_was_forgotten_costs_time_only() -> None:
    lab = lab_of_three()
    mail = lab.send("a", "bob", sender="bob", proof=Proof.PEER)
    lab.run(1.0)
    assert mail.state == "waiting"
    lab.nodes[B].ladder.grants.put((UserName("bob"), A), lab.now + 600.0)
    lab.run(180.0)
    assert mail.state == "home"


def test_another_sender_is_not_held_up_by_one_that_is_not_believed() -> None:
    lab = lab_of_three()
    lab.send("a", "bob", sender="bob", proof=Proof.PEER)
    lab.run(1.0)
    mail = lab.send("a", "bob")
    lab.run(1.0)
    assert mail.state == "home"


def test_nothing_is_learned_from_a_from() -> None:
    lab = lab_of_three()
    before = [len(network.ladder.learned) for network in lab.nodes.values()]
    lab.send("a", "bob", sender="stranger", proof=Proof.OPEN)
    lab.run(5.0)
    assert [len(network.ladder.learned) for network in lab.nodes.values()] == before
    assert not lab.nodes[B].ladder.hints(UserName("stranger"), lab.now)


def test_an_answer_that_nobody_asked_for_teaches_nothing() -> None:
    lab = lab_of_three()
    lie = SearchAnswer("b.1", UserName("carol"), "found", 10, home=A, epoch=99)
    lab.nodes[B].said(A, lie, lab.now)
    assert lab.nodes[B].ladder.known(UserName("carol"), lab.now) is None


def test_what_is_found_of_one_name_teaches_nothing_of_another() -> None:
    lab = lab_of_three()
    network, zed = lab.nodes[B], UserName("zed")
    search = network.searches.start(zed, lab.now, 100, 10.0)
    network.said(C, SearchStep("c.9", UserName("bob"), C, 10, 10.0), lab.now)  # bob is here: "found" is on its way
    network.said(A, SearchAnswer(search, zed, "unknown", 90), lab.now)
    assert network.ladder.known(zed, lab.now) is None


def test_a_message_of_our_own_that_comes_back_is_taken() -> None:
    lab = lab_of_three()
    mail = lab.send("b", "carol", sender="bob")
    back = Routing(origin="b", home="b", leg=1, path=("b", "c"), visited=("c",), epoch=3, step=2)
    message = forged(mail.envelope, recipient=UserName("alice"), routing=back)
    onward = lab.nodes[B].ladder.route(message, C, lab.now)
    assert isinstance(onward, ToNeighbour)
    assert onward.node == A


def test_the_origin_counts_and_not_the_last_hop() -> None:
    lab = lab_of_three()
    lab.nodes[B].ladder.grants.put((UserName("bob"), C), lab.now + 600.0)
    mail = lab.send("c", "carol", sender="eve")
    routing = Routing(origin="a", path=("a", "c"), visited=("a", "c"), step=2)
    message = forged(mail.envelope, sender=UserName("bob"), recipient=UserName("bob"), routing=routing)
    assert isinstance(lab.nodes[B].ladder.route(message, C, lab.now), Refused)
    granted = forged(message, routing=Routing(origin="c", path=("c",), visited=("c",), step=1))
    assert isinstance(lab.nodes[B].ladder.route(granted, C, lab.now), ToMailbox)
