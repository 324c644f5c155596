"""What debug lines say of messages between actors, and that a line costs no message."""

from __future__ import annotations

from actors.base import ActorBase, Context, start_actor
from actors.messages.client_manager import AddUser
from actors.messages.lifecycle import ActorFailed, Ping, Pong, Wake
from actors.messages.monitor import CountFacts, JourneySteps
from actors.messages.router import RouteMessages
from actors.messages.server_manager import MessagesQueued, QueuedMessage
from actors.messages.storage import AcknowledgeMessages, EndItem, EndMessages
from actors.model import (
    End,
    Envelope,
    MessageId,
    NodeName,
    Proof,
    Seconds,
    Seq,
    Step,
    StoredMessage,
    UserName,
    neighbour_queue,
)
from actors.ref import DeadLetters
from actors.runtime import SystemClock, ThreadRuntime, ThreadScheduler
from actors.state.debug_lines import DebugLog, lines_of
from actors.testing import Probe

ALICE, BOB = UserName("alice"), UserName("bob")


def envelope(name: str) -> Envelope:
    return Envelope(MessageId(name), ALICE, BOB, b"call", (), b"secret body", 1.0, Proof.OPEN)


def test_each_message_has_a_line_with_its_id() -> None:
    me = Probe()
    route = RouteMessages(me, 1, (envelope("m1"), envelope("m2")))
    assert list(lines_of(route)) == [("hears RouteMessages", "m1"), ("hears RouteMessages", "m2")]
    stored = StoredMessage(Seq(1), envelope("m3"), True, Seconds(2.0))
    queued = MessagesQueued((QueuedMessage(neighbour_queue(NodeName("b")), stored),))
    assert list(lines_of(queued)) == [("hears MessagesQueued", "m3")]
    end = EndItem(Seq(1), MessageId("m4"), ALICE, BOB, 1.0, End.EXPIRED, "late")
    assert list(lines_of(EndMessages(me, 1, (end, end)))) == [("hears EndMessages", "m4")]


def test_a_step_is_told_as_it_is() -> None:
    ids = (MessageId("m1"), MessageId("m2"))
    assert list(lines_of(JourneySteps(1.0, Step.ACCEPTED, ids))) == [("accepted", "m1"), ("accepted", "m2")]
    forwarded = JourneySteps(1.0, Step.FORWARDED, ids[:1], ("b",))
    assert list(lines_of(forwarded)) == [("forwarded b", "m1")]


def test_nothing_but_kind_and_ids_is_shown() -> None:
    me = Probe()
    assert list(lines_of(AddUser(me, 1, ALICE, "hash", "hash"))) == [("hears AddUser", "")]
    assert list(lines_of(AcknowledgeMessages(me, 1, ()))) == [("hears AcknowledgeMessages", "")]
    for silent in (Wake(1), CountFacts((("x", 1.0),)), Ping(me, 1)):
        assert list(lines_of(silent)) == []


class Hearing(ActorBase[object]):
    """Tells what it heard."""

    name = "hearing"

    def __init__(self, *, context: Context, heard: Probe) -> None:
        super().__init__(context=context)
        self._heard = heard

    def handle(self, message: object) -> None:
        self._heard.tell(message)


def test_a_line_that_cannot_be_written_costs_no_message() -> None:
    lines: list[str] = []

    def write(place: str, text: str, message_id: str) -> None:
        if message_id == "m1":
            raise OSError("no room")
        lines.append(f"{place} {text} {message_id}")

    debug, heard, supervisor, timers = DebugLog(write), Probe(), Probe(), ThreadScheduler()
    context = Context(SystemClock(), timers, supervisor, DeadLetters(), debug)
    actor = start_actor(Hearing, ThreadRuntime(), context, heard=heard)
    try:
        first, second, third = (RouteMessages(heard, 1, (envelope(name),)) for name in ("m0", "m1", "m2"))
        actor.tell(first)
        assert heard.expect(RouteMessages) is first
        debug.on = True
        actor.tell(second)
        assert heard.expect(RouteMessages) is second
        assert "no room" in supervisor.expect(ActorFailed).error
        actor.tell(third)
        assert heard.expect(RouteMessages) is third
        actor.tell(Ping(heard, 1))
        assert heard.expect(Pong).id == 1
    finally:
        actor.pykka_ref.stop()
        timers.stop()
    assert lines == ["hearing hears RouteMessages m2"]
