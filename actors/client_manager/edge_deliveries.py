"""The last stretch to phones that are at this node while their users' homes are elsewhere (PROTOCOL 21).

The home keeps custody. This node stores nothing, repeats nothing of its own, and makes no 2xx: it hands the request to
the flow that its own token names, and the phone's answer back. 430 where the flow is gone (RFC 5626 5.3).
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import msgspec

from actors.client_manager.core import Core
from actors.messages.client_manager import DeliveryResult
from actors.messages.links import RelayedDelivery, Reply
from actors.messages.requests import OutboundRequest
from actors.messages.server_manager import AnswerRelay
from actors.model import Step

MAX_PASSING = 20_000
"""Under way at once; the home is told to try the next one again later."""


class Passing(NamedTuple):
    """A request under way to a phone for its home."""

    relay: int
    request: OutboundRequest
    probing: bool
    """First an OPTIONS asks whether this address wants it at all (PROTOCOL 13)."""


class EdgeDeliveries:
    """Hands on what homes send to phones here. Its delivery numbers are negative, those of our own users positive."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._passing: dict[int, Passing] = {}
        self._by_token: dict[str, int] = {}
        self._numbers = itertools.count(-1, -1)

    def deliver(self, relay: int, content: RelayedDelivery) -> None:
        """Send a home's request to the phone behind the token."""
        core = self._core
        flow = core.tokens.flow(content.token)
        if flow is None:
            self._answer(relay, 430, "Flow Failed")
            return
        if len(self._passing) >= MAX_PASSING:
            self._answer(relay, 503, "Too much is under way to phones", retry_after=core.random.randint(1, 5))
            return
        request = msgspec.structs.replace(content.request, flow=flow, route=())
        before = self._by_token.get(request.token)
        if before is not None:  # the home has begun anew: nobody waits for the end of the first
            self._answer(self._passing[before].relay, 503, "Sent again")
            self._forget(before)
        if core.deliveries.proof.wanting(flow, core.now()):
            probe = msgspec.structs.replace(
                request,
                method="OPTIONS",
                token=f"{core.random.getrandbits(128):032x}",
                cseq=1,
                headers=(),
                body=b"",
                message_id=None,
            )
            self._send(Passing(relay, request, True), probe)
        else:
            self._send(Passing(relay, request, False), request)

    def _send(self, passing: Passing, request: OutboundRequest) -> None:
        core, number = self._core, next(self._numbers)
        self._passing[number] = passing
        self._by_token[passing.request.token] = number
        core.outbox.sends.append(msgspec.structs.replace(request, delivery=number))
        if request.message_id is not None:
            core.outbox.step(Step.RELAYED, request.message_id, request.target.decode("utf-8", "backslashreplace"))

    def result(self, result: DeliveryResult) -> None:
        """The phone answered, or did not: its home decides what that means."""
        passing = self._forget(result.delivery)
        if passing is None:
            return
        flow = passing.request.flow
        if passing.probing and result.answered:
            self._core.deliveries.proof.proved(flow, self._core.now())
            self._send(passing._replace(probing=False), passing.request)
        elif result.answered:
            self._answer(passing.relay, result.status, retry_after=result.retry_after)
        elif result.status == 408:
            self._answer(passing.relay, 408)
        elif flow.connection:
            self._answer(passing.relay, 430, "Flow Failed")
        else:  # an address does not go away as a connection does
            self._answer(passing.relay, 503, "Not sent", retry_after=1)

    def _forget(self, number: int) -> Passing | None:
        passing = self._passing.pop(number, None)
        if passing is not None:
            self._by_token.pop(passing.request.token, None)
        return passing

    def _answer(self, relay: int, status: int, reason: str = "", *, retry_after: int = 0) -> None:
        reply = Reply(home=self._core.settings.node)
        self._core.outbox.relays.append(AnswerRelay(relay, status, reason, reply, retry_after))
