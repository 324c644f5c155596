"""Storage: keeps what must outlive the process. One commit takes what the inbox holds, then each gets its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, assert_never

import msgspec

from actors.base import ActorBase, Context
from actors.messages.client_manager import MailStored
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.monitor import ClearAlarm, CountFacts, MonitorCommand, RaiseAlarm
from actors.messages.storage import (
    AccountSaved,
    AcknowledgeMessages,
    DropMessages,
    EndMessages,
    ExpiredFound,
    FindAccepted,
    FindExpired,
    ForgetNeighbour,
    MailboxesRead,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MessageStateRead,
    MoveItem,
    MoveMessages,
    NeighbourSaved,
    NeighboursRead,
    OpenStore,
    QueueRead,
    ReadMailboxes,
    ReadMessageState,
    ReadNeighbours,
    ReadQueue,
    ReadStoreStats,
    ReadUser,
    ReadUsers,
    RegistrationSaved,
    RemoveAccount,
    SaveAccounts,
    SaveNeighbour,
    SaveProgress,
    SaveRegistration,
    SettleMove,
    StorageCommand,
    StoreItem,
    StoreMessages,
    StoreOpened,
    StoreOutcome,
    StoreResult,
    StoreStatsRead,
    UserRead,
    UsersRead,
)
from actors.model import MessageId, StoredMessage, UserName, Value, queue_user
from actors.ref import Ref
from actors.stores.port import Opened, Store, StoreError, StoreFailed, StoreFull, Write

ROWS = 5_000
"""Rows in one commit at most, if the commands allow it: what an answer may have to wait for."""
USERS = 1_000
"""Users in one `UsersRead`."""
RETRY = 1.0
"""Seconds between two tries while the disk is full."""


class ReadMoreUsers(Value, frozen=True, gc=False):
    """Storage tells itself to go on with a stream of users, after whatever came meanwhile."""

    reply_to: Ref[UsersRead | CommandFailed]
    request: int
    after: UserName


Read = (
    FindAccepted
    | ReadQueue
    | FindExpired
    | ReadNeighbours
    | ReadMailboxes
    | ReadUsers
    | ReadMoreUsers
    | ReadUser
    | OpenStore
    | ReadMessageState
    | ReadStoreStats
)
Command = StorageCommand | ReadMoreUsers
FIRST = (AcknowledgeMessages, EndMessages, DropMessages)
"""Never refused for lack of room: they make room."""

FULL_ALARM = RaiseAlarm(
    "disk-full",
    "The disk of the data folder is full: new messages are refused with 503, acknowledgements are still recorded.",
    "Free some space there; the node takes messages again by itself.",
)


def damaged_alarm(rows: int) -> RaiseAlarm:
    """What to tell of damaged rows."""
    return RaiseAlarm(
        "damaged-rows",
        f"{rows} rows of the database did not match their checksums and were put aside in its table 'damaged'.",
        "Check the disk and the memory of this machine. Nothing is discarded: keep a copy of the data folder.",
    )


class Storage(ActorBase[Command]):
    """Gathers writes until the inbox is empty, commits them once, answers each, then serves the reads.

    So every answer shows a state in which all that was answered before it is on disk (PROTOCOL 4). A read sees writes
    that came after it in the same batch; their answers go out before its own.
    """

    name: ClassVar[str] = "storage"

    def __init__(self, *, context: Context, store: Store, monitor: Ref[MonitorCommand]) -> None:
        super().__init__(context=context)
        self._store = store
        self._monitor = monitor
        self._writes: list[Write] = []
        self._reads: list[Read] = []
        self._kept: list[Write] = []
        self._full = False
        self._waking = False
        self._failed = False
        self._damaged = 0

    def on_start(self) -> None:
        """Open the store, unless whoever put the node together has done so to show its errors."""
        try:
            opened = self._store.open()
        except StoreError as error:
            self._failed = True
            self.report("open", error, fatal=True)
            return
        for alarm in opened.alarms:
            self._monitor.tell(RaiseAlarm(alarm.name, alarm.text, alarm.advice))

    def release(self) -> None:
        """Close the store; a failed one is left as it is for the next start to judge."""
        self._store.close()

    def handle(self, message: Command) -> None:
        """Gather; `flush` does the work. After a failure of the disk nothing is answered any more (PROTOCOL 4)."""
        if self._failed:
            return
        match message:
            case (
                StoreMessages()
                | AcknowledgeMessages()
                | EndMessages()
                | MoveMessages()
                | DropMessages()
                | SaveRegistration()
                | SaveProgress()
                | SaveAccounts()
                | RemoveAccount()
                | SettleMove()
                | SaveNeighbour()
                | ForgetNeighbour()
            ):
                self._writes.append(message)
            case (
                FindAccepted()
                | ReadQueue()
                | FindExpired()
                | ReadNeighbours()
                | ReadMailboxes()
                | ReadUsers()
                | ReadUser()
                | OpenStore()
                | ReadMessageState()
                | ReadStoreStats()
                | ReadMoreUsers()
            ):
                self._reads.append(message)
            case Wake():
                self._waking = False  # `flush`, which follows, looks for room
            case Ping():
                pass  # the base answers it
            case _:
                assert_never(message)

    def flush(self) -> None:
        """Commit, answer, read, tidy up."""
        writes, self._writes = self._writes, []
        reads, self._reads = self._reads, []
        if self._full and not self._failed:
            self._look_for_room()
        for some in _portions(writes):
            # A command that cannot be done must not take the others with it: then each gets a commit of its own.
            self.each([some], self._commit, self._commit_each)
        self.each(reads, self._read, self.recover)
        if not self._failed:
            self._guarded(self._store.tend)
            self._tell_damage()

    # Writing.

    def _commit(self, commands: Sequence[Write]) -> None:
        if self._full:
            self._commit_what_fits(commands)
        elif not self._commit_all(commands):
            self._disk_is_full()
            self._commit_what_fits(commands)

    def _commit_each(self, commands: Sequence[Write], error: Exception) -> None:
        self.each([(command,) for command in commands], self._commit, self._give_up)

    def _give_up(self, commands: Sequence[Write], error: Exception) -> None:
        for command in commands:
            self.recover(command, error)

    def _commit_all(self, commands: Sequence[Write]) -> bool:
        """Commit and answer; False, and nothing done, if there is no room."""
        if self._failed or not commands:
            return True
        try:
            results = self._store.commit(commands)
        except StoreFull:
            return False
        except StoreFailed as error:
            self._fail(error)
            return True
        # Contained apart: an answer that cannot be told must not have the commands done twice.
        self.each(zip(commands, results, strict=True), _answer, _leave)
        return True

    def _fail(self, error: StoreFailed) -> None:
        """The disk failed: nobody is answered, the process ends."""
        self._failed = True
        self.report("commit", error, fatal=True)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoreFailed as error:
            self._fail(error)

    # A full disk.

    def _disk_is_full(self) -> None:
        self._full = True
        self._guarded(self._store.make_room)
        self._monitor.tell(FULL_ALARM)
        self._wake_later()

    def _look_for_room(self) -> None:
        """See to what was kept; serve as usual again if there is room, else look again later."""
        if self._kept:
            self.each([()], self._commit_what_fits, self._commit_kept_each)
        if not self._kept and self._store.has_room():
            self._full = False
            self._monitor.tell(ClearAlarm(FULL_ALARM.name))
        else:
            self._wake_later()

    def _commit_kept_each(self, commands: Sequence[Write], error: Exception) -> None:
        kept, self._kept = self._kept, []
        self._commit_each(kept, error)

    def _wake_later(self) -> None:
        if not self._waking:
            self._waking = True
            self.context.scheduler.after(RETRY, self.ref, Wake(id=0))

    def _commit_what_fits(self, commands: Sequence[Write]) -> None:
        """Acknowledgements and ends first, alone and never refused; then users; no new messages."""
        first = [*self._kept, *(command for command in commands if isinstance(command, FIRST))]
        self._kept = [] if self._commit_all(first) else first
        for command in commands:
            if isinstance(command, StoreMessages):
                refused = tuple([StoreResult(StoreOutcome.REFUSED, id=i.envelope.id) for i in command.items])
                command.reply_to.tell(MessagesStored(command.request, refused))
            elif not isinstance(command, FIRST) and (self._kept or not self._commit_all((command,))):
                self.recover(command, StoreFull())

    # Reading.

    def _read(self, message: Read) -> None:
        if not self._failed:
            self._guarded(lambda: self._serve(message))

    def _serve(self, message: Read) -> None:
        store = self._store
        request = message.request
        match message:
            case ReadQueue(queue=queue):
                found, more = store.read_queue(queue, message.after, message.limit, message.max_bytes, message.seqs)
                message.reply_to.tell(QueueRead(request, queue, found, more))
            case FindAccepted():
                ids = store.known(message.keys)
                message.reply_to.tell(MessagesStored(request, tuple([_known(first) for first in ids])))
            case FindExpired():
                expired = store.find_expired(message.limit, message.skip, mailboxes=message.mailboxes)
                message.reply_to.tell(ExpiredFound(request, expired))
            case ReadNeighbours():
                message.reply_to.tell(NeighboursRead(request, *store.read_neighbours()))
            case ReadMailboxes():
                message.reply_to.tell(MailboxesRead(request, *store.read_mailboxes(message.after, message.limit)))
            case ReadUsers():
                self._read_users(message.reply_to, request, UserName(""))
            case ReadMoreUsers():
                self._read_users(message.reply_to, request, message.after)
            case ReadUser(name=name):
                message.reply_to.tell(UserRead(request, name, store.read_user(name)))
            case OpenStore():
                message.reply_to.tell(_told(request, store.open()))
            case ReadMessageState(id=message_id):
                where = store.find_message(message_id)
                message.reply_to.tell(MessageStateRead(request, where.stored, where.queue, where.ended))
            case ReadStoreStats():
                stats = store.stats()
                message.reply_to.tell(StoreStatsRead(request, *msgspec.structs.astuple(stats)))
            case _:
                assert_never(message)

    def _read_users(self, reply_to: Ref[UsersRead | CommandFailed], request: int, after: UserName) -> None:
        users = self._store.read_users(after, USERS)
        last = len(users) < USERS
        reply_to.tell(UsersRead(request, users, last))
        if not last:
            self.ref.tell(ReadMoreUsers(reply_to, request, users[-1].account.name))

    def _tell_damage(self) -> None:
        damaged = self._store.damaged()
        if damaged != self._damaged:
            self._monitor.tell(CountFacts((("damaged_rows_total", damaged - self._damaged),)))
            self._damaged = damaged
            self._monitor.tell(damaged_alarm(damaged))


def _leave(item: object, error: Exception) -> None:
    """Nothing to make good: it is on disk, and the failure was reported."""


def _answer(done: tuple[Write, Any]) -> None:
    """Tell the sender what the commit came to; the type of the result follows from the command (`port.Result`)."""
    command, result = done
    match command:
        case StoreMessages():
            _announce(command.mail_to, command.items, result)
            command.reply_to.tell(MessagesStored(command.request, result))
        case EndMessages():
            notices = [item.notice for item in command.items if item.notice is not None]
            _announce(command.mail_to, notices, result)
            command.reply_to.tell(MessagesAcknowledged(command.request, result))
        case AcknowledgeMessages() | DropMessages():
            command.reply_to.tell(MessagesAcknowledged(command.request, result))
        case MoveMessages():
            _announce(command.mail_to, command.items, result)
            command.reply_to.tell(MessagesMoved(command.request, result))
        case SaveRegistration() | SaveProgress():
            command.reply_to.tell(RegistrationSaved(command.request, command.user, result))
        case SaveAccounts() | RemoveAccount() | SettleMove():
            command.reply_to.tell(AccountSaved(command.request))
        case SaveNeighbour() | ForgetNeighbour():
            command.reply_to.tell(NeighbourSaved(command.request))
        case _:
            assert_never(command)


def _announce(
    mail_to: Ref[MailStored] | None, items: Sequence[StoreItem | MoveItem], results: Sequence[StoreResult]
) -> None:
    """Tell of new mail in mailboxes; `seq` is 0 where it waits behind the mail of a user who is just moving here."""
    if mail_to is None:
        return
    mail = tuple(
        [
            StoredMessage(result.seq, item.envelope, True, result.expires)
            for item, result in zip(items, results, strict=True)
            if result.outcome is StoreOutcome.STORED and result.seq and queue_user(item.queue) is not None
        ]
    )
    if mail:
        mail_to.tell(MailStored(mail))


def _told(request: int, opened: Opened) -> StoreOpened:
    return StoreOpened(
        request,
        node_key=opened.node_key,
        realm=opened.realm,
        node_offset=opened.node_offset,
        last_seq=opened.last_seq,
        incarnation=opened.incarnation,
    )


def _known(first: MessageId | None) -> StoreResult:
    if first is None:
        return StoreResult(StoreOutcome.REFUSED)
    return StoreResult(StoreOutcome.KNOWN, id=first)


def _portions(commands: Sequence[Write]) -> Iterator[Sequence[Write]]:
    """The commands in commits of about `ROWS` rows."""
    portion: list[Write] = []
    rows = 0
    for command in commands:
        size = _rows(command)
        if portion and rows + size > ROWS:
            yield portion
            portion, rows = [], 0
        portion.append(command)
        rows += size
    if portion:
        yield portion


def _rows(command: Write) -> int:
    match command:
        case StoreMessages() | AcknowledgeMessages() | EndMessages() | MoveMessages():
            return len(command.items)
        case DropMessages():
            return len(command.seqs)
        case _:
            return 1
