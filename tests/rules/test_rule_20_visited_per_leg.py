"""PROTOCOL 20: visited belongs to a leg. Else a message to a user who moved cannot come back through a node it passed.

The networks are Routers in virtual time; the lab itself fails a test that has a message visit a node twice in a leg.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.messages.router import Claim, Refused, Searching, ToNeighbour
from actors.model import MAX_LEGS, NodeName, Routing, UserName
from tests.actors.routing_lab import Lab, Mail, forged, leg_of, line, random_graph, ring

CAROL = UserName("carol")


def move(lab: Lab, name: str, old: str, new: str, epoch: int) -> None:
    """A user's home moves; the old one points the way."""
    lab.gone(name, old)
    lab.user(name, new, epoch)
    lab.nodes[NodeName(old)].claimed((Claim(UserName(name), NodeName(new), epoch),), lab.now)


def settled_line(**settings: Any) -> Lab:
    lab = Lab(line("a", "b", "c"), **settings)
    lab.user("carol", "c")
    lab.settle()
    return lab


@pytest.mark.parametrize("rungs", [("learned", "search"), ("learned", "summaries", "search")])
def test_a_message_to_a_user_who_moved_comes_back_through_the_same_nodes(rungs: tuple[str, ...]) -> None:
    lab = settled_line(rungs=rungs)
    lab.send("a", "carol")
    lab.run(20.0)
    move(lab, "carol", "c", "a", epoch=2)
    # b has not heard of it; the message was under way to c.
    mail = lab.send("b", "carol", sender="bob")
    lab.run(5.0)
    assert (mail.state, mail.at) == ("home", "a")
    assert mail.hands in (["c", "b", "a"], ["a"])
    if mail.hands == ["c", "b", "a"]:
        assert leg_of(mail) == 1


def test_a_pointer_of_a_higher_epoch_begins_a_new_leg() -> None:
    lab = settled_line()
    move(lab, "carol", "c", "a", epoch=2)
    network = lab.nodes[NodeName("c")]
    arrived = Routing(origin="a", home="c", leg=0, path=("a", "b"), visited=("a", "b"), epoch=1, step=2)
    mail = lab.send("c", "nobody-yet")
    message = forged(mail.envelope, recipient=CAROL, routing=arrived)
    onward = network.ladder.route(message, NodeName("b"), lab.now)
    assert isinstance(onward, ToNeighbour)
    assert onward.node == "b"
    assert onward.envelope.routing == Routing(
        origin="a", home="a", leg=1, path=("a", "b", "c"), visited=("c",), epoch=2, step=3
    )


def test_within_a_leg_a_node_refuses_what_it_had_and_another_way_is_taken() -> None:
    lab = Lab(ring("a", "b", "c", "d"))
    lab.user("carol", "c")
    lab.settle()
    mail = lab.send("a", "carol")
    routing = Routing(origin="d", home="c", leg=0, path=("d", "a"), visited=("d", "a"), epoch=1, step=2)
    back = lab.nodes[NodeName("a")].ladder.route(
        forged(mail.envelope, sender=UserName("dave"), routing=routing), NodeName("d"), lab.now
    )
    assert isinstance(back, Refused)
    assert back.status == 482


def test_two_stale_claims_that_point_at_each_other_end_after_so_many_legs() -> None:
    lab = Lab(line("a", "b"))
    lab.settle()
    hands = 0
    at, other = NodeName("a"), NodeName("b")
    mail = lab.send("a", "carol")
    envelope = mail.envelope
    arrived_from = NodeName("")
    while True:
        # Each believes that the other is the home, by an ever better claim.
        lab.nodes[at].claimed((Claim(CAROL, other, hands + 1),), lab.now)
        step = lab.nodes[at].ladder.route(envelope, arrived_from, lab.now)
        if not isinstance(step, ToNeighbour):
            break
        hands += 1
        envelope = step.envelope
        assert envelope.routing is not None
        assert envelope.routing.leg < MAX_LEGS
        arrived_from, at, other = at, other, at
    assert isinstance(step, Searching)
    assert hands == MAX_LEGS


@pytest.mark.parametrize("seed", range(5))
def test_users_who_move_about_are_found_wherever_the_messages_were_going(seed: int) -> None:
    lab = Lab(random_graph(12, 3, seed), seed=seed)
    for number in range(12):
        lab.user(f"u{number}", f"n{number}")
    lab.settle()
    mails: list[Mail] = []
    for epoch in range(2, 6):
        for number in range(12):
            mails.append(lab.send(f"n{(number * 5 + epoch) % 12}", f"u{number}", sender=f"u{(number + 1) % 12}"))
            lab.run(0.005)
            old, new = (number + epoch - 2) % 12, (number + epoch - 1) % 12
            move(lab, f"u{number}", f"n{old}", f"n{new}", epoch)
            granted = NodeName(f"n{new}")
            for node in lab.nodes:
                lab.nodes[granted].ladder.grants.put((UserName(f"u{number}"), node), lab.now + 1000.0)
    lab.run(120.0)
    assert {mail.state for mail in mails} == {"home"}


def test_the_extra_headers_stay_small_on_a_long_way() -> None:
    nodes = [f"node-{number:02}" for number in range(40)]
    lab = Lab(line(*nodes))
    lab.user("carol", nodes[-1])
    lab.run(120.0)
    mail = lab.send(nodes[0], "carol")
    lab.run(5.0)
    assert mail.state == "home"
    assert leg_of(mail) == 1
    routing = mail.envelope.routing
    assert routing is not None
    assert len(routing.path) <= 16
    assert len(routing.visited) <= 30
    assert len(msgspec.msgpack.encode(routing)) <= 512
