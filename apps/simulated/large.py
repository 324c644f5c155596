"""A large network in a simulation: the real actors of each node, joined above the codec by a switch.

with LargeNetwork(links=random_graph(1_000, 6, seed=1), users=10) as net:
    net.start()
    net.learn()
    print(net.first_messages(500))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from types import TracebackType
from typing import Any, Self

import msgspec
from msgspec.structs import replace

from actors.base import ActorBase, Context, start_actor
from actors.client_manager.actor import ClientManager
from actors.client_manager.core import ClientSettings
from actors.messages.lifecycle import ActorFailed
from actors.messages.router import ReadRoutes, RoutesRead
from actors.messages.server_manager import NetworkOpen
from actors.messages.storage import (
    MoveItem,
    MoveMessages,
    SaveAccounts,
    SavedNeighbour,
    StoreItem,
    StoreMessages,
    StoreOutcome,
)
from actors.model import Account, NodeName, TransactionKey, UserName, queue_user
from actors.ref import ActorRef, DeadLetters, LateRef
from actors.router import Router
from actors.server_manager.actor import ServerManager
from actors.server_manager.core import LinkSettings
from actors.simulation import Simulation
from actors.state.routing.settings import RouterSettings
from actors.storage import Storage
from actors.stores.memory import MemoryStore
from actors.stores.port import Result, Write
from actors.testing import Probe
from apps.simulated.shapes import Pair, names_of
from apps.simulated.site import REALM
from apps.simulated.switch import Port, Switch

QUIET = 3_600.0
"""Seconds between what nodes do without need (signs of life, looking for expired messages)."""
LEARN = 120.0
"""Seconds at most until all nodes know of all others."""
SILENT = 5.0
"""Seconds without a request after which they do."""
PATIENCE = 60.0
"""Seconds at most until messages are at home."""
BETWEEN = 0.05
"""Seconds between two messages."""
MAX_STEPS = 100_000_000
ADDRESS = "tcp://127.0.0.1:5060"
"""Of every node: the switch goes by names."""


class Cost(msgspec.Struct, frozen=True):
    """What messages cost; requests between servers, their answers not counted."""

    messages: int
    found: int
    """In their recipients' mailboxes."""
    carries: int
    searches: int
    """Steps of searches, and back."""
    extra_bytes: int
    """The extra headers of the message that had most of them."""

    @property
    def mean(self) -> float:
        """Requests a message."""
        return (self.carries + self.searches) / max(1, self.messages)


class Learning(msgspec.Struct, frozen=True):
    """What it cost that nodes got to know each other."""

    seconds: float
    """Virtual ones."""
    requests: dict[str, int]
    contents: dict[str, int]
    """The same, but each thing in a request with several by itself."""
    bytes: dict[str, int]
    """Only if measured."""


