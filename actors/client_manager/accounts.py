"""Accounts: adding, changing, listing and removing users, as an operator asks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec

from actors.client_manager.core import Core, Question
from actors.client_manager.imports import Imports
from actors.client_manager.intake import ending_of
from actors.client_manager.registrations import Registrations
from actors.messages.client_manager import (
    AddUser,
    AddUsers,
    CommandDone,
    ForgetDevice,
    RemoveUser,
)
from actors.messages.monitor import ClearAlarm
from actors.messages.router import FindNames, Found, NamesAreGone, NamesFound
from actors.messages.storage import ReadQueue, RemoveAccount, SaveAccounts, SaveRegistration
from actors.model import POSTMASTER, Account, DeviceKey, End, Seq, StoredMessage, UserName, mailbox_queue
from actors.ref import Ref
from actors.state.client_registry import GUEST
from actors.state.registrar import UNSAVED

REMOVAL_BATCH = 200


def double_name(name: UserName) -> str:
    """The alarm that another node has an account of this name too."""
    return f"double-name:{name}"


class SavingAccounts(NamedTuple):
    """Accounts on their way to the disk."""

    reply_to: Ref[CommandDone]
    request: int
    accounts: tuple[Account, ...]
    unsure: Collection[UserName] = ()
    """Those of whom not every other node could be asked whether it has them."""
    detail: str = ""


class Emptying(NamedTuple):
    """The mailbox of a user to be removed is read, to end what waits."""

    command: RemoveUser


class Removing(NamedTuple):
    """The account itself goes."""

    command: RemoveUser


class Forgetting(NamedTuple):
    """A device on its way out of the disk."""

    command: ForgetDevice


class Accounts:
    """What an operator asks about users."""

    def __init__(self, core: Core, registrations: Registrations) -> None:
        self._core = core
        self._registrations = registrations
        self._imports = Imports(core, self._create_many)
        self._emptied: list[RemoveUser] = []

    def add(self, command: AddUser) -> None:
        """Create one account, or replace its password."""
        if self._may_add(command):
            if command.replace or not self._core.settings.federated:
                self._create(command)
            else:
                self._look_elsewhere(command)

    def _may_add(self, command: AddUser) -> bool:
        known, absent = self._core.registry.get(command.name), self._core.registry.absent(command.name)
        if command.name == POSTMASTER:
            self._done(command, "refused", "postmaster is the name that notices come from")
        elif command.name in self._core.removing:
            self._done(command, "refused", f"{command.name} is just being removed; try again")
        elif command.name in self._core.moving or (known is not None and known.account.coming_from):
            self._done(command, "refused", f"{command.name} is just moving; try again")
        elif absent is not None:
            error = "unknown" if command.replace else "exists"
            self._done(command, error, f"{command.name} lives at {absent.home or absent.coming_from}")
        elif known is not None and not command.replace:
            self._done(command, "exists", f"{command.name} exists already")
        elif known is None and command.replace:
            self._done(command, "unknown", f"{command.name} does not exist")
        else:
            return True
        return False

    def _look_elsewhere(self, command: AddUser) -> None:
        """A name may be given once in the whole network (PROTOCOL 23)."""
        core = self._core

        def found(answer: NamesFound) -> None:
            (where,) = answer.answers
            if where.found is Found.ELSEWHERE:
                self._done(command, "exists", f"{command.name} exists already, at {where.home}")
            elif self._may_add(command):
                self._create(command, sure=where.found is Found.UNKNOWN)

        number = core.expect(Question(found, lambda reason: self._done(command, f"the router failed: {reason}")))
        names = (command.name,)
        core.refs.router.tell(
            FindNames(reply_to=core.refs.me, request=number, names=names, search=True, elsewhere=True)
        )

    def _create(self, command: AddUser, *, sure: bool = True) -> None:
        account = self._account(command.name, command.ha1_md5, command.ha1_sha256)
        detail = "" if sure else "not every other node could be asked whether it has this user"
        self._save(
            SavingAccounts(command.reply_to, command.request, (account,), () if sure else (command.name,), detail)
        )

    def _account(self, name: UserName, md5: str, sha256: str) -> Account:
        known = self._core.registry.get(name)
        account = Account(name, created=self._core.clock.wall()) if known is None else known.account
        return msgspec.structs.replace(account, ha1_md5=md5, ha1_sha256=sha256)

    def add_many(self, command: AddUsers) -> None:
        """Create or replace accounts in one commit."""
        self._imports.add(command)

    def _create_many(self, command: AddUsers, unsure: Collection[UserName]) -> None:
        accounts = tuple([self._account(*item) for item in command.items if item[0] != POSTMASTER])
        detail = f"not every other node could be asked whether it has {len(unsure)} of them" if unsure else ""
        self._save(SavingAccounts(command.reply_to, command.request, accounts, frozenset(unsure), detail))

    def _save(self, what: SavingAccounts) -> None:
        core = self._core
        number = core.expect(what)
        core.refs.storage.tell(SaveAccounts(reply_to=core.refs.me, request=number, accounts=what.accounts))

    def saved(self, what: SavingAccounts) -> None:
        """On disk: the users exist."""
        core = self._core
        for account in what.accounts:
            if account.has_password:
                self._drop_unproved(account.name)
            core.registry.put_account(account)
        core.claim([account for account in what.accounts if account.name not in what.unsure])
        core.claim([account for account in what.accounts if account.name in what.unsure], fresh=True)
        what.reply_to.tell(CommandDone(request=what.request, detail=what.detail))

    def _drop_unproved(self, name: UserName) -> None:
        """Whoever registered before there was a password has not proved that he is this user: let him do it again."""
        core = self._core
        record = core.registry.get(name)
        if record is None or record.account.has_password:
            return
        for device in list(record.devices.values()):
            if device.key.startswith(GUEST):
                core.registry.drop_device(name, device.key)
                core.deliveries.drop(name, device.key)
            elif device.bindings:
                core.registry.put_device(name, msgspec.structs.replace(device, bindings=()))
                core.outbox.bindings.append((name, device.key))

    def save_failed(self, what: SavingAccounts, reason: str) -> None:
        """Say so."""
        what.reply_to.tell(CommandDone(request=what.request, error=f"the store failed: {reason}"))

    # Removing.

    def remove(self, command: RemoveUser) -> None:
        """End a user's waiting mail with notices, then remove him. New mail for him is refused from now on."""
        core = self._core
        record, absent = core.registry.get(command.name), core.registry.absent(command.name)
        account = absent if record is None else record.account
        if account is None:
            self._done(command, "unknown", f"{command.name} does not exist")
            return
        if command.name in core.moving or account.coming_from or account.leaving:
            self._done(command, "refused", f"{command.name} is just moving; try again")
            return
        core.removing.add(command.name)
        if record is None:
            self._remove(command)  # he lives elsewhere, and has no mail here
            return
        core.refs.router.tell(NamesAreGone(names=(command.name,)))
        core.deliveries.drop(command.name)
        core.registry.remove(command.name)
        self._read_on(command, Seq(0))

    def _read_on(self, command: RemoveUser, after: Seq) -> None:
        core = self._core
        number = core.expect(Emptying(command))
        core.refs.storage.tell(
            ReadQueue(
                reply_to=core.refs.me,
                request=number,
                queue=mailbox_queue(command.name),
                after=after,
                limit=REMOVAL_BATCH,
            )
        )

    def emptied(self, what: Emptying, messages: Sequence[StoredMessage], more: bool) -> None:
        """End what was read; go on, or remove the account."""
        core = self._core
        for message in messages:
            if message.seq in core.ending:
                continue
            end, reason = (End.UNDELIVERABLE, "the user was removed") if message.anyone else (End.DELIVERED, "")
            core.outbox.endings.append(ending_of(message, end, reason))
        if more and messages:
            self._read_on(what.command, messages[-1].seq)
        else:
            self._emptied.append(what.command)

    def flush(self) -> None:
        """Remove accounts whose mailboxes are empty on disk: notices go first, with the ends they are about."""
        core = self._core
        if not self._emptied or core.ending or core.outbox.endings:
            return
        commands, self._emptied = self._emptied, []
        for command in commands:
            self._remove(command)

    def _remove(self, command: RemoveUser) -> None:
        core = self._core
        number = core.expect(Removing(command))
        core.refs.storage.tell(RemoveAccount(reply_to=core.refs.me, request=number, name=command.name))

    def removed(self, what: Removing) -> None:
        """He is gone."""
        self._core.registry.remove(what.command.name)
        self._core.removing.discard(what.command.name)
        if what.command.name in self._core.doubled:
            self._core.doubled.discard(what.command.name)
            self._core.refs.monitor.tell(ClearAlarm(double_name(what.command.name)))
        self._done(what.command)

    def remove_failed(self, command: RemoveUser, reason: str) -> None:
        """The account stays, without the mail that has ended meanwhile: say so; another remove goes on."""
        self._core.removing.discard(command.name)
        self._registrations.reread(command.name)
        self._done(command, f"the store failed: {reason}")

    # Devices.

    def forget_device(self, command: ForgetDevice) -> None:
        """Forget a device: what waits for it alone goes."""
        core = self._core
        record = core.registry.get(command.user)
        key = DeviceKey(command.device)
        if record is None or key not in record.devices:
            self._done(command, "unknown", f"{command.user} has no such device")
            return
        core.registry.drop_device(command.user, key)
        core.deliveries.drop(command.user, key)
        number = core.expect(Forgetting(command))
        core.refs.storage.tell(
            SaveRegistration(reply_to=core.refs.me, request=number, user=command.user, devices=(), forget=(key,))
        )

    def forgotten(self, what: Forgetting) -> None:
        """On disk: the device is gone. It may have come back with its user, read again meanwhile."""
        core, command = self._core, what.command
        record = core.registry.get(command.user)
        device = record.devices.get(DeviceKey(command.device)) if record else None
        if device is not None and device.since != UNSAVED:
            core.registry.drop_device(command.user, device.key)
            core.deliveries.drop(command.user, device.key)
        self._done(command)

    def forget_failed(self, what: Forgetting, reason: str) -> None:
        """The device stays."""
        self._registrations.reread(what.command.user)
        self._done(what.command, f"the store failed: {reason}")

    def _done(self, command: AddUser | RemoveUser | ForgetDevice, error: str = "", detail: str = "") -> None:
        command.reply_to.tell(CommandDone(request=command.request, error=error, detail=detail))
