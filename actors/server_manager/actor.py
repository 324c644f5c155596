"""ServerManager, the actor: hears what neighbours, the store and the other actors want, and hands it to its parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random, SystemRandom
from typing import Any, assert_never

from actors.base import ActorBase, Context
from actors.messages.client_manager import ClientManagerCommand
from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.links import Alive, Carry, Hello, Relay
from actors.messages.monitor import JourneyRead, MonitorCommand
from actors.messages.router import MessagesRouted, NamesFound, RouterCommand
from actors.messages.server_manager import (
    AddNeighbour,
    AnswerRelays,
    AskFar,
    LinkAnswered,
    LinkAnswers,
    LinkClosed,
    LinkOpened,
    LinkRequested,
    LinkRequests,
    ListNeighbours,
    MessagesQueued,
    NetworkOpen,
    NodeWays,
    RelayDeliveries,
    RemoveNeighbour,
    RouteAgain,
    ServerManagerCommand,
    TellNeighbours,
    TrustFormers,
)
from actors.messages.sip_adapter import SipAdapterCommand
from actors.messages.storage import (
    ExpiredFound,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MessageStateRead,
    NeighbourSaved,
    NeighboursRead,
    OpenStore,
    QueueRead,
    ReadNeighbours,
    StorageCommand,
    StoreOpened,
)
from actors.model import NodeName, Seq
from actors.ref import Ref
from actors.server_manager.control import Control
from actors.server_manager.core import Core, LinkSettings, References, Timer
from actors.server_manager.links import Links
from actors.server_manager.mail import Mail
from actors.server_manager.neighbours import Neighbours
from actors.server_manager.relays import Relays

REPEAT_AFTER = 0.2
"""Seconds until a question to the store that failed at start is asked again."""
ROUNDS = 8
"""Calls may bring about further calls: so often at most before what was gathered is handed on."""

Answer = (
    MessagesRouted
    | NamesFound
    | MessagesStored
    | MessagesMoved
    | MessagesAcknowledged
    | QueueRead
    | ExpiredFound
    | NeighbourSaved
    | NeighboursRead
    | MessageStateRead
    | JourneyRead
    | StoreOpened
)


class ServerManager(ActorBase[ServerManagerCommand]):
    """Owns the neighbours, the link to each, and the mail that goes over links."""

    name = "server_manager"

    def __init__(
        self,
        *,
        context: Context,
        router: Ref[RouterCommand],
        storage: Ref[StorageCommand],
        sip_adapter: Ref[SipAdapterCommand],
        client_manager: Ref[ClientManagerCommand],
        monitor: Ref[MonitorCommand],
        settings: LinkSettings | None = None,
        random: Random | None = None,
    ) -> None:
        super().__init__(context=context)
        refs = References(
            me=self.ref,
            router=router,
            storage=storage,
            sip_adapter=sip_adapter,
            client_manager=client_manager,
            monitor=monitor,
        )
        core = self._core = Core(refs, settings or LinkSettings(), context.clock, random or SystemRandom())
        self._links = Links(core)
        self._control = Control(core, self._links)
        self._relays = Relays(core, self._links)
        self._mail = Mail(core, self._links)
        self._neighbours = Neighbours(core, self._links, self._mail)
        self._links.on_up = self._up
        self._links.on_down = self._down
        self._links.on_removed = self._removed
        self._links.greetings.on_caller = self._neighbours.caller
        self._neighbours.on_new = self._new
        self._last_seq = Seq(0)
        self._started = False
        self._early: list[ServerManagerCommand] = []
        """What came before the store had told what outlived the last run."""
        self._wake_number = 0
        self._next_wake = float("inf")

    def on_start(self) -> None:
        """Ask the store for what outlived the last run."""
        self._open()

    def handle(self, message: ServerManagerCommand) -> None:  # noqa: C901 - the whole mailbox at a glance
        """Serve one message."""
        match message:
            case (
                MessagesRouted()
                | NamesFound()
                | MessagesStored()
                | MessagesMoved()
                | MessagesAcknowledged()
                | QueueRead()
                | ExpiredFound()
                | NeighbourSaved()
                | NeighboursRead()
                | MessageStateRead()
                | JourneyRead()
                | StoreOpened()
            ):
                self._answered(message)
            case CommandFailed():
                self._failed(message.request, message.reason)
            case Wake():
                self._wake(message.id)
            case Ping():
                pass  # answered by the frame
            case _ if not self._started:
                self._early.append(message)
            case LinkRequests():
                self.each(message.items, self._requested, self._request_failed)
            case LinkAnswers():
                self.each(message.items, self._links.ended, self._answer_failed)
            case NetworkOpen():
                self._links.open_network(message.address)
                self._neighbours.network_open()
            case LinkOpened():
                self._links.opened(message.node)
            case LinkClosed():
                self._links.closed(message.node, message.reason)
            case MessagesQueued():
                self._mail.queued(message.items)
            case RelayDeliveries():
                self.each(message.items, self._relays.deliver, self._relays.not_delivered)
            case AskFar():
                self._relays.ask(message)
            case AnswerRelays():
                self.each(message.items, self._relays.answer, self._relays.not_answered)
            case TrustFormers():
                self._mail.arrivals.trust(message.user, message.formers)
            case RouteAgain():
                self._mail.route_again(message.names)
            case NodeWays():
                self._relays.ways(message)
            case TellNeighbours():
                self.each(message.items, self._control.tell, self._control.not_told)
            case AddNeighbour():
                self._neighbours.add(message)
            case RemoveNeighbour():
                self._neighbours.remove(message)
            case ListNeighbours():
                self._neighbours.list(message)
            case _:
                assert_never(message)

    # The start: keys and names first, then who is a neighbour and what waits.

    def _open(self) -> None:
        core = self._core
        number = core.expect(self._opened, partial(self._repeat, self._open))
        core.refs.storage.tell(OpenStore(reply_to=self.ref, request=number))

    def _opened(self, store: StoreOpened) -> None:
        core = self._core
        core.node_key = store.node_key
        core.incarnation = store.incarnation
        core.node_offset = store.node_offset
        self._last_seq = store.last_seq
        self._read()

    def _read(self) -> None:
        core = self._core
        number = core.expect(self._begin, partial(self._repeat, self._read))
        core.refs.storage.tell(ReadNeighbours(reply_to=self.ref, request=number))

    def _begin(self, read: NeighboursRead) -> None:
        self._mail.start(self._last_seq, read.queues)
        self._neighbours.start(read)
        self._started = True
        early, self._early = self._early, []
        self.each(early, self.handle, self.recover)

    def _repeat(self, ask: Callable[[], None], reason: str) -> None:
        self._core.after(REPEAT_AFTER, ask)

    # Requests of neighbours.

    def _requested(self, request: LinkRequested) -> None:
        content = request.content
        if isinstance(content, Hello):
            self._links.greeted(request, content)
            return
        node = self._links.believed(request)
        if node is None:
            return
        match content:
            case Alive():
                self._links.answer(request, 200)
            case Carry():
                self._mail.carry(node, request)
            case Relay():
                self._relays.arrived(node, request, content)
            case _:
                self._control.said(node, request, content)

    def _request_failed(self, request: LinkRequested, error: Exception) -> None:
        """It can be sent again: nothing is known to have been done."""
        self._links.answer(request, 503, "The server failed on this request; it serves on", retry_after=1)

    def _answer_failed(self, answer: LinkAnswered, error: Exception) -> None:
        self._links.end_failed(answer)

    # Links rise and fall.

    def _new(self, node: NodeName) -> None:
        """The Router knows of the neighbour before it is asked: who is not here is not unknown then."""
        self._control.registered(node)
        self._mail.neighbour_added()

    def _up(self, node: NodeName) -> None:
        self._neighbours.up(node)
        self._control.up(node)
        self._mail.link_up(node)

    def _down(self, node: NodeName, reason: str) -> None:
        self._neighbours.down(node, reason)
        self._control.down(node)
        self._mail.link_down(node)

    def _removed(self, node: NodeName) -> None:
        self._control.down(node, removed=True)
        self._mail.remove(node)

    # Answers of Router and Storage.

    def _answered(self, message: Answer) -> None:
        question = self._core.asked(message.request)
        if question is not None:
            question.answered(message)
            self._core.answered(message.request)

    def _failed(self, request: int, reason: str) -> None:
        question = self._core.answered(request)
        if question is not None:
            question.failed(reason)

    def recover(self, message: ServerManagerCommand, error: Exception) -> None:
        """Make good what raised here: a question's answer counts as none, unless its asker knows better."""
        match message:
            case Wake():
                self._next_wake = float("inf")  # `flush`, which follows, asks for another
            case NetworkOpen() | NodeWays() | RouteAgain() | TrustFormers():
                self.handle(message)  # nobody tells it again, and to take it in twice does no harm
            case CommandFailed():
                self._failed(message.request, message.reason)
            case MessagesQueued():
                self._mail.missed(message.items)
            case RelayDeliveries():
                self.each(message.items, partial(self._relays.not_delivered, error=error), _leave)
            case TellNeighbours():
                self.each(message.items, partial(self._control.not_told, error=error), _leave)
            case _ if isinstance(message, Answer) and (question := self._core.answered(message.request)) is not None:
                (question.broken or question.failed)("ServerManager failed")
            case _:
                super().recover(message, error)

    # Time.

    def _wake(self, number: int) -> None:
        if number != self._wake_number:
            return  # an earlier one was asked for since
        self._next_wake = float("inf")
        self.each(self._core.due(), _ring, _leave)

    def _schedule(self) -> None:
        """Ask for one wake-up at the earliest moment; one asked for before, and later, is stale then."""
        due = self._core.now() if self._links.calls else self._core.next_due()
        if due is not None and due < self._next_wake:
            self._next_wake = due
            self._wake_number += 1
            delay = max(0.0, due - self._core.now())
            self.context.scheduler.after(delay, self.ref, Wake(id=self._wake_number))

    # Handing on.

    def flush(self) -> None:
        """Hand on everything that was decided, one message to each receiver."""
        self.each((self._links.revive,), _call, _leave)
        for _ in range(ROUNDS):
            calls, self._links.calls = self._links.calls, []
            self.each(calls, _call, _leave)
            if self._started:  # what the Router hears of links comes before what it is asked about mail
                self.each((self._control.flush, self._mail.flush), _call, _leave)
            if not self._links.calls:
                break
        last = (self._relays.flush, self._control.flush, self._links.flush, self._neighbours.report, self._core.report)
        self.each(last, _call, _leave)  # one of them that fails is no reason for the others to wait
        self._schedule()


def _ring(timer: Timer) -> None:
    if timer.call is not None:  # one that rang before it may have cancelled it
        timer.call()


def _call(call: Callable[[], None]) -> None:
    call()


def _leave(what: Any, error: Exception) -> None:
    """It is reported; what hangs on it has a deadline of its own."""
