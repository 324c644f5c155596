"""Puts a node together: which actor knows which, in which order they start, and how they stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Protocol, TypeVar

import msgspec
import pykka

from actors.base import ActorBase, Context, start_actor
from actors.client_manager.actor import ClientManager
from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import ListUsers
from actors.messages.lifecycle import ActorFailed, ListenFailed, Listening, Ping, WatchActor
from actors.messages.server_manager import ListNeighbours, NetworkOpen
from actors.monitor import Monitor
from actors.ports import Clock, Runtime, Scheduler
from actors.ref import ActorRef, DeadLetters, LateRef
from actors.router import Router
from actors.server_manager.actor import ServerManager
from actors.server_manager.core import LinkSettings
from actors.state.debug_lines import DebugLog
from actors.state.routing.settings import RouterSettings
from actors.storage import Storage
from actors.stores.port import Store
from actors.supervisor import WATCHDOG, Supervisor
from sip_adapter.adapter import SipAdapter
from sip_adapter.domains import Domains
from sip_adapter.limits import Limits
from sip_adapter.transport.base import Network

R = TypeVar("R")
LOAD_TIMEOUT = 120.0
"""Seconds until all users are read; a million stored messages take a few."""
LISTEN_TIMEOUT = 10.0
START_TRIES = 60
"""Times that an actor is asked, half a second each, whether it serves."""
ASK_AGAIN = 0.5
STOP_TIMEOUT = 4.0
"""Seconds that an actor may take to end."""
OTHER_CLASS = "see the log, and choose another class for it"


class NodeFailed(Exception):
    """The node could not start; says why, and what a person may do if it is a matter of settings."""

    def __init__(self, why: str, advice: str = "") -> None:
        super().__init__(why)
        self.advice = advice


class NodeHangs(Exception):
    """An actor does not end, and a thread cannot be ended: only the end of the process helps."""


SHIPPED: dict[str, type[ActorBase[Any]]] = {
    "monitor": Monitor,
    "router": Router,
    "client_manager": ClientManager,
    "server_manager": ServerManager,
}
"""Actors of ours that never block: they share the thread of the network loop."""


class Actors(msgspec.Struct, frozen=True):
    """Which class plays which part; each can be replaced."""

    supervisor: type[ActorBase[Any]] = Supervisor
    monitor: type[ActorBase[Any]] = Monitor
    router: type[ActorBase[Any]] = Router
    storage: type[ActorBase[Any]] = Storage
    client_manager: type[ActorBase[Any]] = ClientManager
    server_manager: type[ActorBase[Any]] = ServerManager
    sip_adapter: type[ActorBase[Any]] = SipAdapter


class Reply(Protocol):
    """A reference that keeps the first answer told to it."""

    def tell(self, message: Any) -> None:
        """Take the answer."""


class World(Protocol):
    """Where a node lives: real threads and sockets, or a simulation."""

    clock: Clock
    scheduler: Scheduler
    runtime: Runtime
    network_runtime: Runtime
    network: Network
    random: Random | None

    def answer(self, ask: Callable[[Reply], None], timeout: float) -> Any:
        """Hand a reply reference to `ask` and wait for what is told to it; TimeoutError."""

    def stop(self, refs: Iterable[ActorRef[Any]]) -> None:
        """End the actors of a node that could not start, one after the other."""


class NodePlan(msgspec.Struct, frozen=True):
    """What a node is to be."""

    listen: tuple[str, ...]
    realm: str
    store: Store
    actors: Actors = Actors()
    clients: ClientSettings = ClientSettings()
    links: LinkSettings = LinkSettings()
    """Its `address` may have port 0: then it is where the node really listens by that transport."""
    routing: RouterSettings = RouterSettings()
    limits: Limits = Limits()
    hosts: tuple[str, ...] = ()
    watchdog: float = WATCHDOG
    on_fatal: Callable[[str], None] = print
    debug: DebugLog = msgspec.field(default_factory=DebugLog)


class Node(msgspec.Struct, frozen=True):
    """A running node: references to its actors, and the addresses it listens on."""

    supervisor: ActorRef[Any]
    monitor: ActorRef[Any]
    router: ActorRef[Any]
    storage: ActorRef[Any]
    client_manager: ActorRef[Any]
    server_manager: ActorRef[Any]
    sip_adapter: ActorRef[Any]
    addresses: tuple[str, ...]
    dead_letters: DeadLetters

    def stop(self) -> None:
        """Stop in reverse: the network first, the store when nobody writes any more. Raises NodeHangs."""
        stop_actors(self._in_order())

    def _in_order(self) -> tuple[ActorRef[Any], ...]:
        return (
            self.supervisor,
            self.sip_adapter,
            self.server_manager,
            self.client_manager,
            self.router,
            self.storage,
            self.monitor,
        )


def stop_actors(refs: Iterable[ActorRef[Any]]) -> None:
    """End these actors, one after the other; raises NodeHangs at the first that does not end."""
    for ref in refs:
        try:
            ref.pykka_ref.stop(timeout=STOP_TIMEOUT)
        except pykka.Timeout as error:
            raise NodeHangs(f"{ref.name} does not stop") from error


def start_node(plan: NodePlan, world: World) -> Node:
    """Start all actors, bottom-up; serves when this returns. Raises NodeFailed, and nothing runs then; NodeHangs."""
    supervisor: LateRef[Any] = LateRef()
    sip_adapter: LateRef[Any] = LateRef()
    context = Context(
        clock=world.clock,
        scheduler=world.scheduler,
        supervisor=supervisor,
        dead_letters=DeadLetters(),
        debug=plan.debug,
    )
    started: list[ActorRef[Any]] = []

    def start(actor: type[ActorBase[Any]], runtime: Runtime, **arguments: Any) -> ActorRef[Any]:
        try:
            ref = start_actor(actor, runtime, context, **arguments)
        except TypeError as error:  # arguments that a replacement does not take
            raise NodeFailed(f"{actor.__name__} cannot be made: {error}", OTHER_CLASS) from error
        started.append(ref)
        return ref

    try:
        return _start_all(plan, world, start, supervisor, sip_adapter, context)
    except BaseException as error:
        world.stop(reversed(started))
        if isinstance(error, TimeoutError):
            raise NodeFailed(str(error)) from error
        raise


def _start_all(
    plan: NodePlan,
    world: World,
    start: Callable[..., ActorRef[Any]],
    supervisor: LateRef[Any],
    sip_adapter: LateRef[Any],
    context: Context,
) -> Node:
    parts = plan.actors

    def home(role: str) -> Runtime:
        """What we ship shares the network's thread; a replacement, which might block, has its own."""
        return world.network_runtime if getattr(parts, role) is SHIPPED[role] else world.runtime

    monitor = start(parts.monitor, home("monitor"))
    watcher: ActorRef[ActorFailed | WatchActor] = start(
        parts.supervisor, world.runtime, monitor=monitor, on_fatal=plan.on_fatal, watchdog=plan.watchdog
    )
    supervisor.set(watcher)
    late_clients: LateRef[Any] = LateRef()
    late_servers: LateRef[Any] = LateRef()
    router = start(
        parts.router,
        home("router"),
        monitor=monitor,
        client_manager=late_clients,
        server_manager=late_servers,
        settings=plan.routing,
        random=world.random,
    )
    storage = start(parts.storage, world.runtime, store=plan.store, monitor=monitor)
    client_manager = start(
        parts.client_manager,
        home("client_manager"),
        router=router,
        storage=storage,
        sip_adapter=sip_adapter,
        server_manager=late_servers,
        monitor=monitor,
        settings=plan.clients,
        random=world.random,
    )
    late_clients.set(client_manager)
    server_manager = start(
        parts.server_manager,
        home("server_manager"),
        router=router,
        storage=storage,
        sip_adapter=sip_adapter,
        client_manager=client_manager,
        monitor=monitor,
        settings=plan.links,
        random=world.random,
    )
    late_servers.set(server_manager)
    for ref in (monitor, watcher, router, storage, client_manager, server_manager):
        _await_start(ref, world)
    adapter, addresses = _open_network(plan, world, start, client_manager, server_manager, monitor, sip_adapter)
    server_manager.tell(NetworkOpen(address=link_address(plan.links.address, addresses)))
    for ref in (monitor, router, storage, client_manager, server_manager, adapter):
        watcher.tell(WatchActor(name=ref.name, target=ref))
    return Node(
        supervisor=watcher,
        monitor=monitor,
        router=router,
        storage=storage,
        client_manager=client_manager,
        server_manager=server_manager,
        sip_adapter=adapter,
        addresses=addresses,
        dead_letters=context.dead_letters,
    )


