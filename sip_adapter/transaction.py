"""Transactions that are no INVITE, server and client side (RFC 3261 17.2.2, 17.1.2), sans-IO.

Server: a request is unknown, in progress (handed to the actors, its repeats absorbed) or answered (its repeats
get the same answer for Timer J). At 15,000 requests a second half a million answers are remembered, so an
answered one keeps only what cannot be read from the repeat again, and is dropped with its whole generation.

Client: a request is retransmitted on datagrams by Timer E until a final response or Timer F. All timers of
one interval stand in one queue; a transaction that ended is skipped there when it comes due.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from actors.model import Flow, Header, TransactionKey
from sip_adapter.message import Request
from sip_adapter.timers import SLOT, T1, TIMER_E, TIMER_F, TIMER_J, TRYING, TimerQueue

GENERATION = TIMER_J / 4
"""Seconds for which answers go into the same generation."""
MAX_GENERATION = 200_000
"""Answers of one generation; if there are more, the oldest generation goes early."""
MAX_REFUSALS = 120_000
"""Answers of one generation beyond which refusals under overload are not kept: a flood costs no more memory."""
FINAL = b"SIP/2.0 %d %b\r\n%b%bContent-Length: %d\r\n\r\n%b"
COOKIE = b"z9hG4bK"
"""Begins every branch made by RFC 3261 8.1.1.7."""


class Pending(msgspec.Struct, gc=False):
    """A request that the actors have not answered yet."""

    head: bytes
    """The header lines of its answer."""
    back: Flow
    """Where that goes."""
    arrived: float
    is_message: bool
    """Else it is a REGISTER."""
    reliable: bool
    """It came over a stream: it will not be repeated (Timer J is 0)."""
    tried: bool = False
    """A 100 was sent."""


class Final(msgspec.Struct, frozen=True, gc=False):
    """A remembered answer."""

    status: int
    reason: str
    headers: tuple[Header, ...] = ()
    body: bytes = b""

    def packet(self, head: bytes) -> bytes:
        """Return the answer on the wire; `head` has the header lines that its request gives it."""
        more = b"".join([b"%b: %b\r\n" % header for header in self.headers])
        reason = self.reason.encode("utf-8", "surrogateescape")
        return FINAL % (self.status, reason, head, more, len(self.body), self.body)


Answered = Final | str
"""What is remembered of an answer: all of it, or the message id alone, which means a plain 202."""


def transaction_key(request: Request, secret: bytes) -> TransactionKey:
    """Name the server transaction of a request: a keyed digest, so that To tags made of it cannot be guessed.

    Branch, sent-by, method, Call-ID and CSeq count, for there are clients that use a branch again; without
    the cookie of RFC 3261 also Request-URI and both tags (17.2.3).
    """
    via = request.via
    branch = via.branch or b""
    number, method = request.cseq
    port = b"" if via.port is None else b"%d" % via.port
    text = key_text(branch, via.host.encode("ascii"), port, request.call_id, b"%d" % number, method.encode())
    if not branch.startswith(COOKIE):
        parts = (text, request.uri, request.from_tag or b"", request.to_tag or b"", via.raw)
        text = b"\n".join(parts)
    return digest(text, secret)


def key_text(branch: bytes, host: bytes, port: bytes, call_id: bytes, number: bytes, method: bytes) -> bytes:
    """Return what names a transaction, before it is digested; numbers have no leading zeros."""
    return b"%b\n%b:%b\n%b\n%b %b" % (branch, host, port, call_id, number, method)


def digest(text: bytes, secret: bytes) -> TransactionKey:
    """Return 16 bytes that cannot be guessed without the secret."""
    return TransactionKey(blake2b(secret + text, digest_size=16).digest())


class ServerTransactions:
    """Requests of others: which are in progress, and what was answered to the rest."""

    def __init__(self) -> None:
        self._pending: dict[TransactionKey, Pending] = {}
        self._answered: list[dict[TransactionKey, Answered]] = [{}]
        """Generations, the newest first."""
        self._turn = 0.0
        self.messages = 0
        """MESSAGE requests in progress."""
        self.registers = 0
        """REGISTER requests in progress."""

    def in_progress(self, key: TransactionKey) -> Pending | None:
        """Return the request if the actors still have it."""
        return self._pending.get(key)

    def answered(self, key: TransactionKey) -> Answered | None:
        """Return what was answered within Timer J."""
        for generation in self._answered:
            answer = generation.get(key)
            if answer is not None:
                return answer
        return None

    def begin(self, key: TransactionKey, pending: Pending) -> None:
        """A new request goes to the actors."""
        self._pending[key] = pending
        if pending.is_message:
            self.messages += 1
        else:
            self.registers += 1

    def end(self, key: TransactionKey) -> Pending | None:
        """Take the request out of progress; None if it is not in progress (any more)."""
        pending = self._pending.pop(key, None)
        if pending is not None:
            if pending.is_message:
                self.messages -= 1
            else:
                self.registers -= 1
        return pending

    def remember(self, key: TransactionKey, answer: Answered, now: float) -> None:
        """Keep an answer for at least Timer J."""
        if now >= self._turn or len(self._answered[0]) >= MAX_GENERATION:
            self._next_generation(now)
        self._answered[0][key] = answer

    def keeps_refusals(self) -> bool:
        """Tell whether there is room for refusals under overload."""
        return len(self._answered[0]) < MAX_REFUSALS

    def _next_generation(self, now: float) -> None:
        missed = max(0, int((now - self._turn) / GENERATION))
        keep = max(0, int(TIMER_J / GENERATION) - missed)
        self._answered[keep:] = []
        self._answered.insert(0, {})
        self._turn = now + GENERATION

    def overdue(self, now: float) -> list[Pending]:
        """Forget requests that nobody answered, and return those that are due for a 100 (RFC 4320 4.1)."""
        if now >= self._turn and any(self._answered):
            self._next_generation(now)
        lost: list[TransactionKey] = []
        slow: list[Pending] = []
        for key, pending in self._pending.items():  # in the order of arrival
            age = now - pending.arrived
            if age >= SLOT:
                lost.append(key)
            elif age >= TRYING and not pending.tried:
                pending.tried = True
                slow.append(pending)
            elif age < TRYING:
                break
        for key in lost:
            self.end(key)
        return slow

    def deadline(self) -> float | None:
        """When `overdue` has something to do next."""
        due = self._turn if any(self._answered) else None
        for pending in self._pending.values():
            first = pending.arrived + (SLOT if pending.tried else TRYING)
            due = first if due is None else min(due, first)
            if not pending.tried:
                break
        return due

    def __len__(self) -> int:
        return len(self._pending) + sum(len(generation) for generation in self._answered)


class Outgoing(msgspec.Struct, gc=False, eq=False):
    """A request of ours that waits for its final response."""

    delivery: int
    token: bytes
    flow: Flow
    packet: bytes
    started: float
    step: int = 0
    """Index of the interval of Timer E."""
    ended: bool = False

    def end(self) -> None:
        """Let go of the packet now: the timer queues still hold this for a while."""
        self.ended = True
        self.packet = b""


class ClientTransactions:
    """Requests of ours by the token in their branch."""

    def __init__(self) -> None:
        self._open: dict[bytes, Outgoing] = {}
        self._resend: tuple[TimerQueue[Outgoing], ...] = tuple(TimerQueue() for _ in TIMER_E)
        self._give_up: TimerQueue[Outgoing] = TimerQueue()

    def begin(self, outgoing: Outgoing) -> Outgoing | None:
        """Start a transaction; returns the one that it replaces, if the same token was in flight."""
        replaced = self._open.get(outgoing.token)
        if replaced is not None:
            replaced.end()
        self._open[outgoing.token] = outgoing
        self._resend[0].add(outgoing.started + T1, outgoing)
        return replaced

    def respond(self, branch: bytes, status: int, source: Flow) -> Outgoing | None:
        """Return the transaction that this response ends; None for a provisional, late or foreign one.

        It counts only if it comes from where the request went, over the same connection.
        """
        outgoing = self._open.get(branch[len(COOKIE) :]) if branch.startswith(COOKIE) else None
        if outgoing is None or outgoing.flow != source:
            return None
        if status < 200:
            outgoing.step = len(TIMER_E) - 1  # in Proceeding Timer E runs at T2
            return None
        del self._open[outgoing.token]
        outgoing.end()
        return outgoing

    def fail(self, flows: Iterable[Flow]) -> list[Outgoing]:
        """End what was sent over these flows: their transport failed."""
        lost = set(flows)
        failed = [outgoing for outgoing in self._open.values() if outgoing.flow in lost] if lost else []
        for outgoing in failed:
            del self._open[outgoing.token]
            outgoing.end()
        return failed

    def due(self, now: float) -> tuple[list[Outgoing], list[Outgoing]]:
        """Return the transactions to retransmit, and those that Timer F ended."""
        resend: list[Outgoing] = []
        for index, queue in enumerate(self._resend):
            for outgoing in queue.take_due(now):
                if not outgoing.ended:
                    self._fire(outgoing, index, now)
                    resend.append(outgoing)
        late = [outgoing for outgoing in self._give_up.take_due(now) if not outgoing.ended]
        for outgoing in late:
            del self._open[outgoing.token]
            outgoing.end()
        return [outgoing for outgoing in resend if outgoing.packet and outgoing.flow.connection == 0], late

    def _fire(self, outgoing: Outgoing, index: int, now: float) -> None:
        """Set the next timers. Only what is unanswered after T1 enters the queue of Timer F: very little."""
        if index == 0:
            self._give_up.add(outgoing.started + TIMER_F, outgoing)
        if outgoing.flow.connection == 0:
            outgoing.step = min(outgoing.step + 1, len(TIMER_E) - 1)
            self._resend[outgoing.step].add(now + TIMER_E[outgoing.step], outgoing)

    def deadline(self) -> float | None:
        """When `due` has something to do next."""
        dues = [queue.deadline for queue in (*self._resend, self._give_up)]
        return min((due for due in dues if due is not None), default=None)

    def __len__(self) -> int:
        return len(self._open)
