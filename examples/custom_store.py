"""A store of your own: `angarium node --open --store examples/custom_store.py:CountingStore` says what it commits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from actors.stores.port import Result, Write
from actors.stores.sqlite import SqliteStore
from apps.client.session import ClientSession
from apps.common.values import listen
from apps.node.testing import running_node


class CountingStore(SqliteStore):
    """The store the node comes with, and a word on each commit. See `actors.stores.port.Store` for one from scratch."""

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        """Commit, then tell: what is printed is on disk."""
        results = super().commit(commands)
        kinds = Counter(type(command).__name__ for command in commands)
        print("on disk:", ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())))
        return results


async def register(address: str) -> None:
    """One phone registers."""
    phone = ClientSession("alice", listen(address), instance="urn:uuid:00000000-0000-0000-0000-00000000000a")
    await phone.register()
    phone.close()


def main() -> None:
    """Run a node with it, and let somebody register."""
    with TemporaryDirectory() as folder, running_node(store=f"{__file__}:CountingStore", data=Path(folder)) as node:
        asyncio.run(register(node.addresses[0]))


if __name__ == "__main__":
    main()
