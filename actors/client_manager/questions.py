"""What became of a message: told to its sender and its recipient, over SIP."""

from __future__ import annotations

from typing import NamedTuple

from actors.client_manager.core import Core, Question
from actors.client_manager.edge import Edge
from actors.messages.links import AskJourney
from actors.messages.requests import Answer, Challenge, StateQuestion
from actors.messages.server_manager import AskFar, FarAnswered
from actors.messages.storage import MessageStateRead, ReadMessageState
from actors.model import POSTMASTER, End, Proof, UserName, queue_user
from actors.state.digest import NonceVerdict
from actors.state.trail import UNKNOWN, WAITING, Trail

TRAILS = 20
"""Questions a second that may go to other nodes; to more it is said what is known here."""
FAR_SECONDS = 2.0
"""For each node's answer."""


class Asking(NamedTuple):
    """A question on its way to the store."""

    question: StateQuestion


class Questions:
    """Answers `Angarium-Where` with `Angarium-State`: waiting, unknown, or how the message ended.

    Of a message that went on the nodes are asked to which it went, one after the other.
    """

    def __init__(self, core: Core, edge: Edge) -> None:
        self._core = core
        self._edge = edge
        self._trails = Allowance(TRAILS)

    def ask(self, question: StateQuestion) -> None:
        """Prove who asks, then look."""
        if self._edge.must_prove(question.user):
            self._edge.prove(question, question.user, self)
        else:
            self.judge(question)

    def judge(self, request: StateQuestion) -> None:
        """Prove who asks by what is known here."""
        core, now = self._core, self._core.now()
        proof = core.admission.authenticate(request.user, request.credentials, request.flow, now)
        if isinstance(proof, tuple) and proof[0] != 401:
            core.answer(request.transaction, *proof)
        elif isinstance(proof, tuple):
            challenge = core.admission.challenge(request.transaction, request.flow, now, stale=False)
            core.outbox.answers.append(challenge)
        elif isinstance(proof, NonceVerdict) or not core.admission.spend(request.credentials, now):
            challenge = core.admission.challenge(request.transaction, request.flow, now, stale=True)
            core.outbox.answers.append(challenge)
        else:
            self._look(request)

    def believe(self, request: StateQuestion, proof: Proof, grant: str) -> None:
        """The home of who asks answers for him."""
        self._look(request)

    def doubt(self, request: StateQuestion, challenge: Challenge) -> None:
        """The home of who asks wants a fresh nonce."""
        self._core.outbox.answers.append(Answer(transaction=request.transaction, status=401, challenge=challenge))

    def _look(self, question: StateQuestion) -> None:
        core = self._core
        number = core.expect(Asking(question))
        core.refs.storage.tell(ReadMessageState(reply_to=core.refs.me, request=number, id=question.id))

    def answer(self, found: MessageStateRead) -> None:
        """Tell the state to whom it concerns; to others the message is unknown."""
        what = self._core.answered(found.request)
        if not isinstance(what, Asking):
            return
        question, core = what.question, self._core
        here = found.ended is not None or (found.queue is not None and queue_user(found.queue) is not None)
        alone = not core.settings.federated
        if here or alone or question.user == POSTMASTER or not self._trails.take(core.now()):
            self._tell(question, _state(found, question.user))
        else:
            self._follow(question, Trail(question.user, core.settings.node, _state(found, question.user)))

    def _tell(self, question: StateQuestion, state: str) -> None:
        headers = ((b"Angarium-State", state.encode()),)
        self._core.outbox.answers.append(Answer(transaction=question.transaction, status=200, headers=headers))

    def _follow(self, question: StateQuestion, trail: Trail) -> None:
        """Ask the next node, or answer."""
        core, to = self._core, trail.next()
        if to is None:
            self._tell(question, trail.state)
            return

        def answered(answer: FarAnswered) -> None:
            if answer.reply.journey is not None:
                trail.heard(answer.reply.journey)
            self._follow(question, trail)

        number = core.expect(Question(answered, lambda _: self._tell(question, trail.state)))
        content = AskJourney(question.id)
        core.refs.server_manager.tell(
            AskFar(core.refs.me, number, content, to=to.node, user=to.user, seconds=FAR_SECONDS)
        )


def _state(found: MessageStateRead, user: UserName) -> str:
    if found.ended is not None and user in (found.ended.sender, found.ended.recipient):
        return str(found.ended.end)
    if found.stored is not None and user != POSTMASTER:
        envelope = found.stored.envelope
        if user in (envelope.sender, envelope.recipient):
            in_mailbox = found.queue is not None and queue_user(found.queue) is not None
            return str(End.DELIVERED) if in_mailbox and not found.stored.anyone else WAITING
    return UNKNOWN


class Allowance:
    """So many a second, counted from whole second to whole second."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._second = 0
        self._taken = 0

    def take(self, now: float) -> bool:
        """Take one, if there is one left."""
        if int(now) != self._second:
            self._second, self._taken = int(now), 0
        self._taken += 1
        return self._taken <= self._most
