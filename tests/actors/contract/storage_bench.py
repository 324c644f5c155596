"""One Storage among probes over a store that fails as it is told, for its contract tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import msgspec

from actors.base import ActorBase
from actors.messages import storage as messages
from actors.messages.lifecycle import Ping
from actors.messages.storage import Acknowledgement, StoreItem, StoreOutcome, StoreResult
from actors.model import End, MessageId, Seq, User, UserName, mailbox_queue
from actors.stores.port import Alarm, Opened, Result, Store, StoreError, StoreFailed, StoreFull, Write
from actors.testing import Probe, Started, VirtualClock, running
from tests.actors.stores.build import BOB, NOBODY, acknowledge, store
from tests.actors.stores.test_store_contract import Make

R = TypeVar("R")


class ScriptedStore:
    """A store that notes what it has committed, and fails as it is told; all else is the store beneath."""

    def __init__(self, beneath: Store, log: list[Write]) -> None:
        self._beneath = beneath
        self.log = log
        self.full = False
        """No room for messages."""
        self.crammed = False
        """No room for anything."""
        self.broken: StoreFailed | None = None
        self.unopenable: StoreError | None = None
        self.alarms: tuple[Alarm, ...] = ()
        self.more_damage = 0
        self.closed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._beneath, name)

    def open(self) -> Opened:
        if self.unopenable is not None:
            raise self.unopenable
        return msgspec.structs.replace(self._beneath.open(), alarms=self.alarms)

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        if self.broken is not None:
            raise self.broken
        if self.crammed or (self.full and any(isinstance(command, messages.StoreMessages) for command in commands)):
            raise StoreFull
        results = self._beneath.commit(commands)
        self.log.extend(commands)
        return results

    def has_room(self) -> bool:
        return not (self.full or self.crammed)

    def damaged(self) -> int:
        return self._beneath.damaged() + self.more_damage

    def close(self) -> None:
        self.closed = True
        self._beneath.close()


class Bench:
    """One Storage among probes, which can be stopped and started again."""

    def __init__(self, kind: type[ActorBase[Any]], make: Make, clock: VirtualClock) -> None:
        self._kind = kind
        self._make = make
        self._stack = ExitStack()
        self._request = 100
        self.clock = clock
        self.log: list[Write] = []
        self.monitor = Probe("monitor")
        self.asker = Probe("asker")
        self.store = ScriptedStore(make(None), self.log)
        self.started: Started[Any] | None = None

    def start(self) -> Started[Any]:
        """Start the actor over `store`."""
        self.started = self._stack.enter_context(
            running(self._kind, clock=self.clock, store=self.store, monitor=self.monitor)
        )
        return self.started

    def stop(self) -> None:
        """Stop the actor; fails if it contained an exception that nobody took."""
        self._stack.close()

    def restart(self) -> None:
        """Begin anew with what the store has kept."""
        self.stop()
        self.store = ScriptedStore(self._make(None), self.log)
        self.start()

    @property
    def actor(self) -> Started[Any]:
        return self.started or self.start()

    def ask(self, command: Any, reply: type[R]) -> R:
        """Tell one command and return its only answer."""
        self._request += 1
        asker = Probe("asker")
        self.actor.serve(msgspec.structs.replace(command, reply_to=asker, request=self._request))
        answer = asker.expect(reply)
        assert answer.request == self._request  # type: ignore[attr-defined]  # every answer has one
        asker.expect_none()
        return answer

    def batch(self, *commands: Any) -> None:
        """Tell commands that are all in the inbox before the actor reads the first."""
        gate = Gate()
        self.actor.tell(Ping(reply_to=gate, id=0))
        for command in commands:
            self.actor.tell(command)
        gate.open()
        self.actor.settle()

    def keep(self, *items: StoreItem) -> tuple[StoreResult, ...]:
        """Store these and return what became of them."""
        return self.ask(store(*items), messages.MessagesStored).results

    def mailbox(self, user: UserName = BOB, after: int = 0, limit: int = 1000, **more: Any) -> messages.QueueRead:
        """Read a mailbox."""
        return self.ask(
            messages.ReadQueue(NOBODY, 0, mailbox_queue(user), Seq(after), limit, **more), messages.QueueRead
        )

    def waiting(self, user: UserName = BOB) -> list[str]:
        """The ids in a mailbox, in order."""
        return ids(self.mailbox(user))

    def where(self, name: str) -> messages.MessageStateRead:
        """Where is this message?"""
        return self.ask(messages.ReadMessageState(NOBODY, 0, MessageId(name)), messages.MessageStateRead)

    def ended(self, name: str) -> End | None:
        """How a message ended, None if it has not."""
        found = self.where(name).ended
        return found.end if found is not None else None

    def acknowledge(self, *items: Acknowledgement) -> messages.MessagesAcknowledged:
        """Record what devices answered."""
        return self.ask(acknowledge(*items), messages.MessagesAcknowledged)

    def bob(self) -> User | None:
        """Bob, as the disk has him."""
        return self.ask(messages.ReadUser(NOBODY, 0, BOB), messages.UserRead).user

    def stats(self) -> messages.StoreStatsRead:
        """Counts and sizes."""
        return self.ask(messages.ReadStoreStats(NOBODY, 0), messages.StoreStatsRead)

    def opened(self) -> messages.StoreOpened:
        """What the node is."""
        return self.ask(messages.OpenStore(NOBODY, 0), messages.StoreOpened)


class Gate:
    """A `Ref` that holds up whoever tells it something, until it is opened."""

    def __init__(self) -> None:
        self._open = threading.Event()

    def tell(self, message: object) -> None:
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


class CheckingProbe(Probe):
    """A probe that notes for each answer whether what it answers was committed when it came."""

    def __init__(self, log: list[Write]) -> None:
        super().__init__()
        self._log = log
        self.durable: list[bool] = []

    def tell(self, message: Any) -> None:
        self.durable.append(message.request in [command.request for command in self._log])
        super().tell(message)


def ids(read: messages.QueueRead | messages.ExpiredFound) -> list[str]:
    return [message.envelope.id for message in read.messages]


def outcomes(results: Sequence[StoreResult]) -> list[StoreOutcome]:
    return [result.outcome for result in results]
