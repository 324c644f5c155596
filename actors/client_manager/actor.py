"""ClientManager, the actor: hears what clients, the store and operators want, and hands it to its parts."""

from __future__ import annotations

from random import Random, SystemRandom
from typing import Any, assert_never

from actors.base import ActorBase, Context
from actors.client_manager.accounts import Accounts, Emptying, Removing, SavingAccounts
from actors.client_manager.core import ClientSettings, Core, References
from actors.client_manager.intake import Ended, Intake, LookingUp, Routing, Storing
from actors.client_manager.mailroom import Acknowledging, Expiring, Mailroom, Reading
from actors.client_manager.registrations import Registrations, Rereading, Saving, SavingDevices
from actors.messages.client_manager import (
    AddUser,
    AddUsers,
    ClientManagerCommand,
    DeliveriesEnded,
    DeliveryResult,
    FlowsClosed,
    FlowsSeen,
    ForgetDevice,
    ListUsers,
    RegisterContacts,
    Registration,
    RemoveUser,
    Submission,
    SubmitMessages,
)
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.monitor import CountFacts, JourneySteps, MonitorCommand, ReportEvent, SetGauges
from actors.messages.router import MessagesRouted, NamesAreOurs, RouterCommand
from actors.messages.sip_adapter import AnswerRequests, SipAdapterCommand
from actors.messages.storage import (
    AccountSaved,
    ExpiredFound,
    MessagesAcknowledged,
    MessagesStored,
    OpenStore,
    QueueRead,
    ReadUsers,
    RegistrationSaved,
    StorageCommand,
    StoreOpened,
    StoreOutcome,
    UserRead,
    UsersRead,
)
from actors.model import UserName
from actors.ref import Ref
from actors.state.admission import Admission, Rules
from actors.state.delivery import Deliveries
from actors.state.digest import NonceBook
from actors.state.ids import IdMint

REPEAT_AFTER = 0.2
"""Seconds until a command that the store failed on is repeated."""


