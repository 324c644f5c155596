"""Rule 16: a data folder has one node at a time, and one realm for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.stores.port import LockedError, RealmMismatch
from actors.stores.sqlite import SqliteStore
from actors.testing import VirtualClock


def test_a_second_node_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm="angarium", clock=VirtualClock()):
        second = SqliteStore(data_dir=tmp_path, realm="angarium", clock=VirtualClock())
        with pytest.raises(LockedError):
            second.open()
    with SqliteStore(data_dir=tmp_path, realm="angarium", clock=VirtualClock()):
        pass


def test_another_realm_is_refused(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm="angarium", clock=VirtualClock()):
        pass
    with pytest.raises(RealmMismatch):
        SqliteStore(data_dir=tmp_path, realm="other", clock=VirtualClock()).open()
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as store:
        assert store.open().realm == "angarium"
