"""Several ServerManagers face to face: one switch plays the SIP border of all of them; all others are probes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from actors.base import ActorBase, Context, start_actor
from actors.messages.client_manager import RelaysArrived
from actors.messages.links import Frame, Hello, LinkAnswer, LinkContent, Welcome
from actors.messages.monitor import ClearAlarm, CountFacts, RaiseAlarm, ReportEvent
from actors.messages.router import (
    Destination,
    FindNames,
    Found,
    MessagesRouted,
    NameAnswer,
    NamesFound,
    NeighbourDown,
    NeighbourSaid,
    NeighbourSilent,
    NeighbourUp,
    RouteMessages,
    Unknown,
)
from actors.messages.server_manager import (
    AnswerRelay,
    AnswerRelays,
    LinkAnswered,
    LinkAnswers,
    LinkClosed,
    LinkOpened,
    LinkRequested,
    LinkRequests,
    ListNeighbours,
    NeighbourInfo,
    NeighboursListed,
    NetworkOpen,
)
from actors.messages.sip_adapter import (
    AnswerLinkRequests,
    CloseLink,
    LinkReply,
    LinkRequest,
    OpenLink,
    SendLinkRequests,
)
from actors.messages.storage import (
    DropMessages,
    ExpiredFound,
    FindExpired,
    ForgetNeighbour,
    MessagesAcknowledged,
    MessagesStored,
    NeighbourSaved,
    NeighboursRead,
    OpenStore,
    QueueRead,
    ReadNeighbours,
    ReadQueue,
    SavedNeighbour,
    SaveNeighbour,
    StoreMessages,
    StoreOpened,
    StoreOutcome,
    StoreResult,
)
from actors.model import Flow, NodeName, Seq, TransactionKey
from actors.ref import DeadLetters
from actors.server_manager.actor import ServerManager
from actors.server_manager.core import LinkSettings
from actors.simulation import Simulation
from actors.state.link_auth import request_mac, root_key, session_key
from actors.testing import Probe

DELAY = 0.001
"""Seconds that the switch takes for everything."""

M = TypeVar("M")
RequestFilter = Callable[[str, str, LinkRequest], LinkRequest | None]
AnswerFilter = Callable[[str, str, LinkReply], LinkReply | None]


class Call:
    """A `Ref` for timers of the bench itself."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def tell(self, message: object) -> None:
        self._call()


class Shelf:
    """Plays Storage: remembers neighbours, and says of mail that it is stored or gone."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.incarnation = "inc"
        self.neighbours: dict[NodeName, SavedNeighbour] = {}

    def tell(self, message: Any) -> None:
        self._node.heard.append(message)
        match message:
            case OpenStore():
                message.reply_to.tell(
                    StoreOpened(message.request, b"k" * 32, "angarium", 0.0, Seq(0), self.incarnation)
                )
            case ReadNeighbours():
                saved = tuple(saved for _, saved in sorted(self.neighbours.items()))
                message.reply_to.tell(NeighboursRead(request=message.request, neighbours=saved, queues=()))
            case SaveNeighbour():
                self.neighbours[message.neighbour.node] = message.neighbour
                message.reply_to.tell(NeighbourSaved(request=message.request))
            case ForgetNeighbour():
                self.neighbours.pop(message.node, None)
                message.reply_to.tell(NeighbourSaved(request=message.request))
            case FindExpired():
                message.reply_to.tell(ExpiredFound(request=message.request, messages=()))
            case ReadQueue():
                message.reply_to.tell(QueueRead(message.request, message.queue, messages=(), more=False))
            case StoreMessages():
                results = tuple(StoreResult(StoreOutcome.STORED, Seq(1), item.envelope.id) for item in message.items)
                message.reply_to.tell(MessagesStored(request=message.request, results=results))
            case DropMessages():
                message.reply_to.tell(MessagesAcknowledged(request=message.request))


class Names:
    """Plays Router: knows what it is told, and keeps what it hears."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.probe = Probe("router")
        self.answers: dict[str, NameAnswer] = {}
        self.destination: Destination = Unknown()
        """Of all messages."""

    def tell(self, message: Any) -> None:
        self.probe.tell(message)
        match message:
            case FindNames():
                answers = tuple(
                    self.answers.get(name, NameAnswer(name=name, found=Found.UNKNOWN)) for name in message.names
                )
                message.reply_to.tell(NamesFound(request=message.request, answers=answers))
            case RouteMessages():
                destinations = (self.destination,) * len(message.envelopes)
                message.reply_to.tell(MessagesRouted(request=message.request, destinations=destinations))


