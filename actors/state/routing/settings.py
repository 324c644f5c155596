"""How a Router goes about its work."""

from __future__ import annotations

import msgspec

from actors.model import NodeName

LEARNED = "learned"
SUMMARIES = "summaries"
SEARCH = "search"
RUNGS = (LEARNED, SUMMARIES, SEARCH)


class RouterSettings(msgspec.Struct, frozen=True):
    """Which rungs of the ladder there are, and what they may cost. Times in seconds."""

    node: NodeName = NodeName("")
    """This node's name; empty: it has no neighbours."""
    rungs: tuple[str, ...] = RUNGS
    learned_limit: int = 20_000
    search_budget: int = 512
    """Requests between servers that one search may cost (PROTOCOL 22)."""
    search_seconds: float = 10.0
    searches_at_once: int = 32
    silent_home: float = 60.0
    """How long a known home must be out of reach until it is searched for again (PROTOCOL 24)."""
    unknown_life: float = 60.0
    """How long "proved unknown" holds (PROTOCOL 22)."""
    routes_interval: float = 0.5
    """Between two tellings of changed ways to nodes."""
    summaries_interval: float = 2.0
    """Between two tellings of changed summaries."""
