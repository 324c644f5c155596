"""What happens in a world: drawn from its seed, told in order, and judged at its end."""

from __future__ import annotations

from random import Random

import msgspec

from apps.node.wiring import Actors
from apps.simulated.air import CLEAR, Weather
from apps.simulated.phone import Phone
from apps.simulated.site import StoreFactory, WatchedStore
from apps.simulated.world import World

STORMS = (30.0, 60.0, 60.0, 90.0, 120.0, 120.0, 120.0, 400.0)
"""Seconds of faults, one of these, before everything heals."""
FLOOD = 80
"""Messages at most that come for somebody who is away."""
SHORT_LIVED = 0.1
"""Part of the messages that expire within a minute."""
NAMES = ("alice", "bob", "carol", "dave")


class Outcome(msgspec.Struct, frozen=True):
    """What came of a story: broken promises (none, if all is well), and how much happened in it."""

    seed: int
    violations: tuple[str, ...]
    sent: int
    accepted: int
    delivered: int
    repeats: int
    crashes: int
    steps: int
    trace: tuple[tuple[float, str, str], ...] = ()


def tell(
    seed: int, *, actors: Actors | None = None, store: StoreFactory = WatchedStore, record: bool = False
) -> Outcome:
    """Run the story of a seed: the same seed is the same story, packet by packet."""
    world = World(seed, actors=actors, store=store, record=record)
    try:
        return _Story(world).tell()
    finally:
        world.close()


class _Story:
    """One telling: phones come, send and go, the air changes, the node is killed and started again."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = Random(f"story {world.seed}")
        self._run_for = world.simulation.run_for

    def tell(self) -> Outcome:
        """Tell all of it."""
        world = self._world
        self._begin()
        pace = self._random.choice((0.2, 0.5, 0.5))
        until = world.simulation.clock.monotonic() + self._random.choice(STORMS)
        while world.simulation.clock.monotonic() < until:
            self._run_for(self._random.expovariate(pace))
            self._happen()
        self._heal()
        world.come_to_rest()
        oracle = world.oracle
        violations = tuple(world.judge())
        return Outcome(
            seed=world.seed,
            violations=violations,
            sent=len(oracle.sent),
            accepted=len(oracle.accepted()),
            delivered=sum(len(mailbox) for mailbox in oracle.mailboxes.values()),
            repeats=oracle.repeats,
            crashes=world.crashes,
            steps=world.simulation.steps,
            trace=tuple(world.simulation.trace or ()),
        )

    def _begin(self) -> None:
        world, random = self._world, self._random
        world.start_node()
        for name in NAMES[: random.randint(2, len(NAMES))]:
            password = f"secret of {name}" if random.random() < 0.4 else ""
            if password:
                world.add_user(name, password)
            picky = random.random() < 0.3
            for _ in range(random.choice((1, 1, 2, 3))):
                world.add_phone(
                    name,
                    password=password,
                    instance=random.random() < 0.6,
                    refuses=_every_fifth if picky else _nothing,
                )
        for phone in world.phones:
            # In good weather everybody gets known; after that it is as it is.
            phone.switch_on()
        self._run_for(5.0)
        self._change_weather()

    def _happen(self) -> None:
        random = self._random
        chance = random.random()
        if chance < 0.60:
            self._send_some(random.randint(1, 3))
        elif chance < 0.75:
            self._switch(random.choice(self._world.phones))
        elif chance < 0.85:
            self._change_weather()
        elif chance < 0.94:
            self._crash()
        elif chance < 0.96:
            self._fill_disk()
        elif chance < 0.98:
            random.choice(self._world.phones).unregister()
        elif chance < 0.99:
            self._flood(random.choice(self._world.phones).settings.user)
        else:
            self._run_for(random.uniform(5.0, 40.0))

    def _send_some(self, count: int) -> None:
        senders = [phone for phone in self._world.phones if phone.on]
        users = sorted({phone.settings.user for phone in self._world.phones})
        for _ in range(count):
            if senders:
                recipient = self._random.choice([*users, "nobody"])
                life = self._random.randint(1, 60) if self._random.random() < SHORT_LIVED else None
                self._random.choice(senders).send(recipient, life)

    def _flood(self, user: str) -> None:
        """All phones of a user go off, and much mail comes for him."""
        for phone in self._world.phones:
            if phone.settings.user == user and phone.on:
                self._switch(phone)
        senders = [phone for phone in self._world.phones if phone.on]
        for _ in range(self._random.randint(1, FLOOD) if senders else 0):
            self._random.choice(senders).send(user)

    def _switch(self, phone: Phone) -> None:
        if phone.on:
            phone.switch_off()
            # So long that nothing sent to it before is still in the air when it is back.
            self._run_for(2.0)
        else:
            phone.switch_on()

    def _change_weather(self) -> None:
        random = self._random
        self._world.air.weather = Weather(
            loss=random.choice((0.0, 0.0, 0.05, 0.05, 0.3, 0.3, 0.8)),
            repeats=random.choice((0.0, 0.1)),
            delay=random.choice((0.001, 0.02, 0.2)),
            jitter=random.choice((0.0, 0.01, 0.5)),
        )

    def _crash(self) -> None:
        """Kill the node in the middle of some work, and start it again, now and then in vain."""
        world, random = self._world, self._random
        self._send_some(random.randint(1, 5))
        self._run_for(random.choice((0.0, world.air.weather.delay, random.uniform(0.0, 1.0))))
        world.simulation.run_steps(random.randint(0, 60))
        world.crash_node()
        self._run_for(random.choice((0.0, 0.3, random.uniform(0.0, 5.0), random.uniform(0.0, 60.0))))
        while not world.start_node(random.randint(0, 60) if random.random() < 0.3 else None):
            self._run_for(random.uniform(0.0, 2.0))

    def _fill_disk(self) -> None:
        """For a while nothing new can be stored; senders hear 503, and acknowledgements go on."""
        disk = self._world.disk
        disk.fill()
        self._send_some(self._random.randint(1, 5))
        self._run_for(self._random.uniform(0.5, 20.0))
        disk.empty()

    def _heal(self) -> None:
        self._world.air.weather = CLEAR
        for phone in self._world.phones:
            phone.switch_on()


def _nothing(body: bytes) -> bool:
    return False


def _every_fifth(body: bytes) -> bool:
    """Refuse one message of five, the same on each device: bodies begin with their number."""
    return body.startswith(b"message ") and int(body.split()[1]) % 5 == 0