class Clients:
    """Plays ClientManager: answers relays as it is told to, and keeps what it hears."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.probe = Probe("client_manager")
        self.reply: AnswerRelay | None = None

    def tell(self, message: Any) -> None:
        self.probe.tell(message)
        if isinstance(message, RelaysArrived) and self.reply is not None:
            items = tuple(msgspec.structs.replace(self.reply, relay=item.relay) for item in message.items)
            self._node.tell(AnswerRelays(items=items))


class Node:
    """One ServerManager with its probes; a crash leaves the shelf as it is."""

    def __init__(self, network: Network, name: str, settings: LinkSettings, manager: type[ActorBase[Any]]) -> None:
        self.network = network
        self.name = name
        self.settings = settings
        self.heard: list[Any] = []
        """What Storage heard."""
        self.storage = Shelf(self)
        self.names = Names(self)
        self.router = self.names.probe
        self.clients = Clients(self)
        self.monitor = Probe("monitor")
        self.failures = Probe("supervisor")
        self.links: dict[NodeName, str] = {}
        self.alive = False
        self._manager = manager
        self._asked = 0
        self._born = 0

    def start(self) -> None:
        """Start, or start again."""
        simulation = self.network.simulation
        context = Context(
            clock=simulation.clock,
            scheduler=simulation.scheduler,
            supervisor=self.failures,
            dead_letters=DeadLetters(),
        )
        self.ref = start_actor(
            self._manager,
            simulation.runtime,
            context,
            router=self.names,
            storage=self.storage,
            sip_adapter=Border(self),
            client_manager=self.clients,
            monitor=self.monitor,
            settings=self.settings,
            random=simulation.random,
        )
        self.alive = True
        self._born = len(self.router.messages)
        self.tell(NetworkOpen(address=self.settings.address))

    def tell(self, message: Any) -> None:
        if self.alive:
            self.ref.tell(message)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.alive = False
        self.links.clear()
        self.network.simulation.crash([self.ref])
        for other in self.network.nodes.values():
            for node, address in tuple(other.links.items()):
                if address == self.settings.address:
                    other.lose(node, "Connection lost")

    def lose(self, node: NodeName, reason: str) -> None:
        """The way to a neighbour is gone."""
        if self.links.pop(node, None) is not None:
            self.network.later(self, LinkClosed(node=node, reason=reason))

    def events(self, kind: str) -> list[str]:
        """Texts of the events of one kind."""
        return [event.text for event in self.monitor.of(ReportEvent) if event.kind == kind]

    def alarms(self) -> dict[str, RaiseAlarm]:
        """What stands now."""
        standing: dict[str, RaiseAlarm] = {}
        for message in self.monitor.messages:
            if isinstance(message, RaiseAlarm):
                standing[message.name] = message
            elif isinstance(message, ClearAlarm):
                del standing[message.name]
        return standing

    def count(self, name: str) -> float:
        """Give a counter."""
        return sum(amount for facts in self.monitor.of(CountFacts) for key, amount in facts.counts if key == name)

    def ups(self) -> set[str]:
        """Neighbours that the Router believes to be up."""
        up: set[str] = set()
        for message in self.router.messages[self._born :]:
            if isinstance(message, NeighbourUp):
                assert message.node not in up
                up.add(message.node)
            elif isinstance(message, NeighbourDown):
                up.discard(message.node)
        return up

    def said(self) -> list[Any]:
        """What neighbours' Routers told ours."""
        return [content for message in self.router.of(NeighbourSaid) for content in message.items]

    def silent(self) -> list[Any]:
        """What could not be told to neighbours."""
        return [content for message in self.router.of(NeighbourSilent) for content in message.items]

    def ask(self, kind: type[M], command: type[Any], **fields: Any) -> M:
        """Tell a command that has an answer, and take it."""
        probe = Probe("operator")
        self._asked += 1
        self.tell(command(reply_to=probe, request=self._asked, **fields))
        self.network.run(0.5)
        return probe.expect(kind, timeout=0)

    def neighbours(self) -> dict[str, NeighbourInfo]:
        """What an operator sees."""
        return {info.node: info for info in self.ask(NeighboursListed, ListNeighbours).neighbours}


