"""One request and its final response: branches, retransmissions and time-outs of RFC 3261 17.1.2."""

from __future__ import annotations

import asyncio
import secrets

import msgspec

from apps.client.wire import Connection, Unreachable
from sip_adapter.codec import Response
from sip_adapter.errors import SipError


class Timers(msgspec.Struct, frozen=True):
    """Seconds of the non-INVITE client transaction (RFC 3261 17.1.2.2)."""

    t1: float = 0.5
    t2: float = 4.0
    timer_f: float = 32.0
    """How long to wait for a final response; 64 * T1."""


class _Pending:
    """A request without a final response yet."""

    def __init__(self, method: str, future: asyncio.Future[Response]) -> None:
        self.method = method
        self.future = future
        self.proceeding = False


class Exchange:
    """The requests under way on one connection."""

    def __init__(self, timers: Timers) -> None:
        """Start without any."""
        self._timers = timers
        self._pending: dict[bytes, _Pending] = {}

    async def run(self, connection: Connection, branch: bytes, method: str, data: bytes) -> Response:
        """Send, repeat over UDP until answered (Timer E), return the final response; raises Unreachable."""
        loop = asyncio.get_running_loop()
        pending = _Pending(method, loop.create_future())
        self._pending[branch] = pending
        deadline = loop.time() + self._timers.timer_f
        interval = self._timers.t1
        try:
            while True:
                connection.send(data)
                left = deadline - loop.time()
                pause = left if connection.reliable else min(interval, left)
                done, _ = await asyncio.wait([pending.future], timeout=max(0.0, pause))
                if done:
                    return pending.future.result()
                if loop.time() >= deadline:
                    raise Unreachable(f"no answer within {self._timers.timer_f:g} s")
                interval = self._timers.t2 if pending.proceeding else min(2 * interval, self._timers.t2)
        finally:
            del self._pending[branch]
            pending.future.cancel()

    def response(self, response: Response) -> None:
        """Take a response; one that belongs to no request of ours is dropped."""
        try:
            branch, (_, method) = response.via.branch, response.cseq
        except SipError:
            return
        pending = self._pending.get(branch or b"")
        if pending is None or pending.method != method or pending.future.done():
            return
        if response.status < 200:
            pending.proceeding = True
        else:
            pending.future.set_result(response)

    def fail(self, reason: str) -> None:
        """End all requests: the way to the server is gone (RFC 3261 8.1.3.1)."""
        for pending in self._pending.values():
            if not pending.future.done():
                pending.future.set_exception(Unreachable(reason))


def new_branch() -> bytes:
    """Make a branch that no other request has (RFC 3261 8.1.1.7)."""
    return b"z9hG4bK" + secrets.token_hex(16).encode()
