"""S4: the nth call to the database fails, for every n and in every way; nothing accepted is lost, all are answered."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from actors.messages.lifecycle import ActorFailed, CommandFailed
from actors.messages.storage import (
    MessagesStored,
    MoveItem,
    ReadNeighbours,
    ReadQueue,
    ReadStoreStats,
    ReadUsers,
    StoreOutcome,
    UsersRead,
)
from actors.model import Account, NodeName, Seq
from actors.storage import Storage
from actors.stores.connection import (
    Connection,
    DatabaseError,
    DatabaseFailed,
    DatabaseFull,
    Row,
    Sqlite3Connection,
)
from actors.stores.port import Store, StoreError, StoreFailed, StoreFull
from actors.stores.sqlite import SqliteStore
from actors.testing import Probe, VirtualClock, running
from tests.actors.stores.build import (
    BOB,
    BOBS,
    accounts,
    ack,
    acknowledge,
    device,
    drop,
    envelope,
    item,
    mark,
    moving,
    register,
    settled,
    store,
)
from tests.faults.mailroom import Mailroom, show

SEED = 9
KINDS = [DatabaseError, DatabaseFull, DatabaseFailed]
COMMITS = 5
T = TypeVar("T")


class FailingConnection:
    """Passes calls on to `sqlite3`, but for one; `late` has it fail after the work was done."""

    def __init__(self, path: Path, fault: Fault) -> None:
        self._connection = Sqlite3Connection(path)
        self._fault = fault

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        if "synchronous" in sql:
            sql = "PRAGMA synchronous = OFF"  # no power is cut here, and the disk is spared
        return self._fault.call(lambda: self._connection.execute(sql, values))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        return self._fault.call(lambda: self._connection.executemany(sql, rows), skipped=0)

    def fetchone(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        return self._fault.call(lambda: self._connection.fetchone(sql, values))

    def fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._fault.call(lambda: self._connection.fetchall(sql, values))

    def close(self) -> None:
        self._connection.close()


class Fault:
    """Counts calls over all connections of a run, and fails one of them.

    `late` has it fail after its work was done; `silent` has a write fail and not say so: the fault to be seen.
    """

    def __init__(self, at: int, kind: type[DatabaseError], *, late: bool = False, silent: bool = False) -> None:
        self.calls = 0
        self.happened = False
        self._at = at
        self._kind = kind
        self._late = late
        self._silent = silent
        self._connections: list[FailingConnection] = []

    def connect(self, path: Path) -> Connection:
        self._connections.append(FailingConnection(path, self))
        return self._connections[-1]

    def call(self, work: Callable[[], T], skipped: T | None = None) -> T:
        self.calls += 1
        if self.calls != self._at:
            return work()
        self.happened = True
        if self._silent and skipped is not None:
            return skipped
        if self._late:
            work()
        raise self._kind("planted")

    def end_process(self) -> None:
        """What the operating system does to the files of a process that ended."""
        for connection in self._connections:
            with suppress(DatabaseError):
                connection.close()
        self._connections.clear()


def run_store(folder: Path, fault: Fault) -> list[str]:
    """Work through the fault, starting again where a process would; what was wrong at the end."""
    clock = VirtualClock()
    room = Mailroom(random.Random(SEED))
    failures: list[str] = []

    def start() -> Store:
        for _ in range(3):
            fault.end_process()
            held = SqliteStore(data_dir=folder, realm=None, clock=clock, connect=fault.connect)
            try:
                held.open()
                failures.extend(room.settle(held))
            except (StoreError, StoreFailed, DatabaseError):
                held.close()
            else:
                return held
        raise AssertionError("the store does not open again")

    held = start()
    for _ in range(COMMITS):
        try:
            room.work(held)
        except StoreFailed:
            held.close()
            held = start()
        except StoreFull:
            room.undone()
            held.make_room()
        except DatabaseError:
            room.undone()
    held.close()
    start().close()
    return failures


def try_each_call(folder: Path, run: Callable[[Path, Fault], list[str]], **how: Any) -> tuple[int, list[str]]:
    """Fail call after call until a run makes fewer calls; how many there were, and what was wrong."""
    start = time.monotonic()
    failures: list[str] = []
    at = 0
    happened = True
    while happened:
        at += 1
        fault = Fault(at, **how)
        failures += [f"call {at}: {failure}" for failure in run(folder / str(at), fault)]
        happened = fault.happened
    words = {name: value.__name__ if isinstance(value, type) else value for name, value in how.items()}
    show(f"S4-{run.__name__}", at, len(failures), time.monotonic() - start, SEED, **words)
    return at, failures


@pytest.mark.faults
@pytest.mark.parametrize(
    ("kind", "late"), [(DatabaseError, False), (DatabaseFull, False), (DatabaseFailed, False), (DatabaseFailed, True)]
)
def test_a_store_loses_nothing_whatever_call_fails(tmp_path: Path, kind: type[DatabaseError], late: bool) -> None:
    calls, failures = try_each_call(tmp_path, run_store, kind=kind, late=late)
    assert failures == []
    assert calls > 100


@pytest.mark.faults
def test_the_harness_sees_a_write_that_fails_and_does_not_say_so(tmp_path: Path) -> None:
    _, failures = try_each_call(tmp_path, run_store, kind=DatabaseError, silent=True)
    assert any("is lost" in failure for failure in failures)
    assert any("would be stored again" in failure for failure in failures)


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_everybody_is_answered_whatever_call_fails(tmp_path: Path, kind: type[DatabaseError]) -> None:
    _, failures = try_each_call(tmp_path, run_actor, kind=kind)
    assert failures == []


def run_actor(folder: Path, fault: Fault) -> list[str]:
    """Ask Storage for a little of everything; who has no answer, unless the process must end."""
    clock = VirtualClock()
    probes = [Probe(f"request {n}") for n in range(14)]
    held = SqliteStore(data_dir=folder, realm=None, clock=clock, connect=fault.connect)
    with running(Storage, clock=clock, store=held, monitor=Probe("monitor")) as started:
        started.serve(register(device(), reply_to=probes[0]))
        started.serve(store(item("a"), item("b"), reply_to=probes[1]))
        results = [r for answer in probes[1].of(MessagesStored) for r in answer.results]
        accepted = [r for r in results if r.outcome is StoreOutcome.STORED]
        started.serve(
            acknowledge(*(ack(r.seq, r.id) for r in accepted[:1]), reply_to=probes[2]),
            store(item("c"), reply_to=probes[3]),
            ReadQueue(reply_to=probes[4], request=5, queue=BOBS, after=Seq(0), limit=10),
            ReadUsers(reply_to=probes[5], request=6),
            ReadStoreStats(reply_to=probes[6], request=7),
        )
        started.advance(3)
        started.serve(store(item("d"), reply_to=probes[7]))
        far = item("far", key=b"", once=True, link=mark(1))
        moves: list[Any] = [
            accounts("bob", coming_from=NodeName("a")),
            store(far, item("e")),
            moving(*(MoveItem(r.seq, BOBS, envelope(r.id)) for r in accepted[1:])),
            drop(4),
            settled(Account(BOB)),
            ReadNeighbours(probes[13], 13),
        ]
        started.serve(*(replace(one, reply_to=probes[n], request=n) for n, one in enumerate(moves, 8)))
        started.advance(3)
        reported = [m for m in started.failures.take_all() if isinstance(m, ActorFailed)]
    silent = [probe.name for probe in probes if not probe.messages]
    twice = [probe.name for probe in probes if len(probe.messages) > 1 and not probe.of(UsersRead)]
    fault.end_process()
    failures = [f"{name} was answered twice" for name in twice]
    if silent and not any(report.fatal for report in reported):
        failures += [f"{name} was not answered" for name in silent]
    if fault.happened and not reported and not any(p.of(CommandFailed) or p.of(MessagesStored) for p in probes):
        failures.append("nobody was told")
    return failures
