"""Data folders of earlier versions: brought up to date at the start, with all that is in them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from actors.model import Account, Device, Envelope, MessageId, NodeName, Seq, UserName
from actors.stores.meta import Mark, node_time_saved
from actors.stores.opening import DATABASE
from actors.stores.records import account_row, device_row, message_row, meta_row
from actors.stores.schema import VERSION
from actors.stores.sqlite import SqliteStore
from actors.testing import VirtualClock
from tests.actors.stores.build import (
    BOB,
    accounts,
    device,
    envelope,
    item,
    key_of,
    mark,
    save_neighbour,
    settled,
    stored,
    waiting,
)

VERSION_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE account (name TEXT PRIMARY KEY, payload BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE device (
    user TEXT NOT NULL, key TEXT NOT NULL, payload BLOB NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY (user, key));
CREATE TABLE message (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, queue TEXT NOT NULL, expires INTEGER NOT NULL,
    anyone INTEGER NOT NULL, payload BLOB NOT NULL, sum INTEGER NOT NULL);
CREATE INDEX message_queue ON message (queue);
CREATE INDEX message_id ON message (id);
CREATE INDEX message_expires ON message (expires);
CREATE TABLE damaged (source TEXT NOT NULL, at REAL NOT NULL, row BLOB NOT NULL);
CREATE TABLE ledger_0 (number INTEGER PRIMARY KEY, key BLOB NOT NULL, id TEXT NOT NULL);
PRAGMA user_version = 1;
"""
"""As version 1 wrote it, and never again: a step once published does not change."""


def write_version_1(folder: Path) -> None:
    """A data folder as the first release left it: two messages, one of them taken lately, a user and his phone."""
    folder.mkdir()
    connection = sqlite3.connect(folder / DATABASE)
    connection.executescript(f"PRAGMA journal_mode = WAL; {VERSION_1}")
    with connection:
        for name, value in (
            ("realm", b"example"),
            ("node_key", b"k" * 32),
            ("mark", Mark(5, 9).saved()),
            ("clock", node_time_saved(100.0, 1_600_000_000.0)),
        ):
            connection.execute("INSERT INTO meta VALUES (?, ?, ?)", meta_row(name, value))
        connection.execute("INSERT INTO account VALUES (?, ?, ?)", account_row(Account(BOB, "md5")))
        connection.execute("INSERT INTO device VALUES (?, ?, ?, ?)", device_row(BOB, device(since=2)))
        for seq, name in ((3, "a"), (9, "b")):
            row = message_row(seq, "u:bob", 120_000, envelope(name))
            connection.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.execute("INSERT INTO ledger_0 VALUES (1, ?, 'b')", (key_of("b"),))
    connection.close()


def open_at(folder: Path, clock: VirtualClock) -> SqliteStore:
    held = SqliteStore(data_dir=folder, realm=None, clock=clock)
    held.open()
    return held


def test_a_folder_of_version_1_goes_on_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_version_1(folder)
    clock = VirtualClock()
    held = open_at(folder, clock)
    opened = held.open()
    assert (opened.realm, opened.node_key, opened.last_seq, opened.alarms) == ("example", b"k" * 32, 9, ())
    assert len(opened.incarnation) == 16
    assert waiting(held) == ["a", "b"]
    assert held.known([key_of("b")]) == ["b"]
    user = held.read_user(BOB)
    assert user is not None
    assert (user.account.ha1_md5, user.account.is_here, user.account.epoch) == ("md5", True, 1)
    assert [(found.key, found.since) for found in user.devices] == [(device().key, 2)]
    held.close()
    connection = sqlite3.connect(folder / DATABASE)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_folder_of_version_1_does_what_is_new(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_version_1(folder)
    clock = VirtualClock()
    held = open_at(folder, clock)
    held.commit([save_neighbour("b", "tcp://127.0.0.2:5070"), accounts("carol", coming_from=NodeName("b"))])
    (new,) = stored(held, item("x", to=UserName("carol"), key=b"", once=True, link=mark(1)))
    assert new.queue == "w:carol"
    clock.move_to(clock.monotonic() + 86_400)
    assert [message.envelope.id for message in held.find_expired(10, ())] == ["a", "b"]
    assert held.find_expired(10, (), mailboxes=False) == ()
    held.commit([settled(Account(UserName("carol")))])
    held.close()
    held = open_at(folder, clock)
    assert waiting(held, UserName("carol")) == ["x"]
    assert [known.node for known in held.read_neighbours()[0]] == ["b"]
    held.close()


def test_values_of_version_1_are_read_as_they_were_written() -> None:
    """Payloads of the first release, byte by byte: what is new in a value stands at its end, or has a default."""
    account = b"\x82\xa4name\xa3bob\xa7ha1_md5\xa3md5"
    assert msgspec.msgpack.decode(account, type=Account) == Account(BOB, "md5")
    array = b"\x98\xa2id\xa5alice\xa3bob\xc4\x01c\x90\xc4\x01b\xcb" + b"\x3f\xf0" + bytes(6) + b"\xa6digest"
    found = msgspec.msgpack.decode(array, type=Envelope)
    assert (found.id, found.routing, found.notice) == (MessageId("id"), None, False)
    phone = b"\x84\xa3key\xa1k\xa5since\x02\xa6cursor\x03\xa4seen\x00"
    saved = msgspec.msgpack.decode(phone, type=Device)
    assert (saved.since, saved.cursor, saved.aside) == (Seq(2), Seq(3), ())
