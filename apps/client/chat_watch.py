"""Asks gently what became of accepted messages: one question at a time, rarer for each that stays open."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable

from apps.client.chat_model import Line, State
from apps.client.wire import Unreachable

_FAILED = ("expired", "refused", "undeliverable")
_NOT_KNOWN = ("forwarded", "relayed", "unknown")
"""Another node has it now, and this one cannot tell yet."""

Ask = Callable[[str], Awaitable[str | None]]
Learned = Callable[[Line, State, str], None]


class Watch:
    """The messages that no end is known of."""

    MOST = 200
    """Messages watched at once; of more, those written first are given up."""
    LIFE = 2 * 86_400.0
    """Seconds after which a message is not asked about: nodes remember ends for so long."""
    FIRST, GROWTH, LONGEST = 0.2, 1.6, 30.0
    """Seconds until the first question about a message, and between the next ones."""
    GAP = 0.1
    """Seconds between any two questions."""
    PATIENCE = 30
    """Questions about a message that another node has, until it is given up."""

    def __init__(self, ask: Ask, learned: Learned) -> None:
        """Take whom to ask (None: that node never tells) and whom to tell of an end."""
        self._ask = ask
        self._learned = learned
        self._lines: dict[int, Line] = {}
        self._due: list[tuple[float, int, float, int]] = []
        """When to ask, about which line, after what pause, how often in vain."""
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """Count the messages watched."""
        return len(self._lines)

    def add(self, line: Line) -> None:
        """Watch an accepted message."""
        if len(self._lines) >= self.MOST:
            del self._lines[min(self._lines)]
        self._lines[line.number] = line
        self._plan(line.number, self.FIRST, 0)

    def forget(self, line: Line) -> None:
        """End watching a message of which something else was heard."""
        if line.state is not State.ACCEPTED:
            self._lines.pop(line.number, None)

    async def run(self) -> None:
        """Ask; runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while self._due and self._due[0][1] not in self._lines:
                heapq.heappop(self._due)
            if not self._due:
                self._wake.clear()
                await self._wake.wait()
                continue
            left = self._due[0][0] - loop.time()
            if left > 0:
                self._wake.clear()
                await _either(self._wake, left)
                continue
            _, number, pause, vain = heapq.heappop(self._due)
            await self._one(self._lines[number], pause, vain)
            await asyncio.sleep(self.GAP)

    async def _one(self, line: Line, pause: float, vain: int) -> None:
        longer = min(self.LONGEST, pause * self.GROWTH)
        try:
            state = await self._ask(line.id)
        except Unreachable:
            self._plan(line.number, longer, vain)
            return
        if line.number not in self._lines:
            return  # a notice told more, meanwhile
        vain += state in _NOT_KNOWN
        if state == "delivered":
            self._end(line, State.DELIVERED, "")
        elif state in _FAILED:
            self._end(line, State.FAILED, str(state))
        elif state is None or vain >= self.PATIENCE or time.time() - line.at > self.LIFE:
            del self._lines[line.number]
        else:
            self._plan(line.number, longer, vain)

    def _end(self, line: Line, state: State, reason: str) -> None:
        del self._lines[line.number]
        self._learned(line, state, reason)

    def _plan(self, number: int, pause: float, vain: int) -> None:
        heapq.heappush(self._due, (asyncio.get_running_loop().time() + pause, number, pause, vain))
        self._wake.set()


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event or the time, whichever is first."""
    waiter = asyncio.ensure_future(event.wait())
    await asyncio.wait([waiter], timeout=seconds)
    waiter.cancel()
