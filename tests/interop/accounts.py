"""Accounts of a node that is not started yet."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.faults.node import angarium


def import_users(data: Path, passwords: Mapping[str, str]) -> None:
    """Give the node of this data folder users with passwords."""
    data.parent.mkdir(parents=True, exist_ok=True)
    lines = data.with_name(data.name + ".users")
    lines.write_text("".join(f"{name}, {password}\n" for name, password in passwords.items()))
    command = [*angarium(), "user", "import", str(lines), "--data", str(data)]
    done = subprocess.run(command, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
