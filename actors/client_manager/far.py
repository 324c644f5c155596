"""What other nodes ask here: registrations and proofs of users who live here, deliveries to phones that are here."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import msgspec

from actors.client_manager.core import Core
from actors.client_manager.edge_deliveries import EdgeDeliveries
from actors.client_manager.registrations import Registrations
from actors.messages.client_manager import RelayArrived
from actors.messages.links import (
    AskJourney,
    DecideMove,
    FinishMove,
    MoveMail,
    PrepareMove,
    RelayedDelivery,
    RelayedProof,
    RelayedRegister,
    Reply,
)
from actors.messages.requests import Answer
from actors.messages.router import GrantOrigin
from actors.messages.server_manager import AnswerRelay
from actors.model import POSTMASTER, Flow, NodeName, Proof, TransactionKey, UserName
from actors.state.digest import NonceVerdict
from actors.state.grants import grant_for, grant_key

PREFIX = b"relay:"
"""Begins the transactions of relayed REGISTERs."""


def path_flow(edge: NodeName) -> Flow:
    """The way to phones at another node; a binding's `path` says the rest."""
    return Flow("path", 0, edge, 0, 0)


class Far:
    """Serves relays."""

    def __init__(
        self,
        core: Core,
        registrations: Registrations,
        edge_deliveries: EdgeDeliveries,
        moves: Callable[[RelayArrived], None],
    ) -> None:
        """`moves` serves what nodes say to each other about users who move."""
        self._core = core
        self._registrations = registrations
        self._edge_deliveries = edge_deliveries
        self._moves = moves
        self._open: dict[TransactionKey, RelayArrived] = {}
        """Relayed REGISTERs that are not answered yet."""

    def arrived(self, item: RelayArrived) -> None:
        """Serve one relay."""
        match item.content:
            case RelayedDelivery():
                self._edge_deliveries.deliver(item.relay, item.content)
            case RelayedRegister():
                self._register(item, item.content)
            case RelayedProof():
                self._prove(item, item.content)
            case PrepareMove() | DecideMove() | MoveMail() | FinishMove():
                self._moves(item)
            case AskJourney():  # ServerManager tells it: one that comes here has passed it by
                self._answer(item, 404, "Nothing is told of messages here")
            case _:
                assert_never(item.content)

    def failed(self, item: RelayArrived, error: Exception) -> None:
        """A relay raised: 500."""
        self._answer(item, 500, "The server failed on this request; it serves on")

    def _register(self, item: RelayArrived, content: RelayedRegister) -> None:
        request = content.registration
        if not self._is_here(item, request.user):
            return
        transaction = TransactionKey(PREFIX + item.relay.to_bytes(8, "big"))
        self._open[transaction] = item
        nodes = tuple(node.encode() for node in reversed(item.path)) or (item.origin.encode(),)
        self._registrations.here(
            msgspec.structs.replace(
                request,
                transaction=transaction,
                flow=path_flow(item.origin),
                path=(*nodes, content.token.encode()),
            )
        )

    def _prove(self, item: RelayArrived, content: RelayedProof) -> None:
        core, now, user = self._core, self._core.now(), content.user
        if not self._is_here(item, user):
            return
        flow, admission = path_flow(item.origin), core.admission
        proof = admission.authenticate(user, content.credentials, flow, now, content.token.encode())
        if isinstance(proof, tuple) and proof[0] != 401:
            self._answer(item, *proof)
        elif isinstance(proof, tuple):
            self._challenge(item, stale=False)
        elif isinstance(proof, NonceVerdict) or not admission.spend(content.credentials, now):
            self._challenge(item, stale=True)
        else:
            self._grant(user, item.origin, 0)
            until = core.node_time() + core.settings.message_life  # lasts longer than the Router's memory
            grant = grant_for(grant_key(core.node_key, user), user, item.origin, until)
            self._answer(item, 200, reply=self._reply(user, proof, grant))

    def _is_here(self, item: RelayArrived, user: UserName) -> bool:
        """Answer for users who do not live here; the asker looks elsewhere then."""
        core = self._core
        if user == POSTMASTER:
            self._answer(item, 403, "This name is reserved")
            return False
        record = core.registry.get(user) if user not in core.frozen else None
        if record is not None and item.origin != core.settings.node:
            return True
        absent = core.registry.absent(user)
        if user in core.removing or user in core.frozen or (absent and (absent.leaving or not absent.home)):
            self._answer(item, 503, "This user is just coming or going", retry_after=core.random.randint(1, 5))
        else:
            self._answer(item, 404, "No such user")
        return False

    def _challenge(self, item: RelayArrived, *, stale: bool) -> None:
        core = self._core
        asked = core.admission.challenge(TransactionKey(b""), path_flow(item.origin), core.now(), stale=stale)
        self._answer(item, asked.status, asked.reason, Reply(challenge=asked.challenge, home=core.settings.node))

    # Answers.

    def take(self, answers: list[Answer]) -> list[Answer]:
        """Take out the answers to relayed REGISTERs, and send them back where they came from."""
        if not self._open:
            return answers
        near: list[Answer] = []
        for answer in answers:
            item = self._open.pop(answer.transaction, None)
            if item is None:
                near.append(answer)
            else:
                self._registered(item, answer)
        return near

    def _registered(self, item: RelayArrived, answer: Answer) -> None:
        assert isinstance(item.content, RelayedRegister)
        user = item.content.registration.user
        if answer.status == 200 and answer.contacts:
            self._grant(user, item.origin, max(line.expires for line in answer.contacts))
        reply = msgspec.structs.replace(
            self._reply(user), challenge=answer.challenge, contacts=answer.contacts, min_expires=answer.min_expires
        )
        self._answer(item, answer.status, answer.reason, reply, retry_after=answer.retry_after)

    def _grant(self, user: UserName, edge: NodeName, seconds: float) -> None:
        core = self._core
        life = core.settings.message_life  # what was accepted there waits for a cut link so long
        core.refs.router.tell(GrantOrigin(name=user, node=edge, seconds=seconds + life))

    def _reply(self, user: UserName, proof: Proof | None = None, grant: str = "") -> Reply:
        record = self._core.registry.get(user)
        epoch = record.account.epoch if record is not None else 0
        proved = "" if proof is None else proof.value
        return Reply(home=self._core.settings.node, epoch=epoch, proof=proved, grant=grant)

    def _answer(
        self, item: RelayArrived, status: int, reason: str = "", reply: Reply | None = None, *, retry_after: int = 0
    ) -> None:
        answer = AnswerRelay(item.relay, status, reason, reply or Reply(home=self._core.settings.node), retry_after)
        self._core.outbox.relays.append(answer)
