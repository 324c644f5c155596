"""How many messages may be with the actors at a time: few enough that they answer and deliver promptly.

Theory of operation. Under overload a queue grows somewhere, and whatever waits in it waits in vain: phones send
again, and answers from devices, which would free the next message, stand in line behind new requests. So the border
keeps both queues short that a message can wait in, before its 202 and behind it.

Before: as in CoDel (RFC 8289) the sign of a standing queue is that within an interval even the fastest answer was
slow; as in TCP Vegas (Brakmo and Peterson, 1995) slow is measured against the best that this machine does, for a slow
disk is no overload. Behind: the actors tell how many messages wait for devices that do answer; devices that do not
are no sign of overload. If either queue stands, fewer may enter, by a fixed part; else one part more may.
"""

from __future__ import annotations

INTERVAL = 0.05
"""Seconds over which the fastest answer counts."""
TARGET = 0.05
"""Seconds; an answer within this is prompt on any disk."""
PATIENCE = 4.0
"""How many times slower than the best of late an answer may be."""
BEST_OF = 15.0
"""Seconds for which a best is remembered: for this long, and at most for twice this long."""
BACKLOG = 400
"""Messages that may wait in memory for devices that answer."""
LEAST = 16
"""Messages that may always be with the actors."""
SHRINK = 0.8
GROW = 1.1


class PendingLimit:
    """The number of messages that the actors may have; times in monotonic seconds."""

    def __init__(self, most: int) -> None:
        """It never exceeds `most`."""
        self._most = most
        self._limit = float(most)
        self._fastest = float("inf")
        self._interval_end = 0.0
        self._best = self._best_before = float("inf")
        self._best_until = 0.0
        self.backlog = 0
        """Messages that wait in memory for devices that answer, as the actors told last."""
        self.limit = most
        """More than these are refused."""

    def answered(self, delay: float, now: float) -> None:
        """An answer took this long; tell of the fastest of a batch."""
        if delay < self._fastest:
            self._fastest = delay
        if now >= self._interval_end:
            self._judge(now)

    def _judge(self, now: float) -> None:
        fastest, self._fastest = self._fastest, float("inf")
        self._interval_end = now + INTERVAL
        if now >= self._best_until:
            self._best_before, self._best = self._best, fastest
            self._best_until = now + BEST_OF
        self._best = min(self._best, fastest)
        slow = max(TARGET, PATIENCE * min(self._best, self._best_before))
        self._limit *= SHRINK if fastest > slow or self.backlog > BACKLOG else GROW
        self._limit = min(max(self._limit, min(LEAST, self._most)), self._most)
        self.limit = int(self._limit)
