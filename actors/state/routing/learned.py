"""Where names live, as their homes have said: claims, and the neighbour that each came from."""

from __future__ import annotations

import math
from collections.abc import Iterator

from actors.messages.router import Claim
from actors.model import NodeName, UserName, Value


class LearnedRoute(Value, frozen=True, gc=False):
    """A claim of a home, and how it was learned."""

    name: UserName
    home: NodeName
    epoch: int
    next_hop: NodeName = NodeName("")
    """The neighbour that brought it: a way there, if nothing better is known; empty: it came from nobody near."""
    hops: int = 0
    """Hand-overs to the home when it was learned; 0: not known."""
    until: float = math.inf
    """Monotonic seconds."""


def wins(epoch: int, home: NodeName, other_epoch: int, other_home: NodeName) -> bool:
    """Tell whether a claim beats another: the higher epoch, then the smaller node name (PROTOCOL 23)."""
    return (epoch, other_home) > (other_epoch, home)


class LearnedRoutes:
    """The routes asked for last, at most `limit`, each for `life` seconds: claims of homes only, never from a From
    (PROTOCOL 25)."""

    def __init__(self, limit: int, life: float = math.inf) -> None:
        self._limit = limit
        self._life = life
        self._routes: dict[UserName, LearnedRoute] = {}

    def learn(self, claim: Claim, next_hop: NodeName, hops: int, now: float) -> bool:
        """Take in a claim unless a better one is known; tells whether the home is another one than before."""
        old = self.get(claim.name, now)
        if old is not None and wins(old.epoch, old.home, claim.epoch, claim.home):
            return False
        self._routes.pop(claim.name, None)
        if len(self._routes) >= self._limit:
            del self._routes[next(iter(self._routes))]
        self._routes[claim.name] = LearnedRoute(
            name=claim.name,
            home=claim.home,
            epoch=claim.epoch,
            next_hop=next_hop or (old.next_hop if old is not None and old.home == claim.home else next_hop),
            hops=hops,
            until=now + self._life,
        )
        return old is None or old.home != claim.home

    def get(self, name: UserName, now: float) -> LearnedRoute | None:
        """Give the route to a name, None if none is known."""
        route = self._routes.get(name)
        if route is None:
            return None
        if route.until <= now:
            del self._routes[name]
            return None
        return route

    def use(self, name: UserName, now: float) -> LearnedRoute | None:
        """Give the route to a name as `get` does, and keep it longer than those not used."""
        route = self.get(name, now)
        if route is not None:
            del self._routes[name]
            self._routes[name] = route
        return route

    def drop(self, name: UserName) -> None:
        """Forget what is known of a name: it proved stale, or its home is here."""
        self._routes.pop(name, None)

    def encoded_size(self) -> int:
        """Tell how many bytes they take when encoded: name, home, neighbour and three numbers each."""
        return sum(len(route.name) + len(route.home) + len(route.next_hop) + 8 for route in self)

    def __iter__(self) -> Iterator[LearnedRoute]:
        return iter(self._routes.values())

    def __len__(self) -> int:
        return len(self._routes)
