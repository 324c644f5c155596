"""Memory: an idle node, one with many accounts, and one with many users registered."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from benchmarks.report import Figure
from benchmarks.stage import stage
from tests.faults.node import NodeProcess, angarium

AT_ONCE = 500
"""REGISTERs sent before their answers are read: more would be shed."""


def _import(node: NodeProcess, users: int) -> None:
    """Import accounts as an operator does."""
    lines = node.data.with_name("users")
    lines.write_text("".join(f"user{number}, secret{number}\n" for number in range(users)))
    subprocess.run(
        [*angarium(), "user", "import", str(lines), "--data", str(node.data)],
        check=True,
        capture_output=True,
        timeout=300,
    )


def memory(users: int) -> dict[str, Figure]:
    """Resident memory of a node with `users` accounts, half a second after it serves, and how long both took."""
    import_took = 0.0

    def prepare(node: NodeProcess) -> None:
        nonlocal import_took
        started = time.monotonic()
        if users:
            _import(node, users)
        import_took = time.monotonic() - started

    started = time.monotonic()
    with stage(users=0, prepare=prepare) as on:
        ready = time.monotonic() - started - import_took
        on.node.waiting()
        resident = on.node.resident_mb()
        database = sum(file.stat().st_size for file in Path(on.node.data).iterdir() if file.is_file())
    return {
        "users": users,
        "resident_mb": resident,
        "import_seconds": import_took,
        "ready_seconds": ready,
        "data_folder_mb": database / 1e6,
    }


def registered_memory(users: int) -> dict[str, Figure]:
    """Resident memory with `users` users, each with a device and a live binding; then of a restarted node with them."""
    with stage(users=0) as on:
        started = time.monotonic()
        for first in range(0, users, AT_ONCE):
            on.receiver.register(min(AT_ONCE, users - first), first=first)
        took = time.monotonic() - started
        resident = on.node.resident_mb()
        on.node.kill()
        started = time.monotonic()
        on.node.restart()
        ready = time.monotonic() - started
        on.node.waiting()
        return {
            "registered": users,
            "resident_mb": resident,
            "register_seconds": took,
            "ready_again_seconds": ready,
            "resident_mb_again": on.node.resident_mb(),
        }
