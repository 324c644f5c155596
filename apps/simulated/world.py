"""One node and its phones in a simulation: started, crashed, restarted, shaken by weather, and judged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from types import TracebackType
from typing import Any

import msgspec

from actors.base import Context
from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import AddUser, CommandDone
from actors.messages.lifecycle import ActorFailed, SupervisorCommand
from actors.model import Seq, UserName, mailbox_queue
from actors.ports import Clock, Runtime, Scheduler
from actors.ref import ActorRef
from actors.simulation import Simulation
from actors.state.digest import ha1
from actors.stores.memory import Disk, MemoryStore
from actors.stores.port import Result, Write
from actors.supervisor import Supervisor
from actors.testing import Probe
from apps.node.wiring import Actors, Node, NodePlan, Reply, start_node
from apps.simulated.air import Air, NodeNetwork, Place
from apps.simulated.oracle import Oracle
from apps.simulated.phone import Phone, PhoneSettings
from sip_adapter.transport.base import Network

REALM = "angarium"
SERVER: Place = ("10.0.0.1", 5060)
QUIET = 1_000.0
"""Seconds a healed world has to come to rest: more than the longest back-off and a binding's refresh."""
LOOK = 5.0
"""Seconds between two looks whether it has."""
UNLIMITED = 1_000_000

StoreFactory = Callable[["World"], MemoryStore]


class Crashed(Exception):
    """The node was killed while it started."""


class WatchedStore(MemoryStore):
    """A store in memory that tells the oracle what is on disk."""

    def __init__(self, world: World) -> None:
        super().__init__(realm=REALM, clock=world.simulation.clock, disk=world.disk)
        self._oracle = world.oracle
        self._time = world.simulation.clock

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        """Commit, then tell."""
        results = super().commit(commands)
        self._oracle.committed(commands, results, self._time.monotonic())
        return results


class Habitat:
    """Where a simulated node lives (a `World` of `apps.node.wiring`), for one run of it."""

    def __init__(self, simulation: Simulation, network: NodeNetwork, random: Random) -> None:
        """`doom`: the step of the simulation at which a node that is still starting is killed."""
        self.clock: Clock = simulation.clock
        self.scheduler: Scheduler = simulation.scheduler
        self.runtime: Runtime = simulation.runtime
        self.network_runtime: Runtime = simulation.runtime
        self.network: Network = network
        self.random: Random | None = random
        self.doom: int | None = None
        self._simulation = simulation

    def answer(self, ask: Callable[[Reply], None], timeout: float) -> Any:
        """Let the world run until the answer is there."""
        simulation, reply = self._simulation, Probe("answer")
        late = simulation.clock.monotonic() + timeout
        ask(reply)
        while not reply.messages:
            if self.doom is not None and simulation.steps >= self.doom:
                raise Crashed
            if not simulation.step() or simulation.clock.monotonic() > late:
                raise TimeoutError("no answer in the simulation")
        return reply.messages[0]

    def stop(self, refs: Iterable[ActorRef[Any]]) -> None:
        """End them as a kill does: nobody waits in a simulation."""
        self._simulation.crash(refs)


