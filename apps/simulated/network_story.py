"""What happens in a network: drawn from its seed, told in order, and judged at its end."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from actors.client_manager.core import ClientSettings
from actors.server_manager.core import LinkSettings
from apps.simulated.air import Weather
from apps.simulated.network import Network
from apps.simulated.phone import Phone
from apps.simulated.shapes import Pair, line, mesh, ring, star

STORMS = (5.0, 8.0, 12.0, 20.0, 40.0)
"""Seconds of faults, one of these, before everything heals."""
CALM = 0.15
"""Part of the networks in which nothing goes wrong: there order holds over several nodes, too."""
SHORT_LIVED = 0.05
"""Part of the messages that expire within a minute."""
CLIENTS = ClientSettings(expiry_interval=5.0)
TIMING = LinkSettings(expiry_interval=5.0)
"""Looking for expired messages each second would be a quarter of all that happens."""
NAMES = ("alice", "bob", "carol", "dave")


class NetworkOutcome(msgspec.Struct, frozen=True):
    """What came of a story: broken promises (none, if all is well), and how much happened in it."""

    seed: int
    violations: tuple[str, ...]
    nodes: int
    calm: bool
    sent: int
    accepted: int
    delivered: int
    repeats: int
    crashes: int
    moves: int
    """Users whose homes were told to move."""
    holders: int
    """On how many disks one message ever stood at once, rows included whose 202 was on its way back."""
    steps: int
    seconds: float
    """Virtual ones."""
    trace: tuple[tuple[float, str, str], ...] = ()


def tell(seed: int, *, record: bool = False, **replacements: Any) -> NetworkOutcome:
    """Run the story of a seed: the same seed is the same story, packet by packet.

    `replacements` go to `Network`: actors, store, clients, routing, timing.
    """
    random = Random(f"network story {seed}")
    links, open_mode = draw_shape(random), random.random() < 0.4
    told = {"clients": CLIENTS, "timing": TIMING, **replacements}
    with Network(seed, links=links, open_mode=open_mode, record=record, **told) as network:
        return _Story(network, random, open_mode=open_mode).tell()


def draw_shape(random: Random) -> tuple[Pair, ...]:
    """Three to five nodes, in a line, a ring, a star or a mesh."""
    names = "abcde"[: random.choice((3, 3, 3, 4, 4, 5))]
    shapes = (line, line, ring, star, mesh) if len(names) < 5 else (line, line, ring, star)
    return random.choice(shapes)(names)


class _Story:
    """One telling: phones come, send, roam and go, ways are cut and mended, nodes are killed and started again."""

    def __init__(self, network: Network, random: Random, *, open_mode: bool) -> None:
        self._net = network
        self._open = open_mode
        self._random = random
        self._nodes = tuple(network.sites)
        self._calm = random.random() < CALM
        self._passwords: dict[str, str] = {}
        self._moves = 0

    def tell(self) -> NetworkOutcome:
        """Tell all of it."""
        net, clock = self._net, self._net.simulation.clock
        begun = clock.monotonic()
        self._begin()
        pace = self._random.choice((0.3, 0.6, 1.0))
        until = clock.monotonic() + self._random.choice(STORMS)
        while clock.monotonic() < until:
            net.run_for(self._random.expovariate(pace))
            if self._calm:
                self._send_some(self._random.randint(1, 3))
            else:
                self._happen()
        net.heal()
        self._send_some(1)
        net.come_to_rest()
        oracle = net.oracle
        violations = tuple(net.judge())
        return NetworkOutcome(
            seed=net.seed,
            violations=violations,
            nodes=len(self._nodes),
            calm=oracle.calm,
            sent=len(oracle.sent),
            accepted=len(oracle.accepted()),
            delivered=sum(len(mailbox) for mailbox in oracle.mailboxes.values()),
            repeats=oracle.repeats,
            crashes=net.crashes,
            moves=self._moves,
            holders=oracle.custody.most,
            steps=net.simulation.steps,
            seconds=clock.monotonic() - begun,
            trace=tuple(net.simulation.trace or ()),
        )

    def _begin(self) -> None:
        """Good weather: nodes start and link, and everybody gets known at his home."""
        net, random = self._net, self._random
        net.start()
        for name in NAMES[: random.randint(2, len(NAMES))]:
            home = random.choice(self._nodes)
            if not self._open:
                self._passwords[name] = f"secret of {name}"
                net.user(name, home, self._passwords[name])
            for _ in range(random.choice((1, 1, 1, 2))):
                at = home if random.random() < 0.6 else random.choice(self._nodes)
                net.phone(name, at, password=self._passwords.get(name, ""), instance=random.random() < 0.7)

    def _happen(self) -> None:
        random = self._random
        chance = random.random()
        if chance < 0.50:
            self._send_some(random.randint(1, 3))
        elif chance < 0.60:
            self._switch(random.choice(self._net.phones))
        elif chance < 0.68:
            self._roam(random.choice(self._net.phones))
        elif chance < 0.73:
            self._move(random.choice(self._net.phones).settings.user)
        elif chance < 0.82:
            self._cut()
        elif chance < 0.88:
            self._change_weather()
        elif chance < 0.97:
            self._crash()
        else:
            self._fill_disk()

    def _send_some(self, count: int) -> None:
        senders = [phone for phone in self._net.phones if phone.on]
        users = sorted({phone.settings.user for phone in self._net.phones})
        for _ in range(count if senders else 0):
            recipient = self._random.choice([*users, *users, "nobody"])
            life = self._random.randint(1, 60) if self._random.random() < SHORT_LIVED else None
            self._random.choice(senders).send(recipient, life)

    def _switch(self, phone: Phone) -> None:
        if phone.on:
            phone.switch_off()
            # So long that nothing sent to it before is still in the air when it is back.
            self._net.run_for(2.0)
        else:
            phone.switch_on()

    def _roam(self, phone: Phone) -> None:
        self._net.bring(phone, self._random.choice(self._nodes))

    def _move(self, user: str) -> None:
        """Move a user's home, and go on meanwhile."""
        home, to = self._net.home_of(user), self._random.choice(self._nodes)
        if home and home != to:
            self._moves += 1
            self._net.move(user, at=home, to=to)

    def _cut(self) -> None:
        """Cut a link, or mend one that is cut."""
        net, random = self._net, self._random
        one, other = random.choice(net.links)
        if random.random() < 0.4:
            net.mend(one, other)
        elif random.random() < 0.5:
            net.cut(one, other)
        else:
            net.cut(*random.choice(((one, other), (other, one))), one_way=True)

    def _change_weather(self) -> None:
        random = self._random
        weather = Weather(
            loss=random.choice((0.0, 0.05, 0.3, 0.6)),
            repeats=random.choice((0.0, 0.1)),
            delay=random.choice((0.001, 0.02, 0.2)),
            jitter=random.choice((0.0, 0.01, 0.5)),
        )
        if random.random() < 0.3:
            self._net.set_weather(weather)
        else:
            self._net.set_weather(weather, *random.choice(self._net.links))

    def _crash(self) -> None:
        """Kill a node in the middle of some work, and start it again, perhaps later, now and then in vain."""
        net, random = self._net, self._random
        name = random.choice(self._nodes)
        if net.sites[name].node is not None:
            self._send_some(random.randint(1, 4))
            net.run_for(random.choice((0.0, 0.001, 0.003, random.uniform(0.0, 0.5))))
            net.simulation.run_steps(random.randint(0, 60))
            net.crash(name)
            net.run_for(random.choice((0.0, 0.3, random.uniform(0.0, 5.0))))
        if random.random() < 0.3:
            return  # it stays down until somebody thinks of it
        while not net.restart(name, doom_steps=random.randint(0, 60) if random.random() < 0.3 else None):
            net.run_for(random.uniform(0.0, 2.0))

    def _fill_disk(self) -> None:
        """For a while one node can store nothing new."""
        net, random = self._net, self._random
        name = random.choice(self._nodes)
        net.fill_disk(name)
        self._send_some(random.randint(1, 4))
        net.run_for(random.uniform(0.5, 10.0))
        net.empty_disk(name)