def link_address(wanted: str, bound: Sequence[str]) -> str:
    """Where neighbours reach a node that listens at these addresses: as wanted, else by TCP if it can be had."""
    transport, _, place = wanted.partition("://")
    if wanted and not place.endswith(":0"):
        return wanted
    for scheme in (transport,) if wanted else ("tcp", "udp"):
        for address in bound:
            if address.startswith(f"{scheme}://"):
                return address
    return ""


def _await_start(ref: ActorRef[Any], world: World) -> None:
    """Wait until it serves: there is a reference even to an actor whose `on_start` raised."""
    for _ in range(START_TRIES):
        try:
            world.answer(lambda reply: ref.tell(Ping(reply_to=reply, id=0)), ASK_AGAIN)
            return
        except TimeoutError:
            if not ref.alive:
                raise NodeFailed(f"{ref.name} stopped while it was starting", OTHER_CLASS) from None
    raise NodeFailed(f"{ref.name} does not begin to serve")


def _open_network(
    plan: NodePlan,
    world: World,
    start: Callable[..., ActorRef[Any]],
    client_manager: ActorRef[Any],
    server_manager: ActorRef[Any],
    monitor: ActorRef[Any],
    sip_adapter: LateRef[Any],
) -> tuple[ActorRef[Any], tuple[str, ...]]:
    """Open the sockets once everybody is known: who is not loaded yet, or lives elsewhere, would get a 404."""
    world.answer(lambda reply: client_manager.tell(ListUsers(reply_to=reply, request=0, limit=0)), LOAD_TIMEOUT)
    world.answer(lambda reply: server_manager.tell(ListNeighbours(reply_to=reply, request=0)), LOAD_TIMEOUT)

    adapters: list[ActorRef[Any]] = []

    def listen(reply: Any) -> None:
        adapter = start(
            plan.actors.sip_adapter,
            world.network_runtime,
            network=world.network,
            client_manager=client_manager,
            server_manager=server_manager,
            monitor=monitor,
            domains=Domains(plan.realm, plan.hosts),
            realm=plan.realm,
            listen=plan.listen,
            ready=reply,
            limits=plan.limits,
        )
        adapters.append(adapter)
        sip_adapter.set(adapter)

    try:
        heard = world.answer(listen, LISTEN_TIMEOUT)
    except TimeoutError:
        raise NodeFailed("sip_adapter does not tell whether it listens", OTHER_CLASS) from None
    if isinstance(heard, ListenFailed):
        raise NodeFailed(f"cannot listen on {heard.address}: {heard.reason}", "choose other --listen addresses")
    assert isinstance(heard, Listening)
    return adapters[0], heard.addresses
