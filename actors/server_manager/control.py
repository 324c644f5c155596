"""What Routers tell each other, brought over the links: bounded, so that a slow neighbour costs nobody else."""

from __future__ import annotations

from collections import deque
from functools import partial

from actors.messages.links import RouterContent, Routes, Summary, SummaryWanted, Talk
from actors.messages.router import NeighbourDown, NeighbourSaid, NeighbourSilent, NeighbourUp
from actors.messages.server_manager import LinkAnswered, LinkRequested
from actors.model import NodeName
from actors.server_manager.core import Core
from actors.server_manager.links import Links

IN_FLIGHT = 32
"""Requests of Routers under way on one link at most."""
WAITING = 4096
"""Contents that wait for their turn behind these, at most: then the oldest that is told anew anyway gives way."""
BUNDLE = 100
"""Contents in one request at most."""
STREAM_BYTES = 16_000
DATAGRAM_BYTES = 900
"""About as large as a request with several of them may be; one that is larger goes alone."""


class Turn:
    """What is under way to one neighbour, and what waits."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.waiting: deque[RouterContent] = deque()


class Control:
    """Brings content to the Routers of neighbours, and theirs to ours, in order; what comes together goes together."""

    def __init__(self, core: Core, links: Links) -> None:
        self._core = core
        self._links = links
        self._turns: dict[NodeName, Turn] = {}
        self._fresh: dict[NodeName, None] = {}
        """Those who may get some of what waits for them."""
        self._out: list[
            NeighbourUp | NeighbourDown | tuple[type[NeighbourSaid | NeighbourSilent], NodeName, list[RouterContent]]
        ] = []

    def tell(self, item: tuple[NodeName, RouterContent]) -> None:
        """Bring this to a neighbour's Router, or tell ours that it cannot be brought."""
        node, content = item
        if not self._links.up(node):
            self._gather(NeighbourSilent, node, content)
            return
        turn = self._turns.get(node)
        if turn is None:
            turn = self._turns[node] = Turn()
        turn.waiting.append(content)
        self._fresh[node] = None
        if len(turn.waiting) > WAITING:
            self._gather(NeighbourSilent, node, _give_way(turn.waiting))
            self._core.count("link_contents_dropped_total")

    def not_told(self, item: tuple[NodeName, RouterContent], error: Exception) -> None:
        """It could not even be tried."""
        self._gather(NeighbourSilent, *item)

    def said(self, node: NodeName, request: LinkRequested, content: RouterContent | Talk) -> None:
        """A neighbour's Router says something: answered at once."""
        self._links.answer(request, 200)
        for item in content.items if isinstance(content, Talk) else (content,):
            self._gather(NeighbourSaid, node, item)

    def registered(self, node: NodeName) -> None:
        """There is a neighbour, whose link has not stood yet: who is not here may be there."""
        self._out.append(NeighbourDown(node=node))

    def up(self, node: NodeName) -> None:
        """The link stands."""
        self._out.append(NeighbourUp(node=node))

    def down(self, node: NodeName, *, removed: bool = False) -> None:
        """The link has fallen; what was under way on it has been told of before."""
        turn = self._turns.pop(node, None)
        for content in turn.waiting if turn is not None else ():
            self._gather(NeighbourSilent, node, content)
        self._out.append(NeighbourDown(node=node, removed=removed))

    def flush(self) -> None:
        """Send what may go now, and hand what was gathered to the Router."""
        fresh, self._fresh = self._fresh, {}
        for node in fresh:
            turn = self._turns.get(node)
            while turn is not None and turn.waiting and turn.in_flight < IN_FLIGHT:
                self._send(node, turn)
        out, self._out = self._out, []
        for item in out:
            if isinstance(item, tuple):
                kind, node, contents = item
                self._core.refs.router.tell(kind(node=node, items=tuple(contents)))
            else:
                self._core.refs.router.tell(item)

    def _send(self, node: NodeName, turn: Turn) -> None:
        """Send the next of what waits, as much as one request may bear."""
        line = self._links.line(node)
        datagrams = line is not None and line.address.startswith("udp:")
        room = DATAGRAM_BYTES if datagrams else STREAM_BYTES
        contents: list[RouterContent] = []
        while turn.waiting and len(contents) < BUNDLE:
            room -= _size(turn.waiting[0])
            if room < 0 and contents:
                break
            contents.append(turn.waiting.popleft())
        turn.in_flight += 1
        done = partial(self._ended, node, turn, contents)
        content = contents[0] if len(contents) == 1 else Talk(tuple(contents))
        self._links.send(node, content, done, self._core.settings.control_seconds)

    def _ended(self, node: NodeName, turn: Turn, contents: list[RouterContent], answer: LinkAnswered) -> None:
        turn.in_flight -= 1
        if not answer.answered or answer.status != 200:
            for content in contents:
                self._gather(NeighbourSilent, node, content)
        if turn.waiting and self._links.up(node):
            self._fresh[node] = None

    def _gather(self, kind: type[NeighbourSaid | NeighbourSilent], node: NodeName, content: RouterContent) -> None:
        last = self._out[-1] if self._out else None
        if isinstance(last, tuple) and last[0] is kind and last[1] == node:
            last[2].append(content)
        else:
            self._out.append((kind, node, [content]))


def _size(content: RouterContent) -> int:
    """Tell about how many bytes a content takes as JSON, not less for names of up to 16 letters."""
    if isinstance(content, SummaryWanted):
        return 80
    if isinstance(content, Summary):
        return 120 + (len(content.added) + len(content.removed)) * 4 // 3
    if isinstance(content, Routes):
        return 30 + 40 * len(content.items)
    return 250 + len(content.seen) * 4 // 3


def _give_way(waiting: deque[RouterContent]) -> RouterContent:
    """Take the oldest of what a Router tells anew when the link comes up, or else the oldest of all."""
    for index, content in enumerate(waiting):
        if isinstance(content, Routes | Summary):
            del waiting[index]
            return content
    return waiting.popleft()
