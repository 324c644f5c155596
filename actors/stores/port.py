"""The port of a store: what Storage needs of whatever keeps mail, accounts and devices beyond the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from actors.messages.storage import (
    AcknowledgeMessages,
    DropMessages,
    EndMessages,
    ForgetNeighbour,
    MoveMessages,
    QueueSize,
    RemoveAccount,
    SaveAccounts,
    SavedNeighbour,
    SaveNeighbour,
    SaveProgress,
    SaveRegistration,
    SettleMove,
    StoreMessages,
    StoreResult,
)
from actors.model import (
    Device,
    EndedMessage,
    MessageId,
    QueueName,
    Seq,
    StoredMessage,
    User,
    UserName,
    Value,
)

Write = (
    StoreMessages
    | AcknowledgeMessages
    | EndMessages
    | MoveMessages
    | DropMessages
    | SaveRegistration
    | SaveProgress
    | SaveAccounts
    | RemoveAccount
    | SettleMove
    | SaveNeighbour
    | ForgetNeighbour
)
"""What changes the store. `reply_to` and `request` are Storage's affair; a store never looks at them."""

Result = tuple[StoreResult, ...] | tuple[Device, ...] | None
"""What a write came to: results for StoreMessages and MoveMessages (one an item), for AcknowledgeMessages and
EndMessages (one a notice) and for DropMessages (none); all devices of the user for SaveRegistration and SaveProgress;
None for accounts and neighbours."""


class StoreError(Exception):
    """Something about the store that a person must know; its text says what and what to do."""


class LockedError(StoreError):
    """Another process holds the data folder."""


class RealmMismatch(StoreError):
    """The data folder belongs to another realm."""


class NewerStore(StoreError):
    """The data folder was written by a newer version of the program."""


class StoreFull(Exception):
    """There is no room: nothing of the commit was done, and the store is as it was."""


class StoreFailed(Exception):
    """Nobody knows what is on disk: the process must end, and the next start finds out (an I/O error at commit)."""


class Alarm(Value, frozen=True, gc=False):
    """A lasting trouble that the store found: as `RaiseAlarm`."""

    name: str
    text: str
    advice: str


class Opened(Value, frozen=True, gc=False):
    """What a store is when it has been opened."""

    node_key: bytes
    realm: str
    node_offset: float
    """Node time is this plus the clock's monotonic seconds."""
    last_seq: Seq
    alarms: tuple[Alarm, ...] = ()
    """What was found damaged and put aside."""
    incarnation: str = ""
    """Names what the store holds as long as it goes on where it ended; another one after a backup was put back."""


class Found(Value, frozen=True, gc=False):
    """Where a message is: in custody, ended, or neither."""

    stored: StoredMessage | None = None
    queue: QueueName | None = None
    ended: EndedMessage | None = None


class Stats(Value, frozen=True, gc=False):
    """Counts and sizes, as `messages.storage.StoreStatsRead`."""

    messages: int
    users: int
    bytes: int
    damaged: int
    commits: int
    oldest_age: float


class Store(Protocol):
    """Keeps what must outlive the process. One thread uses it at a time. `test_store_contract.py` holds it.

    A store of one's own implements these methods and is named by `--store module:Class`; the class is called with
    `data_dir`, `realm` and `clock`. Times named *node time* are seconds as `Opened.node_offset` defines them.
    """

    def open(self) -> Opened:
        """Take the folder and tell what is in it; again: only tell, with the newest seq. Raises `StoreError`."""

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        """Do all of these and return when they are durable, one result each; or raise, and nothing was done.

        Raises `StoreFull` (no room), `StoreFailed` (unknown; use the store no more), or whatever a command that
        cannot be done raises.
        """

    def known(self, keys: Sequence[bytes]) -> list[MessageId | None]:
        """The first id stored under each ingress key of the last 10 minutes, or None."""

    def read_queue(
        self, queue: QueueName, after: Seq, limit: int, max_bytes: int, seqs: Sequence[Seq]
    ) -> tuple[tuple[StoredMessage, ...], bool]:
        """The next messages of a queue by seq, and whether it goes on; exactly `seqs` if given."""

    def find_expired(self, limit: int, skip: Sequence[Seq], *, mailboxes: bool = True) -> tuple[StoredMessage, ...]:
        """Messages whose life has ended by now, oldest end first, without those in `skip`.

        `mailboxes`: of users of this node; else of the queues of mail that goes elsewhere.
        """

    def read_users(self, after: UserName, limit: int) -> tuple[User, ...]:
        """Users whose name is greater than `after`, by name; fewer than `limit` only at the end."""

    def read_user(self, name: UserName) -> User | None:
        """One user, if he exists."""

    def read_neighbours(self) -> tuple[tuple[SavedNeighbour, ...], tuple[QueueSize, ...]]:
        """Neighbours by name, and the queues of mail that goes elsewhere, as far as anything stands in them."""

    def read_mailboxes(self, after: UserName, limit: int) -> tuple[tuple[QueueSize, ...], bool]:
        """Mailboxes with mail of users whose name is greater than `after`, by name, and whether there are more.

        Fewer than `limit` where counting their messages would keep other work waiting; the last is counted whole.
        """

    def find_message(self, message_id: MessageId) -> Found:
        """Where a message is; ends are remembered for two days, or a few million of them."""

    def stats(self) -> Stats:
        """Counts and sizes."""

    def tend(self) -> None:
        """Housekeeping between two batches, a few milliseconds at most. Raises `StoreFailed`."""

    def damaged(self) -> int:
        """How many damaged rows were put aside since `open`; a number kept in memory."""

    def make_room(self) -> None:
        """After `StoreFull`: free what is held back, so that acknowledgements can be recorded."""

    def has_room(self) -> bool:
        """After `make_room`: hold space back again; True when there is room for new messages."""

    def close(self) -> None:
        """Leave everything durable and free the folder; without effect on a closed store."""
