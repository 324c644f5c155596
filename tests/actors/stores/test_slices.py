"""The ledger and the log of ends: what they find, what they forget, and that memory follows the disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.model import End, MessageId
from actors.stores import ended as ended_module
from actors.stores.connection import Connection, Sqlite3Connection
from actors.stores.ended import EndedLog
from actors.stores.ledger import FEWEST_SLOTS, Ledger


@pytest.fixture
def connection() -> Iterator[Connection]:
    connection = Sqlite3Connection(Path(":memory:"))
    yield connection
    connection.close()


def keys_of(numbers: range) -> list[tuple[bytes, MessageId]]:
    return [(number.to_bytes(16), MessageId(f"id{number}")) for number in numbers]


def known(ledger: Ledger, numbers: range, now: float = 0.0) -> int:
    """How many of these are known; each by its right id."""
    pairs = keys_of(numbers)
    found = ledger.find([key for key, _ in pairs], now)
    expected = dict(pairs)
    assert all(expected[key] == found[key] for key in found)
    return len(found)


def test_keys_are_found_however_many_there_are(connection: Connection) -> None:
    ledger = Ledger(connection)
    total = 3 * FEWEST_SLOTS
    for start in range(0, total, 2000):
        ledger.add(keys_of(range(start, start + 2000)), now=0.0)
        ledger.settle()
    end = (total + 1999) // 2000 * 2000
    assert known(ledger, range(end)) == end
    assert known(ledger, range(end, end + 5000)) == 0
    assert known(Ledger(connection), range(end + 100)) == end


def test_keys_that_were_rolled_back_are_not_known(connection: Connection) -> None:
    ledger = Ledger(connection)
    ledger.add(keys_of(range(10)), now=0.0)
    ledger.settle()
    connection.execute("BEGIN")
    ledger.add(keys_of(range(10, 20)), now=300.0)
    connection.execute("ROLLBACK")
    ledger.roll_back()
    assert known(ledger, range(20)) == 10
    ledger.add(keys_of(range(20, 30)), now=300.0)
    ledger.settle()
    assert known(ledger, range(30)) == 20


def test_old_tables_are_named_and_forgotten(connection: Connection) -> None:
    ledger = Ledger(connection)
    for number in range(6):
        ledger.add(keys_of(range(100 * number, 100 * number + 100)), now=300.0 * number)
        ledger.settle()
    now = 300.0 * 6
    dropped = 0
    while (name := ledger.stale(now)) is not None:
        connection.execute(f"DROP TABLE {name}")
        ledger.forget()
        dropped += 1
    assert dropped == 4
    assert known(ledger, range(600), now) == 200
    ledger.add(keys_of(range(600, 700)), now)
    ledger.settle()
    assert known(ledger, range(700), now) == 300
    assert known(Ledger(connection), range(700), now) == 300


def test_a_ledger_with_holes_is_read(connection: Connection) -> None:
    ledger = Ledger(connection)
    ledger.add(keys_of(range(100)), now=0.0)
    ledger.settle()
    connection.execute("DELETE FROM ledger_0 WHERE number BETWEEN 20 AND 39 OR number = 1")
    assert known(Ledger(connection), range(100)) == 79


def test_a_clock_that_went_back_goes_on_in_the_newest_table(connection: Connection) -> None:
    ledger = Ledger(connection)
    for now in (900.0, 100.0, 901.0):
        ledger.add(keys_of(range(int(now), int(now) + 5)), now)
        ledger.settle()
    assert connection.fetchall("SELECT name FROM sqlite_schema") == [("ledger_3",)]
    assert known(Ledger(connection), range(900, 906), 901.0) == 6


def rows_of(numbers: range) -> list[tuple[object, ...]]:
    return [(f"id{number}", "alice", "bob", 1.0, 2.0, "expired", "too old") for number in numbers]


def test_ends_are_found_in_every_slice_until_they_are_too_old(connection: Connection) -> None:
    log = EndedLog(connection)
    for hour in range(60):
        log.add(rows_of(range(hour * 10, hour * 10 + 10)), now=3600.0 * hour)
    found = log.find(MessageId("id5"))
    assert found is not None
    assert (found.end, found.reason) == (End.EXPIRED, "too old")
    dropped = drop_stale(connection, log, now=3600.0 * 60)
    assert dropped == 11
    assert log.find(MessageId("id5")) is None
    assert log.find(MessageId(f"id{10 * dropped}")) is not None
    assert EndedLog(connection).find(MessageId("id599")) is not None


def test_too_many_ends_are_dropped_oldest_first(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ended_module, "SLICE_ROWS", 100)
    monkeypatch.setattr(ended_module, "MOST_ROWS", 450)
    log = EndedLog(connection)
    for number in range(100):
        log.add(rows_of(range(number * 10, number * 10 + 10)), now=float(number))
        if number % 20 == 19:
            log = EndedLog(connection)
            drop_stale(connection, log, now=float(number))
    assert log.find(MessageId("id10")) is None
    assert log.find(MessageId("id999")) is not None
    counts = connection.fetchall("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'ended%'")
    assert counts[0][0] <= 6


def test_the_first_end_counts(connection: Connection) -> None:
    log = EndedLog(connection)
    log.add([("a", "alice", "bob", 1.0, 2.0, "delivered", "")], now=0.0)
    log.add([("a", "alice", "bob", 1.0, 2.0, "expired", "")], now=0.0)
    log.add([("a", "alice", "bob", 1.0, 2.0, "refused", "")], now=9000.0)
    found = log.find(MessageId("a"))
    assert found is not None
    assert found.end is End.DELIVERED


def drop_stale(connection: Connection, log: EndedLog, now: float) -> int:
    dropped = 0
    while (name := log.stale(now)) is not None:
        connection.execute(f"DROP TABLE {name}")
        log.reload()
        dropped += 1
    return dropped
