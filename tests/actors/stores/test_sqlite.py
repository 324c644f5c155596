"""What is of the SQLite store alone: its folder, its schema, its settings, damaged rows."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.messages.storage import MoveItem, StoreOutcome
from actors.model import Account, Device, MessageId, NodeName, Seq, UserName
from actors.stores import schema
from actors.stores.connection import DatabaseDamaged, DatabaseFailed, DatabaseFull, Sqlite3Connection, error_of
from actors.stores.lock import FolderLock
from actors.stores.opening import DATABASE
from actors.stores.port import LockedError, NewerStore, StoreError, StoreFailed
from actors.stores.sqlite import SqliteStore
from actors.stores.witness import Witness
from actors.testing import VirtualClock
from tests.actors.stores.build import (
    BOB,
    BOBS,
    DESK,
    PHONE,
    accounts,
    ack,
    acknowledge,
    device,
    drop,
    envelope,
    item,
    mark,
    moved,
    register,
    save_neighbour,
    settled,
    stored,
    waiting,
)


def open_store(folder: Path, realm: str | None = None) -> SqliteStore:
    held = SqliteStore(data_dir=folder, realm=realm, clock=VirtualClock())
    held.open()
    return held


def change(folder: Path, sql: str, values: Sequence[Any] = ()) -> None:
    """Change the database of a stopped node behind its back."""
    connection = sqlite3.connect(folder / DATABASE)
    with connection:
        connection.execute(sql, values)
    connection.close()


def ask(folder: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(folder / DATABASE)
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def test_the_folder_is_private(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        held = open_store(tmp_path / "deep" / "data")
    finally:
        os.umask(old)
    stored(held, item("a"))
    folder = tmp_path / "deep" / "data"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(("lock", "witness", "ballast", DATABASE, f"{DATABASE}-wal"), 0o600)
    held.close()


def test_a_folder_has_one_holder(tmp_path: Path) -> None:
    held = open_store(tmp_path)
    with pytest.raises(LockedError, match=f"in use by process {os.getpid()}"):
        open_store(tmp_path)
    held.close()
    held.close()
    open_store(tmp_path).close()


def test_a_lock_is_not_inherited(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    files = [int(name) for name in os.listdir("/proc/self/fd")] if Path("/proc/self/fd").exists() else []
    mine = [fd for fd in files if _path(fd) == str(tmp_path / "lock")]
    assert all(fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for fd in mine)
    lock.release()


def _path(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Choose another one"):
        open_store(tmp_path / "file" / "data")


def test_a_tool_uses_a_stopped_node(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm="example", clock=VirtualClock()) as held:
        held.commit([accounts("alice", "bob")])
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        assert [user.account.name for user in held.read_users(UserName(""), 10)] == ["alice", "bob"]
        assert held.open().realm == "example"


def test_settings_are_what_the_promises_need(tmp_path: Path) -> None:
    connections: list[Sqlite3Connection] = []

    def connect(path: Path) -> Sqlite3Connection:
        connections.append(Sqlite3Connection(path))
        return connections[-1]

    held = SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock(), connect=connect)
    held.open()
    settings = {name: connections[-1].fetchone(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": ("wal",), "synchronous": (2,)}
    held.close()


# The schema.


def test_an_older_schema_is_brought_up_to_date_in_one_step(tmp_path: Path) -> None:
    steps = (*schema.MIGRATIONS, "CREATE TABLE next (a); INSERT INTO next VALUES (1)", "UPDATE next SET a = 2")
    connection = Sqlite3Connection(tmp_path / "file")
    assert schema.migrate(connection) == 0
    assert schema.migrate(connection, steps) == schema.VERSION
    assert schema.migrate(connection, steps) == schema.VERSION + 2
    assert connection.fetchall("SELECT a FROM next") == [(2,)]
    connection.close()


def test_a_migration_that_fails_leaves_the_older_schema(tmp_path: Path) -> None:
    steps = (*schema.MIGRATIONS, "CREATE TABLE next (a)", "UPDATE missing SET a = 2")
    connection = Sqlite3Connection(tmp_path / "file")
    schema.migrate(connection)
    with pytest.raises(Exception, match="missing"):
        schema.migrate(connection, steps)
    connection.close()
    connection = Sqlite3Connection(tmp_path / "file")
    assert connection.fetchone("PRAGMA user_version") == (schema.VERSION,)
    assert connection.fetchall("SELECT name FROM sqlite_schema WHERE name = 'next'") == []
    connection.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    change(tmp_path, "PRAGMA user_version = 99")
    with pytest.raises(NewerStore, match="schema version 99"):
        open_store(tmp_path)
    change(tmp_path, f"PRAGMA user_version = {schema.VERSION}")
    open_store(tmp_path).close()


# Damaged rows.


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE message SET payload = substr(payload, 2) WHERE seq = 2",
        "UPDATE message SET payload = x'00' WHERE seq = 2",
        "UPDATE message SET payload = 'text' WHERE seq = 2",
        "UPDATE message SET payload = CAST(payload || x'ff00' AS TEXT) WHERE seq = 2",
        "UPDATE message SET id = CAST(x'ff00' AS TEXT) WHERE seq = 2",
        "UPDATE message SET id = id || 'x' WHERE seq = 2",
        "UPDATE message SET expires = expires + 1 WHERE seq = 2",
        "UPDATE message SET anyone = anyone + 1 WHERE seq = 2",
        "UPDATE message SET sum = sum + 1 WHERE seq = 2",
        "UPDATE message SET seq = 77 WHERE seq = 2",
    ],
)
def test_a_changed_message_is_put_aside_and_the_others_are_read(tmp_path: Path, sql: str) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, item("a"), item("b"), item("c"))
    change(tmp_path, sql)
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        assert waiting(held) == ["a", "c"]
        assert held.damaged() == 1
        assert (held.stats().messages, held.stats().damaged) == (2, 1)
        assert waiting(held) == ["a", "c"]
        assert held.damaged() == 1
    ((source, row),) = ask(tmp_path, "SELECT source, row FROM damaged")
    assert source == "message"
    assert len(row) > 5


def test_a_damaged_row_is_found_by_whoever_reads_it(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, *(item(name) for name in "abcd"))
    change(tmp_path, "UPDATE message SET sum = sum + 1 WHERE seq IN (1, 3)")
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        assert held.find_message(MessageId("a")).stored is None
        messages, _ = held.read_queue(BOBS, Seq(0), 10, 1000, (Seq(3), Seq(4)))
        assert [message.envelope.id for message in messages] == ["d"]
        assert held.damaged() == 2


def test_damaged_users_and_devices_are_put_aside(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        held.commit([accounts("alice", "bob", "carol"), register(device(), device(DESK))])
    change(tmp_path, "UPDATE account SET name = CAST(x'61ff' AS TEXT) WHERE name = 'alice'")
    change(tmp_path, "UPDATE device SET sum = 5 WHERE key = ?", (PHONE,))
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        users = held.read_users(UserName(""), 2)
        assert [user.account.name for user in users] == ["bob", "carol"]
        assert [saved.key for saved in users[0].devices] == [DESK]
        assert held.damaged() == 2
        assert held.read_user(UserName("alice")) is None
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        assert len(held.read_users(UserName(""), 9)) == 2
        assert (held.damaged(), held.stats().damaged) == (0, 2)


def test_a_damaged_device_is_put_aside_when_it_registers(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        held.commit([register(device(contact=b"sip:old@127.0.0.1"), device(DESK))])
    change(tmp_path, "UPDATE device SET payload = payload || x'00' WHERE key = ?", (PHONE,))
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        (a,) = stored(held, item("a"))
        (devices,) = held.commit([register(device(contact=b"sip:new@127.0.0.1"))])
        assert held.damaged() == 1
        assert isinstance(devices, tuple)
        phone = next(saved for saved in devices if isinstance(saved, Device) and saved.key == PHONE)
        assert phone.since == a.seq
        held.commit([register(forget=(DESK,))])
        user = held.read_user(BOB)
        assert user is not None
        assert [saved.key for saved in user.devices] == [PHONE]


def test_a_damaged_mark_of_the_node_is_salvaged(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, item("a"), item("b"))
        key = held.open().node_key
    change(tmp_path, "UPDATE meta SET value = value || x'31' WHERE name = 'mark'")
    held = open_store(tmp_path)
    assert [alarm.name for alarm in held.open().alarms] == ["database-damaged"]
    assert waiting(held) == ["a", "b"]
    assert held.open().node_key == key
    assert stored(held, item("c"))[0].seq == 3
    held.close()
    assert len(list(tmp_path.glob(f"{DATABASE}.damaged-*"))) == 1


def test_damage_found_while_running_ends_the_process_and_the_next_start_checks(tmp_path: Path) -> None:
    class Torn(Sqlite3Connection):
        torn = False

        def fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
            if self.torn and "FROM message" in sql:
                raise DatabaseDamaged("database disk image is malformed")
            return super().fetchall(sql, values)

    connections: list[Torn] = []

    def connect(path: Path) -> Torn:
        connections.append(Torn(path))
        return connections[-1]

    held = SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock(), connect=connect)
    held.open()
    stored(held, item("a"))
    connections[-1].torn = True
    with pytest.raises(StoreFailed, match="malformed"):
        waiting(held)
    assert (tmp_path / "damaged").exists()
    held.close()
    connections[-1].close()
    again = open_store(tmp_path)
    assert not (tmp_path / "damaged").exists()
    assert waiting(again) == ["a"]
    again.close()


def test_a_large_database_is_walked_while_the_node_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.stores.opening.CHECKED_SIZE", 0)
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, *(item(f"m{n}") for n in range(1000)))
    hide(tmp_path, seq=700)
    connections: list[Sqlite3Connection] = []

    def connect(path: Path) -> Sqlite3Connection:
        connections.append(Sqlite3Connection(path))
        return connections[-1]

    held = SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock(), connect=connect)
    held.open()
    assert "m699" not in waiting(held)
    for _ in range(3):
        held.tend()
    with pytest.raises(StoreFailed, match="lacks a row"):
        held.tend()
    held.close()
    connections[-1].close()
    again = open_store(tmp_path)
    assert [alarm.name for alarm in again.open().alarms] == ["database-damaged"]
    assert waiting(again) == [f"m{n}" for n in range(1000)]
    again.close()


def test_a_sound_database_is_walked_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.stores.opening.CHECKED_SIZE", 0)
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, *(item(f"m{n}") for n in range(1000)))
    change(tmp_path, "UPDATE message SET sum = sum + 1 WHERE seq = 900")
    held = open_store(tmp_path)
    for _ in range(10):
        stored(held, item("new", key=b""))
        held.tend()
    assert held.damaged() == 1
    held.close()


def hide(folder: Path, seq: int) -> None:
    """Take one row out of the index of queues, as a damaged page would."""
    connection = sqlite3.connect(folder / DATABASE, isolation_level=None)
    connection.execute("DROP INDEX message_queue")
    connection.execute(f"CREATE INDEX message_queue ON message (queue) WHERE seq <> {seq}")
    connection.execute("PRAGMA writable_schema = ON")
    sql = "CREATE INDEX message_queue ON message (queue)"
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'message_queue'", (sql,))
    connection.close()


# Errors and the witness.


def test_result_codes_become_errors() -> None:
    assert type(error_of(13, "full")) is DatabaseFull
    assert type(error_of(10 | 4 << 8, "fsync")) is DatabaseFailed
    assert type(error_of(11, "corrupt")) is DatabaseDamaged
    assert type(error_of(26, "not a database")) is DatabaseDamaged
    assert "code 19" in str(error_of(19, "constraint"))


def test_a_witness_that_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    witness = Witness(tmp_path)
    assert witness.read() == 0
    witness.write(7)
    assert witness.read() == 7
    (tmp_path / "witness").write_bytes(b"\1" * 12)
    assert witness.read() == 0
    witness.close()


def test_an_older_database_in_place_of_the_newest_is_noticed(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, item("a"))
        first = held.open().incarnation
    backup = (tmp_path / DATABASE).read_bytes()
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, item("b"))
        held.commit([acknowledge(ack(1, "a"))])
        assert held.open().incarnation == first
    (tmp_path / DATABASE).write_bytes(backup)
    held = open_store(tmp_path)
    (alarm,) = held.open().alarms
    assert "newest 2 commits" in alarm.text
    second = held.open().incarnation
    assert second != first
    held.close()
    held = open_store(tmp_path)
    assert (held.open().alarms, held.open().incarnation) == ((), second)
    held.close()


def test_a_copy_in_an_empty_folder_has_another_incarnation(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path / "old", realm=None, clock=VirtualClock()) as held:
        stored(held, item("a"))
        first = held.open().incarnation
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / DATABASE).write_bytes((tmp_path / "old" / DATABASE).read_bytes())
    found = []
    for folder in ("new", "new", "old"):
        held = open_store(tmp_path / folder)
        found.append(held.open().incarnation)
        assert held.open().alarms == ()
        held.close()
    assert (found[0] != first, found[1] == found[0], found[2] == first) == (True, True, True)


def test_marks_below_the_floor_leave_the_table(tmp_path: Path) -> None:
    held = open_store(tmp_path)
    for start in range(1, 3001, 100):
        stored(held, *(item(f"m{n}", key=b"", link=mark(n, floor=max(0, n - 50))) for n in range(start, start + 100)))
    stored(held, item("c", key=b"", link=mark(1, node="c")))
    held.close()
    ((rows, lowest),) = ask(tmp_path, "SELECT count(*), min(row) FROM taken WHERE node = 'b'")
    assert rows < 500
    assert lowest > 2500


def test_a_neighbour_with_too_many_marks_is_refused_until_its_floor_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.stores.taken.MOST", 600)

    def give(first: int, last: int, floor: int) -> list[StoreOutcome]:
        some = [item(f"{floor}-{n}", key=b"", link=mark(n, floor=floor)) for n in range(first, last)]
        return [result.outcome for result in stored(held, *some)]

    held = open_store(tmp_path)
    assert set(give(10_000, 10_600, 10_000)) == {StoreOutcome.STORED}
    assert give(10_600, 10_602, 10_000) == [StoreOutcome.REFUSED] * 2
    assert stored(held, item("c", key=b"", link=mark(1, node="c")))[0].outcome is StoreOutcome.STORED
    assert give(10_600, 10_601, 10_500) == [StoreOutcome.REFUSED]
    assert give(10_600, 10_602, 10_500) == [StoreOutcome.STORED] * 2
    # A backup was put back there, and nobody noticed: rows count up again from far below the floor.
    assert set(give(1, 400, 1)) == {StoreOutcome.STORED}
    assert set(give(400, 1000, 400)) <= {StoreOutcome.STORED, StoreOutcome.REFUSED}
    assert set(give(1000, 1050, 1000)) <= {StoreOutcome.STORED, StoreOutcome.REFUSED}
    assert set(give(1050, 1060, 1050)) == {StoreOutcome.STORED}
    held.close()


def test_a_kill_before_the_witness_forgets_draws_the_incarnation_again(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    backup = (tmp_path / DATABASE).read_bytes()
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        stored(held, item("a"))
    (tmp_path / DATABASE).write_bytes(backup)
    steps: list[str] = []

    class Killed(Sqlite3Connection):
        def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
            if values and values[0] == "incarnation":
                steps.append(f"{Witness(tmp_path).read()} commits seen")
                raise DatabaseFailed("killed here")
            return super().execute(sql, values)

    with pytest.raises(StoreError, match="killed here"):
        SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock(), connect=Killed).open()
    assert steps == ["1 commits seen"]
    held = open_store(tmp_path)
    assert "newest 1 commits" in held.open().alarms[0].text
    held.close()


def test_what_is_known_of_other_servers_is_salvaged(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        held.commit([save_neighbour("b", "tcp://127.0.0.2:5070"), accounts("bob", coming_from=NodeName("a"))])
        far = item("far", key=b"", once=True, link=mark(1))
        (through,) = stored(held, item("through", key=b"", link=mark(2)))
        stored(held, far)
        held.commit([drop(through.seq)])
        incarnation = held.open().incarnation
    change(tmp_path, "UPDATE meta SET value = value || x'31' WHERE name = 'arriving'")
    held = open_store(tmp_path)
    assert [alarm.name for alarm in held.open().alarms] == ["database-damaged"]
    assert held.open().incarnation == incarnation
    assert [known.node for known in held.read_neighbours()[0]] == ["b"]
    known = stored(held, far, item("far", key=b"", once=True), item("through", key=b"", link=mark(2)))
    assert [result.outcome for result in known] == [StoreOutcome.KNOWN] * 3
    assert stored(held, item("new"))[0].queue == "w:bob"
    held.close()


def test_a_damaged_neighbour_and_damaged_mail_for_others_are_put_aside(tmp_path: Path) -> None:
    with SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock()) as held:
        held.commit([save_neighbour(name, "tcp://127.0.0.2:5070") for name in "bcd"])
        held.commit([accounts("bob", coming_from=NodeName("a"))])
        a, b, _ = stored(held, item("a"), item("b"), item("c"))
        assert (a.seq, b.seq) == (0, 0)
    change(tmp_path, "UPDATE neighbour SET payload = x'00' WHERE name = 'c'")
    change(tmp_path, "UPDATE message SET sum = sum + 1 WHERE id = 'b'")
    held = open_store(tmp_path)
    assert [known.node for known in held.read_neighbours()[0]] == ["b", "d"]
    gone = moved(held, MoveItem(Seq(2), BOBS, envelope("b")))
    assert gone[0].outcome is StoreOutcome.GONE
    held.commit([settled(Account(BOB))])
    assert (waiting(held), held.damaged()) == (["a", "c"], 2)
    held.close()
    assert sorted(source for (source,) in ask(tmp_path, "SELECT source FROM damaged")) == ["message", "neighbour"]


def test_plain_mail_costs_no_more_statements_than_it_did(tmp_path: Path) -> None:
    """Links and moves must not slow down who has neither: the statements of one commit are these."""
    spoken: list[str] = []

    class Spy(Sqlite3Connection):
        def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
            spoken.append(sql.split("(")[0])
            return super().execute(sql, values)

        def fetchall(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
            spoken.append(sql)
            return super().fetchall(sql, values)

    held = SqliteStore(data_dir=tmp_path, realm=None, clock=VirtualClock(), connect=Spy)
    held.open()
    stored(held, item("first"))
    spoken.clear()
    stored(held, *(item(f"m{n}") for n in range(50)))
    assert [sql.strip() for sql in spoken] == ["BEGIN IMMEDIATE", "INSERT OR REPLACE INTO meta VALUES", "COMMIT"]
    held.close()
