"""ServerManagers with real Storage face to face: routers that know a table, and a mailroom that accepts messages."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.base import Context, start_actor
from actors.messages.client_manager import MailStored
from actors.messages.lifecycle import CommandFailed
from actors.messages.links import Carry
from actors.messages.router import (
    Destination,
    MessagesRouted,
    NeighbourUp,
    Refused,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
)
from actors.messages.server_manager import (
    ListNeighbours,
    MessagesQueued,
    NeighbourDone,
    NeighboursListed,
    QueuedMessage,
    RemoveNeighbour,
    RouteAgain,
)
from actors.messages.storage import (
    MessagesStored,
    QueueRead,
    ReadQueue,
    SavedNeighbour,
    StoreItem,
    StoreMessages,
    StoreOutcome,
)
from actors.model import (
    POSTMASTER,
    UNROUTED,
    Envelope,
    MessageId,
    NodeName,
    Proof,
    QueueName,
    Routing,
    Seconds,
    Seq,
    StoredMessage,
    UserName,
    mailbox_queue,
    neighbour_queue,
    queue_user,
)
from actors.ref import DeadLetters
from actors.server_manager.actor import ServerManager
from actors.server_manager.core import LinkSettings
from actors.storage import Storage
from actors.stores.memory import Disk, MemoryStore
from actors.testing import Probe
from tests.actors.link_bench import Call, Network, Node, port_of

LIFE = 432_000.0


class Table:
    """Plays Router: `ways` has for each name the node it lives at or the neighbours to try; the rest is `otherwise`."""

    def __init__(self, node: MailNode) -> None:
        self._node = node
        self.ours: set[str] = set()
        self.ways: dict[str, tuple[str, ...]] = {}
        self.otherwise: Destination = Searching()
        self.sticks = False
        """It takes ways to neighbours that are down, too."""
        self.failing = 0
        """So many questions raise."""
        self.asked: list[RouteMessages] = []

    def tell(self, message: Any) -> None:
        self._node.router.tell(message)
        if isinstance(message, NeighbourUp):
            self._node.tell(RouteAgain(()))
        if not isinstance(message, RouteMessages):
            return
        self.asked.append(message)
        if self.failing:
            self.failing -= 1
            message.reply_to.tell(CommandFailed(message.request, "RouteMessages", "Trouble"))
            return
        destinations = tuple(self.route(envelope, message.arrived_from) for envelope in message.envelopes)
        message.reply_to.tell(MessagesRouted(request=message.request, destinations=destinations))

    def route(self, envelope: Envelope, arrived_from: str = "") -> Destination:
        me = self._node.name
        routing = envelope.routing or Routing(origin=me)
        if arrived_from and me in routing.visited:
            return Refused(482, "Loop Detected")
        if envelope.recipient in self.ours:
            return ToMailbox()
        ways = self.ways.get(envelope.recipient)
        if ways is None:
            return self.otherwise
        visited = tuple(node for node in routing.visited if node != me)
        for way in ways:
            if way not in visited and (self.sticks or way in self._node.ups()):
                onward = msgspec.structs.replace(
                    routing, visited=(*visited, me), path=(*visited, me), step=routing.step + 1
                )
                return ToNeighbour(NodeName(way), msgspec.structs.replace(envelope, routing=onward))
        return Searching()


class Tap:
    """Stands before the real Storage: remembers what it was told, and fails or keeps back what it is told to."""

    def __init__(self, node: MailNode) -> None:
        self._node = node
        self.heard: list[Any] = []
        self.failing: dict[type[Any], int] = {}

    def tell(self, message: Any) -> None:
        self.heard.append(message)
        left = self.failing.get(type(message), 0)
        if left:
            self.failing[type(message)] = left - 1
            message.reply_to.tell(CommandFailed(message.request, type(message).__name__, "Trouble"))
        else:
            self._node.store_ref.tell(message)

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]


class Mailroom:
    """Plays ClientManager: accepts messages as Intake does, and hears of mail that has come."""

    def __init__(self, node: MailNode) -> None:
        self._node = node
        self.accepted: list[tuple[str, str]] = []
        """Recipient and id of what was accepted: on disk, the 202 would be on its way."""
        self.mail: list[StoredMessage] = []
        self._waiting: dict[int, tuple[StoreItem, ...]] = {}

    def tell(self, message: Any) -> None:
        if isinstance(message, MailStored):
            self.mail += message.messages
        elif isinstance(message, MessagesStored):
            self._stored(message)

    def submit(self, envelopes: tuple[Envelope, ...], life: float) -> None:
        items = []
        for envelope in envelopes:
            destination = self._node.names.route(envelope)
            queue = mailbox_queue(envelope.recipient)
            if isinstance(destination, ToNeighbour):
                queue, envelope = neighbour_queue(destination.node), destination.envelope
            elif isinstance(destination, Searching):
                queue = UNROUTED
            items.append(StoreItem(b"", queue, envelope, Seconds(life)))
        self._node.requests += 1
        self._waiting[self._node.requests] = tuple(items)
        self._node.store_ref.tell(StoreMessages(self, self._node.requests, tuple(items)))

    def _stored(self, message: MessagesStored) -> None:
        items = self._waiting.pop(message.request)
        queued = []
        for item, result in zip(items, message.results, strict=True):
            if result.outcome is not StoreOutcome.STORED:
                continue
            self.accepted.append((item.envelope.recipient, item.envelope.id))
            if queue_user(item.queue) is None:
                stored = StoredMessage(result.seq, item.envelope, True, result.expires)
                queued.append(QueuedMessage(item.queue, stored))
        self._node.tell(MessagesQueued(tuple(queued)))


class MailNode(Node):
    """A node with a disk."""

    names: Table  # type: ignore[assignment]  # another one in its place
    clients: Mailroom  # type: ignore[assignment]  # likewise
    storage: Tap  # type: ignore[assignment]  # likewise

    def __init__(self, network: MailNetwork, name: str, settings: LinkSettings) -> None:
        super().__init__(network, name, settings, ServerManager)
        self.disk = Disk()
        self.names = Table(self)
        self.clients = Mailroom(self)
        self.storage = Tap(self)
        self.requests = 0
        self.accepted: list[tuple[str, str]] = []
        """Over all runs."""

    def start(self) -> None:
        simulation = self.network.simulation
        store = MemoryStore(realm="angarium", clock=simulation.clock, disk=self.disk)
        context = Context(
            clock=simulation.clock,
            scheduler=simulation.scheduler,
            supervisor=self.failures,
            dead_letters=DeadLetters(),
        )
        self.store_ref = start_actor(Storage, simulation.runtime, context, store=store, monitor=self.monitor)
        self.clients = Mailroom(self)
        super().start()

    def kill(self) -> None:
        self.accepted += self.clients.accepted
        super().kill()
        self.network.simulation.crash([self.store_ref])

    def restart(self) -> None:
        self.kill()
        self.start()

    def submit(self, *recipients: str, life: float = LIFE, proof: Proof = Proof.DIGEST, sender: str = "alice") -> None:
        """Accept a message to each of these."""
        network = self.network
        assert isinstance(network, MailNetwork)
        envelopes = []
        for recipient in recipients:
            network.messages += 1
            envelopes.append(envelope_of(f"m{network.messages:06}", recipient, sender=sender, proof=proof))
        self.clients.submit(tuple(envelopes), life)

    def route_again(self, *names: str) -> None:
        """As the Router tells it."""
        self.tell(RouteAgain(tuple(UserName(name) for name in names)))

    def remove(self, neighbour: str) -> None:
        """As an operator does it."""
        assert self.ask(NeighbourDone, RemoveNeighbour, node=NodeName(neighbour)).error == ""

    def unrouted(self) -> int:
        """What an operator sees of the unrouted."""
        return self.ask(NeighboursListed, ListNeighbours).unrouted

    def in_memory(self, neighbour: str) -> int:
        """How many messages for a neighbour are in memory."""
        manager: Any = self.ref.pykka_ref._actor_weakref()
        return int(manager._mail.custody.link(NodeName(neighbour)).in_memory)

    def all_accepted(self) -> list[tuple[str, str]]:
        """All that this node answered 202 to."""
        return self.accepted + (self.clients.accepted if self.alive else [])

    def queue(self, queue: str) -> list[StoredMessage]:
        """What stands in a queue on disk."""
        found: list[StoredMessage] = []
        more = True
        while more:
            probe = Probe("reader")
            after = found[-1].seq if found else Seq(0)
            self.store_ref.tell(ReadQueue(probe, 1, QueueName(queue), after, 10_000, 1_000_000_000))
            self.network.run(0.0001)
            read = probe.expect(QueueRead, timeout=0)
            found += read.messages
            more = read.more
        return found

    def mailbox(self, user: str) -> list[str]:
        """The ids in a user's mailbox, in order."""
        return [message.envelope.id for message in self.queue(f"u:{user}")]


