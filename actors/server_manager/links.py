"""The links to all neighbours: opened, greeted, kept alive, and every request and answer on them proved."""

from __future__ import annotations

from collections.abc import Callable

from actors.messages.links import LinkAnswer, LinkContent
from actors.messages.server_manager import LinkAnswered, LinkRequested
from actors.model import NodeName
from actors.server_manager.core import Core

Done = Callable[[LinkAnswered], None]


class Links:
    """Knows which neighbours can be sent to, and believes only what is proved (PROTOCOL 26).

    The hooks are set by the actor: `on_up` once a link stands, `on_down` once it has fallen (after each request that
    was on it got its `done`), `on_life` when a neighbour has sent anything authentic over its own link: at most once
    a neighbour and wake-up.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.on_up: Callable[[NodeName], None] = _nothing
        self.on_down: Callable[[NodeName, str], None] = _nothing_for
        self.on_life: Callable[[NodeName], None] = _nothing

    def up(self, node: NodeName) -> bool:
        """Tell whether this neighbour can be sent to."""
        raise NotImplementedError

    def send(self, node: NodeName, content: LinkContent, done: Done, seconds: float) -> None:
        """Send a request to a neighbour that is up; `done` is called exactly once, never from within this call.

        `answered` is True only for an answer that was proved. A neighbour that is not up, a link that falls meanwhile,
        no answer in time, and one that cannot be proved (the link may stand then): all end with `answered` False.
        """
        raise NotImplementedError

    def answer(
        self,
        request: LinkRequested,
        status: int,
        reason: str = "",
        content: LinkAnswer | None = None,
        retry_after: int = 0,
    ) -> None:
        """Answer a neighbour's request that was believed; handed on at the next flush."""
        raise NotImplementedError


def _nothing(node: NodeName) -> None:
    """Nobody has set this hook."""


def _nothing_for(node: NodeName, reason: str) -> None:
    """Nobody has set this hook."""
