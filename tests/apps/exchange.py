"""Phones of our own against a node: one message from alice to bob, and what came of it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from apps.client.session import Call, ClientSession, Incoming
from apps.common.values import listen

WITHIN = 30.0
"""Seconds in which a message must have come."""
INSTANCE = "urn:uuid:00000000-0000-0000-0000-0000000000b0"


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
