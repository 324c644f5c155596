"""D4: the power goes at any write or sync; what was answered is there when it comes back."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from actors.stores import tables
from actors.stores.port import StoreFailed
from actors.stores.sqlite import SqliteStore
from actors.testing import VirtualClock
from tests.faults.mailroom import Mailroom, show, timed
from tests.faults.power import ApswConnection, CutVFS, Disk, PowerCut

CUTS = 1000 if os.environ.get("ANGARIUM_FAULTS") == "full" else 100
SEED = int(os.environ.get("ANGARIUM_SEED", "4"))
WORK = (3, 40, 300)
"""Writes and syncs between two cuts: few, so that starting is cut too, and many, so that the log is moved."""


class Machine:
    """A store on a disk whose power goes."""

    def __init__(self, folder: Path, seed: int, **faults: bool) -> None:
        self.disk = Disk(seed)
        self._name = f"cut-{id(self)}"
        self._vfs = CutVFS(self._name, self.disk)
        self._folder = folder
        self._faults = faults
        self._clock = VirtualClock()
        self._connections: list[ApswConnection] = []

    def run(self, cuts: int, seed: int) -> list[str]:
        """Work from cut to cut; what was wrong after each."""
        chance = random.Random(seed)
        room = Mailroom(chance)
        failures: list[str] = []
        for _ in range(cuts):
            self.disk.cut_in = chance.randrange(1, chance.choice(WORK))
            store = self._store()
            with suppress(PowerCut, StoreFailed, apsw.Error):
                store.open()
                failures += room.settle(store)
                while True:
                    room.work(store)
            self._end(store)
        store = self._store()
        store.open()
        failures += room.settle(store)
        store.close()
        assert room.accepted > cuts
        return failures

    def _store(self) -> SqliteStore:
        return SqliteStore(data_dir=self._folder, realm=None, clock=self._clock, connect=self._connect)

    def _connect(self, path: Path) -> ApswConnection:
        connection = ApswConnection(path, self._name, **self._faults)
        self._connections.append(connection)
        return connection

    def _end(self, store: SqliteStore) -> None:
        self.disk.off = True
        with suppress(PowerCut, apsw.Error):
            store.close()
        for connection in self._connections:
            connection.drop()
        self._connections.clear()
        self.disk.restore()


@pytest.fixture(autouse=True)
def short_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Move the log into the database every few commits, so that the power goes meanwhile, too."""
    monkeypatch.setattr(tables, "LOG_PAGES", 60)


@pytest.mark.faults
def test_nothing_accepted_is_lost_when_the_power_goes(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "data", SEED)
    failures, seconds = timed(lambda: machine.run(CUTS, SEED))
    show("D4", CUTS, len(failures), seconds, SEED, sectors_lost=machine.disk.lost)
    assert failures == []
    assert machine.disk.lost > CUTS


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["weak", "hasty"])
def test_the_harness_sees_a_store_that_does_not_sync_or_answers_too_early(tmp_path: Path, fault: str) -> None:
    machine = Machine(tmp_path / "data", SEED, **{fault: True})
    failures, seconds = timed(lambda: machine.run(30, SEED))
    show(f"D4-planted-{fault}", 30, len(failures), seconds, SEED, sectors_lost=machine.disk.lost)
    assert any("is lost" in failure for failure in failures)
