"""One node of a simulated network: its place in the air, its disk, and its lives between crashes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import msgspec

from actors.base import Context
from actors.client_manager.core import ClientSettings
from actors.messages.lifecycle import ActorFailed, SupervisorCommand
from actors.model import Seq, UserName
from actors.ports import Clock, Runtime, Scheduler
from actors.ref import ActorRef
from actors.server_manager.core import LinkSettings
from actors.simulation import Simulation
from actors.state.routing.settings import RouterSettings
from actors.stores.memory import Disk, MemoryStore
from actors.stores.port import Result, Write
from actors.supervisor import Supervisor
from actors.testing import Probe
from apps.node.wiring import Actors, Node, NodePlan, Reply, start_node
from apps.simulated.air import Air, NodeNetwork, Place
from apps.simulated.oracle import Oracle
from sip_adapter.transport.base import Network

REALM = "angarium"


class Crashed(Exception):
    """The node was killed while it started."""


class Surroundings:
    """What all nodes and phones of one simulation share: time, the air, the oracle."""

    def __init__(self, seed: int, *, slowness: float, record: bool) -> None:
        self.seed = seed
        self.simulation = Simulation(seed, slowness=slowness, record=record)
        self.air = Air(self.simulation.scheduler, Random(f"air {seed}"))
        self.oracle = Oracle()


class WatchedStore(MemoryStore):
    """A store in memory that tells the oracle what is on disk."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._time = site.around.simulation.clock
        super().__init__(realm=REALM, clock=self._time, disk=site.disk)

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        """Commit, then tell."""
        results = self.write(commands)
        self._site.around.oracle.committed(self._site.name, self._site, commands, results, self._time.monotonic())
        return results

    def write(self, commands: Sequence[Write]) -> list[Result]:
        """Commit, without a word to the oracle: the place for planted faults."""
        return super().commit(commands)


StoreFactory = Callable[["Site"], MemoryStore]


class Kit(msgspec.Struct, frozen=True):
    """What a node is made of; classes and store may be replacements, also broken ones, to see the oracle find them."""

    actors: Actors = Actors()
    clients: ClientSettings = ClientSettings(open_mode=True)
    links: LinkSettings = LinkSettings()
    routing: RouterSettings = RouterSettings()
    store: StoreFactory = WatchedStore
    watchdog: float = 0.0
    """Seconds; 0: nobody asks the actors whether they serve, which makes worlds quicker."""


class Habitat:
    """Where a simulated node lives (a `World` of `apps.node.wiring`), for one run of it."""

    def __init__(self, simulation: Simulation, network: Network, random: Random, doom: int | None) -> None:
        """`doom`: the step of the simulation at which a node that is still starting is killed."""
        self.clock: Clock = simulation.clock
        self.scheduler: Scheduler = simulation.scheduler
        self.runtime: Runtime = simulation.runtime
        self.network_runtime: Runtime = simulation.runtime
        self.network: Network = network
        self.random: Random | None = random
        self._doom = doom
        self._simulation = simulation

    def answer(self, ask: Callable[[Reply], None], timeout: float) -> Any:
        """Let the world run until the answer is there."""
        simulation, reply = self._simulation, Probe("answer")
        late = simulation.clock.monotonic() + timeout
        ask(reply)
        while not reply.messages:
            if self._doom is not None and simulation.steps >= self._doom:
                raise Crashed
            if not simulation.step() or simulation.clock.monotonic() > late:
                raise TimeoutError("no answer in the simulation")
        return reply.messages[0]

    def stop(self, refs: Iterable[ActorRef[Any]]) -> None:
        """End them as a kill does: nobody waits in a simulation."""
        self._simulation.crash(refs)


