"""How many users can be reached now, counted a few at a time: a node may have 100,000, and one thread for all."""

from __future__ import annotations

from actors.state.client_registry import ClientRegistry

AT_ONCE = 2_000
"""Users looked at in one step, some 2 ms; a node with no more of them is counted anew at each step."""


class OnlineCount:
    """Goes round the registry; the count is as old as one round, which is one step for each `AT_ONCE` users."""

    def __init__(self) -> None:
        self.users: int | None = None
        """Users with a live binding, as of the last whole round; None before it."""
        self._so_far = 0
        self._after = ""

    def step(self, registry: ClientRegistry, node_time: float) -> None:
        """Look at the next users; the end of a round begins the next."""
        names = registry.names(self._after, AT_ONCE)
        for name in names:
            record = registry.get(name)
            if record is not None and any(True for _ in record.bindings(node_time)):
                self._so_far += 1
        if len(names) == AT_ONCE:
            self._after = names[-1]
        else:
            self.users, self._so_far, self._after = self._so_far, 0, ""
