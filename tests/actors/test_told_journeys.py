"""What a node knows of a message, told to those who may ask: nodes over proved links, and its own interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.messages.links import AskJourney, Frame, Relay, ToldJourney, ToldStep
from actors.messages.monitor import JourneyRead, JourneyStep, ReadJourney
from actors.messages.server_manager import AskFar, FarAnswered, LinkRequested, LinkRequests
from actors.messages.storage import MessageStateRead, ReadMessageState
from actors.model import End, EndedMessage, Flow, MessageId, NodeName, Step, TransactionKey, UserName
from actors.server_manager.journeys import FIRST_STEPS, LAST_STEPS, LONGEST_DETAIL, journey
from actors.state.trail import HOPS, Trail
from actors.testing import Probe
from tests.actors.link_bench import Network, Node

A, B = NodeName("a"), NodeName("b")
ALICE, BOB = UserName("alice"), UserName("bob")
ID = MessageId("id-1")
ENDED = EndedMessage(ID, ALICE, BOB, 1.0, 2.0, End.DELIVERED)


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        made.add("a", "b")
        made.add("b", "a")
        made.run(5)
        yield made


def answer_store(node: Node, ended: EndedMessage | None = ENDED) -> None:
    (asked,) = [message for message in node.heard if isinstance(message, ReadMessageState)]
    assert asked.id == ID
    node.tell(MessageStateRead(asked.request, None, None, ended))


def answer_monitor(node: Node, *steps: JourneyStep) -> None:
    (asked,) = node.monitor.of(ReadJourney)
    node.tell(JourneyRead(asked.request, steps))


def ask(network: Network, to: NodeName) -> Probe:
    asker = Probe("asker")
    network.nodes["a"].tell(AskFar(reply_to=asker, request=1, content=AskJourney(ID), to=to, seconds=5.0))
    network.run(0.2)
    return asker


@pytest.mark.parametrize("to", [A, B])
def test_a_node_tells_what_store_and_monitor_know(network: Network, to: NodeName) -> None:
    asker, there = ask(network, to), network.nodes[to]
    answer_store(there)
    network.run(0.1)
    answer_monitor(there, JourneyStep(1.5, Step.STORED, "from a"))
    network.run(0.1)
    answer = asker.expect(FarAnswered, timeout=0)
    told = answer.reply.journey
    assert (answer.status, answer.answered, answer.reply.home) == (200, True, to)
    assert told is not None
    assert (told.sender, told.recipient, told.end, told.ended) == (ALICE, BOB, "delivered", 2.0)
    assert told.steps == (ToldStep(1.5, "stored", "from a"),)
    assert told.neighbours == ("b" if to == A else "a",)


def test_a_silent_monitor_costs_the_steps_only(network: Network) -> None:
    asker = ask(network, B)
    answer_store(network.nodes["b"])
    network.run(2)
    told = asker.expect(FarAnswered, timeout=0).reply.journey
    assert told is not None
    assert (told.end, told.steps) == ("delivered", ())
    answer_monitor(network.nodes["b"], JourneyStep(1.5, Step.STORED, "late"))
    network.run(1)
    assert len(asker.messages) == 1


def test_a_silent_store_is_no_answer(network: Network) -> None:
    asker = ask(network, B)
    network.run(10)
    answer = asker.expect(FarAnswered, timeout=0)
    assert (answer.answered, answer.reply.journey) == (False, None)


def test_nobody_without_a_session_is_told_anything(network: Network) -> None:
    b, before = network.nodes["b"], len(network.statuses)
    for number, frame in enumerate((Frame(), Frame("x", 1, "y"))):
        content = Relay(origin=A, content=AskJourney(ID), to=B, path=(A,))
        key = TransactionKey(b"stranger%d" % number)
        flow = Flow("udp", 0, "127.0.0.1", 40000)
        b.tell(LinkRequests(items=(LinkRequested(key, flow, frame, content, 0.0),)))
    network.run(1)
    assert set(network.statuses[before:]) <= {403, 481}
    assert [message for message in b.heard if isinstance(message, ReadMessageState)] == []


def test_of_many_steps_the_first_and_the_last_are_told() -> None:
    steps = tuple(JourneyStep(float(number), Step.WAITING, "x" * 999 + "\udc80") for number in range(1000))
    told = journey(MessageStateRead(0, None, None, None), steps).steps
    assert [told[0].at, told[FIRST_STEPS - 1].at, told[-1].at] == [0.0, FIRST_STEPS - 1.0, 999.0]
    assert (len(told), len(told[0].detail)) == (FIRST_STEPS + LAST_STEPS, LONGEST_DETAIL)


# Following a message, for its sender.


def forwarded(node: str) -> ToldJourney:
    return ToldJourney(steps=(ToldStep(1.0, "forwarded", node),))


def test_a_trail_goes_from_node_to_node_to_the_end() -> None:
    trail = Trail(ALICE, A)
    for node, told in (("a", forwarded("b")), ("b", forwarded("to c, where he moves"))):
        step = trail.next()
        assert step is not None
        assert step.node == node
        trail.heard(told)
    assert trail.next() == ("c", "")
    trail.heard(ToldJourney(sender=ALICE, recipient=BOB, end="delivered"))
    assert (trail.next(), trail.state) == (None, "delivered")


@pytest.mark.parametrize(("anyone", "state"), [(True, "waiting"), (False, "delivered")])
def test_a_mailbox_is_the_end(anyone: bool, state: str) -> None:
    trail = Trail(BOB, A)
    trail.next()
    trail.heard(ToldJourney(sender=ALICE, recipient=BOB, queue="u:bob", anyone=anyone))
    assert (trail.next(), trail.state) == (None, state)


def test_nobody_else_is_told() -> None:
    trail = Trail(UserName("eve"), A, "unknown")
    trail.next()
    trail.heard(ToldJourney(sender=ALICE, recipient=BOB, end="delivered"))
    assert trail.state == "unknown"


def test_a_liar_writes_no_header() -> None:
    trail = Trail(ALICE, A)
    trail.next()
    trail.heard(ToldJourney(sender=ALICE, recipient=BOB, end="delivered\r\nContact: <sip:liar@x>"))
    assert trail.state == "unknown"


def test_what_waits_for_a_neighbour_may_be_there_already_or_at_its_home() -> None:
    trail = Trail(ALICE, A)
    trail.next()
    trail.heard(ToldJourney(sender=ALICE, recipient=BOB, queue="n:b"))
    assert trail.next() == ("b", "")
    trail.heard(ToldJourney())
    assert (trail.next(), trail.next(), trail.state) == (("", "bob"), None, "waiting")


def test_a_circle_and_a_liar_come_to_an_end() -> None:
    trail, asked = Trail(ALICE, A), 0
    while trail.next() is not None:
        asked += 1
        trail.heard(forwarded(f"n{asked}"))
    assert asked == HOPS
    circle = Trail(ALICE, A)
    for told in (forwarded("b"), forwarded("a")):
        assert circle.next() is not None
        circle.heard(told)
    assert circle.next() is None
