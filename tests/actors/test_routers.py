"""The Routers beside the default one, several of each joined to a network, and the user's own of the examples."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

import pytest

from actors.base import ActorBase
from actors.messages.router import (
    Destination,
    MessagesRouted,
    NamesAreOurs,
    NeighbourDown,
    NeighbourSaid,
    NeighbourUp,
    RouteFailed,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import RouteAgain, TellNeighbours
from actors.model import Envelope, MessageId, NodeName, Proof, UserName
from actors.router import Router
from actors.routers.first_unvisited import FirstUnvisited, parent
from actors.routers.flood import Flood
from actors.state.routing.settings import RouterSettings
from actors.testing import Probe, Started, VirtualClock, running
from examples.custom_router import QuietRouter

ROUTERS: list[type[ActorBase[Any]]] = [Router, FirstUnvisited, Flood, QuietRouter]


class Joined:
    """Routers on threads; what one tells another is brought by hand, until nobody tells anything more."""

    def __init__(self, routers: dict[str, Started[Any]], servers: dict[str, Probe]) -> None:
        self.routers = routers
        self.servers = servers
        self.told = 0

    def settle(self, seconds: float = 0.0) -> None:
        """Bring all that is told, then let time pass in small steps."""
        for _ in range(1 + int(seconds / 0.5)):
            while self._bring():
                pass
            for router in self.routers.values():
                router.advance(0.5 if seconds else 0.0)
        while self._bring():
            pass

    def _bring(self) -> bool:
        some = False
        for here, probe in self.servers.items():
            self.routers[here].settle()
            for told in [message for message in probe.take_all() if isinstance(message, TellNeighbours)]:
                for there, content in told.items:
                    some = True
                    self.told += 1
                    self.routers[there].tell(NeighbourSaid(node=NodeName(here), items=(content,)))
        return some

    def walk(self, start: str, recipient: str, sender: str = "alice") -> tuple[list[str], Destination]:
        """Send a message on its way; gives the nodes it came to, and how it stands there."""
        at, came_from, hands = start, "", [start]
        kept = False
        envelope = message(recipient, sender)
        waits = 3
        for _ in range(50):
            asker = Probe("asker")
            question = RouteMessages(asker, 1, (envelope,), NodeName(came_from), kept)
            self.routers[at].serve(question)
            (place,) = asker.expect(MessagesRouted).destinations
            kept = isinstance(place, Searching)
            if isinstance(place, ToNeighbour):
                envelope, came_from, at = place.envelope, at, place.node
                hands.append(at)
            elif isinstance(place, Searching) and waits:
                waits -= 1
                self.settle(1.0)
            elif isinstance(place, Unknown) and came_from:
                # 404: it stays where it was, and is routed again there.
                assert envelope.routing is not None
                failed = RouteFailed(NodeName(at), envelope.recipient, NodeName(envelope.routing.home), 404)
                at, came_from = came_from, ""
                self.routers[at].serve(failed)
            else:
                return hands, place
        raise AssertionError(f"it walks for ever: {hands}")


def message(recipient: str, sender: str) -> Envelope:
    return Envelope(
        id=MessageId("m"),
        sender=UserName(sender),
        recipient=UserName(recipient),
        call_id=b"c",
        headers=(),
        body=b"",
        accepted=0.0,
        proof=Proof.OPEN,
    )


@contextmanager
def joined(kind: type[ActorBase[Any]], edges: list[tuple[str, str]], users: dict[str, str]) -> Iterator[Joined]:
    names = sorted({name for edge in edges for name in edge})
    with ExitStack() as stack:
        servers = {name: Probe(name) for name in names}
        routers = {
            name: stack.enter_context(
                running(
                    kind,
                    clock=VirtualClock(),
                    monitor=Probe("monitor"),
                    client_manager=Probe("client_manager"),
                    server_manager=servers[name],
                    settings=RouterSettings(node=NodeName(name)),
                    random=Random(name),
                )
            )
            for name in names
        }
        for user, home in users.items():
            routers[home].tell(NamesAreOurs((UserName(user),)))
        for one, other in edges:
            routers[one].tell(NeighbourUp(NodeName(other)))
            routers[other].tell(NeighbourUp(NodeName(one)))
        network = Joined(routers, servers)
        network.settle(6.0)
        yield network


LINE = [("a", "b"), ("b", "c")]
TREE = [("a", "b"), ("b", "c"), ("a", "d"), ("d", "e")]
RING = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]


@pytest.mark.parametrize("kind", ROUTERS, ids=lambda kind: str(kind.__name__))
def test_a_line_of_three_delivers_both_ways_and_knows_nobody_else(kind: type[ActorBase[Any]]) -> None:
    with joined(kind, LINE, {"alice": "a", "carol": "c"}) as network:
        assert network.walk("a", "carol", "alice") == (["a", "b", "c"], ToMailbox())
        assert network.walk("c", "alice", "carol") == (["c", "b", "a"], ToMailbox())
        assert isinstance(network.walk("a", "nobody", "alice")[1], Unknown)


@pytest.mark.parametrize("kind", [Router, FirstUnvisited, Flood], ids=lambda kind: str(kind.__name__))
@pytest.mark.parametrize("edges", [TREE, RING], ids=["tree", "ring"])
def test_everybody_is_found_from_everywhere(kind: type[ActorBase[Any]], edges: list[tuple[str, str]]) -> None:
    nodes = sorted({name for edge in edges for name in edge})
    with joined(kind, edges, {f"user-{node}": node for node in nodes}) as network:
        for start in nodes:
            for home in nodes:
                hands, place = network.walk(start, f"user-{home}", f"user-{start}")
                assert (hands[-1], place) == (home, ToMailbox())


def test_the_original_design_steps_back_where_it_is_stuck() -> None:
    with joined(FirstUnvisited, TREE, {"erna": "e"}) as network:
        hands, place = network.walk("a", "erna", "alice")
        assert hands == ["a", "b", "c", "b", "a", "d", "e"]
        assert place == ToMailbox()
        network.routers["a"].serve(NeighbourDown(NodeName("d")))
        hands, place = network.walk("a", "erna", "alice")
        assert hands == ["a", "b", "c", "b", "a"]
        assert place == Searching()


def test_the_parent_is_who_gave_it_first() -> None:
    a = NodeName("a")
    assert parent((), a) is None
    assert parent(("a", "b"), a) is None
    assert parent(("x", "y"), a) == "y"
    assert parent(("x", "a", "b", "c", "b"), a) == "x"
    assert parent(("x", "b", "c", "b"), a) == "b"


def test_a_flood_asks_everybody_once_and_the_answer_teaches_the_way() -> None:
    with joined(Flood, RING, {"carol": "c"}) as network:
        network.told = 0
        assert network.walk("a", "carol", "alice")[1] == ToMailbox()
        # Two steps out of a, one each to c, each answered; the later answers change nothing.
        assert network.told == 8
        assert network.walk("a", "carol", "alice")[1] == ToMailbox()
        assert network.told == 8


def test_a_flood_that_somebody_did_not_answer_is_repeated() -> None:
    with joined(Flood, LINE, {"carol": "c"}) as network:
        network.routers["b"].serve(NeighbourDown(NodeName("c")))
        assert network.walk("a", "carol", "alice") == (["a"], Searching())
        network.routers["b"].serve(NeighbourUp(NodeName("c")))
        network.routers["a"].advance(31.0)
        assert network.servers["a"].expect(RouteAgain, where=lambda told: bool(told.names)).names == ("carol",)
        assert network.walk("a", "carol", "alice")[1] == ToMailbox()


def test_nobody_is_there_for_the_boss() -> None:
    with joined(QuietRouter, LINE, {"carol": "c"}) as network:
        assert network.walk("a", "carol", "boss") == (["a"], Unknown("Nobody is here for you"))
