"""Mail that came into the mailbox of a user who had moved away: it was on its way there before it was known.

What comes while he is leaving travels with the rest (`moving`); what comes later is routed like any other message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from actors.client_manager.core import Core, Question
from actors.client_manager.intake import ending_of
from actors.messages.router import (
    Destination,
    MessagesRouted,
    Refused,
    RouteMessages,
    Searching,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import QueuedMessage
from actors.messages.storage import MessagesMoved, MoveItem, MoveMessages, QueueRead, ReadQueue, StoreOutcome
from actors.model import UNROUTED, End, Seq, StoredMessage, UserName, mailbox_queue, neighbour_queue
from actors.state.timers import Deadlines

PAGE = 200
AGAIN = 2.0
"""Seconds until what could not be sent on is tried again."""
SURE_AFTER = 30.0
"""Seconds from the start until "unknown" is believed: before, the Router may not have heard of the neighbours yet."""


class Strays:
    """Sends on what has strayed."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._looking: set[UserName] = set()
        self._again: Deadlines[UserName] = Deadlines()
        self._sure_at = core.now() + SURE_AFTER

    def look(self, user: UserName) -> None:
        """Read a mailbox that should be empty."""
        core = self._core
        if not self._concerns(user) or user in self._looking:
            return
        self._looking.add(user)
        number = self._expect(user, lambda answer: self._read(user, answer))
        core.refs.storage.tell(ReadQueue(core.refs.me, number, mailbox_queue(user), Seq(0), PAGE))

    def _concerns(self, user: UserName) -> bool:
        account = self._core.registry.absent(user)
        return account is not None and bool(account.home) and not account.leaving and user not in self._core.moving

    def _read(self, user: UserName, answer: QueueRead) -> None:
        core = self._core
        messages = [message for message in answer.messages if message.seq not in core.ending]
        if not messages or not self._concerns(user):
            self._looking.discard(user)
            return
        number = self._expect(user, lambda routed: self._routed(user, messages, routed))
        envelopes = tuple(message.envelope for message in messages)
        core.refs.router.tell(RouteMessages(core.refs.me, number, envelopes))

    def _routed(self, user: UserName, messages: Sequence[StoredMessage], routed: MessagesRouted) -> None:
        core = self._core
        items: list[MoveItem] = []
        moved: list[StoredMessage] = []
        for message, destination in zip(messages, routed.destinations, strict=True):
            item = _item(message, destination)
            if item is not None:
                items.append(item)
                moved.append(message)
            elif isinstance(destination, Unknown) and core.now() < self._sure_at:
                self._later(user)
            elif isinstance(destination, Unknown | Refused):
                reason = f"he moved away, and: {destination.reason}"
                core.outbox.endings.append(ending_of(message, End.UNDELIVERABLE, reason))
        if not items:
            self._looking.discard(user)
            return
        number = self._expect(user, lambda answer: self._moved(user, items, moved, answer))
        core.refs.storage.tell(MoveMessages(core.refs.me, number, tuple(items)))

    def _moved(
        self, user: UserName, items: Sequence[MoveItem], messages: Sequence[StoredMessage], answer: MessagesMoved
    ) -> None:
        self._looking.discard(user)
        queued = self._core.outbox.queued
        for item, message, result in zip(items, messages, answer.results, strict=True):
            if result.outcome is StoreOutcome.STORED:
                stored = StoredMessage(result.seq, item.envelope, message.anyone, result.expires)
                queued.append(QueuedMessage(item.queue, stored))
        if any(result.outcome is StoreOutcome.REFUSED for result in answer.results):
            self._later(user)
        else:
            self.look(user)

    def _expect(self, user: UserName, answered: Callable[..., None]) -> int:
        def failed(reason: str) -> None:
            self._looking.discard(user)
            self._later(user)

        return self._core.expect(Question(answered, failed))

    def _later(self, user: UserName) -> None:
        self._again.set(user, self._core.now() + AGAIN)

    def wake(self, now: float) -> None:
        """Look again."""
        for user in list(self._again.due(now)):
            self.look(user)

    def next(self) -> float | None:
        """Tell when to wake next."""
        return self._again.next()


def _item(message: StoredMessage, destination: Destination) -> MoveItem | None:
    if isinstance(destination, ToNeighbour):
        return MoveItem(message.seq, neighbour_queue(destination.node), destination.envelope)
    if isinstance(destination, Searching):
        return MoveItem(message.seq, UNROUTED, message.envelope)
    return None
