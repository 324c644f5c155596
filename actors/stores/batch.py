"""One commit: many commands applied to the tables, gathered so that each kind of row is written by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    EndItem,
    EndMessages,
    RemoveAccount,
    SaveAccounts,
    SaveProgress,
    SaveRegistration,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    StoreResult,
)
from actors.model import Account, Device, End, MessageId, Seq, UserName, Value, mailbox_queue
from actors.stores.connection import Connection, Row
from actors.stores.devices import DeviceRows, waits_for
from actors.stores.ended import END_TEXT, EndedLog
from actors.stores.ledger import Ledger
from actors.stores.port import Result, Write
from actors.stores.records import (
    ANYONE_CLOSED,
    MESSAGE_COLUMNS,
    DamagedRow,
    account_row,
    message_row,
    read_message,
)

INSERT_MESSAGE = f"INSERT INTO message ({MESSAGE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"


class Moment(Value, frozen=True, gc=False):
    """The three clocks as of one commit, in seconds."""

    monotonic: float
    node: float
    wall: float


class Batch:
    """Applies commands inside a transaction that the caller begins and ends; used once."""

    def __init__(self, connection: Connection, ledger: Ledger, ended: EndedLog, moment: Moment, last_seq: Seq) -> None:
        self._connection = connection
        self._ledger = ledger
        self._ended = ended
        self._moment = moment
        self._devices = DeviceRows(connection, moment.wall)
        self._known: dict[bytes, MessageId] = {}
        self.last_seq = last_seq
        """The newest seq, counting this batch."""
        self.growth = 0
        """By how many rows the messages in custody grew or shrank."""
        self.weight = 0
        """Rows written: a measure of the pages that the log took."""
        self._messages: list[Row] = []
        self._keys: list[tuple[bytes, MessageId]] = []
        self._gone: dict[Seq, None] = {}
        self._closed: list[tuple[int, Seq]] = []
        self._ends: list[Row] = []

    def apply(self, commands: Sequence[Write]) -> list[Result]:
        """Write all of them; one result each, in order."""
        keys = [item.key for c in commands if type(c) is StoreMessages for item in c.items if item.key]
        if keys:
            self._known = self._ledger.find(keys, self._moment.node)
        results = [self._apply(command) for command in commands]
        self._write_out()
        self._devices.write()
        return results

    @property
    def damaged(self) -> int:
        """Damaged rows put aside."""
        return self._devices.damaged

    def _apply(self, command: Write) -> Result:
        match command:
            case StoreMessages():
                return tuple([self._store(item) for item in command.items])
            case AcknowledgeMessages():
                return tuple([r for item in command.items if (r := self._acknowledge(item)) is not None])
            case EndMessages():
                return tuple([r for item in command.items if (r := self._end(item)) is not None])
            case SaveRegistration():
                return self._register(command)
            case SaveProgress():
                return self._progress(command)
            case SaveAccounts():
                rows = [account_row(account) for account in command.accounts]
                self._connection.executemany("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", rows)
                self.weight += len(rows)
                return None
            case RemoveAccount():
                self._remove_account(command.name)
                return None
            case _:
                assert_never(command)

    # Messages.

    def _store(self, item: StoreItem) -> StoreResult:
        envelope = item.envelope
        message_id = envelope.id
        key = item.key
        if key:
            first = self._known.get(key)
            if first is not None:
                return StoreResult(StoreOutcome.KNOWN, id=first)
        if item.deadline and item.deadline < self._moment.monotonic:
            return StoreResult(StoreOutcome.LATE, id=message_id)
        if key:
            self._known[key] = message_id
            self._keys.append((key, message_id))
        seq = Seq(self.last_seq + 1)
        expires = int((self._moment.node + item.life) * 1000)
        self._messages.append(message_row(seq, item.queue, expires, envelope))
        self.last_seq = seq
        return StoreResult(StoreOutcome.STORED, seq, message_id, expires / 1000)

    def _acknowledge(self, item: Acknowledgement) -> StoreResult | None:
        result = self._notice(item.notice, item.seq) if item.notice is not None else None
        if item.remove:
            self._gone[item.seq] = None
        else:
            self._devices.acknowledge(item.user, item.device, item.seq)
            if item.close:
                self._closed.append((ANYONE_CLOSED, item.seq))
        if item.end is not None:
            self._remember(item.id, item.sender, item.user, item.accepted, item.end, item.reason)
        return result

    def _end(self, item: EndItem) -> StoreResult | None:
        result = self._notice(item.notice, item.seq) if item.notice is not None else None
        self._gone[item.seq] = None
        self._remember(item.id, item.sender, item.recipient, item.accepted, item.end, item.reason)
        return result

    def _notice(self, notice: StoreItem, seq: Seq) -> StoreResult:
        """Store a notice, unless its message is gone already: then somebody else ended it, notice and all."""
        if seq in self._gone or self._connection.fetchone("SELECT 1 FROM message WHERE seq = ?", (seq,)) is None:
            return StoreResult(StoreOutcome.KNOWN, id=notice.envelope.id)
        return self._store(notice)

    def _remember(
        self, message_id: MessageId, sender: UserName, recipient: UserName, accepted: float, end: End, reason: str
    ) -> None:
        self._ends.append((message_id, sender, recipient, accepted, self._moment.wall, END_TEXT[end], reason))

    # Users.

    def _register(self, command: SaveRegistration) -> tuple[Device, ...]:
        user = command.user
        if self._connection.fetchone("SELECT 1 FROM account WHERE name = ?", (user,)) is None:
            if not command.create:
                return ()
            row = account_row(Account(user, created=self._moment.wall))
            self._connection.execute("INSERT INTO account VALUES (?, ?, ?)", row)
        for device in command.devices:
            self._devices.register(user, device, self.last_seq)
        if command.forget:
            self._forget(user, command.forget)
        return self._devices.of(user)

    def _progress(self, command: SaveProgress) -> tuple[Device, ...]:
        self._devices.progress(command.user, command.device)
        return self._devices.of(command.user)

    def _forget(self, user: UserName, keys: Sequence[str]) -> None:
        """Drop devices, and the messages that somebody acknowledged and nobody waits for any more."""
        for key in keys:
            self._devices.drop(user, key)
        rest = self._devices.of(user)
        self._write_out()
        sql = "SELECT seq FROM message WHERE queue = ? AND anyone = ?"
        for (seq,) in self._connection.fetchall(sql, (mailbox_queue(user), ANYONE_CLOSED)):
            if not any(waits_for(device, seq) for device in rest):
                self._end_row(seq, End.DELIVERED, "")

    def _remove_account(self, name: UserName) -> None:
        for device in self._devices.of(name):
            self._devices.drop(name, device.key)
        self._write_out()
        self._connection.execute("DELETE FROM account WHERE name = ?", (name,))
        sql = "SELECT seq FROM message WHERE queue = ?"
        for (seq,) in self._connection.fetchall(sql, (mailbox_queue(name),)):
            self._end_row(seq, End.UNDELIVERABLE, "user removed")

    def _end_row(self, seq: Seq, end: End, reason: str) -> None:
        """End a message that is known by its row only. A damaged one stays: whoever reads it next puts it aside."""
        row = self._connection.fetchone(f"SELECT {MESSAGE_COLUMNS} FROM message WHERE seq = ?", (seq,))
        if row is None:
            return
        try:
            envelope = read_message(row).envelope
        except DamagedRow:
            return
        self._gone[seq] = None
        self._remember(envelope.id, envelope.sender, envelope.recipient, envelope.accepted, end, reason)

    # The tables.

    def _write_out(self) -> None:
        """Write what was gathered: inserts first, for a message can be stored and ended by one batch."""
        connection = self._connection
        if self._messages:
            self.growth += connection.executemany(INSERT_MESSAGE, self._messages)
        if self._keys:
            self._ledger.add(self._keys, self._moment.node)
        if self._closed:
            connection.executemany("UPDATE message SET anyone = ? WHERE seq = ?", self._closed)
        if self._gone:
            self.growth -= connection.executemany("DELETE FROM message WHERE seq = ?", zip(self._gone))
        if self._ends:
            self._ended.add(self._ends, self._moment.node)
        written = (self._messages, self._keys, self._closed, self._gone, self._ends)
        self.weight += sum(len(rows) for rows in written)
        self._messages, self._keys, self._closed, self._gone, self._ends = [], [], [], {}, []
