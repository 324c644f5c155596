"""The judge of every fault run: an append-only log of what was sent, accepted and delivered, and nothing else.

It knows no code of the product. A message is its body, `SENDER>RECIPIENT NUMBER`, and each sender waits for the
answer to one before it sends the next, so that the numbers are the order of acceptance.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Fact:
    """One line of the log."""

    what: str
    """`sent`, `accepted`, `refused`, `unanswered`, `delivered`, or `kept` (our client wrote it to its mailbox)."""
    body: str
    id: str = ""
    """Angarium-Id, where the answer or the delivery had one."""
    branch: str = ""


@dataclass
class Verdict:
    """What the log proves."""

    accepted: int = 0
    delivered: int = 0
    lost: list[str] = field(default_factory=list)
    """Accepted and never delivered."""
    doubled: list[str] = field(default_factory=list)
    """In a mailbox twice: under two ids, or kept twice by our client."""
    inverted: list[str] = field(default_factory=list)
    """Delivered after a later message of the same sender to the same recipient."""
    unasked: list[str] = field(default_factory=list)
    """Delivered though it was refused or never sent."""
    repeats: int = 0
    """Deliveries of the same id to a plain phone under a new branch: seen by its user, but not a second message."""

    @property
    def failures(self) -> int:
        """Count what must not be."""
        return len(self.lost) + len(self.doubled) + len(self.inverted) + len(self.unasked)

    def __str__(self) -> str:
        parts = [f"{self.accepted} accepted, {self.delivered} delivered, {self.repeats} repeats"]
        for name in ("lost", "doubled", "inverted", "unasked"):
            bodies = getattr(self, name)
            parts.append(f"{len(bodies)} {name}" + (f" {bodies[:5]}" if bodies else ""))
        return "; ".join(parts)


class Log:
    """The append-only log, safe to write from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._accepted = 0
        self._delivered: set[str] = set()
        self._outstanding: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, what: str, body: str, id: str = "", branch: str = "") -> None:
        """Write one fact."""
        with self._lock:
            self._file.write(json.dumps([what, body, id, branch]) + "\n")
            if what == "accepted":
                self._accepted += 1
                # It may have arrived before: then only the 202 was lost on its first way.
                if body not in self._delivered:
                    self._outstanding.add(body)
            elif what in ("delivered", "kept"):
                self._delivered.add(body)
                self._outstanding.discard(body)

    def outstanding(self) -> int:
        """Count what is accepted and not yet delivered, at this instant."""
        return len(self._outstanding)

    def facts(self) -> Iterator[Fact]:
        """Read the log back."""
        with self._lock:
            if not self._file.closed:
                self._file.flush()
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield Fact(*json.loads(line))


def judge(facts: Iterable[Fact]) -> Verdict:
    """Say what the facts prove."""
    known: dict[str, set[str]] = defaultdict(set)
    ids: dict[str, list[str]] = defaultdict(list)
    branches: dict[str, set[str]] = defaultdict(set)
    kept: Counter[str] = Counter()
    order: dict[str, list[str]] = defaultdict(list)
    for fact in facts:
        known[fact.what].add(fact.body)
        if fact.what not in ("delivered", "kept"):
            continue
        pair, _, _ = fact.body.rpartition(" ")
        if fact.body not in ids:
            order[pair].append(fact.body)
        if fact.id not in ids[fact.body]:
            ids[fact.body].append(fact.id)
        if fact.what == "kept":
            kept[fact.body] += 1
        else:
            branches[fact.id or fact.body].add(fact.branch)
    arrived = known["delivered"] | known["kept"]
    verdict = Verdict(accepted=len(known["accepted"]), delivered=len(arrived))
    verdict.lost = sorted(known["accepted"] - arrived)
    verdict.doubled = sorted(body for body in arrived if len(ids[body]) > 1 or kept[body] > 1)
    verdict.inverted = [body for bodies in order.values() for body in _late(bodies)]
    verdict.unasked = sorted(arrived - known["sent"] | arrived & (known["refused"] - known["accepted"]))
    verdict.repeats = sum(len(seen) - 1 for seen in branches.values())
    return verdict


def _late(bodies: list[str]) -> Iterator[str]:
    """Yield those that came after a higher number."""
    highest = -1
    for body in bodies:
        number = int(body.rpartition(" ")[2])
        if number < highest:
            yield body
        highest = max(highest, number)
