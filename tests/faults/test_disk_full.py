"""S1: a disk that is full for a while: messages are refused, acknowledgements recorded, nothing is lost, no restart."""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.messages.monitor import ClearAlarm, RaiseAlarm
from actors.messages.storage import (
    MessagesAcknowledged,
    MessagesStored,
    StoreMessages,
    StoreOutcome,
)
from actors.model import End, Seq
from actors.storage import Command, Storage
from actors.stores.ballast import SIZE, SPARE, Ballast
from actors.stores.sqlite import SqliteStore
from actors.testing import Probe, Started, VirtualClock, running
from tests.actors.stores.build import BOBS, ack, acknowledge, item, store, stored
from tests.faults.mailroom import show

DISK = 32 << 20
SEED = 1
ROUNDS = 30
"""Seconds of virtual time with a full disk."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB in memory."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


def fill(disk: Path, leave: int) -> None:
    """Leave only so many bytes free."""
    state = os.statvfs(disk)
    with (disk / "filler").open("ab") as file:
        file.write(bytes(max(0, state.f_bavail * state.f_frsize - leave)))


class Traffic:
    """Stores and acknowledges through the actor, and remembers what it was promised."""

    def __init__(self, started: Started[Command]) -> None:
        self.kept: dict[str, Seq] = {}
        self.gone: set[str] = set()
        self.refused = 0
        self._chance = random.Random(SEED)
        self._started = started
        self._number = 0

    def send(self, count: int, size: int) -> None:
        """Store some messages; each is kept or refused."""
        names = [f"m{self._number + n}" for n in range(count)]
        self._number += count
        probe = Probe()
        items = [item(name, body=self._chance.randbytes(size)) for name in names]
        self._started.serve(StoreMessages(reply_to=probe, request=1, items=tuple(items)))
        for name, result in zip(names, probe.expect(MessagesStored).results, strict=True):
            if result.outcome is StoreOutcome.STORED:
                self.kept[name] = result.seq
            else:
                assert result.outcome is StoreOutcome.REFUSED
                self.refused += 1

    def acknowledge(self, count: int) -> None:
        """Acknowledge some of what is kept; that is never refused."""
        names = list(self.kept)[:count]
        probe = Probe()
        items = [ack(self.kept[name], name, end=End.DELIVERED) for name in names]
        self._started.serve(acknowledge(*items, reply_to=probe))
        probe.expect(MessagesAcknowledged)
        for name in names:
            del self.kept[name]
            self.gone.add(name)


@pytest.mark.faults
def test_a_full_disk_costs_time_not_mail(small_disk: Path) -> None:
    start = time.monotonic()
    monitor = Probe("monitor")
    clock = VirtualClock()
    folder = small_disk / "data"
    held = SqliteStore(data_dir=folder, realm=None, clock=clock)
    with running(Storage, clock=clock, store=held, monitor=monitor) as started:
        traffic = Traffic(started)
        traffic.send(500, 300)
        fill(small_disk, leave=1 << 20)
        while not traffic.refused:
            traffic.send(50, 2_000)
        assert monitor.expect(RaiseAlarm).name == "disk-full"
        fill(small_disk, leave=SIZE // 2)
        for _ in range(ROUNDS):
            traffic.send(5, 300)
            traffic.acknowledge(10)
            started.advance(1)
        refused = traffic.refused
        assert refused >= 5 * ROUNDS
        assert len(traffic.gone) == 10 * ROUNDS
        monitor.expect_none(ClearAlarm)
        (small_disk / "filler").unlink()
        started.advance(2)
        assert monitor.expect(ClearAlarm).name == "disk-full"
        traffic.send(50, 300)
        traffic.acknowledge(20)
        assert traffic.refused == refused
    again = SqliteStore(data_dir=folder, realm=None, clock=clock)
    assert again.open().alarms == ()
    messages, more = again.read_queue(BOBS, Seq(0), 10_000, 1 << 30, ())
    again.close()
    found = {str(message.envelope.id): message.seq for message in messages}
    failures = len(traffic.kept.items() ^ found.items())
    show("S1", ROUNDS, failures, time.monotonic() - start, SEED, refused=refused, acknowledged=len(traffic.gone))
    assert not more
    assert found == traffic.kept


@pytest.mark.faults
def test_without_ballast_acknowledgements_wait(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that the run above must see: nothing is held back for acknowledgements."""
    monkeypatch.setattr(Ballast, "hold", lambda self: False)
    clock = VirtualClock()
    held = SqliteStore(data_dir=small_disk / "data", realm=None, clock=clock)
    with running(Storage, clock=clock, store=held, monitor=Probe("monitor")) as started:
        traffic = Traffic(started)
        traffic.send(500, 300)
        fill(small_disk, leave=1 << 20)
        while not traffic.refused:
            traffic.send(50, 2_000)
        fill(small_disk, leave=0)
        probe = Probe()
        acks = [ack(seq, name, end=End.DELIVERED) for name, seq in traffic.kept.items()]
        started.serve(acknowledge(*acks, reply_to=probe), store(item("more")))
        probe.expect_none()
        (small_disk / "filler").unlink()
        started.advance(2)
        probe.expect(MessagesAcknowledged)


@pytest.mark.faults
def test_a_node_starts_on_a_full_disk(small_disk: Path) -> None:
    clock = VirtualClock()
    folder = small_disk / "data"
    with SqliteStore(data_dir=folder, realm=None, clock=clock) as held:
        results = stored(held, *(item(f"m{n}") for n in range(100)))
    fill(small_disk, leave=0)
    held = SqliteStore(data_dir=folder, realm=None, clock=clock)
    monitor = Probe("monitor")
    probe = Probe()
    with running(Storage, clock=clock, store=held, monitor=monitor) as started:
        acks = [ack(result.seq, result.id, end=End.DELIVERED) for result in results]
        started.serve(store(item("new"), reply_to=probe), acknowledge(*acks, reply_to=probe))
        assert probe.expect(MessagesStored).results[0].outcome is StoreOutcome.REFUSED
        probe.expect(MessagesAcknowledged)
        assert held.stats().messages == 0


def test_ballast_is_held_only_if_room_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = SIZE + SPARE
    monkeypatch.setattr(Ballast, "_free", lambda self: free)
    ballast = Ballast(tmp_path)
    assert ballast.hold()
    assert (tmp_path / "ballast").stat().st_size == SIZE
    free = 0
    assert ballast.hold()
    ballast.release()
    ballast.release()
    assert not ballast.hold()
    assert not (tmp_path / "ballast").exists()
