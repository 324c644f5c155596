"""The nodes of one console, and how pages ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from apps.monitor.source import NodeSource
from apps.monitor.state import Trouble, troubles
from apps.monitor.targets import Target
from apps.monitor.view import Latencies, NodeView


class Console:
    """What all pages share: one source a node. Nothing of a browser is kept here."""

    def __init__(self, targets: Iterable[Target], token: str = "", *, chat_folder: Path | None = None) -> None:
        """Take where the nodes are, and where chats keep their histories; nothing is opened yet."""
        self.chat_folder = chat_folder
        latencies = Latencies()
        self.sources: Sequence[NodeSource] = tuple(NodeSource(target, token, latencies=latencies) for target in targets)

    async def start(self) -> None:
        """Begin to follow all nodes."""
        for source in self.sources:
            await source.start()

    async def stop(self) -> None:
        """End all connections."""
        for source in self.sources:
            await source.stop()

    @property
    def views(self) -> list[NodeView]:
        """What is known of each node, in the order they were named."""
        return [source.view for source in self.sources]

    def source(self, label: str) -> NodeSource:
        """Return the node with this label (where it is looked for), else the first."""
        return next((source for source in self.sources if source.view.label == label), self.sources[0])

    def choices(self) -> dict[str, str]:
        """Return labels and titles of the nodes, for a selection."""
        return {source.view.label: source.view.title for source in self.sources}

    def troubles(self) -> list[Trouble]:
        """List the alarms of all nodes."""
        return troubles(self.views)

    def want(self, extras: Iterable[str]) -> None:
        """Ask all nodes for more than the figures; see `NodeSource.want`."""
        for extra in extras:
            for source in self.sources:
                source.want(extra)

    def unwant(self, extras: Iterable[str]) -> None:
        """Take it back."""
        for extra in extras:
            for source in self.sources:
                source.unwant(extra)
