"""Users of other nodes at this one: their homes prove them and keep their bindings; here is only asked (PROTOCOL 21).

What a phone asked waits as an errand: the Router says where the user lives, his home is asked, and the phone is
answered with what the home said. Nothing is stored, and no yes is said that the home has not said.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from actors.client_manager.core import Core, Question
from actors.messages.links import RelayContent, RelayedProof, RelayedRegister
from actors.messages.requests import Answer, Challenge, Registration, StateQuestion, Submission
from actors.messages.router import Claim, FindNames, Found, NameAnswer, NamesFound, NamesLiveAt, RouteFailed
from actors.messages.server_manager import AskFar, FarAnswered
from actors.model import POSTMASTER, Flow, NodeName, Proof, TransactionKey, UserName
from actors.state.registrar import for_home
from actors.state.visitors import Visitor, Visitors

MAX_ERRANDS = 20_000
"""Under way at once; the next one is told to come again."""
MAX_TRIES = 3
"""Homes asked for one request: one that proves stale, or a summary that was wrong, is not the last word."""
FAR_SECONDS = 8.0
"""How long a home may take to answer: within the 10 s in which a message is committed or refused (PROTOCOL 5)."""
NOWHERE = NodeName("")
PASSED = frozenset({200, 400, 401, 403, 423, 500})
"""What a home answers to a REGISTER and the phone is to hear as it is."""
UNREACHABLE = "The home of this user cannot be asked now"

R = TypeVar("R", bound=Submission | StateQuestion)
R_contra = TypeVar("R_contra", bound=Submission | StateQuestion, contravariant=True)


class Prover(Protocol[R_contra]):
    """Who goes on with a request when its sender was proved, or was not."""

    def judge(self, request: R_contra) -> None:
        """Nobody else knows the sender: judge by what is known here."""

    def believe(self, request: R_contra, proof: Proof, grant: str) -> None:
        """His home says it is he; `grant` is what it wants to see with what he sends."""

    def doubt(self, request: R_contra, challenge: Challenge) -> None:
        """His home says it is he, but his nonce was used before, or is too old."""


class Errand(Protocol):
    """A request that waits for a word from another node."""

    user: UserName
    flow: Flow
    transaction: TransactionKey
    tries: int
    """How often the home was asked."""

    def content(self, token: str) -> RelayContent:
        """What the home is asked; `token` names the phone's flow."""

    def here(self) -> None:
        """No other node knows the user."""

    def told(self, answer: FarAnswered) -> None:
        """The home's answer, but for 404."""


class Edge:
    """Asks on behalf of phones whose users live elsewhere."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.visitors = Visitors()
        self._errands: set[Errand] = set()

    def concerns(self, user: UserName) -> bool:
        """Tell whether somebody else may have to be asked about this user."""
        core = self._core
        if core.registry.get(user) is not None or user in core.removing or user == POSTMASTER:
            return False
        return core.settings.federated or core.registry.absent(user) is not None

    def must_prove(self, user: UserName) -> bool:
        """Tell whether the user's home must say that it is he; in open mode only of users known to live elsewhere."""
        core = self._core
        if not self.concerns(user):
            return False
        if not core.settings.open_mode or core.registry.absent(user) is not None:
            return True
        return self.visitors.get(user, core.now()) is not None

    def run(self, errand: Errand) -> None:
        """Find the user's home, and ask it."""
        if errand.user in self._core.frozen:
            self._core.answer(errand.transaction, 503, "This user is just moving")
            return
        if len(self._errands) >= MAX_ERRANDS:
            self._core.answer(errand.transaction, 503, "Too many wait for other servers")
            return
        self._errands.add(errand)
        self._find(errand)

    def _find(self, errand: Errand) -> None:
        core = self._core
        absent = core.registry.absent(errand.user)
        if absent is not None and absent.leaving:  # the Router may not be told yet
            where = NameAnswer(errand.user, Found.ELSEWHERE, absent.home, epoch=absent.epoch)
            self._ask(errand, where, to=absent.home)
            return

        def found(answer: NamesFound) -> None:
            self._found(errand, answer.answers[0])

        number = core.expect(Question(found, lambda reason: self._failed(errand)))
        search = not core.settings.open_mode
        names = (errand.user,)
        core.refs.router.tell(FindNames(reply_to=core.refs.me, request=number, names=names, search=search))

    def _found(self, errand: Errand, answer: NameAnswer) -> None:
        core = self._core
        if answer.found is Found.ELSEWHERE:
            self._ask(errand, answer)
        elif answer.found is Found.HERE or core.registry.get(errand.user) is not None:
            self._here(errand)
        elif answer.found is Found.UNKNOWN or self._may_begin(errand.user):
            self._unknown(errand)
        else:  # a phone that is told "wrong password" because of a cut link might never come again
            self._unreachable(errand)

    def _may_begin(self, user: UserName) -> bool:
        """In open mode who is not known at once is taken for new; of two homes one stays (PROTOCOL 23)."""
        core = self._core
        return core.settings.open_mode and self.visitors.get(user, core.now()) is None

    def _ask(self, errand: Errand, where: NameAnswer, to: NodeName = NOWHERE) -> None:
        core = self._core
        errand.tries += 1

        def answered(answer: FarAnswered) -> None:
            self._answered(errand, where, answer)

        number = core.expect(Question(answered, lambda reason: self._failed(errand)))
        content = errand.content(core.tokens.token(errand.flow))
        core.refs.server_manager.tell(
            AskFar(
                reply_to=core.refs.me,
                request=number,
                content=content,
                to=to,
                user=UserName("") if to else errand.user,
                seconds=FAR_SECONDS,
            )
        )

    def _answered(self, errand: Errand, where: NameAnswer, answer: FarAnswered) -> None:
        core, user = self._core, errand.user
        if not answer.answered:
            self._unreachable(errand)
        elif answer.status != 404:
            self._errands.discard(errand)
            errand.told(answer)
        else:  # he does not live there (any more)
            self.visitors.drop(user)
            home, epoch = answer.reply.home, answer.reply.epoch
            has_moved = epoch > where.epoch and home not in ("", where.home)
            if has_moved:
                core.refs.router.tell(NamesLiveAt(claims=(Claim(user, home, epoch),)))
            else:
                failed = RouteFailed(node=where.next_hop, name=user, home=where.home, status=404)
                core.refs.router.tell(failed)
            if errand.tries < MAX_TRIES:
                self._find(errand)
            elif home and not has_moved:
                self._unknown(errand)
            else:  # nobody who should know has said so: a node between has lost its way
                self._unreachable(errand)

    def _unknown(self, errand: Errand) -> None:
        if self._core.registry.absent(errand.user) is not None:
            self._unreachable(errand)  # he was here, or is about to come: he is not nobody
        else:
            self._here(errand)

    def _here(self, errand: Errand) -> None:
        self._errands.discard(errand)
        errand.here()

    def _unreachable(self, errand: Errand) -> None:
        self._errands.discard(errand)
        self._core.answer(errand.transaction, 503, UNREACHABLE)

    def _failed(self, errand: Errand) -> None:
        self._errands.discard(errand)
        self._core.fail(errand.transaction)

    # The two kinds of errands.

    def register(self, request: Registration, desk: Registrar, *, keeps_alive: bool) -> None:
        """Ask the home to register a phone that is here. `keeps_alive`: its stream has shown keep-alives."""
        self.run(_Registering(self, self._core, request, desk, keeps_alive))

    def prove(self, request: R, user: UserName, desk: Prover[R]) -> None:
        """Ask the home whether a request comes from its user."""
        self.run(_Proving(self._core, user, request, desk))

    def registered(self, user: UserName, answer: FarAnswered) -> None:
        """The home has registered a phone that is here, or ended its registration."""
        core, now, reply = self._core, self._core.now(), answer.reply
        if not reply.contacts:
            self.visitors.drop(user)
            return
        visitor = Visitor(reply.home, reply.epoch, now + max(line.expires for line in reply.contacts))
        if self.visitors.put(user, visitor, now) and reply.home and reply.epoch:
            core.refs.router.tell(NamesLiveAt(claims=(Claim(user, reply.home, reply.epoch),)))
        core.outbox.count("registrations_relayed_total")


