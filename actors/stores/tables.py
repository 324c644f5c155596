"""A store in SQLite's tables, wherever the database stands: in a folder (`sqlite`) or in memory (`memory`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import NamedTuple, Protocol

import msgspec

from actors.messages.storage import QueueSize, SavedNeighbour
from actors.model import MessageId, QueueName, Seq, StoredMessage, User, UserName
from actors.ports import Clock
from actors.stores.arriving import read_arriving, write_arriving
from actors.stores.batch import Batch, Books, Moment
from actors.stores.connection import (
    Connection,
    DatabaseDamaged,
    DatabaseError,
    DatabaseFailed,
    DatabaseFull,
)
from actors.stores.ended import EndedLog
from actors.stores.home import MOST_IDS, HomeLedger
from actors.stores.ledger import Ledger
from actors.stores.meta import Mark, Meta, node_time_saved
from actors.stores.port import Found, Opened, Result, Stats, StoreError, StoreFailed, StoreFull, Write
from actors.stores.reader import Reader
from actors.stores.scrub import Scrub
from actors.stores.taken import Taken

SAVE_CLOCK = 10.0
"""Seconds between two savings of node time, if there are writes."""
LOG_PAGES = 4_000
"""Pages in the write-ahead log at which they are moved into the database: 16 MB."""
COMMIT_PAGES = 8
"""Pages that a commit writes besides its rows, for the estimate."""


class Sound(NamedTuple):
    """A database that was opened."""

    connection: Connection
    opened: Opened
    commits: int
    """How many commits it has seen in its life."""
    checked: bool = True
    """It was checked in full; else `Scrub` does it."""


class Place(Protocol):
    """Where the database stands."""

    def open(self) -> Sound:
        """Take the place and open the database, salvaged if need be. Raises `StoreError`."""

    def committed(self, commits: int) -> None:
        """The commit of this number was done."""

    def mark_damaged(self) -> None:
        """Have the next start check the whole database."""

    def size(self) -> int:
        """Bytes it takes."""

    def release_room(self) -> None:
        """Give up what is held back for a full disk."""

    def hold_room(self) -> bool:
        """Hold room back again; False if there is none."""

    def close(self, connection: Connection) -> None:
        """Make the database complete without its log, and close it."""

    def release(self) -> None:
        """Let somebody else take the place."""


class TableStore:
    """Implements `Store`; see there."""

    def __init__(self, place: Place, clock: Clock, *, most_ids: int = MOST_IDS) -> None:
        self._place = place
        self._clock = clock
        self._most_ids = most_ids
        self._opened: Opened | None = None

    def __enter__(self) -> TableStore:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Opened:
        """Take the place; put aside and salvage what is damaged."""
        if self._opened is None:
            sound = self._place.open()
            try:
                self._take(sound)
            except DatabaseError as error:
                sound.connection.close()
                self._place.release()
                raise StoreError(f"Cannot read the database: {error}. Look at the disk.") from error
            self._opened = sound.opened
        return msgspec.structs.replace(self._opened, last_seq=self._last_seq)

    def _take(self, sound: Sound) -> None:
        self._connection: Connection = sound.connection
        self._meta = Meta(sound.connection)
        self._ledger = Ledger(sound.connection)
        self._ended = EndedLog(sound.connection)
        self._taken = Taken(sound.connection)
        self._home = HomeLedger(sound.connection, self._meta, self._most_ids)
        self._books = Books(self._ledger, self._ended, self._taken, self._home)
        self._arriving = read_arriving(self._meta)
        self._reader = Reader(sound.connection, self._ended, self._clock.wall)
        last = Seq(0) if sound.checked else sound.opened.last_seq
        self._scrub = Scrub(sound.connection, self._reader, last)
        self._node_offset = sound.opened.node_offset
        self._last_seq = sound.opened.last_seq
        self._clock_saved = self._clock.monotonic()
        self._messages: int | None = None
        self._commits = self._commits_before = sound.commits
        self._put_aside = 0
        self._pages_per_row = 1.0
        self._log_weight = 0
        self._broken = False

    # Writing.

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        """One transaction for all commands."""
        moment = self._moment()
        batch = Batch(self._connection, self._books, moment, self._last_seq, self._arriving)
        self._begin()
        try:
            results = batch.apply(commands)
            self._write_marks(batch, moment)
        except (DatabaseFailed, DatabaseDamaged) as error:
            raise self._failed(error) from error
        except DatabaseFull as error:
            self._roll_back()
            raise StoreFull from error
        except BaseException:
            self._roll_back()
            raise
        self._end_transaction()
        self._committed(batch, moment)
        return results

    def _begin(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except DatabaseFull as error:
            raise StoreFull from error
        except (DatabaseFailed, DatabaseDamaged) as error:
            raise self._failed(error) from error

    def _end_transaction(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except DatabaseFull as error:
            self._roll_back()
            raise StoreFull from error
        except DatabaseError as error:
            raise self._failed(error) from error

    def _roll_back(self) -> None:
        """Undo the transaction, if SQLite has not done so itself (on a full disk it may)."""
        try:
            with suppress(DatabaseError):
                self._connection.execute("ROLLBACK")
            # Fails inside a transaction: proof that there is none any more.
            self._connection.execute("BEGIN")
            self._connection.execute("ROLLBACK")
            self._ledger.roll_back()
            self._ended.reload()
            self._taken.roll_back()
            self._home.roll_back()
        except DatabaseError as error:
            raise self._failed(error) from error

    def _failed(self, error: DatabaseError) -> StoreFailed:
        self._broken = True
        if isinstance(error, DatabaseDamaged):
            self._place.mark_damaged()
        return StoreFailed(f"{type(error).__name__}: {error}")

    def _write_marks(self, batch: Batch, moment: Moment) -> None:
        self._meta.put("mark", Mark(self._commits + 1, batch.last_seq).saved())
        if batch.arriving is not self._arriving:
            write_arriving(self._meta, batch.arriving)
        if moment.monotonic - self._clock_saved >= SAVE_CLOCK:
            self._meta.put("clock", node_time_saved(moment.node, moment.wall))

    def _committed(self, batch: Batch, moment: Moment) -> None:
        self._ledger.settle()
        self._taken.settle()
        self._home.settle()
        self._arriving = batch.arriving
        self._last_seq = batch.last_seq
        if moment.monotonic - self._clock_saved >= SAVE_CLOCK:
            self._clock_saved = moment.monotonic
        if self._messages is not None:
            self._messages += batch.growth
        self._commits += 1
        self._place.committed(self._commits)
        self._put_aside += batch.damaged
        self._log_weight += batch.weight + COMMIT_PAGES

    # Reading.

    def known(self, keys: Sequence[bytes]) -> list[MessageId | None]:
        """Look up ingress keys."""
        with self._reading():
            found = self._ledger.find(keys, self._moment().node)
        return [found.get(key) for key in keys]

    def read_queue(
        self, queue: QueueName, after: Seq, limit: int, max_bytes: int, seqs: Sequence[Seq]
    ) -> tuple[tuple[StoredMessage, ...], bool]:
        """The next messages of a queue."""
        with self._reading():
            return self._reader.queue(queue, after, limit, max_bytes, seqs)

    def find_expired(self, limit: int, skip: Sequence[Seq], *, mailboxes: bool = True) -> tuple[StoredMessage, ...]:
        """Messages whose life has ended."""
        with self._reading():
            return self._reader.expired(self._moment().node, limit, skip, mailboxes)

    def read_users(self, after: UserName, limit: int) -> tuple[User, ...]:
        """Users by name."""
        with self._reading():
            return self._reader.users(after, limit)

    def read_user(self, name: UserName) -> User | None:
        """One user."""
        with self._reading():
            return self._reader.user(name)

    def read_neighbours(self) -> tuple[tuple[SavedNeighbour, ...], tuple[QueueSize, ...]]:
        """Neighbours, and what waits for them."""
        with self._reading():
            return self._reader.neighbours()

    def read_mailboxes(self, after: UserName, limit: int) -> tuple[tuple[QueueSize, ...], bool]:
        """Mailboxes with mail."""
        with self._reading():
            return self._reader.mailboxes(after, limit)

    def find_message(self, message_id: MessageId) -> Found:
        """Where a message is."""
        with self._reading():
            return self._reader.message(message_id)

    def stats(self) -> Stats:
        """Counts and sizes."""
        with self._reading():
            if self._messages is None:
                self._messages = self._reader.count("message")
            oldest = self._reader.oldest()
            users = self._reader.count("account")
            damaged = self._reader.count("damaged")
        return Stats(
            messages=self._messages,
            users=users,
            bytes=self._place.size(),
            damaged=damaged,
            commits=self._commits - self._commits_before,
            oldest_age=max(0.0, self._clock.wall() - oldest.envelope.accepted) if oldest else 0.0,
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        damaged = self._reader.damaged
        try:
            yield
        except (DatabaseFailed, DatabaseDamaged) as error:
            raise self._failed(error) from error
        if self._reader.damaged != damaged:
            self._messages = None  # counted anew when somebody asks

    def damaged(self) -> int:
        """Rows put aside since `open`."""
        return self._put_aside + self._reader.damaged

    # Housekeeping.

    def tend(self) -> None:
        """Move the log into the database when it has grown, drop one stale slice."""
        try:
            self._drop_stale()
            if self._log_weight * self._pages_per_row >= LOG_PAGES:
                self._move_log()
            if not self._scrub.done:
                self._scrub.step()
        except DatabaseFull:
            self._log_weight = 0  # the log stays as it is and goes on growing while there is room
        except DatabaseError as error:
            raise self._failed(error) from error

    def _drop_stale(self) -> None:
        now = self._moment().node
        stale = self._ledger.stale(now) or self._ended.stale(now) or self._home.stale(now)
        if stale is not None:
            # Deleted rows are overwritten, so that no body stays behind; slices hold none and go without.
            self._connection.execute("PRAGMA secure_delete = FAST")
            try:
                self._connection.execute(f"DROP TABLE {stale}")
            finally:
                self._connection.execute("PRAGMA secure_delete = ON")
            self._ledger.forget()
            self._ended.reload()
            self._home.reload()

    def _move_log(self) -> None:
        row = self._connection.fetchone("PRAGMA wal_checkpoint(PASSIVE)")
        pages = row[1] if row else 0
        # How many pages a row costs depends on how scattered rows are: learned from the last log.
        self._pages_per_row = min(4.0, max(0.02, pages / max(1, self._log_weight)))
        self._log_weight = 0

    def make_room(self) -> None:
        """Give up what is held back, and let the log begin anew: its space is used again."""
        self._place.release_room()
        try:
            self._move_log()
        except DatabaseFull:
            self._log_weight = 0  # the database cannot grow; what is held back must do
        except DatabaseError as error:
            raise self._failed(error) from error

    def has_room(self) -> bool:
        """Hold space back, if there is room again."""
        return self._place.hold_room()

    def close(self) -> None:
        """Save node time, move the log into the database, free the place."""
        if self._opened is None:
            return
        self._opened = None
        moment = self._moment()
        try:
            if self._broken:
                return  # closing would write; the next start finds out what is on the disk
            with suppress(DatabaseError):  # on a full or failing disk the older mark does
                self._meta.put("clock", node_time_saved(moment.node, moment.wall))
            self._place.close(self._connection)
        finally:
            self._place.release()

    def _moment(self) -> Moment:
        monotonic = self._clock.monotonic()
        return Moment(monotonic, self._node_offset + monotonic, self._clock.wall())
