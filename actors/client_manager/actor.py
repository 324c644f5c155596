"""ClientManager, the actor: hears what clients, the store and operators want, and hands it to its parts."""

from __future__ import annotations

from random import Random, SystemRandom
from typing import Any, assert_never

from actors.base import ActorBase, Context
from actors.client_manager.accounts import Accounts, Emptying, Forgetting, Removing, SavingAccounts
from actors.client_manager.core import ClientSettings, Core, Nobody, Question, References
from actors.client_manager.edge import Edge
from actors.client_manager.edge_deliveries import EdgeDeliveries
from actors.client_manager.far import Far
from actors.client_manager.intake import Ended, Intake, LookingUp, Routing, Storing
from actors.client_manager.mailroom import Acknowledging, Mailroom, Reading
from actors.client_manager.moves import Moves
from actors.client_manager.operator_bindings import OperatorBindings
from actors.client_manager.questions import Questions
from actors.client_manager.recovery import Recovery
from actors.client_manager.registrations import Registrations, Saving
from actors.client_manager.starting import Starting
from actors.messages.client_manager import (
    AddUser,
    AddUsers,
    AskStates,
    ClaimConflicts,
    ClientManagerCommand,
    DeliveriesEnded,
    DeregisterContacts,
    FlowsClosed,
    FlowsSeen,
    ForgetDevice,
    ListUsers,
    MailStored,
    MoveUser,
    RegisterContact,
    RegisterContacts,
    RelaysArrived,
    RemoveUser,
    SubmitMessages,
)
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.monitor import CountFacts, JourneySteps, MonitorCommand, ReportEvent, SetGauges
from actors.messages.router import Claim, MessagesRouted, NamesFound, RouterCommand
from actors.messages.server_manager import AnswerRelays, FarAnswered, ServerManagerCommand
from actors.messages.sip_adapter import AnswerRequests, ReportBacklog, SipAdapterCommand
from actors.messages.storage import (
    AccountSaved,
    ExpiredFound,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MessageStateRead,
    QueueRead,
    RegistrationSaved,
    StorageCommand,
    StoreOpened,
    UserRead,
    UsersRead,
)
from actors.model import Flow
from actors.ref import Ref
from actors.state.presence import OnlineCount

