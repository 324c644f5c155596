"""Requests of ours to other servers (RFC 3261 17.1.2, with a deadline of their own instead of Timer F), sans-IO.

Over datagrams a request is repeated by Timer E. Most are answered long before the first repeat is due, so only what
is unanswered after T1 enters the heap of timers.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import count

import msgspec

from actors.model import Flow
from sip_adapter.timers import T1, TIMER_E, TimerQueue
from sip_adapter.transaction import COOKIE


class LinkCall(msgspec.Struct, gc=False, eq=False):
    """A request to a neighbour that waits for its final answer."""

    number: int
    """Of the `LinkRequest`."""
    token: bytes
    flow: Flow
    packet: bytes
    started: float
    deadline: float
    step: int = 0
    """Index of the interval of Timer E."""
    ended: bool = False

    def end(self) -> None:
        """Let go of the packet now: the timers still hold this for a while."""
        self.ended = True
        self.packet = b""


class LinkCalls:
    """Requests under way by the token in their branch."""

    def __init__(self) -> None:
        self._open: dict[bytes, LinkCall] = {}
        self._young: TimerQueue[LinkCall] = TimerQueue()
        self._timers: list[tuple[float, int, LinkCall]] = []
        self._order = count()

    def begin(self, call: LinkCall) -> None:
        """Start a transaction."""
        self._open[call.token] = call
        self._young.add(min(call.started + T1, call.deadline), call)

    def awaits(self, branch: bytes) -> bool:
        """Tell whether this branch is of one of these."""
        return branch.startswith(COOKIE) and branch[len(COOKIE) :] in self._open

    def respond(self, branch: bytes, status: int, source: Flow) -> LinkCall | None:
        """Return the request that this response ends; None for a provisional, late or foreign one.

        It counts only if it comes from where the request went, over the same connection.
        """
        call = self._open.get(branch[len(COOKIE) :]) if branch.startswith(COOKIE) else None
        if call is None or call.flow != source:
            return None
        if status < 200:
            call.step = len(TIMER_E) - 1  # in Proceeding Timer E runs at T2
            return None
        self._end(call)
        return call

    def fail(self, flows: Iterable[Flow]) -> list[LinkCall]:
        """End what was sent over these flows."""
        lost = set(flows)
        failed = [call for call in self._open.values() if call.flow in lost] if lost else []
        for call in failed:
            self._end(call)
        return failed

    def due(self, now: float) -> tuple[list[LinkCall], list[LinkCall]]:
        """Return the requests to repeat, and those whose time is over."""
        resend: list[LinkCall] = []
        late: list[LinkCall] = []
        for call in self._young.take_due(now):
            self._fire(call, now, resend, late)
        timers = self._timers
        while timers and timers[0][0] <= now:
            self._fire(heappop(timers)[2], now, resend, late)
        return resend, late

    def _fire(self, call: LinkCall, now: float, resend: list[LinkCall], late: list[LinkCall]) -> None:
        if call.ended:
            return
        if now >= call.deadline:
            self._end(call)
            late.append(call)
            return
        due = call.deadline
        if call.flow.connection == 0:
            resend.append(call)
            call.step = min(call.step + 1, len(TIMER_E) - 1)
            due = min(due, now + TIMER_E[call.step])
        heappush(self._timers, (due, next(self._order), call))

    def _end(self, call: LinkCall) -> None:
        del self._open[call.token]
        call.end()

    def deadline(self) -> float | None:
        """When `due` has something to do next."""
        young = self._young.deadline
        if not self._timers:
            return young
        return self._timers[0][0] if young is None else min(young, self._timers[0][0])

    def __len__(self) -> int:
        return len(self._open)
