"""One commit: many commands applied to the tables, gathered so that each kind of row is written by one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    DropMessages,
    EndItem,
    EndMessages,
    ForgetNeighbour,
    MoveItem,
    MoveMessages,
    RemoveAccount,
    SaveAccounts,
    SaveNeighbour,
    SaveProgress,
    SaveRegistration,
    SettleMove,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    StoreResult,
)
from actors.model import (
    Account,
    Device,
    DeviceKey,
    End,
    Envelope,
    MessageId,
    QueueName,
    Seq,
    UserName,
    Value,
    arrivals_queue,
    mailbox_queue,
    queue_user,
)
from actors.stores.arriving import Arriving, changed
from actors.stores.connection import Connection, Row, fetch_in
from actors.stores.devices import INSERT_DAMAGED, DeviceRows, waits_for
from actors.stores.ended import END_TEXT, EndedLog
from actors.stores.home import HomeLedger
from actors.stores.ledger import Ledger
from actors.stores.port import Result, Write
from actors.stores.records import (
    ANYONE_CLOSED,
    MESSAGE_COLUMNS,
    DamagedRow,
    account_row,
    message_row,
    neighbour_row,
    read_message,
    whole_row,
)
from actors.stores.taken import Taken

INSERT_MESSAGE = f"INSERT INTO message ({MESSAGE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
PAGE = 500
"""Messages of an arrival queue that are read at once."""


class Moment(Value, frozen=True, gc=False):
    """The three clocks as of one commit, in seconds."""

    monotonic: float
    node: float
    wall: float


class Books(NamedTuple):
    """What a store remembers beside its rows; each follows the transaction."""

    ledger: Ledger
    ended: EndedLog
    taken: Taken
    home: HomeLedger


class Batch:
    """Applies commands inside a transaction that the caller begins and ends; used once."""

    def __init__(self, connection: Connection, books: Books, moment: Moment, last_seq: Seq, arriving: Arriving) -> None:
        self._connection = connection
        self._ledger, self._ended, self._taken, self._home = books
        self._moment = moment
        self.arriving = arriving
        """Who is moving here, counting this batch."""
        self._devices = DeviceRows(connection, moment.wall)
        self._known: dict[bytes, MessageId] = {}
        self._here: set[MessageId] = set()
        self._new_here: list[MessageId] = []
        self._longest = 0.0
        self._put_aside = 0
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
        self._here = self._home.find(_once(commands))
        results = [self._apply(command) for command in commands]
        self._write_out()
        self._devices.write()
        self.weight += self._taken.write()
        return results

    @property
    def damaged(self) -> int:
        """Damaged rows put aside."""
        return self._devices.damaged + self._put_aside

    def _apply(self, command: Write) -> Result:
        match command:
            case StoreMessages():
                return tuple([self._store(item) for item in command.items])
            case AcknowledgeMessages():
                return tuple([r for item in command.items if (r := self._acknowledge(item)) is not None])
            case EndMessages():
                return tuple([r for item in command.items if (r := self._end(item)) is not None])
            case MoveMessages():
                return tuple([self._move(item) for item in command.items])
            case DropMessages():
                self._drop(command.seqs)
                return ()
            case SaveRegistration():
                return self._register(command)
            case SaveProgress():
                return self._progress(command)
            case _:
                self._administer(command)
                return None

    def _administer(self, command: SaveAccounts | RemoveAccount | SettleMove | SaveNeighbour | ForgetNeighbour) -> None:
        self.weight += 1
        match command:
            case SaveAccounts():
                self._save_accounts(command.accounts)
            case RemoveAccount():
                self._remove_account(command.name)
            case SettleMove():
                self._save_accounts((command.account,))
                self._settle(command.account.name)
            case SaveNeighbour():
                row = neighbour_row(command.neighbour)
                self._connection.execute("INSERT OR REPLACE INTO neighbour VALUES (?, ?, ?)", row)
            case ForgetNeighbour():
                self._connection.execute("DELETE FROM neighbour WHERE name = ?", (command.node,))
            case _:
                assert_never(command)

    # Messages.

    def _store(self, item: StoreItem) -> StoreResult:
        if self.arriving or item.once or item.link is not None or not item.anyone or item.done:
            return self._take(item)
        return self._keep(item)

    def _keep(self, item: StoreItem, queue: QueueName | None = None) -> StoreResult:
        """Store it unless it is known by its key or late; in a queue other than its own if one is given."""
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
        self._messages.append(message_row(seq, queue or item.queue, expires, envelope, item.anyone))
        self.last_seq = seq
        return StoreResult(StoreOutcome.STORED, seq, message_id, expires / 1000)

    # Messages that come from elsewhere or go there.

    def _take(self, item: StoreItem) -> StoreResult:
        """Store what a neighbour or a user's old home hands over, once; or new mail for a user who is moving here."""
        message_id = item.envelope.id
        link = item.link
        if (link is not None and self._taken.knows(link, message_id)) or (item.once and message_id in self._here):
            return StoreResult(StoreOutcome.KNOWN, id=message_id)
        if (link is not None and not self._taken.has_room(link)) or (item.once and not self._has_room()):
            return StoreResult(StoreOutcome.REFUSED, id=message_id)
        aside = None if item.moved else self.arriving.get(item.queue)
        result = self._keep(item, aside)
        if result.outcome is not StoreOutcome.STORED:
            return result
        if link is not None:
            self._taken.add(link, message_id)
        if item.once:
            self._is_here(message_id, item.life)
        user = queue_user(item.queue)
        if item.done and user is not None:
            self._skip(user, item.done, result.seq)
        return result if aside is None else _aside(result, aside)

    def _skip(self, user: UserName, done: Sequence[DeviceKey], seq: Seq) -> None:
        self._write_out()
        for key in done:
            self._devices.skip(user, key, seq)

    def _has_room(self) -> bool:
        return len(self._new_here) < self._home.room

    def _is_here(self, message_id: MessageId, life: float) -> None:
        self._here.add(message_id)
        self._new_here.append(message_id)
        self._longest = max(self._longest, life)

    def _move(self, item: MoveItem) -> StoreResult:
        """Put a message behind another queue. A damaged one counts as gone: whoever reads it next puts it aside."""
        message_id = item.envelope.id
        row = self._row(item.seq)
        if row is None or row[1] != message_id:
            return StoreResult(StoreOutcome.GONE, id=message_id)
        if item.once and message_id in self._here:
            self._gone[item.seq] = None
            return StoreResult(StoreOutcome.KNOWN, id=message_id)
        if item.once and not self._has_room():
            return StoreResult(StoreOutcome.REFUSED, id=message_id)
        aside = self.arriving.get(item.queue)
        result = self._requeue(row, aside or item.queue, item.envelope)
        if item.once:
            self._is_here(message_id, result.expires - self._moment.node)
        elif queue_user(row[2]) is not None:
            self._leave([message_id])
        return result if aside is None else _aside(result, aside)

    def _row(self, seq: Seq) -> Row | None:
        """A sound row that is there still."""
        row = None
        if seq not in self._gone:
            row = self._connection.fetchone(f"SELECT {MESSAGE_COLUMNS} FROM message WHERE seq = ?", (seq,))
        try:
            if row is not None:
                read_message(row)
        except DamagedRow:
            return None
        return row

    def _requeue(self, row: Row, queue: QueueName, envelope: Envelope) -> StoreResult:
        """Put a sound row at the end of a queue; its life and its slot `anyone` stay."""
        old, message_id, _, expires, slot, *_ = row
        seq = Seq(self.last_seq + 1)
        self._messages.append(message_row(seq, queue, expires, envelope, slot != ANYONE_CLOSED))
        self._gone[old] = None
        self.last_seq = seq
        return StoreResult(StoreOutcome.STORED, seq, message_id, expires / 1000)

    def _drop(self, seqs: Sequence[Seq]) -> None:
        """Delete rows. What leaves a mailbox moves with its user, and comes back with him if he does: not as known."""
        rows = fetch_in(self._connection, "SELECT id FROM message WHERE queue >= 'u:' AND seq", seqs)
        if rows:
            self._leave([name for (name,) in rows])
        self._gone.update(dict.fromkeys(seqs))

    def _leave(self, ids: Sequence[MessageId]) -> None:
        self._write_out()
        self._home.take_back(ids)
        self._here.difference_update(ids)

    def _settle(self, name: UserName) -> None:
        """Put what stands in a user's arrival queue behind his mailbox."""
        self._write_out()
        sql = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE queue = ? AND seq > ? ORDER BY seq LIMIT {PAGE}"
        after = Seq(0)
        while rows := self._connection.fetchall(sql, (arrivals_queue(name), after)):
            for row in rows:
                try:
                    self._requeue(row, mailbox_queue(name), read_message(row).envelope)
                except DamagedRow:
                    self._damage(row)
            after = rows[-1][0]
            self._write_out()

    def _damage(self, row: Row) -> None:
        self._connection.execute(INSERT_DAMAGED, ("message", self._moment.wall, whole_row(row)))
        self._gone[row[0]] = None
        self._put_aside += 1

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

    def _save_accounts(self, accounts: Sequence[Account]) -> None:
        rows = [account_row(account) for account in accounts]
        self._connection.executemany("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", rows)
        self.weight += len(rows)
        before, self.arriving = self.arriving, changed(self.arriving, accounts)
        for account in accounts if before else ():
            if mailbox_queue(account.name) in before.keys() - self.arriving.keys():
                self._settle(account.name)  # or nobody would ever read what stands aside

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
        self.arriving = changed(self.arriving, (Account(name),))
        sql = "SELECT seq FROM message WHERE queue IN (?, ?)"
        for (seq,) in self._connection.fetchall(sql, (mailbox_queue(name), arrivals_queue(name))):
            self._end_row(seq, End.UNDELIVERABLE, "user removed")

    def _end_row(self, seq: Seq, end: End, reason: str) -> None:
        """End a message that is known by its row only. A damaged one stays: whoever reads it next puts it aside."""
        row = self._row(seq)
        if row is None:
            return
        envelope = read_message(row).envelope
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
        if self._new_here:
            self._home.add(self._new_here, self._longest, self._moment.node)
        if self._closed:
            connection.executemany("UPDATE message SET anyone = ? WHERE seq = ?", self._closed)
        if self._gone:
            self.growth -= connection.executemany("DELETE FROM message WHERE seq = ?", zip(self._gone))
        if self._ends:
            self._ended.add(self._ends, self._moment.node)
        written = (self._messages, self._keys, self._new_here, self._closed, self._gone, self._ends)
        self.weight += sum(len(rows) for rows in written)
        self._messages, self._keys, self._new_here, self._closed, self._gone, self._ends = [], [], [], [], {}, []


def _once(commands: Sequence[Write]) -> list[MessageId]:
    """The ids that may be here already."""
    some = [c for c in commands if type(c) is StoreMessages or type(c) is MoveMessages]
    return [item.envelope.id for command in some for item in command.items if item.once]


def _aside(result: StoreResult, queue: QueueName) -> StoreResult:
    """As `StoreResult.queue` says."""
    return StoreResult(result.outcome, Seq(0), result.id, result.expires, queue)