class Border:
    """Plays the SipAdapter of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def tell(self, message: Any) -> None:
        node, network = self._node, self._node.network
        match message:
            case OpenLink():
                node.links.pop(message.node, None)
                network.opened.append((node.name, message.address))
                target = network.at(message.address)
                if message.address in network.silent:
                    return
                if target is None or not target.alive:
                    network.later(node, LinkClosed(node=message.node, reason="Connection refused"))
                else:
                    node.links[message.node] = message.address
                    network.later(node, LinkOpened(node=message.node))
            case CloseLink():
                node.links.pop(message.node, None)
                network.later(node, LinkClosed(node=message.node, reason="Closed"))
            case SendLinkRequests():
                for request in message.items:
                    network.request(node, request)
            case AnswerLinkRequests():
                for reply in message.items:
                    network.answer(node, reply)


class Network:
    """Nodes and the switch between them."""

    def __init__(self, seed: int = 1, manager: type[ActorBase[Any]] = ServerManager) -> None:
        self.simulation = Simulation(seed)
        self.nodes: dict[str, Node] = {}
        self.requests: list[tuple[str, str, LinkRequest]] = []
        """All that was sent: from, to, what."""
        self.opened: list[tuple[str, str]] = []
        self.silent: set[str] = set()
        """Addresses that nothing comes of when they are opened."""
        self.too_large: type[Any] | None = None
        """Contents that do not fit the link."""
        self.forgets = False
        """Requests without an answer do not end."""
        self.on_request: RequestFilter = lambda caller, callee, request: request
        self.on_answer: AnswerFilter = lambda callee, caller, reply: reply
        self._manager = manager
        self._pending: dict[bytes, tuple[Node, int]] = {}
        self._made = 0
        self._forged = 0
        self._welcomes: dict[tuple[str, str], tuple[Hello, Welcome]] = {}
        self.statuses: list[int] = []
        """Of all answers."""

    def __enter__(self) -> Network:
        return self

    def __exit__(self, *_: object) -> None:
        self.simulation.close()
        for node in self.nodes.values():
            for failure in node.failures.take_all():
                raise AssertionError(f"{node.name}: {failure.command}\n{failure.trace}")

    def add(
        self, name: str, *neighbours: str, secret: bytes = b"secret", incarnation: str = "inc", **more: Any
    ) -> Node:
        """Make a node with these neighbours (`name` alone: at its usual address), and start it."""
        address = more.pop("address", f"tcp://127.0.0.1:{port_of(name)}")
        settings = LinkSettings(
            node=NodeName(name),
            secret=secret,
            neighbours=tuple(SavedNeighbour(NodeName(one), f"tcp://127.0.0.1:{port_of(one)}") for one in neighbours),
            address=address,
            **more,
        )
        node = self.nodes[name] = Node(self, name, settings, self._manager)
        node.storage.incarnation = incarnation
        node.start()
        return node

    def run(self, seconds: float = 1.0) -> None:
        self.simulation.run_for(seconds)

    def at(self, address: str) -> Node | None:
        return next((node for node in self.nodes.values() if node.settings.address == address), None)

    def later(self, node: Node, message: Any, delay: float = DELAY) -> None:
        self.simulation.scheduler.after(delay, node, message)

    def contents(self, kind: type[M], caller: str = "") -> list[M]:
        """All contents of one kind that were sent."""
        return [
            request.content
            for node, _, request in self.requests
            if isinstance(request.content, kind) and (not caller or node == caller)
        ]

    def request(self, caller: Node, request: LinkRequest) -> None:
        address = caller.links.get(request.node)
        callee = self.at(address) if address is not None else None
        if callee is None:
            self._end(caller, request.number, 503, "No link")
            return
        if self.too_large is not None and isinstance(request.content, self.too_large):
            self._end(caller, request.number, 513, "Too large for this link")
            return
        self.requests.append((caller.name, callee.name, request))
        self._made += 1
        key = TransactionKey(b"%d" % self._made)
        self._pending[key] = (caller, request.number)
        self.simulation.scheduler.after(request.seconds, Call(lambda: self._late(key)), None)
        passed = self.on_request(caller.name, callee.name, request)
        if passed is not None:
            self.inject(callee, passed, key)

    def proved(self, caller: str, callee: str, content: LinkContent) -> LinkRequested:
        """Make a request that the caller never sent, but with the right MAC: it knows the secret and lies."""
        hello, welcome = self._welcomes[caller, callee]
        root = root_key(self.nodes[caller].settings.secret, hello.realm)
        key = session_key(root, hello.node, hello.to, hello.nonce, welcome.nonce)
        self._forged += 1
        number = 500 + self._forged
        frame = Frame(welcome.session, number, request_mac(key, welcome.session, number, content))
        flow = Flow("tcp", 0, "127.0.0.1", 40000, 1)
        return LinkRequested(TransactionKey(b"lie%d" % number), flow, frame, content, 0.0)

    def inject(self, callee: Node, request: LinkRequest, key: TransactionKey, host: str = "127.0.0.1") -> None:
        """Let a request arrive, as bytes would bring it."""
        content: LinkContent = msgspec.json.decode(msgspec.json.encode(request.content), type=LinkContent)
        arrived = LinkRequested(
            transaction=key,
            flow=Flow("tcp", 0, host, 40000, 1),
            frame=request.frame,
            content=content,
            arrived=self.simulation.clock.monotonic(),
        )
        self.later(callee, LinkRequests(items=(arrived,)))

    def answer(self, callee: Node, reply: LinkReply) -> None:
        self.statuses.append(reply.status)
        caller, number = self._pending.get(reply.transaction, (None, 0))
        if caller is None:
            return
        if isinstance(reply.content, Welcome):
            hello = next(
                request.content
                for frm, to, request in reversed(self.requests)
                if isinstance(request.content, Hello) and (frm, to) == (caller.name, callee.name)
            )
            self._welcomes[caller.name, callee.name] = (hello, reply.content)
        passed = self.on_answer(callee.name, caller.name, reply)
        if passed is None:
            return
        del self._pending[reply.transaction]
        content: LinkAnswer | None = msgspec.json.decode(msgspec.json.encode(passed.content), type=LinkAnswer | None)
        answered = LinkAnswered(
            number=number,
            status=passed.status,
            answered=True,
            reason=passed.reason,
            frame=passed.frame,
            content=content,
            retry_after=passed.retry_after,
        )
        self.later(caller, LinkAnswers(items=(answered,)))

    def _late(self, key: TransactionKey) -> None:
        caller, number = self._pending.pop(key, (None, 0))
        if caller is not None and not self.forgets:
            self._end(caller, number, 408, "No answer")

    def _end(self, caller: Node, number: int, status: int, reason: str) -> None:
        answered = LinkAnswered(number=number, status=status, answered=False, reason=reason)
        self.later(caller, LinkAnswers(items=(answered,)))


def port_of(name: str) -> int:
    """Give the port that a node of this name listens at."""
    return 5000 + sum(name.encode())
