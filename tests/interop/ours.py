"""Our own client beside the foreign ones: sends and receives by the `angarium` command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.faults.node import NodeProcess, angarium


def _url(node: NodeProcess, transport: str) -> str:
    host, port = node.tcp if transport == "tcp" else node.udp
    return f"{transport}://{host}:{port}"


def send(node: NodeProcess, sender: str, to: str, text: str, *, password: str = "", transport: str = "udp") -> str:
    """Send a text; return the id it was accepted under."""
    command = [*angarium(), "send", "--from", sender, "--to", to, "--via", _url(node, transport)]
    if password:
        command.append("--password-stdin")
    done = subprocess.run(
        [*command, text], input=password + "\n", text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def receive(
    node: NodeProcess, user: str, state: Path, *, count: int = 1, password: str = "", transport: str = "udp"
) -> list[dict[str, Any]]:
    """Register as the user, take `count` messages and go."""
    command = [*angarium(), "listen", "--as", user, "--via", _url(node, transport), "--state", str(state), "--json"]
    command += ["--count", str(count), "--timeout", "40"]
    if password:
        command.append("--password-stdin")
    done = subprocess.run(command, input=password + "\n", text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
