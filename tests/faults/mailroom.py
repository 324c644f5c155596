"""A store under seeded traffic, and a ledger outside it of what it promised: for faults of the disk below it."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from actors.messages.storage import StoreOutcome, StoreResult
from actors.model import End, Seq
from actors.stores.port import Store, Write
from benchmarks.report import commit
from tests.actors.stores.build import BOB, BOBS, PHONE, ack, acknowledge, device, item, key_of, register, store

BODY = 300
"""Bytes of a body at most, most of the time; a few are many pages long."""


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


class Mailroom:
    """Stores and acknowledges at random, and checks after each restart what the store still knows."""

    def __init__(self, chance: random.Random) -> None:
        self.promises = Promises()
        self.accepted = 0
        self._chance = chance
        self._number = 0

    def settle(self, held: Store) -> list[str]:
        """Compare with a store that was just opened; each difference is a failure, in words. Then go on with it."""
        p = self.promises
        failures = [f"alarm at start: {alarm.text}" for alarm in held.open().alarms]
        found: dict[str, Seq] = {}
        after = Seq(0)
        more = True
        while more:
            messages, more = held.read_queue(BOBS, after, 100, 1 << 30, ())
            for message in messages:
                name = str(message.envelope.id)
                if name in found:
                    failures.append(f"{name} is there twice")
                if message.envelope.body != p.bodies.get(name):
                    failures.append(f"{name} has a wrong body")
                found[name] = after = message.seq
        for name, seq in p.kept.items():
            if found.get(name) != seq:
                failures.append(f"{name} is lost")
        failures += [f"{name} is back" for name in p.gone & found.keys()]
        failures += self._strangers(found)
        failures += self._forgotten(held, found)
        if held.open().last_seq < p.newest:
            failures.append("a seq will be used again")
        p.kept = found
        p.unsure_stored.clear()
        p.unsure_gone.clear()
        return failures

    def _strangers(self, found: dict[str, Seq]) -> list[str]:
        expected = self.promises.kept.keys() | self.promises.unsure_stored | self.promises.unsure_gone.keys()
        return [f"{name} should not be there" for name in found.keys() - expected - self.promises.gone]

    def _forgotten(self, held: Store, found: dict[str, Seq]) -> list[str]:
        """Ingress keys of what was accepted must be known: a repeat would be stored again."""
        names = sorted(self.promises.kept.keys() | found.keys())
        known = held.known([key_of(name) for name in names])
        return [f"{name} would be stored again" for name, first in zip(names, known, strict=True) if first != name]

    def work(self, held: Store) -> None:
        """One commit: a few messages in, a few out. Whatever it raises leaves the promises as they were."""
        p = self.promises
        names = [self._new_name() for _ in range(self._chance.randrange(1, 12))]
        out = {name: p.kept[name] for name in list(p.kept) if self._chance.random() < 0.4}
        commands: list[Write] = [store(*(item(name, body=p.bodies[name]) for name in names))]
        if out:
            commands.append(acknowledge(*(ack(seq, name, end=End.DELIVERED) for name, seq in out.items())))
        if self._chance.random() < 0.2:
            commands.append(register(device(PHONE, contact=b"sip:bob@127.0.0.1:5070"), user=BOB))
        p.unsure_stored.update(names)
        p.unsure_gone.update(out)
        for name in out:
            del p.kept[name]
        results = held.commit(commands)[0] or ()
        for name in out:
            p.gone.add(name)
            del p.unsure_gone[name]
        for name, result in zip(names, results, strict=True):
            assert isinstance(result, StoreResult)
            p.unsure_stored.discard(name)
            if result.outcome is StoreOutcome.STORED:
                p.kept[name] = result.seq
                p.newest = max(p.newest, result.seq)
                self.accepted += 1
        held.tend()

    def undone(self) -> None:
        """The last commit raised, and the store says that it did nothing."""
        p = self.promises
        p.kept.update(p.unsure_gone)
        p.unsure_gone.clear()
        for name in p.unsure_stored:
            del p.bodies[name]
        p.unsure_stored.clear()

    def _new_name(self) -> str:
        self._number += 1
        name = f"m{self._number}"
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
