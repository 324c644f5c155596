"""Requests too large for a datagram: over TCP to the same host and port, if the phone takes it (RFC 3261 18.1.1).

One that does not is remembered, so that its next large request goes by datagram at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.messages.requests import OutboundRequest
from actors.model import Flow

FORGET = 600.0
"""Seconds for which a refusal is remembered."""
MAX_REFUSED = 10_000
"""Refusals remembered at most."""
IDLE = 60.0
"""Seconds after which an unused connection is closed."""

Place = tuple[str, int]


class Dial(msgspec.Struct, frozen=True):
    """Connect to the host and port of this datagram flow; the result comes back with the number."""

    number: int
    flow: Flow


class LargeRequests:
    """Connections dialled for large requests: those open, those on their way, and where none is to be had."""

    def __init__(self, max_dialled: int) -> None:
        self._max = max_dialled
        self._open: dict[Place, Flow] = {}
        self._used: dict[Place, float] = {}
        self._waiting: dict[int, tuple[Place, list[OutboundRequest]]] = {}
        self._numbers: dict[Place, int] = {}
        self._refused: dict[Place, float] = {}
        self._last = 0

    def way(self, item: OutboundRequest, now: float) -> Flow | Dial | None:
        """Return the flow to use now; a Dial if it waits for that; None if it waits for one under way."""
        place = (item.flow.host, item.flow.port)
        flow = self._open.get(place)
        if flow is not None:
            self._used[place] = now
            return flow
        number = self._numbers.get(place)
        if number is not None:
            self._waiting[number][1].append(item)
            return None
        if self._refused.get(place, now) > now or len(self._open) + len(self._numbers) >= self._max:
            return item.flow
        self._last += 1
        self._numbers[place] = self._last
        self._waiting[self._last] = place, [item]
        return Dial(self._last, item.flow)

    def dialled(self, number: int, flow: Flow | None, now: float) -> Sequence[OutboundRequest]:
        """Take the result of a Dial and return what waited for it."""
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            return ()
        place, items = waiting
        del self._numbers[place]
        if flow is None:
            self._refuse(place, now)
        else:
            self._open[place] = flow
            self._used[place] = now
        return items

    def failed(self, flow: Flow, now: float) -> None:
        """This connection closed before an answer, or none ever came: use datagrams for a while."""
        if self.closed(flow):
            self._refuse((flow.host, flow.port), now)

    def closed(self, flow: Flow) -> bool:
        """Forget a connection; tells whether it was one of these."""
        place = (flow.host, flow.port)
        if self._open.get(place) != flow:
            return False
        del self._open[place], self._used[place]
        return True

    def idle(self, now: float) -> list[Flow]:
        """Forget and return the connections that nobody used lately."""
        places = [place for place, used in self._used.items() if now - used >= IDLE]
        flows = [self._open[place] for place in places]
        for flow in flows:
            self.closed(flow)
        return flows

    def _refuse(self, place: Place, now: float) -> None:
        if len(self._refused) >= MAX_REFUSED:
            self._refused.clear()
        self._refused[place] = now + FORGET

    @property
    def deadline(self) -> float | None:
        """When `idle` has something to do next."""
        return min(self._used.values()) + IDLE if self._used else None
