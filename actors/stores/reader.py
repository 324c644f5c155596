"""Reads of the SQLite store: rows are verified, damaged ones put aside and left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TypeVar

from actors.messages.storage import QueueSize, SavedNeighbour
from actors.model import Device, MessageId, QueueName, Seq, StoredMessage, User, UserName, mailbox_queue
from actors.stores.connection import Connection, Row
from actors.stores.devices import INSERT_DAMAGED, SELECT_USER
from actors.stores.ended import EndedLog
from actors.stores.port import Found
from actors.stores.records import (
    MESSAGE_COLUMNS,
    DamagedRow,
    queue_of,
    read_account,
    read_device,
    read_message,
    read_neighbour,
    whole_row,
)

HERE = "queue >= 'u:'"
ELSEWHERE = "queue < 'u:'"
"""As the indexes of `expires` have it (see `schema`): mailboxes and arrival queues, and all others."""

CHUNK = 64
COUNTED = 100_000
"""Messages that one answer about mailboxes may count, the last mailbox apart."""
"""Rows fetched at once: what a limit on bytes may overshoot."""

T = TypeVar("T")


class Reader:
    """Answers questions about what is committed."""

    def __init__(self, connection: Connection, ended: EndedLog, wall: Callable[[], float]) -> None:
        self._connection = connection
        self._ended = ended
        self._wall = wall
        self.damaged = 0
        """Rows put aside so far."""

    def queue(
        self, queue: QueueName, after: Seq, limit: int, max_bytes: int, seqs: Sequence[Seq]
    ) -> tuple[tuple[StoredMessage, ...], bool]:
        """As `Store.read_queue`."""
        if seqs:
            return tuple(self._exactly(queue, seqs)), False
        sql = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?"
        messages: list[StoredMessage] = []
        size = 0
        while len(messages) < limit and size < max_bytes:
            wanted = min(CHUNK, limit - len(messages))
            rows = self._connection.fetchall(sql, (queue, after, wanted))
            messages += self._sound("message", rows, read_message)
            if len(rows) < wanted:
                return tuple(messages), False
            after = rows[-1][0]
            size += sum(len(row[5]) for row in rows)
        more = self._connection.fetchone("SELECT 1 FROM message WHERE queue = ? AND seq > ? LIMIT 1", (queue, after))
        return tuple(messages), more is not None

    def expired(self, now: float, limit: int, skip: Sequence[Seq], mailboxes: bool) -> tuple[StoredMessage, ...]:
        """As `Store.find_expired`, as of node time `now`."""
        index, queues = ("message_expires", HERE) if mailboxes else ("message_expires_elsewhere", ELSEWHERE)
        sql = (
            f"SELECT {MESSAGE_COLUMNS} FROM message INDEXED BY {index} WHERE expires <= ? AND {queues}"
            " ORDER BY expires, seq LIMIT ?"
        )
        rows = self._connection.fetchall(sql, (int(now * 1000), limit + len(skip)))
        skipped = set(skip)
        rows = [row for row in rows if row[0] not in skipped][:limit]
        return tuple(self._sound("message", rows, read_message))

    def users(self, after: UserName, limit: int) -> tuple[User, ...]:
        """As `Store.read_users`."""
        sql = "SELECT name, payload, sum, rowid FROM account WHERE name > ? ORDER BY name LIMIT ?"
        users: list[User] = []
        while len(users) < limit:
            rows = self._connection.fetchall(sql, (after, limit - len(users)))
            if not rows:
                break
            devices = self._devices(rows[0][0], rows[-1][0])
            waiting = self._waiting(rows[0][0], rows[-1][0])
            for account in self._sound("account", rows, read_account):
                name = account.name
                users.append(User(account, devices.get(name, ()), 1 if name in waiting else 0))
            after = rows[-1][0]
        return tuple(users)

    def user(self, name: UserName) -> User | None:
        """As `Store.read_user`."""
        rows = self._connection.fetchall("SELECT name, payload, sum, rowid FROM account WHERE name = ?", (name,))
        for account in self._sound("account", rows, read_account):
            devices = self._sound("device", self._connection.fetchall(SELECT_USER, (name,)), read_device)
            return User(account, tuple(devices), 1 if self._waiting(name, name) else 0)
        return None

    def neighbours(self) -> tuple[tuple[SavedNeighbour, ...], tuple[QueueSize, ...]]:
        """As `Store.read_neighbours`."""
        rows = self._connection.fetchall("SELECT name, payload, sum, rowid FROM neighbour ORDER BY name")
        neighbours = self._sound("neighbour", rows, read_neighbour)
        sql = f"SELECT queue, count(*) FROM message INDEXED BY message_queue WHERE {ELSEWHERE} GROUP BY queue"
        sizes: list[QueueSize] = []
        for name, count in self._connection.fetchall(sql):
            first, _ = self.queue(name, Seq(0), 1, 1, ())
            sizes += [QueueSize(name, count, message.envelope.accepted) for message in first]
        return tuple(neighbours), tuple(sizes)

    def mailboxes(self, after: UserName, limit: int) -> tuple[tuple[QueueSize, ...], bool]:
        """As `Store.read_mailboxes`: from one to the next by the index, not along all messages."""
        following = (
            "SELECT queue FROM message INDEXED BY message_queue WHERE queue > ? AND queue < 'u;' ORDER BY queue LIMIT 1"
        )
        sizes: list[QueueSize] = []
        counted = 0
        row = self._connection.fetchone(following, (mailbox_queue(after),))
        while row is not None and len(sizes) < limit and counted < COUNTED:
            queue = QueueName(row[0])
            count = self._connection.fetchone("SELECT count(*) FROM message WHERE queue = ?", (queue,))
            first, _ = self.queue(queue, Seq(0), 1, 1, ())
            counted += int(count[0]) if count else 0
            sizes += [QueueSize(queue, int(count[0]), message.envelope.accepted) for message in first if count]
            row = self._connection.fetchone(following, (queue,))
        return tuple(sizes), row is not None

    def message(self, message_id: MessageId) -> Found:
        """As `Store.find_message`."""
        sql = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE id = ? ORDER BY seq LIMIT 1"
        rows = self._connection.fetchall(sql, (message_id,))
        for stored in self._sound("message", rows, read_message):
            return Found(stored=stored, queue=queue_of(rows[0]))
        return Found(ended=self._ended.find(message_id))

    def by_number(self, after: Seq, limit: int, last: Seq) -> tuple[list[tuple[QueueName, Seq]], Seq]:
        """The places of the next messages of any queue, and how far this went: `last` when there are no more."""
        sql = f"SELECT {MESSAGE_COLUMNS} FROM message NOT INDEXED WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self._connection.fetchall(sql, (after, limit))
        sound = self._sound("message", rows, lambda row: (queue_of(row), read_message(row).seq))
        return sound, rows[-1][0] if len(rows) == limit else last

    def oldest(self) -> StoredMessage | None:
        """The message that has been in custody longest."""
        rows = self._connection.fetchall(f"SELECT {MESSAGE_COLUMNS} FROM message ORDER BY seq LIMIT 1")
        return next(iter(self._sound("message", rows, read_message)), None)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        row = self._connection.fetchone(f"SELECT count(*) FROM {table}")
        return int(row[0]) if row else 0

    def _exactly(self, queue: QueueName, seqs: Sequence[Seq]) -> list[StoredMessage]:
        rows: list[Row] = []
        sql = f"SELECT {MESSAGE_COLUMNS} FROM message WHERE seq = ? AND queue = ?"
        for seq in sorted(set(seqs)):
            row = self._connection.fetchone(sql, (seq, queue))
            if row is not None:
                rows.append(row)
        return self._sound("message", rows, read_message)

    def _devices(self, first: UserName, last: UserName) -> dict[UserName, tuple[Device, ...]]:
        sql = "SELECT user, key, payload, sum, rowid FROM device WHERE user BETWEEN ? AND ? ORDER BY user, key"
        rows = self._connection.fetchall(sql, (first, last))
        grouped = groupby(rows, key=lambda row: row[0])
        return {user: tuple(self._sound("device", list(some), read_device)) for user, some in grouped}

    def _waiting(self, first: UserName, last: UserName) -> set[UserName]:
        sql = (
            "SELECT name FROM account WHERE name BETWEEN ? AND ?"
            " AND EXISTS (SELECT 1 FROM message WHERE queue = 'u:' || account.name)"
        )
        return {UserName(name) for (name,) in self._connection.fetchall(sql, (first, last))}

    def _sound(self, table: str, rows: Sequence[Row], read: Callable[[Row], T]) -> list[T]:
        """The values of the rows that are sound; the others are put aside."""
        values: list[T] = []
        damaged: list[Row] = []
        for row in rows:
            try:
                values.append(read(row))
            except DamagedRow:
                damaged.append(row)
        if damaged:
            self._put_aside(table, damaged)
        return values

    def _put_aside(self, table: str, rows: Sequence[Row]) -> None:
        # By number: the text of a damaged row need not find it.
        numbers = [(row[0] if table == "message" else row[-1],) for row in rows]
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(INSERT_DAMAGED, [(table, self._wall(), whole_row(row)) for row in rows])
            connection.executemany(f"DELETE FROM {table} WHERE rowid = ?", numbers)
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
        self.damaged += len(rows)
