"""A store under seeded traffic, and a ledger outside it of what it promised: for faults of the disk below it."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from actors.messages.storage import MoveItem, StoreItem, StoreOutcome, StoreResult
from actors.model import End, NodeName, QueueName, Seq, neighbour_queue
from actors.stores.port import Result, Store, Write
from benchmarks.report import commit
from tests.actors.stores.build import (
    BOB,
    BOBS,
    LIFE,
    PHONE,
    ack,
    acknowledge,
    device,
    drop,
    envelope,
    item,
    key_of,
    mark,
    moving,
    register,
    store,
)

BODY = 300
"""Bytes of a body at most, most of the time; a few are many pages long."""
NEXT = neighbour_queue(NodeName("c"))
LATELY = 200
"""Hand-overs that may come again: the neighbour's floor is so far behind."""
SUBMITTED, HOME, TRANSIT = "m", "h", "t"
"""How names begin: of what a phone sent, of what a neighbour sent for a user here, and for one elsewhere."""


@dataclass
class Promises:
    """What was promised, by name of message."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    """Every message that was ever handed in."""
    kept: dict[str, Seq] = field(default_factory=dict)
    """Accepted, and not acknowledged: must be there."""
    unsure_stored: set[str] = field(default_factory=set)
    """Handed in by a commit that did not return: may be there."""
    gone: set[str] = field(default_factory=set)
    """Acknowledged by a commit that returned: must not be there."""
    unsure_gone: dict[str, Seq] = field(default_factory=dict)
    """Acknowledged by a commit that did not return: may be there."""
    newest: int = 0
    """The newest seq that was told."""
    elsewhere: set[str] = field(default_factory=set)
    """Of those kept, what stands in the queue to the next node."""
    unsure_moved: dict[str, Seq] = field(default_factory=dict)
    """Put into the mailbox by a commit that did not return: must be there, in one place."""
    taken: dict[str, None] = field(default_factory=dict)
    """Hand-overs whose commit returned: must be known when they come again."""


class Mailroom:
    """Stores, hands on and acknowledges at random, and checks after each restart what the store still knows."""

    def __init__(self, chance: random.Random) -> None:
        self.promises = Promises()
        self.accepted = 0
        self._chance = chance
        self._number = 0
        self._failures: list[str] = []

    def settle(self, held: Store) -> list[str]:
        """Compare with a store that was just opened; each difference is a failure, in words. Then go on with it."""
        p = self.promises
        failures = [f"alarm at start: {alarm.text}" for alarm in held.open().alarms]
        failures += self._failures
        self._failures = []
        found: dict[str, Seq] = {}
        failures += self._read(held, NEXT, found)
        elsewhere = set(found)
        failures += self._read(held, BOBS, found)
        for name, seq in p.kept.items():
            if found.get(name) != seq:
                failures.append(f"{name} is lost")
        failures += [f"{name} is lost on its way" for name in p.unsure_moved.keys() - found.keys()]
        failures += [f"{name} is back" for name in p.gone & found.keys()]
        failures += self._strangers(found)
        failures += self._forgotten(held, found)
        if held.open().last_seq < p.newest:
            failures.append("a seq will be used again")
        p.kept = found
        p.elsewhere = elsewhere
        p.taken.update(dict.fromkeys(name for name in found if name[0] != SUBMITTED))
        p.unsure_stored.clear()
        p.unsure_gone.clear()
        p.unsure_moved.clear()
        return failures

    def _read(self, held: Store, queue: QueueName, found: dict[str, Seq]) -> list[str]:
        """Add what stands in a queue; what is wrong with it."""
        failures: list[str] = []
        after = Seq(0)
        more = True
        while more:
            messages, more = held.read_queue(queue, after, 100, 1 << 30, ())
            for message in messages:
                name = str(message.envelope.id)
                if name in found:
                    failures.append(f"{name} is there twice")
                if message.envelope.body != self.promises.bodies.get(name):
                    failures.append(f"{name} has a wrong body")
                found[name] = after = message.seq
        return failures

    def _strangers(self, found: dict[str, Seq]) -> list[str]:
        p = self.promises
        expected = p.kept.keys() | p.unsure_stored | p.unsure_gone.keys() | p.unsure_moved.keys()
        return [f"{name} should not be there" for name in found.keys() - expected - p.gone]

    def _forgotten(self, held: Store, found: dict[str, Seq]) -> list[str]:
        """Ingress keys of what was accepted must be known: a repeat would be stored again."""
        names = sorted(name for name in self.promises.kept.keys() | found.keys() if name[0] == SUBMITTED)
        known = held.known([key_of(name) for name in names])
        return [f"{name} would be stored again" for name, first in zip(names, known, strict=True) if first != name]

    def work(self, held: Store) -> None:
        """One commit: a few messages in, a few on, a few out. Whatever it raises leaves the promises as they were."""
        p = self.promises
        names = [self._new_name() for _ in range(self._chance.randrange(1, 12))]
        again = self._come_again()
        out = {name: p.kept[name] for name in list(p.kept) if self._chance.random() < 0.4}
        on = {name: seq for name, seq in out.items() if name in p.elsewhere and self._chance.random() < 0.5}
        out = {name: seq for name, seq in out.items() if name not in on}
        commands: list[Write] = [
            store(*(self._item(name) for name in names)),
            store(*again),
            moving(*(MoveItem(seq, BOBS, self._item(name).envelope, once=True) for name, seq in on.items())),
            drop(*(seq for name, seq in out.items() if name in p.elsewhere)),
        ]
        if acks := [ack(seq, name, end=End.DELIVERED) for name, seq in out.items() if name not in p.elsewhere]:
            commands.append(acknowledge(*acks))
        if self._chance.random() < 0.2:
            commands.append(register(device(PHONE, contact=b"sip:bob@127.0.0.1:5070"), user=BOB))
        p.unsure_stored.update(names)
        p.unsure_gone.update(out)
        p.unsure_moved.update(on)
        for name in (*out, *on):
            del p.kept[name]
        stored, known, moved, *_ = held.commit(commands)
        for name in out:
            p.gone.add(name)
            del p.unsure_gone[name]
        self._keep(names, stored)
        self._keep(list(on), moved)
        for item_, result in zip(again, known or (), strict=True):
            if not isinstance(result, StoreResult) or result.outcome is not StoreOutcome.KNOWN:
                self._failures.append(f"{item_.envelope.id} was taken twice")
        self.accepted += len(names)
        held.tend()

    def _keep(self, names: list[str], results: Result) -> None:
        """These were stored, or moved into the mailbox: the commit returned."""
        p = self.promises
        for name, result in zip(names, results or (), strict=True):
            assert isinstance(result, StoreResult)
            if result.outcome is not StoreOutcome.STORED:
                self._failures.append(f"{name} was not taken: {result.outcome}")
                continue
            if name[0] == TRANSIT and name not in p.unsure_moved:
                p.elsewhere.add(name)
            else:
                p.elsewhere.discard(name)
            if name[0] != SUBMITTED:
                p.taken[name] = None
            p.unsure_stored.discard(name)
            p.unsure_moved.pop(name, None)
            p.kept[name] = result.seq
            p.newest = max(p.newest, result.seq)

    def _come_again(self) -> list[StoreItem]:
        """Hand-overs whose answer was lost; what is for a user here may come another way, too."""
        lately = [name for name in self.promises.taken if self._number - int(name[1:]) < LATELY]
        again = [self._item(name) for name in lately if self._chance.random() < 0.1]
        other = mark(self._number, node="d")
        return [
            msgspec.structs.replace(some, link=other) if some.once and self._chance.random() < 0.5 else some
            for some in again
        ]

    def _item(self, name: str) -> StoreItem:
        body = self.promises.bodies[name]
        if name[0] == SUBMITTED:
            return item(name, body=body)
        number = int(name[1:])
        link = mark(number, floor=max(0, self._number - LATELY))
        queue = BOBS if name[0] == HOME else NEXT
        return StoreItem(b"", queue, envelope(name, body=body), LIFE, link=link, once=name[0] == HOME)

    def undone(self) -> None:
        """The last commit raised, and the store says that it did nothing."""
        p = self.promises
        p.kept.update(p.unsure_gone)
        p.unsure_gone.clear()
        p.kept.update(p.unsure_moved)
        p.unsure_moved.clear()
        for name in p.unsure_stored:
            del p.bodies[name]
        p.unsure_stored.clear()

    def _new_name(self) -> str:
        self._number += 1
        name = f"{self._chance.choice((SUBMITTED, SUBMITTED, HOME, TRANSIT))}{self._number}"
        size = self._chance.randrange(1, BODY) if self._chance.random() < 0.95 else 20_000
        self.promises.bodies[name] = self._chance.randbytes(size)
        return name


def show(name: str, n: int, failures: int, seconds: float, seed: int, **more: object) -> None:
    """Print the one JSON line of a fault run."""
    line = {"id": name, "n": n, "failures": failures, "seconds": round(seconds, 2), "seed": seed, "commit": commit()}
    sys.stdout.write(json.dumps({**line, **more}) + "\n")


def timed(run: Callable[[], list[str]]) -> tuple[list[str], float]:
    """What a run found, and how many seconds it took."""
    start = time.monotonic()
    return run(), time.monotonic() - start
