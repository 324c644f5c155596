"""What the parts of a Router have for others, gathered until it is handed on."""

from __future__ import annotations

from collections.abc import Iterable

from actors.messages.links import RouterContent
from actors.messages.router import Claim, FindNames, NameAnswer
from actors.model import NodeName, UserName

MOST_AGAIN = 10_000
"""Names told one by one at most; more are told as "all"."""


class Told:
    """Gathers; the actor takes all at once and clears it."""

    def __init__(self) -> None:
        self.neighbours: list[tuple[NodeName, RouterContent]] = []
        self.ways: list[tuple[NodeName, NodeName]] = []
        self.again: dict[UserName, None] = {}
        """Names for which it makes sense to route anew."""
        self.again_all = False
        self.conflicts: list[Claim] = []
        """Others' claims to names of ours."""
        self.answers: list[tuple[FindNames, tuple[NameAnswer, ...]]] = []
        self.counts: dict[str, float] = {}

    def tell_again(self, names: Iterable[UserName]) -> None:
        """The messages for these names are to be routed anew."""
        self.again.update(dict.fromkeys(names))
        if len(self.again) > MOST_AGAIN:
            self.again_all = True

    def count(self, name: str, amount: float = 1.0) -> None:
        """Count a fact."""
        self.counts[name] = self.counts.get(name, 0.0) + amount

    def take_again(self) -> tuple[UserName, ...] | None:
        """Take the names to be routed anew: empty for all, None for none."""
        names, everything = tuple(self.again), self.again_all
        self.again, self.again_all = {}, False
        if everything:
            return ()
        return names or None
