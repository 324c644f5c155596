"""What became of a message: told to its sender and its recipient, over SIP."""

from __future__ import annotations

from typing import NamedTuple

from actors.client_manager.core import Core
from actors.client_manager.edge import Edge
from actors.messages.requests import Answer, Challenge, StateQuestion
from actors.messages.storage import MessageStateRead, ReadMessageState
from actors.model import POSTMASTER, Proof, UserName
from actors.state.digest import NonceVerdict

UNKNOWN = "unknown"
WAITING = "waiting"


class Asking(NamedTuple):
    """A question on its way to the store."""

    question: StateQuestion


class Questions:
    """Answers `Angarium-Where` with `Angarium-State`: waiting, unknown, or how the message ended."""

    def __init__(self, core: Core, edge: Edge) -> None:
        self._core = core
        self._edge = edge

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
        if isinstance(what, Asking):
            state = _state(found, what.question.user)
            headers = ((b"Angarium-State", state.encode()),)
            self._core.outbox.answers.append(Answer(transaction=what.question.transaction, status=200, headers=headers))


def _state(found: MessageStateRead, user: UserName) -> str:
    if found.ended is not None and user in (found.ended.sender, found.ended.recipient):
        return str(found.ended.end)
    if found.stored is not None and user != POSTMASTER:
        envelope = found.stored.envelope
        if user in (envelope.sender, envelope.recipient):
            return WAITING
    return UNKNOWN
