"""Mail from neighbours: judged, routed, on disk; then, and only then, 202 (PROTOCOL 1, 17, 25)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actors.messages.links import Carry
from actors.messages.router import (
    Destination,
    GrantOrigin,
    MessagesRouted,
    NotKept,
    Refused,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import LinkRequested
from actors.messages.storage import LinkMark, MessagesStored, StoreItem, StoreMessages, StoreOutcome, StoreResult
from actors.model import (
    UNROUTED,
    Envelope,
    FormerHome,
    NodeName,
    QueueName,
    Seconds,
    Step,
    StoredMessage,
    UserName,
    mailbox_queue,
    neighbour_queue,
)
from actors.server_manager.core import Core
from actors.server_manager.custody import Custody
from actors.server_manager.links import Links
from actors.state.grants import GrantBook
from actors.state.vouch import vouches

MAX_INCARNATION = 64
MAX_ID = 256
MAX_ROW = 2**63
LONGEST_LIFE = 366 * 86_400.0
GRANTED = 600.0
"""Seconds for which the Router remembers a grant that came with a message: just to judge what comes with it."""
LONG_AGO = 1e-9
"""A deadline (monotonic) that has passed: the store looks whether it knows the hand-over, and stores nothing."""


class Arrival(NamedTuple):
    """A message that a neighbour wants us to take."""

    node: NodeName
    request: LinkRequested
    carry: Carry


class Verdict(NamedTuple):
    """What is done with an arrival."""

    arrival: Arrival
    item: StoreItem
    refusal: Refused | None = None
    """The answer, unless the store finds that the message was taken before."""


class Arrivals:
    """Takes over what neighbours bring: what arrives together costs one question and one commit."""

    def __init__(self, core: Core, links: Links, custody: Custody) -> None:
        self._core = core
        self._links = links
        self._custody = custody
        self._arrived: dict[NodeName, list[Arrival]] = {}
        self._judged: list[Verdict] = []
        self._grants = GrantBook()
        self._lapsing: set[UserName] = set()
        """Users of whom something is to lapse: each has one timer."""
        self.received: dict[NodeName, int] = {}
        """Messages taken over in this run, by neighbour."""

    def carry(self, node: NodeName, request: LinkRequested) -> None:
        """A neighbour's `Carry`, authenticated."""
        carry = request.content
        assert isinstance(carry, Carry)
        envelope = carry.envelope
        arrival = Arrival(node, request, carry)
        if not _is_sound(carry):
            self._links.answer(request, 403, "Not a hand-over as it should be")
        elif self._is_forged(envelope):
            self._core.count("messages_forged_total")
            self._links.answer(request, 403, "Not a message of this node")
        elif carry.life <= 0:
            self._judged.append(self._look_up(arrival, Refused(404, "Its life is over")))
        else:
            self._arrived.setdefault(node, []).append(arrival)

    def _is_forged(self, envelope: Envelope) -> bool:
        """Tell whether it claims to come from here, and does not."""
        core, routing = self._core, envelope.routing
        return routing is not None and routing.origin == core.node and not vouches(core.node_key, envelope)

    def flush(self) -> None:
        """Ask the Router about what has arrived, and the store to take what is judged."""
        arrived, self._arrived = self._arrived, {}
        for node, arrivals in arrived.items():
            self._route(node, arrivals)
        if self._judged:
            verdicts, self._judged = tuple(self._judged), []
            self._store(verdicts)

    def trust(self, user: UserName, formers: tuple[FormerHome, ...]) -> None:
        """What former homes of a user have granted counts too, each until its time is over."""
        self._grants.trust(user, formers)
        if formers and user not in self._lapsing:
            self._lapsing.add(user)
            self._lapse_later(user)

    def _lapse_later(self, user: UserName) -> None:
        """Forget what he is believed by when the first of it is over; one timer a user, however often he moves."""
        core = self._core
        first = self._grants.first_end(user)
        if first is None:
            self._lapsing.discard(user)
            return

        def lapse() -> None:
            self._grants.lapse(user, core.node_time())
            self._lapse_later(user)

        core.after(max(0.0, first - core.node_time()) + 1.0, lapse)

    # Routing.

    def _route(self, node: NodeName, arrivals: Sequence[Arrival]) -> None:
        core = self._core

        def answered(answer: MessagesRouted) -> None:
            for arrival, destination in zip(arrivals, answer.destinations, strict=True):
                self._judged.append(self._judge(arrival, destination))

        def failed(_: str) -> None:
            if len(arrivals) == 1:
                self._later(arrivals[0], "The Router failed on it")
                return
            for arrival in arrivals:  # each for itself, so that a bad one is alone
                self._route(node, (arrival,))

        def broken(_: str) -> None:
            for arrival in arrivals:
                self._later(arrival, "The server failed on it; it serves on")

        request = core.expect(answered, failed, broken)
        envelopes = tuple(arrival.carry.envelope for arrival in arrivals)
        self._grant(envelopes)
        core.refs.router.tell(RouteMessages(core.refs.me, request, envelopes, node))

    def _grant(self, envelopes: Sequence[Envelope]) -> None:
        """Tell the Router of our users whom we have proved to the nodes that accepted these: it may have forgotten."""
        core, now = self._core, self._core.node_time()
        granted = {
            (envelope.sender, NodeName(envelope.routing.origin))
            for envelope in envelopes
            if envelope.routing is not None and self._grants.holds(core.node_key, envelope, now)
        }
        for sender, origin in sorted(granted):
            core.refs.router.tell(GrantOrigin(name=sender, node=origin, seconds=GRANTED))

    def _judge(self, arrival: Arrival, destination: Destination) -> Verdict:
        envelope = arrival.carry.envelope
        match destination:
            case ToMailbox():
                return self._take(arrival, mailbox_queue(envelope.recipient), envelope, once=True)
            case ToNeighbour():
                return self._take(arrival, neighbour_queue(destination.node), destination.envelope)
            case Searching():
                return self._take(arrival, UNROUTED, envelope)
            case Unknown():
                return self._look_up(arrival, Refused(404, destination.reason))
            case Refused():
                return self._look_up(arrival, destination)

    def _take(self, arrival: Arrival, queue: QueueName, envelope: Envelope, *, once: bool = False) -> Verdict:
        life = Seconds(min(arrival.carry.life, LONGEST_LIFE))
        item = StoreItem(b"", queue, envelope, life, link=_mark(arrival), once=once)
        return Verdict(arrival, item)

    def _look_up(self, arrival: Arrival, refusal: Refused) -> Verdict:
        """A message that was taken before has moved on since: whoever brings it again is told 202, not a refusal."""
        item = StoreItem(b"", UNROUTED, arrival.carry.envelope, Seconds(1.0), LONG_AGO, link=_mark(arrival))
        return Verdict(arrival, item, refusal)

    # Storing.

    def _store(self, verdicts: tuple[Verdict, ...]) -> None:
        core = self._core

        def answered(answer: MessagesStored) -> None:
            self._stored(verdicts, answer.results)

        def failed(_: str) -> None:
            if len(verdicts) == 1:
                self._later(verdicts[0].arrival, "The store failed on it")
                return
            for verdict in verdicts:
                self._store((verdict,))

        def broken(_: str) -> None:
            for verdict in verdicts:
                self._links.answer(verdict.arrival.request, 500, "The server failed on it; it serves on")
            for queue in self._custody.queues():
                queue.read_anew()

        request = core.expect(answered, failed, broken)
        items = tuple(verdict.item for verdict in verdicts)
        core.refs.storage.tell(StoreMessages(core.refs.me, request, items, core.refs.client_manager))

    def _stored(self, verdicts: Sequence[Verdict], results: Sequence[StoreResult]) -> None:
        not_kept = tuple(
            [
                verdict.item.envelope.recipient
                for verdict, result in zip(verdicts, results, strict=True)
                if verdict.item.queue == UNROUTED
                and verdict.refusal is None
                and result.outcome is not StoreOutcome.STORED
            ]
        )
        if not_kept:
            self._core.refs.router.tell(NotKept(not_kept))
        for verdict, result in zip(verdicts, results, strict=True):
            arrival = verdict.arrival
            if result.outcome is StoreOutcome.STORED:
                self._taken(verdict, result)
            elif result.outcome is StoreOutcome.KNOWN:
                self._links.answer(arrival.request, 202, "Taken before")
                self._core.count("messages_taken_again_total")
            elif verdict.refusal is not None and result.outcome is StoreOutcome.LATE:
                self._links.answer(arrival.request, verdict.refusal.status, verdict.refusal.reason)
            else:
                self._later(arrival, "No room to store it")

    def _taken(self, verdict: Verdict, result: StoreResult) -> None:
        """On disk: it is ours."""
        core, arrival = self._core, verdict.arrival
        self._links.answer(arrival.request, 202)
        envelope = verdict.item.envelope
        core.step(Step.STORED, envelope.id, f"from {arrival.node}")
        core.count("messages_taken_total")
        self.received[arrival.node] = self.received.get(arrival.node, 0) + 1
        if result.seq:  # else it waits behind the mail of a user who is just moving here
            self._custody.placed(verdict.item.queue, StoredMessage(result.seq, envelope, True, result.expires))

    def _later(self, arrival: Arrival, reason: str) -> None:
        self._links.answer(arrival.request, 503, reason, retry_after=self._core.random.randint(1, 5))
        self._core.count("messages_put_off_total")


def _mark(arrival: Arrival) -> LinkMark:
    carry = arrival.carry
    return LinkMark(arrival.node, carry.incarnation, carry.row, carry.floor)


def _is_sound(carry: Carry) -> bool:
    envelope = carry.envelope
    return (
        envelope.routing is not None
        and 0 < len(carry.incarnation) <= MAX_INCARNATION
        and 0 < len(envelope.id) <= MAX_ID
        and 1 <= carry.floor <= carry.row < MAX_ROW
        and carry.life >= 0
    )
