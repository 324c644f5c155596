"""REGISTER rate: each answered 200 after its commit."""

from __future__ import annotations

import time

from benchmarks.report import Figure
from benchmarks.stage import stage


def registrations(users: int, rounds: int) -> dict[str, Figure]:
    """Register `users` users `rounds` times, as fast as the answers come; the first round creates them."""
    with stage(users=0) as on:
        on.receiver.register(users)
        cpu, commits, started = on.node.cpu_seconds(), on.node.commits(), time.monotonic()
        for _ in range(rounds):
            on.receiver.register(users)
        took, count = time.monotonic() - started, users * rounds
        return {
            "users": users,
            "registrations": count,
            "registrations_per_second": count / took,
            "commits_per_second": (on.node.commits() - commits) / took,
            "cpu_per_registration": (on.node.cpu_seconds() - cpu) / count,
        }