class Ears:
    """Stands in for Monitor and Supervisor, of which there would be very many: keeps nothing but failures."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def tell(self, message: object) -> None:
        """Hear of something."""
        if isinstance(message, ActorFailed):
            self.failures.append(f"{message.actor} failed at {message.command}:\n{message.trace}")


class NotingStore(MemoryStore):
    """Tells which messages came into mailboxes."""

    def __init__(self, network: LargeNetwork) -> None:
        super().__init__(realm=REALM, clock=network.simulation.clock)
        self._arrived = network.arrived

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        """Commit, then tell."""
        results = super().commit(commands)
        for command, result in zip(commands, results, strict=True):
            if isinstance(command, StoreMessages | MoveMessages):
                self._note(command.items, result)
        return results

    def _note(self, items: Iterable[StoreItem | MoveItem], results: Any) -> None:
        for item, result in zip(items, results, strict=True):
            if queue_user(item.queue) is not None and result.outcome is StoreOutcome.STORED:
                self._arrived.add(item.envelope.id)


class LargeNode(msgspec.Struct, frozen=True):
    """The actors of one node."""

    router: ActorRef[Any]
    storage: ActorRef[Any]
    client_manager: ActorRef[Any]
    server_manager: ActorRef[Any]
    port: Port


class LargeNetwork:
    """Nodes, links, users `u0`, `u1`, ... spread over the nodes in turn. The same seed is the same run."""

    def __init__(
        self,
        *,
        links: Iterable[Pair],
        users: int = 10,
        seed: int = 1,
        router: type[ActorBase[Any]] = Router,
        routing: RouterSettings = RouterSettings(),  # noqa: B008 - frozen
    ) -> None:
        """`users`: at each node. `router` and `routing`: the class and settings of all Routers, but for names."""
        self.links = tuple(links)
        self.names = names_of(self.links)
        self.simulation = Simulation(seed)
        self.random = Random(f"large network {seed}")
        self.switch = Switch(self.simulation.scheduler, REALM)
        self.ears = Ears()
        self.arrived: set[str] = set()
        """Ids of messages that came into a mailbox."""
        self.nodes: dict[str, LargeNode] = {}
        self.users = users * len(self.names)
        self._each = users
        self._places = {name: at for at, name in enumerate(self.names)}
        self._router = router
        self._routing = routing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulation.close()

    def user(self, number: int) -> UserName:
        """What a user is called; there are `users` of them, and nobody has a number beyond."""
        return UserName(f"u{number}")

    def home_of(self, number: int) -> str:
        """The node at which user `u<number>` lives."""
        return self.names[number // self._each]

    # Nodes.

    def start(self) -> None:
        """Start all nodes; when this returns they have read their users, and no link stands yet."""
        neighbours: dict[str, list[SavedNeighbour]] = {name: [] for name in self.names}
        for one, other in self.links:
            neighbours[one].append(SavedNeighbour(NodeName(other), ADDRESS))
            neighbours[other].append(SavedNeighbour(NodeName(one), ADDRESS))
        for at, name in enumerate(self.names):
            self.nodes[name] = self._start_node(NodeName(name), at, tuple(neighbours[name]))
        self.simulation.settle()

    def _start_node(self, name: NodeName, at: int, neighbours: tuple[SavedNeighbour, ...]) -> LargeNode:
        simulation, ears = self.simulation, self.ears
        store = NotingStore(self)
        store.open()
        users = tuple(Account(self.user(number)) for number in range(at * self._each, (at + 1) * self._each))
        store.commit((SaveAccounts(ears, 0, users),))
        context = Context(simulation.clock, simulation.scheduler, ears, DeadLetters())
        random = Random(f"{name} {simulation.seed}")
        port = Port(self.switch, name, simulation.clock)
        clients: LateRef[Any] = LateRef()
        servers: LateRef[Any] = LateRef()

        def start(actor: type[ActorBase[Any]], **arguments: Any) -> ActorRef[Any]:
            return start_actor(actor, simulation.runtime, context, monitor=ears, **arguments)

        router = start(
            self._router,
            client_manager=clients,
            server_manager=servers,
            settings=replace(self._routing, node=name),
            random=random,
        )
        storage = start(Storage, store=store)
        client_manager = start(
            ClientManager,
            router=router,
            storage=storage,
            sip_adapter=port,
            server_manager=servers,
            settings=ClientSettings(open_mode=True, federated=True, node=name, expiry_interval=QUIET),
            random=random,
        )
        server_manager = start(
            ServerManager,
            router=router,
            storage=storage,
            sip_adapter=port,
            client_manager=clients,
            settings=LinkSettings(node=name, neighbours=neighbours, alive_after=QUIET, expiry_interval=QUIET),
            random=random,
        )
        clients.set(client_manager)
        servers.set(server_manager)
        port.join(server_manager, client_manager)
        return LargeNode(router, storage, client_manager, server_manager, port)

    def learn(self, *, measure: bool = False) -> Learning:
        """Open all links, and let the Routers tell each other until they are silent; `measure`: count bytes, too."""
        traffic, clock = self.switch.traffic, self.simulation.clock
        traffic.clear()
        traffic.measuring = measure
        begun = clock.monotonic()
        for node in self.nodes.values():
            node.server_manager.tell(NetworkOpen(address=ADDRESS))
        before = -1
        while traffic.requests.total() != before and clock.monotonic() < begun + LEARN:
            before = traffic.requests.total()
            self.simulation.run_for(SILENT, max_steps=MAX_STEPS)
        traffic.measuring = False
        return Learning(clock.monotonic() - begun, dict(traffic.requests), dict(traffic.contents), dict(traffic.bytes))

    def routes(self, name: str) -> RoutesRead:
        """What a node's Router knows."""
        reply = Probe("routes")
        self.nodes[name].router.tell(ReadRoutes(reply_to=reply, request=1, limit=0))
        self.simulation.settle(MAX_STEPS)
        return reply.expect(RoutesRead)

    def state_bytes(self) -> int:
        """Encoded size of the largest routing state of some fifty nodes."""
        return max(self.routes(name).state_bytes for name in self.names[:: max(1, len(self.names) // 50)])

    # Messages.

    def draw_pairs(self, count: int) -> list[tuple[str, int]]:
        """Draw so many nodes, each with a user who lives at another one and is drawn once only."""
        pairs: dict[int, str] = {}
        while len(pairs) < min(count, self.users):
            origin, user = self.random.choice(self.names), self.random.randrange(self.users)
            if self.home_of(user) != origin:
                pairs.setdefault(user, origin)
        return [(origin, user) for user, origin in pairs.items()]

    def send(self, pairs: Iterable[tuple[str, int]]) -> Cost:
        """Send these users a message each, from these nodes, and count what it costs until all are at home."""
        traffic, clock = self.switch.traffic, self.simulation.clock
        traffic.clear()
        traffic.measuring = True
        keys: list[TransactionKey] = []
        for origin, user in pairs:
            sender = self.user(self._places[origin] * self._each)
            keys.append(self.nodes[origin].port.submit(sender, self.user(user), b"hello"))
            self.simulation.run_for(BETWEEN, max_steps=MAX_STEPS)
        until = clock.monotonic() + PATIENCE
        while self._found(keys) < len(keys) and clock.monotonic() < until:
            self.simulation.run_for(BETWEEN, max_steps=MAX_STEPS)
        traffic.measuring = False
        return Cost(
            messages=len(keys),
            found=self._found(keys),
            carries=traffic.of("carry"),
            searches=traffic.of("search", "searched"),
            extra_bytes=traffic.largest_extra,
        )

    def _found(self, keys: Iterable[TransactionKey]) -> int:
        answers = self.switch.answers
        return sum(key in answers and answers[key].message_id in self.arrived for key in keys)