class World:
    """A seed's world. Nothing in it depends on anything but the seed and what is called, in order."""

    def __init__(
        self,
        seed: int,
        *,
        slowness: float = 0.02,
        actors: Actors | None = None,
        store: StoreFactory = WatchedStore,
        record: bool = False,
    ) -> None:
        """`actors` and `store` may hold replacements: also broken ones, to see the oracle find them."""
        self.seed = seed
        self.random = Random(f"world {seed}")
        self.simulation = Simulation(seed, slowness=slowness, record=record)
        self.air = Air(self.simulation.scheduler, Random(f"air {seed}"))
        self.oracle = Oracle()
        self.disk = Disk()
        self.phones: list[Phone] = []
        self.node: Node | None = None
        self.crashes = 0
        self._network = NodeNetwork(self.air, self.simulation.scheduler)
        self._parts = msgspec.structs.replace(actors or Actors(), supervisor=_watching(self.oracle))
        self._store = store
        self._accounts: dict[str, str] = {}

    def run_for(self, seconds: float) -> None:
        """Let so much time pass."""
        self.simulation.run_for(seconds)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The node.

    def start_node(self, doom_steps: int | None = None) -> bool:
        """Start the node; it may be killed after so many steps if it is not up by then (False)."""
        self.oracle.boot += 1
        random = Random(f"node {self.seed} {self.oracle.boot}")
        habitat = Habitat(self.simulation, self._network, random)
        if doom_steps is not None:
            habitat.doom = self.simulation.steps + doom_steps
        plan = NodePlan(
            listen=(f"udp://{SERVER[0]}:{SERVER[1]}",),
            realm=REALM,
            store=self._store(self),
            actors=self._parts,
            clients=ClientSettings(open_mode=True),
            on_fatal=lambda reason: self.oracle.complain(f"the node ended itself: {reason}"),
        )
        try:
            self.node = start_node(plan, habitat)
        except Crashed:
            self.crash_node()
            return False
        return True

    def crash_node(self) -> None:
        """Kill the node: what is not on its disk is gone."""
        self.crashes += 1
        self.node = None
        self._network.close()
        self.simulation.close()

    def add_user(self, name: str, password: str) -> None:
        """Make an account with a password on the running node."""
        assert self.node is not None
        done = Probe("done")
        self.node.client_manager.tell(
            AddUser(
                reply_to=done,
                request=1,
                name=UserName(name),
                ha1_md5=ha1("MD5", name, REALM, password),
                ha1_sha256=ha1("SHA-256", name, REALM, password),
            )
        )
        self.simulation.run_until(lambda: bool(done.messages))
        assert done.expect(CommandDone).error == ""

    # The phones.

    def add_phone(
        self,
        user: str,
        *,
        password: str = "",
        instance: bool = True,
        refuses: Callable[[bytes], bool] = lambda body: False,
    ) -> Phone:
        """Put a phone into the world; it is off."""
        number = len(self.phones) + 1
        settings = PhoneSettings(
            user=user,
            device=f"{user}-phone-{number}",
            place=(f"10.0.1.{number}", 5060),
            server=SERVER,
            password=password,
            instance=instance,
            refuses=refuses,
        )
        simulation = self.simulation
        seed = f"phone {self.seed}"
        phone = Phone(settings, self.air, simulation.clock, simulation.scheduler, self.oracle, seed)
        self.phones.append(phone)
        return phone

    # The end.

    def waiting(self) -> list[str]:
        """Ids of all messages in the store, as its disk has them."""
        store = MemoryStore(realm=REALM, clock=self.simulation.clock, disk=self.disk)
        store.open()
        found: list[str] = []
        for user in store.read_users(UserName(""), UNLIMITED):
            queue = mailbox_queue(user.account.name)
            messages, _ = store.read_queue(queue, Seq(0), UNLIMITED, 1 << 30, ())
            found += [message.envelope.id for message in messages]
        return found

    def come_to_rest(self) -> None:
        """Let the world run, with everything on and the air as it is, until nothing waits any more."""
        until = self.simulation.clock.monotonic() + QUIET
        while self.simulation.clock.monotonic() < until:
            self.simulation.run_for(LOOK)
            if not any(phone.busy for phone in self.phones) and not self.waiting():
                break
        self.simulation.run_for(LOOK)

    def judge(self) -> list[str]:
        """The oracle's verdict on a world at rest."""
        refusing = {phone.device_key: phone.settings.refuses for phone in self.phones}

        def refuses(device: str, body: bytes) -> bool:
            return device in refusing and refusing[device](body)

        return self.oracle.judge(self.waiting(), refuses)

    def close(self) -> None:
        """End all."""
        self._network.close()
        self.simulation.close()
        self.disk.close()


def _watching(oracle: Oracle) -> type[Supervisor]:
    """A Supervisor that tells the oracle of every exception an actor contained: in a simulation each is a fault."""

    class WatchingSupervisor(Supervisor):
        """Tells the oracle, then does what a Supervisor does."""

        def __init__(self, *, context: Context, **arguments: Any) -> None:
            super().__init__(context=context, **arguments)

        def handle(self, message: SupervisorCommand) -> None:
            if isinstance(message, ActorFailed):
                oracle.complain(f"{message.actor} failed at {message.command}:\n{message.trace}")
            super().handle(message)

    return WatchingSupervisor
