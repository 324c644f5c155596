"""Node processes that foreign phones meet: one open, one with accounts."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.faults.node import NodeProcess, angarium

PASSWORDS = {"alice": "wonderland", "bob": "builder", "carol": "singer", "dave": "diver", "erin": "flyer"}
"""The accounts of `closed_node`."""


@pytest.fixture(scope="session")
def open_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node at which everybody may register and send."""
    with NodeProcess(tmp_path_factory.mktemp("open") / "data") as node:
        yield node


@pytest.fixture(scope="session")
def closed_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that knows the users of `PASSWORDS` and nobody else."""
    place = tmp_path_factory.mktemp("closed")
    lines = place / "users"
    lines.write_text("".join(f"{name}, {password}\n" for name, password in PASSWORDS.items()))
    command = [*angarium(), "user", "import", str(lines), "--data", str(place / "data")]
    done = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    with NodeProcess(place / "data", args=()) as node:
        yield node
