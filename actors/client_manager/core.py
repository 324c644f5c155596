"""What the parts of ClientManager share: state, references, and the table of requests under way."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from actors.messages.client_manager import ClientManagerCommand
from actors.messages.monitor import Level, MonitorCommand
from actors.messages.requests import Answer
from actors.messages.router import Claim, NamesAreOurs, NamesLiveAt, RouterCommand
from actors.messages.server_manager import ServerManagerCommand
from actors.messages.sip_adapter import SipAdapterCommand
from actors.messages.storage import StorageCommand
from actors.model import Account, NodeName, Seq, TransactionKey, UserName
from actors.ports import Clock
from actors.ref import Ref
from actors.state.admission import Admission
from actors.state.client_registry import ClientRegistry
from actors.state.delivery import Deliveries
from actors.state.flow_tokens import FlowTokens
from actors.state.log_lines import LogLimit
from actors.state.notices import NoticeDesk
from actors.state.outbox import Outbox

NEWS = 20
"""Users of whom it is told within a second that they came, and as many that they went."""
COMMIT_WITHIN = 10.0
"""Seconds after its arrival within which a submission is committed, or refused (PROTOCOL 5)."""


class ClientSettings(msgspec.Struct, frozen=True):
    """How a node treats its clients. Times in seconds."""

    open_mode: bool = False
    algorithms: tuple[str, ...] = ("MD5",)
    message_life: float = 432_000.0
    device_life: float = 2_592_000.0
    expiry_interval: float = 1.0
    """How often the store is asked for messages whose life has ended."""
    federated: bool = False
    """There are other servers, or may be: names that are not here may be elsewhere."""
    node: NodeName = NodeName("")
    """This node's own name in the network."""
    secret: bytes = b""
    """What all servers of the network share: hashes of a user who moves travel under it."""


class Nobody:
    """A `Ref` to someone who is not there: what it is told is dropped."""

    def tell(self, message: object) -> None:
        """Drop it."""


class References(msgspec.Struct, frozen=True):
    """Whom ClientManager tells."""

    me: Ref[ClientManagerCommand]
    router: Ref[RouterCommand]
    storage: Ref[StorageCommand]
    sip_adapter: Ref[SipAdapterCommand]
    monitor: Ref[MonitorCommand]
    server_manager: Ref[ServerManagerCommand]


class Question(NamedTuple):
    """What a request to another actor was about: who takes its answer, and who makes good that none came."""

    answered: Callable[[Any], None]
    """Given the answer: the whole message."""
    failed: Callable[[str], None]
    """Given the reason: the receiver failed on it and did nothing of it, or `answered` raised."""


class Core:
    """Shared by the parts; one thread uses it. What needs keys exists once the store is open."""

    admission: Admission
    deliveries: Deliveries
    tokens: FlowTokens

    def __init__(self, refs: References, settings: ClientSettings, clock: Clock, random: Random) -> None:
        self.refs = refs
        self.settings = settings
        self.clock = clock
        self.random = random
        self.registry = ClientRegistry(settings.algorithms)
        self.outbox = Outbox()
        self.notices = NoticeDesk()
        self.ending: set[Seq] = set()
        """Messages that are about to end for everybody: their ends are on the way to the disk."""
        self.removing: set[UserName] = set()
        """Users whose removal is on the way to the disk."""
        self.moving: set[UserName] = set()
        """Users whose account is just being changed by a move: no other command may."""
        self.frozen: set[UserName] = set()
        """Users who can neither register nor prove themselves for a moment: it is being decided where they live."""
        self.stray: set[UserName] = set()
        """Users who moved away, and for whom mail has come into their mailbox here since."""
        self.doubled: set[UserName] = set()
        """Users with an alarm: another node has an account of this name too."""
        self.repeat: list[Any] = []
        """What Router or Storage failed on and must be asked again, a little later."""
        self.node_offset = 0.0
        self.node_key = b""
        self.realm = ""
        self._warnings = LogLimit()
        self._news = LogLimit(burst=NEWS, window=1.0)
        self._numbers = itertools.count(1)
        self._pending: dict[int, Any] = {}

    def warn(self, kind: str, text: str, user: str = "", message_id: str = "") -> None:
        """Note a refusal or failure for the operator: a few a minute, since who sends decides how many there are."""
        held_back = self._warnings.allow(kind, self.now())
        if held_back is not None:
            more = f" ({held_back} more before it)" if held_back else ""
            self.outbox.event(Level.WARNING, kind, text + more, user, message_id)

    def tell(self, kind: str, text: str, user: str) -> None:
        """Note who came and went, for who watches; when all come back at once, some of them."""
        if self._news.allow(kind, self.now()) is not None:
            self.outbox.event(Level.DEBUG, kind, text, user)

    def expect(self, what: Any) -> int:
        """Remember what an answer will be about; gives the request's number."""
        number = next(self._numbers)
        self._pending[number] = what
        return number

    def asked(self, request: int) -> Any:
        """Tell what a request was about; None for one that nobody waits for."""
        return self._pending.get(request)

    def answered(self, request: int) -> Any:
        """Take what a request was about, once its answer has been served; None: nobody waits for it any more."""
        return self._pending.pop(request, None)

    def claim(self, accounts: Sequence[Account], *, fresh: bool = False) -> None:
        """Tell the Router who lives here, and where those live who moved away. `fresh`: others may have them too."""
        ours = [account for account in accounts if account.is_here]
        # What comes before the new home takes mail, and a little longer, is kept here and goes before the rest.
        ours += [_as_before(account) for account in accounts if account.leaving and account.name in self.moving]
        if ours:
            epochs = tuple(account.epoch for account in ours)
            told = epochs if any(epoch != 1 for epoch in epochs) else ()
            names = tuple(account.name for account in ours)
            self.refs.router.tell(NamesAreOurs(names=names, epochs=told, fresh=fresh))
        gone = tuple(
            Claim(account.name, account.home, account.epoch)
            for account in accounts
            if account.home and not (account.leaving and account.name in self.moving)
        )
        if gone:
            self.refs.router.tell(NamesLiveAt(claims=gone))

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def node_time(self) -> float:
        """Node time: what lives and expiries are measured in."""
        return self.clock.monotonic() + self.node_offset

    def answer(self, transaction: TransactionKey, status: int, reason: str = "") -> None:
        """Answer a request plainly."""
        retry_after = self.random.randint(1, 5) if status == 503 else 0
        self.outbox.answers.append(
            Answer(transaction=transaction, status=status, reason=reason, retry_after=retry_after)
        )

    def fail(self, transaction: TransactionKey) -> None:
        """Answer a request whose handler failed."""
        self.answer(transaction, 500, "The server failed on this request; it serves on")


def _as_before(account: Account) -> Account:
    return msgspec.structs.replace(account, epoch=account.epoch - 1)
