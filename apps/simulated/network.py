"""A whole network in a simulation: nodes, links and phones scripted in a few lines, and judged at the end.

with Network(seed=7, links=line("abc")) as net:
    net.start()
    alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
    net.crash("b")
    body = alice.send("bob")
    net.run_for(60)
    net.restart("b")
    net.come_to_rest()
    assert bob.mailbox == [body]
    assert net.judge() == []
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from itertools import permutations
from random import Random

from msgspec.structs import replace

from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import CommandDone, MoveUser
from actors.messages.server_manager import (
    AddNeighbour,
    ListNeighbours,
    NeighbourDone,
    NeighbourInfo,
    NeighboursListed,
    RemoveNeighbour,
)
from actors.messages.storage import SavedNeighbour
from actors.model import NodeName, UserName
from actors.server_manager.core import LinkSettings
from actors.state.routing.settings import RouterSettings
from actors.testing import Probe
from apps.node.wiring import Actors, Node
from apps.simulated.air import Weather
from apps.simulated.phone import Phone
from apps.simulated.shapes import Pair, names_of
from apps.simulated.site import Kit, Site, StoreFactory, WatchedStore
from apps.simulated.stage import Stage

SECRET = b"the secret of this network"
CLIENTS = ClientSettings()
ROUTING = RouterSettings()
TIMING = LinkSettings()
ACTORS = Actors()
SETTLED = 120.0
"""Seconds within which all links of a started network stand."""
LINK_LOOK = 0.25
"""Seconds between two looks whether they do."""


class Network(Stage):
    """A seed's network. Nothing in it depends on anything but the seed and what is called, in order."""

    def __init__(
        self,
        seed: int = 1,
        *,
        links: Iterable[Pair],
        open_mode: bool = True,
        clients: ClientSettings = CLIENTS,
        routing: RouterSettings = ROUTING,
        timing: LinkSettings = TIMING,
        actors: Actors = ACTORS,
        store: StoreFactory = WatchedStore,
        slowness: float = 0.02,
        record: bool = False,
    ) -> None:
        """Make the nodes that `links` names; none runs yet.

        `clients`, `routing` and `timing` are settings of all ClientManagers, Routers and ServerManagers, but for names
        and neighbours; `actors` and `store` may hold replacements. `slowness` and `record` as in `Stage`.
        """
        super().__init__(seed, slowness=slowness, record=record)
        self.links = tuple(links)
        self.oracle.one_home = not open_mode
        self.random = Random(f"network {seed}")
        names = names_of(self.links)
        places = {name: (f"10.1.{at // 250}.{1 + at % 250}", 5060) for at, name in enumerate(names)}
        told: dict[str, list[SavedNeighbour]] = {name: [] for name in names}
        for one, other in self.links:
            for here, there in ((one, other), (other, one)):
                told[here].append(SavedNeighbour(NodeName(there), _url(places[there])))
        for name in names:
            node = NodeName(name)
            kit = Kit(
                actors=actors,
                clients=replace(clients, open_mode=open_mode, federated=True, node=node, secret=SECRET),
                links=replace(
                    timing, node=node, secret=SECRET, neighbours=tuple(told[name]), address=_url(places[name])
                ),
                routing=replace(routing, node=node),
                store=store,
            )
            self.sites[name] = Site(self, name, places[name], kit)

    # Nodes.

    def start(self, *names: str, settle: bool = True) -> None:
        """Start these nodes, or all; `settle`: come back when the links between all running nodes stand."""
        for name in names or tuple(self.sites):
            if self.sites[name].node is None:
                self.sites[name].start()
        if settle:
            self.link_up()

    def link_up(self, seconds: float = SETTLED) -> None:
        """Let time pass until all links between running nodes stand; an AssertionError if they do not in time."""
        until = self.simulation.clock.monotonic() + seconds
        while not self.is_linked():
            assert self.simulation.clock.monotonic() < until, f"links do not stand, seed {self.seed}"
            self.run_for(LINK_LOOK)

    def crash(self, name: str) -> None:
        """Kill a node; its disk stays."""
        self.oracle.shaken()
        self.sites[name].crash()

    def restart(self, name: str, *, doom_steps: int | None = None) -> bool:
        """Start a node again; it is killed after so many steps if it is not up by then (False)."""
        return self.sites[name].start(doom_steps)

    def node(self, name: str) -> Node:
        """A running node: references to its actors."""
        node = self.sites[name].node
        assert node is not None, f"{name} does not run"
        return node

    def fill_disk(self, name: str) -> None:
        """From now on a node's disk has no room for anything new."""
        self.oracle.shaken()
        self.sites[name].disk.fill()

    def empty_disk(self, name: str) -> None:
        """There is room again."""
        self.sites[name].disk.empty()

    # The air between nodes.

    def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Let nothing through between two nodes; `one_way`: from the first to the other only."""
        self.oracle.shaken()
        for here, there in self._ways(one, other, one_way=one_way):
            self.air.cuts.add((here, there))

    def mend(self, one: str, other: str) -> None:
        """Let everything through again between two nodes, in good weather."""
        for way in self._ways(one, other, one_way=False):
            self.air.cuts.discard(way)
            self.air.between.pop(way, None)

    def part(self, *names: str) -> None:
        """Cut these nodes off from all others."""
        for name in names:
            for other in self.sites.keys() - set(names):
                self.cut(name, other)

    def set_weather(self, weather: Weather, one: str = "", other: str = "", *, one_way: bool = False) -> None:
        """Change how datagrams are treated: between two nodes, or everywhere, phones included."""
        if weather.loss or weather.repeats or weather.jitter:
            self.oracle.shaken()
        if not one:
            self.air.weather = weather
        else:
            for way in self._ways(one, other, one_way=one_way):
                self.air.between[way] = weather

    def heal(self) -> None:
        """End all cuts and bad weather, empty full disks, start what is down, switch all phones on."""
        self.air.cuts.clear()
        self.air.between.clear()
        self.air.weather = Weather()
        for site in self.sites.values():
            if site.disk.full:
                site.disk.empty()
            if site.node is None:
                site.start()  # while others may still be down
        for phone in self.phones:
            phone.switch_on()

    def is_linked(self) -> bool:
        """Ask all running nodes whether the links between them stand, both ways."""
        running = [name for name, site in self.sites.items() if site.node is not None]
        ups = {name: {other for other, info in self.neighbours(name).items() if info.up} for name in running}
        pairs = [pair for pair in self.links if pair[0] in ups and pair[1] in ups]
        return all(there in ups[here] for one, other in pairs for here, there in permutations((one, other)))

    # Users and phones.

    def user(self, name: str, at: str, password: str) -> None:
        """Make an account with a password on a running node."""
        done = self.make_user(name, at, password)
        assert not done.error, f"{name} at {at}: {done.error} {done.detail}"

    def phone(
        self,
        user: str,
        at: str,
        *,
        password: str = "",
        instance: bool = True,
        refuses: Callable[[bytes], bool] = lambda body: False,
        on: bool = True,
    ) -> Phone:
        """Put a phone at a node; `on`: switched on, and registered when this returns."""
        phone = self.put_phone(user, at, password=password, instance=instance, refuses=refuses)
        if on:
            phone.switch_on()
            self.run_until(lambda: phone.registered)
        return phone

    def bring(self, phone: Phone, to: str) -> None:
        """Take a phone to another node, where it registers (PROTOCOL 21)."""
        phone.go_to(to, self.sites[to].place)

    def move(self, user: str, *, at: str, to: str) -> Callable[[], CommandDone | None]:
        """Have a user's home move (PROTOCOL 24); gives what tells its outcome, None until there is one."""
        done = Probe(f"move of {user}")
        command = MoveUser(reply_to=done, request=1, name=UserName(user), to=NodeName(to))
        self.node(at).client_manager.tell(command)
        return lambda: next(iter(done.of(CommandDone)), None)

    def home_of(self, user: str) -> str:
        """The running node that is a user's home, as its disk has it; empty: none is, or more than one."""
        homes = [name for name, site in self.sites.items() if site.node is not None and site.is_home_of(user)]
        return homes[0] if len(homes) == 1 else ""

    # Neighbours.

    def add_link(self, one: str, other: str) -> None:
        """Make two running nodes neighbours, for good."""
        self.links = (*self.links, (one, other))
        for here, there in permutations((one, other)):
            self._done(here, partial(AddNeighbour, request=1, node=NodeName(there), address=self._url(there)))

    def remove_link(self, one: str, other: str) -> None:
        """Have two running nodes be neighbours no longer; those of `links` are back after a restart."""
        self.links = tuple(pair for pair in self.links if set(pair) != {one, other})
        for here, there in permutations((one, other)):
            self._done(here, partial(RemoveNeighbour, request=1, node=NodeName(there)))

    def neighbours(self, name: str) -> dict[str, NeighbourInfo]:
        """What a node says of its neighbours."""
        listed = self.sites[name].ask(lambda node, reply: node.server_manager.tell(ListNeighbours(reply, 1)))
        assert isinstance(listed, NeighboursListed)
        return {info.node: info for info in listed.neighbours}

    # Small things.

    def _done(self, name: str, command: Callable[..., AddNeighbour | RemoveNeighbour]) -> None:
        done = self.sites[name].ask(lambda node, reply: node.server_manager.tell(command(reply_to=reply)))
        assert isinstance(done, NeighbourDone)
        assert not done.error, done.error

    def _ways(self, one: str, other: str, *, one_way: bool) -> tuple[Pair, ...]:
        here, there = self.sites[one].place[0], self.sites[other].place[0]
        return ((here, there),) if one_way else ((here, there), (there, here))

    def _url(self, name: str) -> str:
        return _url(self.sites[name].place)


def _url(place: tuple[str, int]) -> str:
    return f"udp://{place[0]}:{place[1]}"
