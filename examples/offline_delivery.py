"""Bob is away while Alice writes; the node keeps her messages until his phone is back and has said 200."""

from __future__ import annotations

import asyncio

from apps.client.session import Call, ClientSession, Incoming
from apps.common.values import Listen, listen
from apps.node.testing import running_node

BOBS_PHONE = "urn:uuid:00000000-0000-0000-0000-00000000000b"


async def bob_registers_and_leaves(via: Listen) -> None:
    """From now on the node knows him and his phone."""
    phone = ClientSession("bob", via, instance=BOBS_PHONE)
    await phone.register()
    await phone.unregister()
    phone.close()


async def alice_writes(via: Listen, *texts: str) -> None:
    """202: it is on the node's disk."""
    phone = ClientSession("alice", via)
    for number, text in enumerate(texts):
        answer = await phone.send("bob", text.encode(), message_id=f"example-{number}", call=Call.new())
        print(f"alice writes {text!r}: {answer.status} {answer.reason}")
    phone.close()


async def bob_comes_back(via: Listen, count: int) -> None:
    """His phone answers 200 to each message, and gets it once."""
    arrived: asyncio.Queue[Incoming] = asyncio.Queue()

    def keep(message: Incoming) -> int:
        arrived.put_nowait(message)
        return 200

    phone = ClientSession("bob", via, instance=BOBS_PHONE, on_message=keep)
    await phone.register()
    for _ in range(count):
        message = await asyncio.wait_for(arrived.get(), timeout=5)
        print(f"bob reads {message.body.decode()!r} from {message.sender}")
    phone.close()


async def main() -> None:
    """Three scenes on one node."""
    with running_node() as node:
        via = listen(node.addresses[0])
        await bob_registers_and_leaves(via)
        await alice_writes(via, "Are you there?", "Call me.")
        await bob_comes_back(via, 2)


if __name__ == "__main__":
    asyncio.run(main())
