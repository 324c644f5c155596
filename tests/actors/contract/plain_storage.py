"""A second Storage, as plain as its contract allows: one commit a command, each answered at once."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import msgspec

from actors.base import ActorBase, Context
from actors.messages import storage as messages
from actors.messages.lifecycle import Wake
from actors.messages.monitor import ClearAlarm, RaiseAlarm
from actors.messages.storage import StorageCommand, StoreOutcome, StoreResult
from actors.model import UserName
from actors.ref import Ref
from actors.stores.port import Store, StoreError, StoreFailed, StoreFull, Write

MAKES_ROOM = (messages.AcknowledgeMessages, messages.EndMessages, messages.DropMessages)
FULL = RaiseAlarm("no-room", "There is no room for new messages.", "Make some.")


class PlainStorage(ActorBase[StorageCommand]):
    """Gathers nothing, and reads all users at once."""

    name: ClassVar[str] = "storage"

    def __init__(self, *, context: Context, store: Store, monitor: Ref[Any]) -> None:
        super().__init__(context=context)
        self._store = store
        self._monitor = monitor
        self._kept: list[Write] = []
        self._full = self._failed = False
        self._damaged = 0

    def on_start(self) -> None:
        """Open the store."""
        try:
            for alarm in self._store.open().alarms:
                self._monitor.tell(RaiseAlarm(alarm.name, alarm.text, alarm.advice))
        except StoreError as error:
            self._fail("open", error)

    def release(self) -> None:
        """Close the store."""
        self._store.close()

    def handle(self, message: StorageCommand) -> None:
        """Serve one command, unless the disk has failed."""
        if self._failed:
            return
        try:
            if isinstance(message, Write):
                self._write(message)
            elif isinstance(message, Wake):
                self._look_for_room()
            else:
                self._read(message)
            self._store.tend()
        except StoreFailed as error:
            self._fail(type(message).__name__, error)
        if (damaged := self._store.damaged()) > self._damaged:
            self._damaged = damaged
            self._monitor.tell(RaiseAlarm("damaged", f"{damaged} rows are damaged.", "Look at the disk."))

    def _fail(self, what: str, error: Exception) -> None:
        self._failed = True
        self.report(what, error, fatal=True)

    def _write(self, command: Write) -> None:
        if self._full and isinstance(command, messages.StoreMessages):
            refused = tuple(StoreResult(StoreOutcome.REFUSED, id=item.envelope.id) for item in command.items)
            command.reply_to.tell(messages.MessagesStored(command.request, refused))
            return
        try:
            (result,) = self._store.commit([command])
        except StoreFull:
            self._no_room(command)
            return
        match command:
            case messages.StoreMessages():
                command.reply_to.tell(messages.MessagesStored(command.request, cast(Any, result)))
            case messages.AcknowledgeMessages() | messages.EndMessages() | messages.DropMessages():
                command.reply_to.tell(messages.MessagesAcknowledged(command.request, cast(Any, result)))
            case messages.MoveMessages():
                command.reply_to.tell(messages.MessagesMoved(command.request, cast(Any, result)))
            case messages.SaveRegistration() | messages.SaveProgress():
                command.reply_to.tell(messages.RegistrationSaved(command.request, command.user, cast(Any, result)))
            case messages.SaveAccounts() | messages.RemoveAccount() | messages.SettleMove():
                command.reply_to.tell(messages.AccountSaved(command.request))
            case messages.SaveNeighbour() | messages.ForgetNeighbour():
                command.reply_to.tell(messages.NeighbourSaved(command.request))

    def _no_room(self, command: Write) -> None:
        if not self._full:
            self._full = True
            self._store.make_room()
            self._monitor.tell(FULL)
            self.context.scheduler.after(1.0, self.ref, Wake(0))
            self._write(command)
        elif isinstance(command, MAKES_ROOM):
            self._kept.append(command)
        else:
            self.recover(command, StoreFull())

    def _look_for_room(self) -> None:
        self._full = not self._store.has_room()
        kept, self._kept = self._kept, []
        for command in kept:
            self._write(command)
        if self._full:
            self.context.scheduler.after(1.0, self.ref, Wake(0))
        else:
            self._monitor.tell(ClearAlarm(FULL.name))

    def _read(self, message: Any) -> None:
        store, request, answer = self._store, message.request, message.reply_to.tell
        match message:
            case messages.FindAccepted(keys=keys):
                refused = StoreResult(StoreOutcome.REFUSED)
                results = (
                    refused if first is None else StoreResult(StoreOutcome.KNOWN, id=first)
                    for first in store.known(keys)
                )
                answer(messages.MessagesStored(request, tuple(results)))
            case messages.ReadQueue(queue=queue, after=after, limit=limit, max_bytes=most, seqs=seqs):
                answer(messages.QueueRead(request, queue, *store.read_queue(queue, after, limit, most, seqs)))
            case messages.FindExpired(limit=limit, skip=skip, mailboxes=here):
                answer(messages.ExpiredFound(request, store.find_expired(limit, skip, mailboxes=here)))
            case messages.ReadNeighbours():
                answer(messages.NeighboursRead(request, *store.read_neighbours()))
            case messages.ReadMailboxes():
                answer(messages.MailboxesRead(request, *store.read_mailboxes(message.after, message.limit)))
            case messages.ReadUsers():
                answer(messages.UsersRead(request, store.read_users(UserName(""), 1 << 30), True))
            case messages.ReadUser(name=name):
                answer(messages.UserRead(request, name, store.read_user(name)))
            case messages.OpenStore():
                told = store.open()
                node = (told.node_key, told.realm, told.node_offset, told.last_seq, told.incarnation)
                answer(messages.StoreOpened(request, *node))
            case messages.ReadMessageState(id=wanted):
                answer(messages.MessageStateRead(request, *msgspec.structs.astuple(store.find_message(wanted))))
            case messages.ReadStoreStats():
                answer(messages.StoreStatsRead(request, *msgspec.structs.astuple(store.stats())))