class Site:
    """A node, running or not; its disk outlives it."""

    def __init__(self, around: Surroundings, name: str, place: Place, kit: Kit) -> None:
        """Make the place; the node is not started."""
        self.around = around
        self.name = name
        self.place = place
        self.disk = Disk()
        self.node: Node | None = None
        """What runs; None: nothing does."""
        self.crashes = 0
        self.boots = 0
        self._network = NodeNetwork(around.air, around.simulation.scheduler)
        self._kit = kit
        self._open: MemoryStore | None = None

    def start(self, doom_steps: int | None = None) -> bool:
        """Start the node; it is killed after so many steps of the world if it is not up by then (False)."""
        simulation, oracle = self.around.simulation, self.around.oracle
        self.boots += 1
        oracle.boots[self.name] = self.boots
        random = Random(f"{self.name} {self.around.seed} {self.boots}")
        doom = None if doom_steps is None else simulation.steps + doom_steps
        kit = self._kit
        self._open = kit.store(self)
        plan = NodePlan(
            listen=(f"udp://{self.place[0]}:{self.place[1]}",),
            realm=REALM,
            store=self._open,
            actors=msgspec.structs.replace(kit.actors, supervisor=watching(oracle, self.name)),
            clients=kit.clients,
            links=kit.links,
            routing=kit.routing,
            watchdog=kit.watchdog,
            on_fatal=lambda reason: oracle.complain(f"{self.name} ended itself: {reason}"),
        )
        try:
            self.node = start_node(plan, Habitat(simulation, self._network, random, doom))
        except Crashed:
            self.crashes += 1
            self._network.close()
            return False
        return True

    def crash(self) -> None:
        """Kill the node: what is not on its disk is gone."""
        node, self.node = self.node, None
        self.crashes += 1
        self._network.close()
        if node is not None:
            self.around.simulation.crash(
                (
                    node.supervisor,
                    node.sip_adapter,
                    node.server_manager,
                    node.client_manager,
                    node.router,
                    node.storage,
                    node.monitor,
                )
            )

    def ask(self, ask: Callable[[Node, Any], None], seconds: float = 60.0) -> Any:
        """Ask an actor of the running node something, and let the world run until it answers."""
        assert self.node is not None, f"{self.name} does not run"
        simulation, reply = self.around.simulation, Probe(f"asker of {self.name}")
        ask(self.node, reply)
        until = simulation.clock.monotonic() + seconds
        simulation.run_until(lambda: bool(reply.messages) or simulation.clock.monotonic() > until)
        assert reply.messages, f"{self.name} gave no answer"
        return reply.messages[0]

    # The disk.

    def rows(self) -> list[tuple[int, str, str]]:
        """Seq, id and queue of all messages on the disk."""
        connection = self.disk.connection
        if not connection.fetchone("SELECT 1 FROM sqlite_schema WHERE name = 'message'"):
            return []
        return [(seq, name, queue) for seq, name, queue in connection.fetchall("SELECT seq, id, queue FROM message")]

    def aside(self, user: str) -> dict[str, tuple[Seq, ...]]:
        """Of each device of a user, which messages stepped aside, as the disk has it."""
        found = self._open.read_user(UserName(user)) if self._open is not None else None
        return {str(device.key): device.aside for device in found.devices} if found is not None else {}

    def is_home_of(self, user: str) -> bool:
        """Tell whether a user's home is here, as the disk has it."""
        found = self._open.read_user(UserName(user)) if self._open is not None else None
        return found is not None and found.account.is_here

    def close(self) -> None:
        """Forget the disk."""
        self._network.close()
        self.disk.close()


def watching(oracle: Oracle, node: str) -> type[Supervisor]:
    """A Supervisor that tells the oracle of every exception an actor contained: in a simulation each is a fault."""

    class WatchingSupervisor(Supervisor):
        """Tells the oracle, then does what a Supervisor does."""

        def __init__(self, *, context: Context, **arguments: Any) -> None:
            super().__init__(context=context, **arguments)

        def handle(self, message: SupervisorCommand) -> None:
            if isinstance(message, ActorFailed):
                oracle.complain(f"{message.actor} of {node} failed at {message.command}:\n{message.trace}")
            super().handle(message)

    return WatchingSupervisor
