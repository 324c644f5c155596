"""Real node processes on free loopback ports for the tests of commands, and a way to run those."""

from __future__ import annotations

import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from click.testing import CliRunner, Result

from apps.commands import angarium

READY_TIMEOUT = 30.0


class NodeProcess(msgspec.Struct, frozen=True):
    """Where a node is reached."""

    udp: str
    tcp: str
    admin: str
    data: str
    pid: int


@contextmanager
def node_process(data: Path, *flags: str) -> Iterator[NodeProcess]:
    """Run a node until the block ends."""
    command = [sys.executable, "-m", "apps.main", "node", "--data", str(data), "--admin", "127.0.0.1:0"]
    command += ["--listen", "udp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], READY_TIMEOUT)
            assert readable, "the node did not become ready"
            line = process.stdout.readline()
            assert line.startswith("ready"), line
            found = [re.search(rf"{scheme}://\S+", line) for scheme in ("udp", "tcp", "http")]
            udp, tcp, admin = (match[0] if match else "" for match in found)
            yield NodeProcess(udp, tcp, admin, str(data), process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(*arguments: str, stdin: str = "") -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(angarium, list(arguments), input=stdin)
