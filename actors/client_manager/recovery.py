"""What ClientManager does when something failed: answer for it, ask again, or believe the disk (PROTOCOL 7)."""

from __future__ import annotations

from typing import Any

from actors.client_manager.accounts import Accounts, Emptying, Forgetting, Removing, SavingAccounts
from actors.client_manager.core import Core, Question
from actors.client_manager.far import Far
from actors.client_manager.intake import Ended, Intake, LookingUp, Routing, Storing
from actors.client_manager.mailroom import Acknowledging, Expiring, Mailroom, Reading
from actors.client_manager.questions import Asking
from actors.client_manager.registrations import Registrations, Rereading, Saving, SavingDevices
from actors.client_manager.starting import Loading, Opening, Starting
from actors.messages.client_manager import (
    AskStates,
    ClientManagerCommand,
    DeliveriesEnded,
    DeliveryResult,
    MailStored,
    RegisterContacts,
    RelaysArrived,
    SubmitMessages,
)
from actors.messages.lifecycle import CommandFailed
from actors.messages.requests import Registration, StateQuestion, Submission
from actors.messages.router import MessagesRouted, NamesFound
from actors.messages.server_manager import FarAnswered
from actors.messages.storage import (
    AccountSaved,
    ExpiredFound,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MessageStateRead,
    QueueRead,
    RegistrationSaved,
    StoreOpened,
    StoreOutcome,
    UserRead,
    UsersRead,
)
from actors.model import UserName, queue_user


class Recovery:
    """Knows for each question and each message what is to be made good."""

    def __init__(
        self,
        core: Core,
        *,
        starting: Starting,
        intake: Intake,
        registrations: Registrations,
        mailroom: Mailroom,
        accounts: Accounts,
        far: Far,
    ) -> None:
        self._core = core
        self._starting = starting
        self._intake = intake
        self._registrations = registrations
        self._mailroom = mailroom
        self._accounts = accounts
        self._far = far

    # Items of a batch.

    def request_failed(self, request: Submission | Registration | StateQuestion, error: Exception) -> None:
        """A client's request raised: 500."""
        self._core.fail(request.transaction)

    def result_failed(self, result: DeliveryResult, error: Exception) -> None:
        """What the device said is lost: its user is read again, and the same bytes are sent again."""
        self._core.deliveries.lost(result.delivery)
        user = self._core.deliveries.user_of(result.delivery)
        if user is not None:
            self._registrations.reread(user)

    # Questions to Router and Storage.

    def undo(self, what: Any, reason: str) -> None:  # noqa: C901 - a table
        """Make good what Router or Storage failed on; nothing of it was done."""
        match what:
            case Question():
                what.failed(reason)
            case Routing() | LookingUp():
                self._intake.failed(what.candidates)
            case Storing():
                self._intake.store_failed(what)
            case Saving():
                self._registrations.save_failed(what)
            case Reading():
                self._mailroom.read_failed(what)
            case Expiring():
                self._mailroom.expiry_failed()
            case SavingAccounts():
                self._accounts.save_failed(what, reason)
            case Forgetting():
                self._accounts.forget_failed(what, reason)
            case Emptying() | Removing():
                self._accounts.remove_failed(what.command, reason)
            case Rereading():
                self._registrations.read_failed(what)
            case Acknowledging() | Ended() | SavingDevices() | Opening():
                self._core.repeat.append(what)
            case Loading():
                self._starting.loading_failed()
                self._core.repeat.append(what)
            case _:
                pass  # nobody waits for it

    def do_again(self, what: Any) -> None:
        """Ask again what failed before."""
        match what:
            case Routing():
                self._intake.route_again(what)
            case Acknowledging():
                self._mailroom.acknowledge_again(what)
            case Ended():
                self._intake.commit_end(what)
            case SavingDevices() | Rereading():
                self._registrations.reread(what.user)
            case Opening():
                self._starting.open()
            case Loading():
                self._starting.load()
            case Asking():
                self._core.fail(what.question.transaction)

    # Messages that raised here.

    def recover(self, message: ClientManagerCommand, error: Exception) -> bool:  # noqa: C901 - a table
        """Nothing or a part of it was done; False: nothing is known about such a message."""
        match message:
            case SubmitMessages() | RegisterContacts() | AskStates():
                for request in message.items:
                    self.request_failed(request, error)
            case DeliveriesEnded():
                for result in message.items:
                    self.result_failed(result, error)
            case MessagesRouted() | QueueRead() | ExpiredFound() | CommandFailed() | StoreOpened() | UsersRead():
                self.undo(self._core.answered(message.request), "ClientManager failed")
            case MailStored():
                for stored in message.messages:
                    self._registrations.reread(stored.envelope.recipient)
            case RelaysArrived():
                for item in message.items:
                    self._far.failed(item, error)
            case UserRead() | MessageStateRead() | NamesFound() | FarAnswered() | MessagesMoved():
                self.undo(self._core.answered(message.request), "ClientManager failed")
            case MessagesStored():
                self._stored(message)
            case MessagesAcknowledged():
                self._acknowledged(message)
            case RegistrationSaved() | AccountSaved():
                self._saved(self._core.answered(message.request))
            case _:
                return False
        return True

    def _stored(self, message: MessagesStored) -> None:
        """They are on disk: the sender is told so, and the mailboxes are read anew."""
        what = self._core.answered(message.request)
        if isinstance(what, Question):
            what.failed("ClientManager failed")
        if isinstance(what, LookingUp):
            self._intake.failed(what.candidates)
        if not isinstance(what, Storing):
            return
        for (candidate, queue), result in zip(what.candidates, message.results, strict=True):
            if candidate.submission is None:
                continue
            if result.outcome is StoreOutcome.STORED:
                self._intake.confirm(candidate)
                if queue_user(queue) is not None:
                    self._registrations.reread(candidate.envelope.recipient)
                else:
                    self._intake.hand_on(candidate, queue, result)
            else:
                self._intake.answer_unstored(candidate.submission, result)

    def _acknowledged(self, message: MessagesAcknowledged) -> None:
        what = self._core.answered(message.request)
        users: set[UserName] = set()
        if isinstance(what, Acknowledging):
            users = {item.user for item in what.items}
        elif isinstance(what, Ended):
            self._core.ending.discard(what.item.seq)
            self._core.deliveries.end_committed(what.item.seq)
            users = {what.ending.envelope.recipient, what.ending.envelope.sender}
        elif isinstance(what, Question):
            what.failed("ClientManager failed")
        for user in sorted(users):
            self._registrations.reread(user)

    def _saved(self, what: Any) -> None:
        """It is on disk: phones are told to try again, operators get what they asked for."""
        match what:
            case Question():
                what.failed("ClientManager failed")
            case Saving():
                self._registrations.save_failed(what)
            case SavingAccounts():
                self._accounts.saved(what)
            case Removing():
                self._accounts.removed(what)
            case Forgetting():
                self._accounts.forgotten(what)