REPEAT_AFTER = 0.2
"""Seconds until a command that Router or Storage failed on is repeated."""
BACKLOG_INTERVAL = 0.025
"""Seconds between two reports of the backlog."""


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
        server_manager: Ref[ServerManagerCommand] | None = None,
        settings: ClientSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(context=context)
        refs = References(
            me=self.ref,
            router=router,
            storage=storage,
            sip_adapter=sip_adapter,
            monitor=monitor,
            server_manager=server_manager or Nobody(),
        )
        self._core = Core(refs, settings or ClientSettings(), context.clock, random or SystemRandom())
        edge = Edge(self._core)
        edge_deliveries = EdgeDeliveries(self._core)
        self._intake = Intake(self._core, edge)
        self._registrations = Registrations(self._core, edge)
        self._mailroom = Mailroom(self._core, edge_deliveries)
        self._questions = Questions(self._core, edge)
        self._moves = Moves(self._core, self._registrations)
        self._far = Far(self._core, self._registrations, edge_deliveries, self._moves.serve)
        self._accounts = Accounts(self._core, self._registrations)
        self._operator_bindings = OperatorBindings(self._core, self._registrations)
        self._starting = Starting(self._core, self._registrations)
        self._recovery = Recovery(
            self._core,
            starting=self._starting,
            intake=self._intake,
            registrations=self._registrations,
            mailroom=self._mailroom,
            accounts=self._accounts,
            far=self._far,
        )
        self._wake_number = 0
        self._next_wake = float("inf")
        self._expiry_due = 0.0
        self._backlog = 0
        self._backlog_due = 0.0
        self._online = OnlineCount()

    def on_start(self) -> None:
        """Ask the store for what outlived the last run."""
        self._starting.open()

    def handle(self, message: ClientManagerCommand) -> None:  # noqa: C901 - the whole mailbox at a glance
        """Serve one message."""
        match message:
            case SubmitMessages():
                self.each(message.items, self._intake.submit, self._recovery.request_failed)
            case DeliveriesEnded():
                self.each(message.items, self._mailroom.result, self._recovery.result_failed)
            case MessagesRouted():
                self._routed(message)
            case MessagesStored():
                self._stored(message)
            case MessagesAcknowledged():
                self._acknowledged(message)
            case QueueRead():
                self._queue_read(message)
            case RegisterContacts():
                self.each(message.items, self._registrations.register, self._recovery.request_failed)
            case AskStates():
                self.each(message.items, self._questions.ask, self._recovery.request_failed)
            case MessageStateRead():
                self._questions.answer(message)
            case RegistrationSaved():
                self._registration_saved(message)
            case FlowsSeen():
                self.each(message.flows, self._registrations.seen, _leave)
            case FlowsClosed():
                self.each(message.flows, self._registrations.closed, _leave)
            case ExpiredFound():
                self._mailroom.expired(message.messages)
                self._core.answered(message.request)
            case Wake():
                self._wake(message.id)
            case CommandFailed():
                self._recovery.undo(self._core.asked(message.request), message.reason)
                self._core.answered(message.request)
            case AddUser():
                self._accounts.add(message)
            case AddUsers():
                self._accounts.add_many(message)
            case RemoveUser():
                self._accounts.remove(message)
            case ForgetDevice():
                self._accounts.forget_device(message)
            case RegisterContact():
                self._operator_bindings.register(message)
            case DeregisterContacts():
                self._operator_bindings.deregister(message)
            case ListUsers():
                self._starting.list(message)
            case AccountSaved():
                self._account_saved(message)
            case StoreOpened():
                self._starting.opened(message)
                self._core.answered(message.request)
            case UsersRead():
                self._users_read(message)
            case UserRead():
                self._user_read(message)
            case MailStored():
                self._mail_stored(message)
            case RelaysArrived():
                self.each(message.items, self._far.arrived, self._far.failed)
            case FarAnswered() | NamesFound() | MessagesMoved():
                self._question(message)
            case ClaimConflicts():
                self.each(message.claims, self._moves.conflict, _leave)
            case MoveUser():
                self._moves.move(message)
            case Ping():
                pass  # answered by the frame
            case _:
                assert_never(message)

    def _users_read(self, message: UsersRead) -> None:
        self._starting.users_read(message)
        if self._starting.loaded:
            self._expiry_due = self.clock.monotonic()

    def _question(self, message: Any) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def _user_read(self, message: UserRead) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Question):
            what.answered(message)
        else:
            self._registrations.read(message.request, message.name, message.user)
        self._core.answered(message.request)

    def _mail_stored(self, message: MailStored) -> None:
        now = self.clock.monotonic()
        for stored in message.messages:
            self._intake.offer(stored, now)

    # Answers of Router and Storage, by what was asked; forgotten when they have been served.

    def _routed(self, message: MessagesRouted) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Routing):
            self._intake.routed(what, message.destinations)
        elif isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def _stored(self, message: MessagesStored) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Storing):
            self._intake.stored(what, message.results)
        elif isinstance(what, LookingUp):
            self._intake.looked_up(what, message.results)
        elif isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def _acknowledged(self, message: MessagesAcknowledged) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Acknowledging):
            self._mailroom.acknowledged(what)
        elif isinstance(what, Ended):
            self._mailroom.ended(what, message.notices)
        elif isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def _queue_read(self, message: QueueRead) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Reading):
            self._mailroom.read(what, message.messages, message.more)
        elif isinstance(what, Emptying):
            self._accounts.emptied(what, message.messages, message.more)
        elif isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def _registration_saved(self, message: RegistrationSaved) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, Saving):
            self._registrations.saved(what, message.devices)
        elif isinstance(what, Forgetting):
            self._accounts.forgotten(what)
        elif isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def _account_saved(self, message: AccountSaved) -> None:
        what = self._core.asked(message.request)
        if isinstance(what, SavingAccounts):
            self._accounts.saved(what)
        elif isinstance(what, Removing):
            self._accounts.removed(what)
        elif isinstance(what, Question):
            what.answered(message)
        self._core.answered(message.request)

    def recover(self, message: ClientManagerCommand, error: Exception) -> None:
        """Answer for a message that raised, and believe the disk again where memory may be wrong."""
        if isinstance(message, Wake):
            self._next_wake = float("inf")  # `flush`, which follows, asks for another
        elif not self._recovery.recover(message, error):
            super().recover(message, error)

    # Time.

    def _wake(self, number: int) -> None:
        if number != self._wake_number:
            return  # an earlier one was asked for since
        now = self.clock.monotonic()
        self._next_wake = float("inf")
        self._wake_number += 1
        repeat, self._core.repeat = self._core.repeat, []
        self.each(repeat, self._recovery.do_again, self._keep)
        if not self._starting.loaded:
            return
        self._core.deliveries.retry(now)
        self._moves.wake(now)
        if now >= self._expiry_due:
            self._expiry_due = now + self._core.settings.expiry_interval
            self._mailroom.look_for_expired()
            self._report_gauges()

    def _keep(self, what: object, error: Exception) -> None:
        self._core.repeat.append(what)

    def _schedule(self) -> None:
        """Ask for one wake-up at the earliest deadline; one asked for before, and later, is stale then."""
        now = self.clock.monotonic()
        wake = self._next_wake
        if self._starting.loaded:
            wake = min(wake, self._expiry_due)
            retry = self._core.deliveries.retries.next()
            if retry is not None and retry < wake:
                wake = retry
            due = self._moves.next()
            if due is not None and due < wake:
                wake = due
        if self._core.repeat:
            wake = min(wake, now + REPEAT_AFTER)
        if wake < self._next_wake:
            self._next_wake = wake
            self._wake_number += 1
            self.context.scheduler.after(max(0.0, wake - now), self.ref, Wake(id=self._wake_number))

    # Handing on.

    def flush(self) -> None:
        """Hand on everything that was decided, one message to each receiver."""
        core, outbox = self._core, self._core.outbox
        self._mailroom.flush()
        if outbox.answers:
            answers, outbox.answers = self._operator_bindings.take(self._far.take(outbox.answers)), []
            if answers:
                core.refs.sip_adapter.tell(AnswerRequests(items=tuple(answers)))
        if outbox.relays:
            relays, outbox.relays = tuple(outbox.relays), []
            core.refs.server_manager.tell(AnswerRelays(items=relays))
        self._intake.flush()
        self._registrations.flush()
        self._accounts.flush()
        self._moves.flush()  # last: what it asks the disk counts what was told to it before
        self._tell_backlog()
        self._report()
        self._schedule()

    def _tell_backlog(self) -> None:
        """Tell the border how much waits for devices that answer, now and then, and that nothing does any more."""
        if not self._starting.loaded:
            return
        now = self.clock.monotonic()
        if now < self._backlog_due:
            return
        self._backlog_due = now + BACKLOG_INTERVAL
        backlog = self._core.deliveries.backlog(now)
        if backlog != self._backlog:
            self._backlog = backlog
            self._core.refs.sip_adapter.tell(ReportBacklog(messages=backlog))

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
            for level, kind, text, user, message_id in events:
                event = ReportEvent(at=wall, level=level, kind=kind, text=text, user=user, message_id=message_id)
                monitor.tell(event)

    def _report_gauges(self) -> None:
        registry = self._core.registry
        gauges = [("users", float(len(registry))), ("flows_bound", float(registry.flows))]
        self._online.step(registry, self._core.node_time())
        if self._online.users is not None:
            gauges.append(("users_online", float(self._online.users)))
        self._core.refs.monitor.tell(SetGauges(gauges=tuple(gauges)))


def _leave(item: Flow | Claim, error: Exception) -> None:
    """News that raised: what a flow's is about heals with the next REGISTER, another claim is met again."""