class ClientManager(ActorBase[ClientManagerCommand]):
    """Owns accounts, credentials, devices, bindings and each device's delivery window."""

    name = "client_manager"

    def __init__(
        self,
        *,
        context: Context,
        router: Ref[RouterCommand],
        storage: Ref[StorageCommand],
        sip_adapter: Ref[SipAdapterCommand],
        monitor: Ref[MonitorCommand],
        settings: ClientSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(context=context)
        refs = References(me=self.ref, router=router, storage=storage, sip_adapter=sip_adapter, monitor=monitor)
        self._core = Core(refs, settings or ClientSettings(), context.clock, random or SystemRandom())
        self._intake = Intake(self._core)
        self._registrations = Registrations(self._core)
        self._mailroom = Mailroom(self._core)
        self._accounts = Accounts(self._core)
        self._loaded = False
        self._deferred: list[ListUsers] = []
        self._repeat: list[Any] = []
        self._next_wake = float("inf")
        self._expiry_due = 0.0

    def on_start(self) -> None:
        """Ask the store for what outlived the last run."""
        self._core.refs.storage.tell(OpenStore(reply_to=self.ref, request=self._core.expect("open")))

    def handle(self, message: ClientManagerCommand) -> None:
        """Serve one message."""
        match message:
            case SubmitMessages():
                self.each(message.items, self._intake.submit, self._failed_request)
            case DeliveriesEnded():
                self.each(message.items, self._mailroom.result, self._failed_result)
            case MessagesRouted():
                self._routed(message)
            case MessagesStored():
                self._stored(message)
            case MessagesAcknowledged():
                self._acknowledged(message)
            case QueueRead():
                self._queue_read(message)
            case RegisterContacts():
                self.each(message.items, self._registrations.register, self._failed_request)
            case RegistrationSaved():
                self._registration_saved(message)
            case FlowsSeen():
                for flow in message.flows:
                    self._registrations.seen(flow)
            case FlowsClosed():
                for flow in message.flows:
                    self._registrations.closed(flow)
            case ExpiredFound():
                self._core.answered(message.request)
                self._mailroom.expired(message.messages)
            case Wake():
                self._wake(message.id)
            case CommandFailed():
                self._command_failed(message)
            case AddUser():
                self._accounts.add(message)
            case AddUsers():
                self._accounts.add_many(message)
            case RemoveUser():
                self._accounts.remove(message)
            case ForgetDevice():
                self._accounts.forget_device(message)
            case ListUsers():
                self._list(message)
            case AccountSaved():
                self._account_saved(message)
            case StoreOpened():
                self._opened(message)
            case UsersRead():
                self._users_read(message)
            case UserRead():
                self._user_read(message)
            case Ping():
                pass  # answered by the frame
            case _:
                assert_never(message)

    # Starting.

    def _opened(self, store: StoreOpened) -> None:
        core = self._core
        core.node_offset = store.node_offset
        core.realm = store.realm
        rules = Rules(
            realm=store.realm,
            open_mode=core.settings.open_mode,
            algorithms=core.settings.algorithms,
            life=core.settings.message_life,
        )
        nonces = NonceBook(core.random.getrandbits(256).to_bytes(32, "big"))
        mint = IdMint(core.random.getrandbits(40).to_bytes(5, "big"))
        core.admission = Admission(core.registry, rules, nonces, mint)
        core.deliveries = Deliveries(
            core.registry,
            core.outbox,
            core.random,
            node_key=store.node_key,
            offset=store.node_offset,
            prove_addresses=core.settings.open_mode,
        )
        core.refs.storage.tell(ReadUsers(reply_to=self.ref, request=store.request))

    def _users_read(self, message: UsersRead) -> None:
        for user in message.users:
            self._mailroom.loaded(user)
        names = tuple(user.account.name for user in message.users)
        self._core.refs.router.tell(NamesAreOurs(names=names))
        if message.last:
            self._core.answered(message.request)
            self._loaded = True
            self._expiry_due = self.clock.monotonic()
            for question in self._deferred:
                self._accounts.list(question)
            self._deferred.clear()

    def _list(self, question: ListUsers) -> None:
        """Answer once everybody is loaded: the composition waits for this before it opens the network."""
        if self._loaded:
            self._accounts.list(question)
        else:
            self._deferred.append(question)

    # Answers of Router and Storage, by what was asked.

    def _routed(self, message: MessagesRouted) -> None:
        what = self._core.answered(message.request)
        if isinstance(what, Routing):
            self._intake.routed(what, message.destinations)

    def _stored(self, message: MessagesStored) -> None:
        what = self._core.answered(message.request)
        if isinstance(what, Storing):
            self._intake.stored(what, message.results)
        elif isinstance(what, LookingUp):
            self._intake.looked_up(what, message.results)

    def _acknowledged(self, message: MessagesAcknowledged) -> None:
        what = self._core.answered(message.request)
        if isinstance(what, Acknowledging):
            self._mailroom.acknowledged(what)
        elif isinstance(what, Ended):
            self._mailroom.ended(what, message.notices)

    def _queue_read(self, message: QueueRead) -> None:
        what = self._core.answered(message.request)
        if isinstance(what, Reading):
            self._mailroom.read(what, message.messages, message.more)
        elif isinstance(what, Emptying):
            self._accounts.emptied(what, message.messages, message.more)

    def _registration_saved(self, message: RegistrationSaved) -> None:
        what = self._core.answered(message.request)
        if isinstance(what, Saving):
            self._registrations.saved(what, message.devices)
        elif isinstance(what, SavingAccounts):
            self._accounts.saved(what)

    def _account_saved(self, message: AccountSaved) -> None:
        what = self._core.answered(message.request)
        if isinstance(what, SavingAccounts):
            self._accounts.saved(what)
        elif isinstance(what, Removing):
            self._accounts.removed(what)

    def _user_read(self, message: UserRead) -> None:
        self._core.answered(message.request)
        if message.user is not None:
            self._mailroom.loaded(message.user)
        else:
            self._core.registry.remove(message.name)

    # Failures.

    def _failed_request(self, request: Submission | Registration, error: Exception) -> None:
        self._core.fail(request.transaction)

    def _failed_result(self, result: DeliveryResult, error: Exception) -> None:
        """What the device said is lost: its user is read again, and the same bytes are sent again."""
        user = self._core.deliveries.user_of(result.delivery)
        if user is not None:
            self._registrations.reread(user)

    def _command_failed(self, failure: CommandFailed) -> None:
        self._undo(self._core.answered(failure.request), failure.reason)

    def _undo(self, what: Any, reason: str) -> None:
        """Make good what Router or Storage failed on; nothing of it was done."""
        match what:
            case Routing() | LookingUp():
                self._intake.failed(what.candidates)
            case Storing():
                self._intake.failed([candidate for candidate, _ in what.candidates])
            case Saving():
                self._registrations.save_failed(what)
            case Reading():
                self._mailroom.read_failed(what)
            case Expiring():
                self._mailroom.expiry_failed()
            case SavingAccounts():
                self._accounts.save_failed(what, reason)
            case Emptying() | Removing():
                self._accounts.remove_failed(what.command, reason)
            case Acknowledging() | Ended() | SavingDevices() | Rereading():
                self._repeat.append(what)
            case _:
                pass

    def recover(self, message: ClientManagerCommand, error: Exception) -> None:
        """A message of which nothing was done: answer for it, and believe the disk again where memory may be wrong."""
        match message:
            case SubmitMessages() | RegisterContacts():
                for request in message.items:
                    self._core.fail(request.transaction)
            case DeliveriesEnded():
                for result in message.items:
                    self._failed_result(result, error)
            case MessagesRouted() | QueueRead() | ExpiredFound():
                self._undo(self._core.answered(message.request), "ClientManager failed")
            case MessagesStored():
                self._recover_stored(message)
            case MessagesAcknowledged():
                self._recover_acknowledged(message)
            case RegistrationSaved():
                what = self._core.answered(message.request)
                if isinstance(what, Saving):
                    self._registrations.save_failed(what)
            case Wake():
                self._next_wake = float("inf")
            case _:
                super().recover(message, error)

    def _recover_stored(self, message: MessagesStored) -> None:
        """They are on disk: the sender is told so, and the mailboxes are read anew."""
        what = self._core.answered(message.request)
        if isinstance(what, LookingUp):
            self._intake.failed(what.candidates)
        if not isinstance(what, Storing):
            return
        for (candidate, _), result in zip(what.candidates, message.results, strict=True):
            if candidate.submission is None:
                continue
            if result.outcome is StoreOutcome.STORED:
                self._intake.confirm(candidate)
                self._registrations.reread(candidate.envelope.recipient)
            else:
                self._intake.answer_unstored(candidate.submission, result)

    def _recover_acknowledged(self, message: MessagesAcknowledged) -> None:
        what = self._core.answered(message.request)
        users: set[UserName] = set()
        if isinstance(what, Acknowledging):
            users = {item.user for item in what.items}
        elif isinstance(what, Ended):
            self._core.ending.discard(what.item.seq)
            users = {what.ending.envelope.recipient, what.ending.envelope.sender}
        for user in users:
            self._registrations.reread(user)

    # Time.

    def _wake(self, number: int) -> None:
        now = self.clock.monotonic()
        self._next_wake = float("inf")
        if not self._loaded:
            return
        repeat, self._repeat = self._repeat, []
        for what in repeat:
            self._do_again(what)
        self._core.deliveries.retry(now)
        if now >= self._expiry_due:
            self._expiry_due = now + self._core.settings.expiry_interval
            self._mailroom.look_for_expired()
            self._report_gauges()

    def _do_again(self, what: Any) -> None:
        match what:
            case Acknowledging():
                self._mailroom.acknowledge_again(what)
            case Ended():
                self._mailroom.end_again(what)
            case SavingDevices() | Rereading():
                self._registrations.reread(what.user)

    def _schedule(self) -> None:
        """Ask for one wake-up at the earliest deadline, if none is asked for by then."""
        if not self._loaded:
            return
        now = self.clock.monotonic()
        wake = self._expiry_due
        retry = self._core.deliveries.retries.next()
        if retry is not None:
            wake = min(wake, retry)
        if self._repeat:
            wake = min(wake, now + REPEAT_AFTER)
        if wake < self._next_wake:
            self._next_wake = wake
            self.context.scheduler.after(max(0.0, wake - now), self.ref, Wake(id=0))

    # Handing on.

    def flush(self) -> None:
        """Hand on everything that was decided, one message to each receiver."""
        core, outbox = self._core, self._core.outbox
        self._mailroom.flush()
        if outbox.answers:
            answers, outbox.answers = tuple(outbox.answers), []
            core.refs.sip_adapter.tell(AnswerRequests(items=answers))
        self._intake.flush()
        self._registrations.flush()
        self._accounts.flush()
        self._report()
        self._schedule()

    def _report(self) -> None:
        outbox, monitor, wall = self._core.outbox, self._core.refs.monitor, self.clock.wall()
        if outbox.steps:
            steps, outbox.steps = outbox.steps, {}
            for step, (ids, details) in steps.items():
                monitor.tell(JourneySteps(at=wall, step=step, ids=tuple(ids), details=tuple(details)))
        if outbox.counts:
            counts, outbox.counts = outbox.counts, {}
            monitor.tell(CountFacts(counts=tuple(counts.items())))
        if outbox.events:
            events, outbox.events = outbox.events, []
            for level, kind, text, user in events:
                monitor.tell(ReportEvent(at=wall, level=level, kind=kind, text=text, user=user))

    def _report_gauges(self) -> None:
        registry = self._core.registry
        gauges = (("users", float(len(registry))), ("flows_bound", float(registry.flows)))
        self._core.refs.monitor.tell(SetGauges(gauges=gauges))