class MailNetwork(Network):
    """Nodes with disks, and the switch between them."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.messages = 0

    def __enter__(self) -> MailNetwork:
        return self

    def __exit__(self, *_: object) -> None:
        super().__exit__(*_)
        for node in self.nodes.values():
            if isinstance(node, MailNode):
                node.disk.close()

    def node(self, name: str, *neighbours: str, **more: Any) -> MailNode:
        """Make a node, and start it."""
        settings = LinkSettings(
            node=NodeName(name),
            secret=b"secret",
            neighbours=tuple(SavedNeighbour(NodeName(one), f"tcp://127.0.0.1:{port_of(one)}") for one in neighbours),
            address=f"tcp://127.0.0.1:{port_of(name)}",
            **more,
        )
        node = MailNode(self, name, settings)
        self.nodes[name] = node
        node.start()
        return node

    def pair(self) -> tuple[MailNode, MailNode]:
        """Two neighbours whose links stand; carol and bob live at b, alice at a."""
        a, b = self.node("a", "b"), self.node("b", "a")
        a.names.ours |= {"alice", POSTMASTER}
        b.names.ours |= {"bob", "carol"}
        for name in ("bob", "carol", *(f"b{n}" for n in range(20))):
            a.names.ways[name] = ("b",)
            b.names.ours.add(name)
        b.names.ways["alice"] = ("a",)
        self.run(1)
        return a, b

    def carries(self, caller: str = "") -> list[Carry]:
        """All hand-overs that were tried."""
        return self.contents(Carry, caller)

    def at_once(self, call: Any) -> None:
        """Do something as a step of its own."""
        self.simulation.scheduler.after(0.0, Call(call), None)


def envelope_of(message: str, recipient: str, *, sender: str = "alice", proof: Proof = Proof.DIGEST) -> Envelope:
    return Envelope(
        id=MessageId(message),
        sender=UserName(sender),
        recipient=UserName(recipient),
        call_id=message.encode(),
        headers=((b"Content-Type", b"text/plain"),),
        body=b"hello " + message.encode(),
        accepted=0.0,
        proof=proof,
    )
