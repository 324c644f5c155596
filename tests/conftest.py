"""What every test is held to: it leaves no thread and no actor behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from pykka import ActorRegistry

# Hundreds of nodes are started: without their bytecode kept, each would take twice as long to begin with.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

GRACE = 2.0
"""Seconds that threads and actors which were told to stop may take, all together."""


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail the test that leaves a non-daemon thread or a running actor, but for what outer fixtures hold."""
    threads_before = set(threading.enumerate())
    actors_before = {ref.actor_urn for ref in ActorRegistry.get_all()}
    yield
    deadline = time.monotonic() + GRACE
    threads = [t for t in threading.enumerate() if t not in threads_before and not t.daemon]
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    actors = [ref for ref in ActorRegistry.get_all() if ref.actor_urn not in actors_before]
    left = [f"actor {ref}" for ref in actors] + [f"thread {t.name}" for t in threads if t.is_alive()]
    for ref in actors:
        # So that one careless test does not fail those after it.
        ref.stop(block=False)
    if left:
        pytest.fail("the test left behind: " + ", ".join(left))