class Registrar(Protocol):
    """Who registers users that live here."""

    def here(self, request: Registration) -> None:
        """Judge a REGISTER by what is known here."""


class _Registering:
    """A REGISTER on its way to the user's home."""

    def __init__(self, edge: Edge, core: Core, request: Registration, desk: Registrar, keeps_alive: bool) -> None:
        self.user, self.flow, self.transaction, self.tries = request.user, request.flow, request.transaction, 0
        self._edge, self._core, self._request, self._desk = edge, core, request, desk
        self._keeps_alive = keeps_alive

    def content(self, token: str) -> RelayContent:
        """The REGISTER itself."""
        return RelayedRegister(for_home(self._request, keeps_alive=self._keeps_alive), token)

    def here(self) -> None:
        """Register him here, or not, as if there were no other nodes."""
        self._desk.here(self._request)

    def told(self, answer: FarAnswered) -> None:
        """Tell the phone what its home says."""
        reply = answer.reply
        if answer.status not in PASSED:
            self._core.answer(self.transaction, 503, UNREACHABLE)
            return
        if answer.status == 200:
            self._edge.registered(self.user, answer)
        self._core.outbox.answers.append(
            Answer(
                transaction=self.transaction,
                status=answer.status,
                reason=answer.reason,
                challenge=reply.challenge,
                contacts=reply.contacts,
                min_expires=reply.min_expires,
                retry_after=answer.retry_after,
            )
        )


class _Proving(Generic[R]):
    """A request whose sender his home must prove."""

    def __init__(self, core: Core, user: UserName, request: R, desk: Prover[R]) -> None:
        self.user, self.flow, self.transaction, self.tries = user, request.flow, request.transaction, 0
        self._core, self._request, self._desk = core, request, desk

    def content(self, token: str) -> RelayContent:
        """What he proves himself with."""
        return RelayedProof(user=self.user, credentials=self._request.credentials, token=token)

    def here(self) -> None:
        """No other node knows him."""
        self._desk.judge(self._request)

    def told(self, answer: FarAnswered) -> None:
        """Go on only on the home's yes (PROTOCOL 21)."""
        reply, core = answer.reply, self._core
        if answer.status == 200:
            proof = Proof.OPEN if reply.proof in ("", Proof.OPEN) else Proof.PEER
            self._desk.believe(self._request, proof, reply.grant)
        elif answer.status == 401 and reply.challenge is not None and reply.challenge.stale:
            self._desk.doubt(self._request, reply.challenge)
        elif answer.status == 401 and reply.challenge is not None:
            core.outbox.answers.append(Answer(transaction=self.transaction, status=401, challenge=reply.challenge))
        elif answer.status == 403:
            core.answer(self.transaction, 403, answer.reason)
        else:
            core.answer(self.transaction, 503, UNREACHABLE)
