"""A real node process as users meet it: started in vain, or passing a message from alice to bob."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from apps.client.session import Call, ClientSession, Incoming
from apps.common.values import listen
from tests.faults.node import Address, NodeProcess, angarium

WITHIN = 30.0
"""Seconds in which a message must have come."""
INSTANCE = "urn:uuid:00000000-0000-0000-0000-0000000000b0"


class RealNode(NodeProcess):
    """A node process that keeps its ready line, and can be waited for when something else starts it again."""

    said = ""

    def wait_ready(self) -> str:
        """Return its next ready line."""
        return self._read_ready()

    def _read_ready(self) -> str:
        self.said = super()._read_ready()
        return self.said

    def kill(self) -> None:
        """Kill it; who supervises is asked first, since what he supervises would live on."""
        if "--supervise" in self.args and self.running:
            self.terminate(within=30)
        super().kill()

    @property
    def admin(self) -> Address:
        """Where its admin interface is on TCP."""
        host, _, port = self.said.split("http://")[1].strip().rpartition(":")
        return host, int(port)


def url(transport: str, address: Address) -> str:
    """Write an address as `--via` takes it."""
    return f"{transport}://{address[0]}:{address[1]}"


def started_in_vain(data: Path, *flags: str) -> tuple[int, str]:
    """Start a node that must refuse; return its exit code and what it said on stderr."""
    command = [*angarium(), "node", "--data", str(data), *flags]
    if "--listen" not in flags:
        command += ["--listen", "udp://127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.stdout == ""
    return done.returncode, done.stderr


class Exchanged(msgspec.Struct, frozen=True):
    """What the sender was answered and what the recipient read."""

    status: int
    heard: tuple[bytes, ...]


def exchange(via: str, text: str = "hello", *, password: Callable[[], str | None] = lambda: None) -> Exchanged:
    """Let bob register at `udp://...` or `tcp://...`, alice send him a text, and bob read it; both leave."""
    return asyncio.run(_exchange(via, text.encode(), password))


async def _exchange(via: str, text: bytes, password: Callable[[], str | None]) -> Exchanged:
    heard: list[bytes] = []
    arrived = asyncio.Event()

    def keep(message: Incoming) -> int:
        heard.append(message.body)
        arrived.set()
        return 200

    bob = ClientSession("bob", listen(via), password=password, instance=INSTANCE, on_message=keep)
    alice = ClientSession("alice", listen(via), password=password)
    try:
        await bob.register()
        answer = await alice.send("bob", text, message_id=secrets.token_hex(8), call=Call.new())
        if answer.status == 202:
            await asyncio.wait_for(arrived.wait(), WITHIN)
        await bob.unregister()
    finally:
        alice.close()
        bob.close()
    return Exchanged(answer.status, tuple(heard))
