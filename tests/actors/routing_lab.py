"""Networks of Routers without threads, stores or sockets: what they tell is brought to the others in virtual time.

A message is handed on as ServerManagers do it: a refusal leaves it where it was and is told as `RouteFailed`, what
waits is routed again when the Router says so. The lab notes each hand-over, and fails a test that hands a message to a
node of its visited list, or tells a neighbour that is down.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from actors.messages.links import RouterContent
from actors.messages.router import (
    Destination,
    FindNames,
    Found,
    NameAnswer,
    Refused,
    RouteFailed,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.model import Envelope, MessageId, NodeName, Proof, UserName
from actors.state.routing.network import Network
from actors.state.routing.settings import RouterSettings
from actors.testing import Probe

DELAY = 0.01
"""Seconds that anything takes from one node to the next."""
NOBODY = NodeName("")
Edge = tuple[str, str]


@dataclass
class Mail:
    """One message on its way."""

    envelope: Envelope
    at: NodeName
    """Who has it."""
    state: str = "new"
    """`waiting`, `home`, or `unknown`."""
    hands: list[NodeName] = field(default_factory=list)
    """Nodes that got it, in order."""
    from_: NodeName = NOBODY


class Lab:
    """Routers, links between them, and mail."""

    def __init__(self, edges: Iterable[Edge], *, seed: int = 1, up: bool = True, **settings: Any) -> None:
        self.random = Random(seed)
        self.settings = settings
        self.now = 1000.0
        self.packets: Counter[str] = Counter()
        """What Routers told each other, by kind, and `Carry`."""
        self.again: list[tuple[NodeName, tuple[UserName, ...]]] = []
        self.conflicts: list[tuple[NodeName, Any]] = []
        self.answers: dict[int, tuple[NameAnswer, ...]] = {}
        self.mail: list[Mail] = []
        self.lossy: set[tuple[NodeName, NodeName]] = set()
        """Links over which requests of Routers are answered, and lost."""
        self._numbers = itertools.count(1)
        self._events: list[tuple[float, int, Any]] = []
        self._planned: dict[NodeName, float] = {}
        self._ours: dict[NodeName, dict[UserName, int]] = {}
        self._links: dict[tuple[NodeName, NodeName], int] = {}
        """Links that are up, each with a number of its own life."""
        joined = [(NodeName(one), NodeName(other)) for one, other in edges]
        self.registered: dict[NodeName, list[NodeName]] = {}
        for one, other in joined:
            self.registered.setdefault(one, []).append(other)
            self.registered.setdefault(other, []).append(one)
        self.nodes = {node: self._network(node) for node in self.registered}
        for node in self.registered:
            self._introduce(node)
        if up:
            for one, other in joined:
                self.up(one, other)

    def _network(self, node: NodeName) -> Network:
        settings = RouterSettings(node=node, **self.settings)
        return Network(settings, Random(f"{node} {self.random.random()}"), self.now)

    def _introduce(self, node: NodeName) -> None:
        for other in self.registered[node]:
            self.nodes[node].neighbour_down(other, False, self.now)

    # Links and nodes.

    def up(self, one: str, other: str) -> None:
        self.raise_link(one, other)
        self.raise_link(other, one)

    def down(self, one: str, other: str) -> None:
        self.drop_link(one, other)
        self.drop_link(other, one)

    def raise_link(self, one: str, other: str) -> None:
        """One's own link to the other stands."""
        here, there = NodeName(one), NodeName(other)
        self._links[here, there] = next(self._numbers)
        self.nodes[here].neighbour_up(there, self.now)
        self._after(here)

    def drop_link(self, one: str, other: str) -> None:
        """One's own link to the other falls; the other's may stand."""
        here, there = NodeName(one), NodeName(other)
        if self._links.pop((here, there), None) is not None:
            self.nodes[here].neighbour_down(there, False, self.now)
            self._after(here)

    def is_up(self, one: NodeName, other: NodeName) -> bool:
        return (one, other) in self._links

    def stop(self, name: str) -> None:
        """A node is gone: its links fall, its mail stays on its disk."""
        node = NodeName(name)
        for other in self.registered[node]:
            self.down(node, other)
        self._planned.pop(node, None)

    def start(self, name: str) -> None:
        """It is back, knowing its names, neighbours and mail only."""
        node = NodeName(name)
        self.nodes[node] = self._network(node)
        self._introduce(node)
        for user, epoch in self._ours.get(node, {}).items():
            self.nodes[node].ours((user,), (epoch,), False, self.now)
        for other in self.registered[node]:
            self.up(node, other)
        self._route_again(node, ())

    def user(self, name: str, node: str, epoch: int = 1, *, fresh: bool = False) -> None:
        at = NodeName(node)
        self._ours.setdefault(at, {})[UserName(name)] = epoch
        self.nodes[at].ours((UserName(name),), (epoch,), fresh, self.now)
        self._after(at)

    def gone(self, name: str, node: str) -> None:
        at = NodeName(node)
        del self._ours[at][UserName(name)]
        self.nodes[at].gone((UserName(name),))
        self._after(at)

    # Time.

    def run(self, seconds: float) -> None:
        """Let this time pass."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
        self.now = until

    def settle(self) -> None:
        """Let summaries and ways come to everybody."""
        self.run(40.0)
        self.packets.clear()

    def _at(self, delay: float, event: Any) -> None:
        heapq.heappush(self._events, (self.now + delay, next(self._numbers), event))

    def _after(self, node: NodeName) -> None:
        """A node heard something: let it work, bring what it tells, and come back when it wants."""
        network = self.nodes[node]
        network.work(self.now)
        told = network.told
        items, told.neighbours = told.neighbours, []
        for neighbour, content in items:
            self._bring(node, neighbour, content)
        told.ways = []
        answers, told.answers = told.answers, []
        self.answers.update((question.request, found) for question, found in answers)
        conflicts, told.conflicts = told.conflicts, []
        self.conflicts.extend((node, claim) for claim in conflicts)
        again = told.take_again()
        if again is not None:
            self.again.append((node, again))
            self._at(0.0, lambda: self._route_again(node, again))
        at = network.next_deadline()
        if at is not None and self._planned.get(node) != at:
            self._planned[node] = at
            self._at(max(0.0, at - self.now), lambda: self._wake(node, network, at))

    def _wake(self, node: NodeName, network: Network, at: float) -> None:
        if self.nodes[node] is network and self._planned.get(node) == at:
            del self._planned[node]
            self._after(node)

    def _bring(self, here: NodeName, there: NodeName, content: RouterContent) -> None:
        link = self._links.get((here, there))
        assert link is not None, f"{here} tells {there}, which is not up"
        self.packets[type(content).__name__] += 1
        network = self.nodes[there]

        def arrive() -> None:
            if self._links.get((here, there)) != link:
                if self.nodes[here] is sender:
                    sender.silent(there, content, self.now)
                    self._after(here)
            elif (here, there) not in self.lossy and self.nodes[there] is network:
                network.said(here, content, self.now)
                self._after(there)

        sender = self.nodes[here]
        self._at(DELAY, arrive)

    # Mail and questions.

    def ask(self, node: str, name: str, **fields: Any) -> int:
        number = next(self._numbers)
        question = FindNames(reply_to=Probe(), request=number, names=(UserName(name),), **fields)
        self.nodes[NodeName(node)].find(question, self.now)
        self._after(NodeName(node))
        return number

    def found(self, number: int) -> Found | None:
        answers = self.answers.get(number)
        return answers[0].found if answers else None

    def send(self, node: str, recipient: str, sender: str = "alice", proof: Proof = Proof.DIGEST) -> Mail:
        envelope = Envelope(
            id=MessageId(f"m{next(self._numbers)}"),
            sender=UserName(sender),
            recipient=UserName(recipient),
            call_id=b"c",
            headers=(),
            body=b"",
            accepted=0.0,
            proof=proof,
        )
        mail = Mail(envelope, NodeName(node))
        self.mail.append(mail)
        self._place(mail, self._route(mail))
        return mail

    def _route(self, mail: Mail, arrived_from: NodeName = NOBODY) -> Destination:
        return self.nodes[mail.at].ladder.route(mail.envelope, arrived_from, self.now)

    def _place(self, mail: Mail, destination: Destination) -> None:
        self._after(mail.at)
        match destination:
            case ToMailbox():
                mail.state = "home"
            case Unknown():
                mail.state = "unknown"
            case Searching():
                mail.state = "waiting"
            case ToNeighbour():
                mail.state = "on its way"
                self._at(DELAY, lambda: self._hand_over(mail, destination))
            case Refused():
                raise AssertionError(f"refused without a neighbour: {destination}")

    def _hand_over(self, mail: Mail, step: ToNeighbour) -> None:
        here, there = mail.at, step.node
        routing = step.envelope.routing
        assert routing is not None
        before = routing.visited[:-1]
        assert there not in before, f"{there} has been visited: {routing}"
        if not self.is_up(here, there):
            mail.envelope = step.envelope  # as it is stored in that neighbour's queue
            self._place(mail, self._route(mail))
            return
        self.packets["Carry"] += 1
        answer = self.nodes[there].ladder.route(step.envelope, here, self.now)
        if isinstance(answer, Refused | Unknown):
            status = answer.status if isinstance(answer, Refused) else 404
            failure = RouteFailed(there, mail.envelope.recipient, NodeName(routing.home), status, mail.envelope.sender)
            self.nodes[here].ladder.failed(failure, self.now)
            mail.envelope = step.envelope
            self._place(mail, self._route(mail))
            return
        mail.envelope, mail.at, mail.from_ = step.envelope, there, here
        mail.hands.append(there)
        self._place(mail, answer)

    def _route_again(self, node: NodeName, names: tuple[UserName, ...]) -> None:
        for mail in self.mail:
            if mail.at == node and mail.state == "waiting" and (not names or mail.envelope.recipient in names):
                self._place(mail, self._route(mail))


def line(*names: str) -> list[Edge]:
    return list(itertools.pairwise(names))


def ring(*names: str) -> list[Edge]:
    return [*itertools.pairwise(names), (names[-1], names[0])]


def random_graph(count: int, degree: int, seed: int) -> list[Edge]:
    """A connected graph: each node is joined to an earlier one, then pairs at random up to the mean degree."""
    random = Random(seed)
    names = [f"n{number}" for number in range(count)]
    edges = {(names[random.randrange(number)], names[number]) for number in range(1, count)}
    while len(edges) < count * degree // 2:
        one, other = sorted(random.sample(range(count), 2))
        edges.add((names[one], names[other]))
    return sorted(edges)


def leg_of(mail: Mail) -> int:
    assert mail.envelope.routing is not None
    return mail.envelope.routing.leg


def forged(envelope: Envelope, **changes: Any) -> Envelope:
    return msgspec.structs.replace(envelope, **changes)
