"""The way of a message into custody: prove the sender, ask the Router, store, answer (PROTOCOL 1 to 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from actors.client_manager.core import COMMIT_WITHIN, Core
from actors.client_manager.edge import Edge
from actors.messages.requests import Answer, Challenge, Submission
from actors.messages.router import (
    Destination,
    NotKept,
    Refused,
    RouteMessages,
    Searching,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import QueuedMessage
from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    EndItem,
    EndMessages,
    FindAccepted,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    StoreResult,
)
from actors.model import (
    POSTMASTER,
    UNROUTED,
    End,
    Envelope,
    MessageId,
    Proof,
    QueueName,
    Seconds,
    Step,
    StoredMessage,
    UserName,
    mailbox_queue,
    neighbour_queue,
)
from actors.state.digest import NonceVerdict
from actors.state.grants import granted
from actors.state.ids import is_about
from actors.state.outbox import Candidate, Ending

NOTICE_LIFE = 432_000.0


class Routing(NamedTuple):
    """Candidates that the Router is asked about."""

    candidates: Sequence[Candidate]


class Storing(NamedTuple):
    """Candidates on their way to the disk, with the queue of each."""

    candidates: Sequence[tuple[Candidate, QueueName]]


class LookingUp(NamedTuple):
    """Candidates whose ingress key is looked up only: their nonce was stale, or nobody knows the recipient."""

    candidates: Sequence[Candidate]


class Ended(NamedTuple):
    """An end on its way to the disk, with its notice."""

    ending: Ending
    item: Acknowledgement | EndItem


class Intake:
    """Submissions from arrival to 202."""

    def __init__(self, core: Core, edge: Edge) -> None:
        self._core = core
        self._edge = edge

    def submit(self, request: Submission) -> None:
        """Serve one MESSAGE; what is good goes on to the Router at the next flush."""
        if not self._core.admission.may_send_as(request):
            self._reject(request, 403, "From is not an address of this network")
        elif self._edge.must_prove(request.sender):
            self._edge.prove(request, request.sender, self)
        else:
            self.judge(request)

    def judge(self, request: Submission) -> None:
        """Prove the sender by what is known here."""
        core = self._core
        now = core.now()
        proof = core.admission.authenticate(request.sender, request.credentials, request.flow, now)
        if isinstance(proof, tuple):
            self._refuse(request, *proof)
            return
        if isinstance(proof, NonceVerdict):
            core.outbox.lookups.append(core.admission.candidate(request, Proof.DIGEST, core.clock.wall()))
            return
        candidate = core.admission.candidate(request, proof, core.clock.wall())
        if proof is Proof.DIGEST and not core.admission.spend(request.credentials, now):
            core.outbox.lookups.append(candidate)
        else:
            self._take(request, candidate)

    def believe(self, request: Submission, proof: Proof, grant: str) -> None:
        """The sender's home answers for him."""
        core = self._core
        candidate = core.admission.candidate(request, proof, core.clock.wall())
        envelope = granted(core.settings.node, grant, candidate.envelope)
        self._take(request, candidate._replace(envelope=envelope))

    def doubt(self, request: Submission, challenge: Challenge) -> None:
        """It is the sender, with a nonce that was used: perhaps this is what he sent then (PROTOCOL 1)."""
        core = self._core
        candidate = core.admission.candidate(request, Proof.PEER, core.clock.wall())
        core.outbox.lookups.append(candidate._replace(challenge=challenge))

    def _take(self, request: Submission, candidate: Candidate) -> None:
        core = self._core
        if request.recipient == POSTMASTER:
            core.answer(request.transaction, 200, "Swallowed: nobody reads what is sent to this name")
        elif is_about(candidate.envelope, b"application/im-iscomposing"):
            self._relay(request, candidate.envelope)
        else:
            core.outbox.candidates.append(candidate)

    def _refuse(self, request: Submission, status: int, reason: str) -> None:
        core = self._core
        if status == 401:
            core.outbox.answers.append(
                core.admission.challenge(request.transaction, request.flow, core.now(), stale=False)
            )
        else:
            self._reject(request, status, reason)

    def _reject(self, request: Submission, status: int, reason: str) -> None:
        """Answer that it is not taken, and have the operator know."""
        core = self._core
        core.answer(request.transaction, status, reason)
        text = f"MESSAGE from {request.flow.host} to {request.recipient}: {status} {reason}"
        core.warn("refused", text, request.sender, request.client_id)

    def _relay(self, request: Submission, envelope: Envelope) -> None:
        """Is-composing goes to whoever is there now, or nowhere (PROTOCOL 14)."""
        core = self._core
        record = core.registry.get(request.recipient)
        if record is None and self._edge.concerns(request.recipient):
            core.answer(request.transaction, 202, "Not sent to other servers")
            return
        if record is None:
            core.answer(request.transaction, 404, "No such user")
            return
        core.deliveries.relay(record, envelope, core.now())
        core.answer(request.transaction, 202)

    # Flushing: one message to each receiver for all that was gathered.

    def flush(self) -> None:
        """Ask the Router about new candidates and notices, and the store about stale ones."""
        core, outbox = self._core, self._core.outbox
        if outbox.endings:
            endings, outbox.endings = outbox.endings, []
            self._write_notices(endings)
        if outbox.candidates:
            candidates, outbox.candidates = outbox.candidates, []
            request = core.expect(Routing(candidates))
            envelopes = tuple(candidate.envelope for candidate in candidates)
            core.refs.router.tell(RouteMessages(reply_to=core.refs.me, request=request, envelopes=envelopes))
        if outbox.lookups:
            lookups, outbox.lookups = outbox.lookups, []
            request = core.expect(LookingUp(lookups))
            keys = tuple(candidate.key for candidate in lookups)
            core.refs.storage.tell(FindAccepted(reply_to=core.refs.me, request=request, keys=keys))

    def _write_notices(self, endings: Sequence[Ending]) -> None:
        core = self._core
        for ending in endings:
            if ending.end is not End.DELIVERED:
                envelope = ending.envelope
                text = f"from {envelope.sender}: {ending.end}: {ending.reason}"
                core.warn("not-delivered", text, envelope.recipient, envelope.id)
            if isinstance(ending.item, EndItem):
                core.ending.add(ending.item.seq)
            notice = core.notices.write(ending.envelope, ending.end, ending.reason, core.now(), core.clock.wall())
            if notice is None:
                self._end([(ending, None)])
            else:
                core.outbox.candidates.append(Candidate(None, b"", notice, NOTICE_LIFE, ending))

    # Answers of Router and Storage.

    def routed(self, what: Routing, destinations: Sequence[Destination]) -> None:
        """Store what has a place to go, answer the rest with the reason why it has none."""
        core = self._core
        stored: list[tuple[Candidate, QueueName]] = []
        notices: list[tuple[Ending, StoreItem | None]] = []
        for candidate, destination in zip(what.candidates, destinations, strict=True):
            queue = mailbox_queue(candidate.envelope.recipient)
            if not isinstance(destination, ToMailbox):
                if isinstance(destination, Unknown | Refused):
                    self._nowhere(candidate, destination, notices)
                    continue
                candidate, queue = _to_elsewhere(candidate, destination)
            if candidate.ending is not None:
                notices.append((candidate.ending, _item(candidate, queue, 0.0)))
            else:
                stored.append((candidate, queue))
        if stored:
            request = core.expect(Storing(stored))
            items = tuple(
                _item(c, queue, c.submission.arrived + COMMIT_WITHIN if c.submission else 0.0) for c, queue in stored
            )
            core.refs.storage.tell(StoreMessages(reply_to=core.refs.me, request=request, items=items))
        if notices:
            self._end(notices)

    def _nowhere(
        self, candidate: Candidate, why: Unknown | Refused, notices: list[tuple[Ending, StoreItem | None]]
    ) -> None:
        if candidate.ending is not None:
            notices.append((candidate.ending, None))
        elif candidate.submission is not None:
            # A repeat of what was accepted before gets its first answer, whatever became of the recipient since.
            status = why.status if isinstance(why, Refused) else 404
            self._core.outbox.lookups.append(candidate._replace(refusal=(status, why.reason)))

    def _end(self, endings: Sequence[tuple[Ending, StoreItem | None]]) -> None:
        """Commit ends, each together with its notice."""
        for ending, notice in endings:
            item = ending.item if notice is None else msgspec.structs.replace(ending.item, notice=notice)
            self.commit_end(Ended(ending, item))

    def commit_end(self, what: Ended) -> None:
        """Bring an end and its notice to the disk; again, where the store failed on it."""
        core = self._core
        request = core.expect(what)
        if isinstance(what.item, EndItem):
            core.refs.storage.tell(EndMessages(reply_to=core.refs.me, request=request, items=(what.item,)))
        else:
            core.refs.storage.tell(AcknowledgeMessages(reply_to=core.refs.me, request=request, items=(what.item,)))

    def stored(self, what: Storing, results: Sequence[StoreResult]) -> None:
        """On disk: answer 202, and give the message to the recipient's devices."""
        core, now = self._core, self._core.now()
        accepted: list[MessageId] = []
        not_kept: list[UserName] = []
        for (candidate, queue), result in zip(what.candidates, results, strict=True):
            if queue == UNROUTED and result.outcome is not StoreOutcome.STORED:
                not_kept.append(candidate.envelope.recipient)
            if result.outcome is StoreOutcome.STORED:
                if candidate.submission is not None:
                    message = candidate.envelope.id
                    accepted.append(message)
                    core.outbox.answers.append(Answer(candidate.submission.transaction, 202, "", message))
                self._deliver(candidate.envelope, result, queue, now)
            elif candidate.submission is not None:
                self.answer_unstored(candidate.submission, result)
        core.outbox.steps_of(Step.ACCEPTED, accepted, [""] * len(accepted))
        core.outbox.count("messages_accepted_total", len(accepted))
        if not_kept:
            core.refs.router.tell(NotKept(tuple(not_kept)))

    def store_failed(self, what: Storing) -> None:
        """The store failed on them: nothing of it is on disk."""
        not_kept = tuple([candidate.envelope.recipient for candidate, queue in what.candidates if queue == UNROUTED])
        if not_kept:
            self._core.refs.router.tell(NotKept(not_kept))
        self.failed([candidate for candidate, _ in what.candidates])

    def _deliver(self, envelope: Envelope, result: StoreResult, queue: QueueName, now: float) -> None:
        if not result.seq:
            return  # he is just moving here: it waits behind what still comes
        message = StoredMessage(result.seq, envelope, True, result.expires)
        if queue[0] != "u":
            self._core.outbox.queued.append(QueuedMessage(queue, message))
            return
        self.offer(message, now)

    def hand_on(self, candidate: Candidate, queue: QueueName, result: StoreResult) -> None:
        """Tell ServerManager of what is on disk to go elsewhere, if that was not done yet."""
        queued = self._core.outbox.queued
        if all(item.message.seq != result.seq for item in queued):
            queued.append(QueuedMessage(queue, StoredMessage(result.seq, candidate.envelope, True, result.expires)))

    def offer(self, message: StoredMessage, now: float) -> None:
        """Give a message that is in a mailbox to the devices of its recipient."""
        core, recipient = self._core, message.envelope.recipient
        record = core.registry.get(recipient)
        if record is not None:
            core.deliveries.offer(record, message, now)
        elif core.registry.absent(recipient) is not None:
            core.stray.add(recipient)
        else:
            core.outbox.endings.append(ending_of(message, End.UNDELIVERABLE, "the user was removed"))

    def confirm(self, candidate: Candidate) -> None:
        """Answer 202 to what is on disk."""
        if candidate.submission is not None:
            message = candidate.envelope.id
            answer = Answer(transaction=candidate.submission.transaction, status=202, message_id=message)
            self._core.outbox.answers.append(answer)
            self._core.outbox.step(Step.ACCEPTED, message)

    def answer_unstored(self, request: Submission, result: StoreResult) -> None:
        """Answer a submission that was not stored now."""
        core = self._core
        if result.outcome is StoreOutcome.KNOWN:
            core.outbox.answers.append(Answer(transaction=request.transaction, status=202, message_id=result.id))
        elif result.outcome is StoreOutcome.LATE:
            self._reject(request, 503, "Too busy to store it in time")
            core.outbox.count("messages_refused_total")
        else:
            self._reject(request, 503, "No room to store it")
            core.outbox.count("messages_refused_total")

    def looked_up(self, what: LookingUp, results: Sequence[StoreResult]) -> None:
        """What was accepted before gets its first answer again; the rest what else it deserves: a stale nonce a fresh
        challenge, a recipient whom nobody knows his 404."""
        core = self._core
        for candidate, result in zip(what.candidates, results, strict=True):
            request = candidate.submission
            assert request is not None
            if result.outcome is StoreOutcome.KNOWN:
                core.outbox.answers.append(Answer(transaction=request.transaction, status=202, message_id=result.id))
            elif candidate.refusal is not None:
                self._reject(request, *candidate.refusal)
            elif candidate.challenge is not None:
                core.outbox.answers.append(
                    Answer(transaction=request.transaction, status=401, challenge=candidate.challenge)
                )
            else:
                core.outbox.answers.append(
                    core.admission.challenge(request.transaction, request.flow, core.now(), stale=True)
                )

    def failed(self, candidates: Sequence[Candidate]) -> None:
        """Router or Storage failed on them: nothing is stored; say so. Notices try again."""
        notices = [candidate for candidate in candidates if candidate.submission is None]
        if notices:
            self._core.repeat.append(Routing(notices))
        for candidate in candidates:
            if candidate.submission is not None:
                self._core.fail(candidate.submission.transaction)

    def route_again(self, what: Routing) -> None:
        """Ask the Router once more."""
        self._core.outbox.candidates.extend(what.candidates)


def _to_elsewhere(candidate: Candidate, destination: ToNeighbour | Searching) -> tuple[Candidate, QueueName]:
    """The queue of a message that does not stay here, and its envelope with the routing state it travels with."""
    if isinstance(destination, Searching):
        return candidate, UNROUTED
    return candidate._replace(envelope=destination.envelope), neighbour_queue(destination.node)


def _item(candidate: Candidate, queue: QueueName, deadline: float) -> StoreItem:
    return StoreItem(
        key=candidate.key,
        queue=queue,
        envelope=candidate.envelope,
        life=Seconds(candidate.life),
        deadline=deadline,
    )


def ending_of(message: StoredMessage, end: End, reason: str) -> Ending:
    """The end of a message for everybody."""
    envelope = message.envelope
    item = EndItem(
        seq=message.seq,
        id=envelope.id,
        sender=envelope.sender,
        recipient=envelope.recipient,
        accepted=envelope.accepted,
        end=end,
        reason=reason,
    )
    return Ending(envelope, end, reason, item)
