"""Store only, and drain: messages to users who are away, and what happens when they come."""

from __future__ import annotations

import time

from benchmarks.end_to_end import TOLERATED
from benchmarks.load import send_messages
from benchmarks.report import Figure
from benchmarks.stage import Stage, stage, wait_until_empty

DRAIN_WITHIN = 120.0


def store_only(rate: int, seconds: float) -> dict[str, Figure]:
    """Offer messages to 100 users who are away; they must all be in custody afterwards."""
    with stage() as on:
        on.receiver.register(100, expires=0)
        cpu = on.node.cpu_seconds()
        sent = send_messages(on.node.udp, rate=rate, count=int(rate * seconds), run="stored")
        cpu = on.node.cpu_seconds() - cpu
        waiting = on.node.waiting()
    trouble = max(sent.failed + sent.refused, sent.retransmissions)
    return {
        "rate": rate,
        "offered": sent.offered,
        "accepted": sent.accepted,
        "stored": waiting,
        "retransmissions": sent.retransmissions,
        "cpu_per_message": cpu / max(sent.accepted, 1),
        "holds": waiting == sent.accepted and trouble < max(sent.offered * TOLERATED, 1),
    }


def find_store_only(seconds: float, *, low: int = 2000, step: float = 0.08) -> dict[str, Figure]:
    """Find by doubling and halving the highest rate that is stored."""
    best = store_only(low, seconds)
    if not best["holds"]:
        return best
    high = low * 2
    while (got := store_only(high, seconds))["holds"]:
        best, low, high = got, high, high * 2
    while high - low > low * step:
        middle = (low + high) // 200 * 100
        got = store_only(middle, seconds)
        if got["holds"]:
            best, low = got, middle
        else:
            high = middle
    return best


def fill(on: Stage, count: int, *, users: int, rate: int = 3000, run: str = "drained") -> int:
    """Store about `count` messages for users who are away; return how many were accepted."""
    accepted = 0
    while accepted < count:
        part = min(count - accepted, rate * 20)
        sent = send_messages(on.node.udp, rate=rate, count=part, run=f"{run}-{accepted}", users=users)
        accepted += sent.accepted
        if not sent.accepted:
            raise RuntimeError(f"the node accepts nothing: {sent}")
    return accepted


def drain(count: int, *, users: int = 100) -> dict[str, Figure]:
    """Store `count` messages for `users` users who are away; then all register. One copy each must come."""
    with stage(users=users) as on:
        on.receiver.register(users, expires=0)
        on.node.waiting()
        stored = fill(on, count, users=users)
        cpu, memory, started = on.node.cpu_seconds(), on.node.resident_mb(), time.time()
        on.receiver.register(users)
        left = wait_until_empty(on.node, DRAIN_WITHIN)
        reports = []
        place = 0
        while place < stored:
            reports.append(on.receiver.report(f"drained-{place}"))
            if not reports[-1]["unique"]:
                break
            place += reports[-1]["unique"]
        took = max((report["last"] for report in reports), default=started) - started
        return {
            "users": users,
            "stored": stored,
            "received": place,
            "repeats": sum(report["repeats"] for report in reports),
            "left": left,
            "seconds": took,
            "messages_per_second": place / max(took, 0.001),
            "cpu_per_message": (on.node.cpu_seconds() - cpu) / max(place, 1),
            "memory_grew_mb": on.node.resident_mb() - memory,
        }
