"""Faults planted into networks: each is caught by some seed, or the thousand stories would prove little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from loguru import logger
from msgspec.structs import replace

from actors.client_manager.actor import ClientManager
from actors.messages.client_manager import ClientManagerCommand, RelaysArrived
from actors.messages.links import Carry, LinkContent, RelayedDelivery, Reply, SearchAnswer, SearchStep
from actors.messages.router import (
    Destination,
    NeighbourSaid,
    NeighbourSilent,
    Refused,
    RouterCommand,
)
from actors.messages.server_manager import AnswerRelay, AnswerRelays, LinkAnswered
from actors.messages.storage import MoveMessages, StoreMessages
from actors.model import Envelope, NodeName, Routing
from actors.router import Router
from actors.routers.plain import PlainRouter
from actors.server_manager.actor import ServerManager
from actors.stores.port import Result, Write
from apps.node.wiring import Actors
from apps.simulated.network import Network
from apps.simulated.network_story import tell
from apps.simulated.shapes import line
from apps.simulated.site import WatchedStore

SEEDS = 60
"""Networks within which a planted fault must be seen."""


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Many nodes say little worth reading."""
    logger.disable("actors")
    yield
    logger.enable("actors")


class Forgetful(WatchedStore):
    """It remembers neither which hand-overs it took nor which ids came home."""

    def write(self, commands: Sequence[Write]) -> list[Result]:
        return super().write([_without_marks(command) for command in commands])


def _without_marks(command: Write) -> Write:
    match command:
        case StoreMessages():
            stored = tuple(replace(item, link=None, once=item.moved and item.once) for item in command.items)
            return replace(command, items=stored)
        case MoveMessages():
            return replace(command, items=tuple(replace(item, once=False) for item in command.items))
        case _:
            return command


class Hasty(ServerManager):
    """It drops a message as soon as it has sent it, and does not wait for the 202."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        links, send = self._links, self._links.send

        def send_and_forget(node: NodeName, content: LinkContent, done: Any, seconds: float) -> None:
            if isinstance(content, Carry) and links.up(node):
                send(node, content, lambda answer: None, seconds)
                links.calls.append(partial(done, LinkAnswered(0, 202, True)))
            else:
                send(node, content, done, seconds)

        setattr(links, "send", send_and_forget)  # noqa: B010 - a planted fault is no method


class Circling(PlainRouter):
    """It sends each message on to whoever is up, and looks at no visited list."""

    def place(self, envelope: Envelope, arrived_from: NodeName) -> Destination:
        place = super().place(envelope, arrived_from)
        if not isinstance(place, Refused):
            return place
        return self.choose(envelope, envelope.routing or Routing(origin=arrived_from))

    def choose(self, envelope: Envelope, routing: Routing) -> Destination:
        ahead = self.open(envelope.recipient)
        return self.send(ahead[routing.step % len(ahead)], envelope, routing) if ahead else self.waits()


class Rash(Router):
    """To it a name is unknown although somebody did not answer."""

    def handle(self, message: RouterCommand) -> None:
        if isinstance(message, NeighbourSilent):
            steps = [item for item in message.items if isinstance(item, SearchStep)]
            answers = tuple(SearchAnswer(step.search, step.name, "unknown", step.budget) for step in steps)
            super().handle(NeighbourSaid(message.node, answers))
        elif isinstance(message, NeighbourSaid):
            super().handle(replace(message, items=tuple(_for_sure(item) for item in message.items)))
        else:
            super().handle(message)


def _for_sure(item: Any) -> Any:
    unsure = isinstance(item, SearchAnswer) and item.found == "incomplete"
    return replace(item, found="unknown") if unsure else item


class Greedy(ClientManager):
    """At the edge of a path it answers for the phone."""

    def handle(self, message: ClientManagerCommand) -> None:
        super().handle(message)
        if isinstance(message, RelaysArrived):
            deliveries = [item for item in message.items if isinstance(item.content, RelayedDelivery)]
            me = Reply(home=self._core.settings.node)
            answers = tuple(AnswerRelay(item.relay, 200, "OK", me) for item in deliveries)
            self._core.refs.server_manager.tell(AnswerRelays(answers))


def caught(*words: str, **faults: Any) -> None:
    """Tell stories until the oracle says one of these."""
    for seed in range(SEEDS):
        violations = tell(seed, **faults).violations
        if any(word in violation for word in words for violation in violations):
            return
    pytest.fail(f"the oracle saw nothing like that in {SEEDS} networks")


def test_without_a_ledger_two_act_on_a_message() -> None:
    caught("two act on", store=Forgetful)


def test_messages_dropped_before_the_202_are_lost() -> None:
    caught("without an end", actors=Actors(server_manager=Hasty))


def test_messages_circle_where_the_visited_list_is_ignored() -> None:
    caught("twice in a leg", actors=Actors(router=Circling))


def test_a_name_is_not_unknown_while_a_node_is_silent() -> None:
    caught(" exists", actors=Actors(router=Rash))


def visit(seed: int, **faults: Any) -> list[str]:
    """The story of a phone that is off for a while where it is a guest, in a network of this seed."""
    with Network(seed, links=line("abc"), open_mode=False, **faults) as net:
        net.start()
        for name in ("alice", "bob"):
            net.user(name, at="a", password=name)
        alice = net.phone("alice", at="a", password="alice")
        bob = net.phone("bob", at=net.random.choice("bc"), password="bob")
        for _ in range(3):
            alice.send("bob")
            net.run_for(net.random.uniform(0.0, 2.0))
            bob.switch_off()
            alice.send("bob")
            net.run_for(net.random.uniform(1.0, 100.0))
            bob.switch_on()
        net.come_to_rest()
        return net.judge()


def test_an_edge_that_takes_custody_loses_messages() -> None:
    assert [visit(seed) for seed in range(3)] == [[], [], []]
    greedy = [violation for seed in range(3) for violation in visit(seed, actors=Actors(client_manager=Greedy))]
    assert any("its copy is gone" in violation for violation in greedy), greedy
