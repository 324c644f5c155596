"""The ladder: by what a node knows, where does this message go?

From the surest to the least sure, each rung falling to the next:

1. Names whose home is here.
2. Claims of homes: learned from an answer, a pointer left by a move, or carried by the message. Of two the higher epoch
   wins. The way to a home is the node table's; else the neighbour that the claim came from; else the last one known, so
   that a message waits as near to a silent home as it can get.
3. What the message carries from a summary elsewhere.
4. Proved unknown within the last minute and in no summary, or no neighbours at all: nobody has him.
5. Summaries of other nodes, the nearest that may have him; never one that he passed already or that refused him.
6. Wait, and have the name searched for.

A leg (PROTOCOL 20) is a stretch in which no node is visited twice. A home that proves stale, a claim of a higher epoch
and a way that leads back begin a new one, `MAX_LEGS` in all; then a message only waits for what it can reach without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

import msgspec

from actors.messages.router import Destination, Refused, RouteFailed, Searching, ToNeighbour, Unknown
from actors.model import MAX_LEGS, MAX_STEPS, POSTMASTER, Envelope, MessageId, NodeName, Proof, Routing, UserName
from actors.state.routing.lapsing import Lapsing
from actors.state.routing.learned import LearnedRoute, LearnedRoutes, wins
from actors.state.routing.settings import LEARNED, SUMMARIES, RouterSettings
from actors.state.routing.wanted import WantedNames
from actors.state.routing_table import HERE, NOBODY, RoutingTable

PATH = 16
"""Nodes of a message's whole way that it carries."""
VISITED = 30
"""Nodes of a leg at most: then another one begins, or the extra headers would not fit a datagram."""
STALE_LIFE = 300.0
"""Seconds for which a node that was not the home of a name is not taken for it again, short of a claim."""
BLOCKED_LIFE = 30.0
"""Seconds for which a neighbour gets no message for a name, after it refused one."""
DOUBTED_LIFE = 60.0
"""Seconds for which messages of a sender whom the other side does not believe wait (PROTOCOL 25)."""
DOUBT_ENDS = 2.0
"""Seconds within which a message that was refused so is routed anew: it ends then, if its sender was not proved."""
DOUBTED_MOST = 300.0
"""Seconds after which they end, for what his home did not grant in that time it will not: he may have moved there from
the one that did, and all that comes for that recipient waits behind them."""
UNKNOWN_LIMIT = 10_000
DOUBTS_LIMIT = 10_000
GRANTS_LIMIT = 100_000
WAITS = Searching()
TOO_LARGE = Unknown("It is too large for the only way there")


class Ways(Protocol):
    """Ways to nodes: `state.routing.nodes`."""

    def way(self, node: NodeName, avoid: Collection[NodeName] = ()) -> NodeName | None:
        """Give the neighbour on the best way to a node that does not begin with one of `avoid`."""

    def hops(self, node: NodeName) -> int:
        """Tell how many hand-overs it takes."""


class Ladder:
    """Decides for each message; what waits is noted in `wanted`. Times are monotonic seconds."""

    def __init__(
        self,
        settings: RouterSettings,
        table: RoutingTable,
        ways: Ways,
        candidates: Callable[[UserName], Iterable[NodeName]],
        wanted: WantedNames,
    ) -> None:
        self._settings = settings
        self._me = settings.node
        self._table = table
        self._ways = ways
        self._candidates = candidates
        self._by_summaries = SUMMARIES in settings.rungs
        self._wanted = wanted
        # Without the rung, what a search has found must hold until its messages have gone.
        life = {} if LEARNED in settings.rungs else {"life": settings.unknown_life}
        self.learned = LearnedRoutes(settings.learned_limit, **life)
        self.neighbours: dict[NodeName, bool] = {}
        """Registered neighbours, and whether each is up."""
        self.last_ways: dict[NodeName, NodeName] = {}
        """The neighbour that was on the way to a node when there was none any more."""
        self.unknown = Lapsing[UserName](UNKNOWN_LIMIT)
        self.grants = Lapsing[tuple[UserName, NodeName]](GRANTS_LIMIT)
        self._stale = Lapsing[tuple[UserName, NodeName]](DOUBTS_LIMIT)
        self._blocked = Lapsing[tuple[UserName, NodeName]](DOUBTS_LIMIT)
        self._doubted = Lapsing[tuple[UserName, UserName]](DOUBTS_LIMIT)
        self._doubts = Lapsing[tuple[UserName, UserName]](DOUBTS_LIMIT)
        """Whom his home has doubted for a while: twice as long as that may take."""
        self._too_large = Lapsing[tuple[MessageId, NodeName]](DOUBTS_LIMIT)

    def route(self, envelope: Envelope, arrived_from: NodeName, now: float) -> Destination:
        """Say where a message goes, by what is known now."""
        if arrived_from:
            refused = self._refuse(envelope, arrived_from, now)
            if refused is not None:
                return refused
        if envelope.recipient in self._table:
            return HERE
        if not self.neighbours:
            return NOBODY
        if (end := self._end_doubted(envelope, now)) is not None:
            return end
        routing = self._as_it_came(envelope, arrived_from)
        if routing.step + 1 >= MAX_STEPS:
            return Refused(483, "Too Many Hops") if arrived_from else Unknown("It came too far")
        return self._climb(envelope, routing, now)

    def _refuse(self, envelope: Envelope, arrived_from: NodeName, now: float) -> Refused | None:
        """Look whether a message from a neighbour must not be taken (PROTOCOL 20, 25)."""
        routing = envelope.routing or Routing(origin=arrived_from)
        if self._me in routing.visited:
            return Refused(482, "Loop Detected")
        if routing.step >= MAX_STEPS:
            return Refused(483, "Too Many Hops")
        sender = envelope.sender
        if sender not in self._table or sender == POSTMASTER or routing.origin == self._me:
            return None
        if self.grants.holds((sender, NodeName(routing.origin)), now):
            return None
        return Refused(403, "Its sender is at home here, and did not send it there")

    def _end_doubted(self, envelope: Envelope, now: float) -> Destination | None:
        """The sender's home does not believe that it is his: a proved one may still be granted, others end."""
        until = self._doubted.until((envelope.recipient, envelope.sender), now)
        if until is None:
            return None
        if envelope.proof in (Proof.OPEN, Proof.FLOW):
            if until - now < DOUBTED_LIFE - DOUBT_ENDS:
                return None  # another message of his, perhaps through another server: his home shall say
            return Unknown("The home of its sender refused it: he was not proved")
        patience = self._doubts.until((envelope.recipient, envelope.sender), now)
        if patience is not None and patience - now <= DOUBTED_MOST:
            return Unknown("The home of its sender refused it: it has not granted what he sends there")
        self._wanted.want(envelope.recipient, envelope.sender, now, wait=until - now)
        return WAITS

    def _as_it_came(self, envelope: Envelope, arrived_from: NodeName) -> Routing:
        """Give the routing state as it was before this node sent it anywhere."""
        routing = envelope.routing
        if routing is None:
            return Routing(origin=arrived_from or self._me)
        if not arrived_from and routing.path and routing.path[-1] == self._me:
            # It has a route of ours already, which did not do: take our step back.
            return msgspec.structs.replace(
                routing, path=routing.path[:-1], visited=routing.visited[:-1], step=max(0, routing.step - 1)
            )
        return routing

    def _climb(self, envelope: Envelope, routing: Routing, now: float) -> Destination:
        """Go through the rungs."""
        name = envelope.recipient
        claim = self._claim(name, routing, now)
        if claim is not None:
            sent = self._send(envelope, routing, *claim, now)
            if sent is not None or self._narrow(envelope, now):
                return sent or TOO_LARGE
            self._wait(envelope, now, home=claim[0], wait=self._patience(name, claim[0], now))
            return WAITS
        if self.unknown.holds(name, now) and (not routing.home or routing.home == self._me):
            if not self.candidates(name, now):
                return NOBODY
            self.unknown.drop(name)  # since then somebody has made this name known
        nearest = NodeName("")
        for home in self._guesses(name, routing, now):
            sent = self._send(envelope, routing, home, 0, now)
            if sent is not None:
                return sent
            nearest = nearest or home
        if self._narrow(envelope, now):
            return TOO_LARGE
        self._wait(envelope, now, home=nearest, wait=0.0)
        return WAITS

    def _patience(self, name: UserName, home: NodeName, now: float) -> float:
        """Tell how long a known home may be out of reach until it is searched for; where no way to it was ever known,
        the search shall find one."""
        learned = self.learned.get(name, now)
        on_its_way = learned is not None and learned.home == home and bool(learned.next_hop)
        return self._settings.silent_home if self._by_summaries or on_its_way or home in self.neighbours else 0.0

    def _wait(self, envelope: Envelope, now: float, *, home: NodeName, wait: float) -> None:
        blocked = max(
            (self._blocked.until((envelope.recipient, node), now) or now for node in self.neighbours), default=now
        )
        wait = max(wait, blocked - now)
        self._wanted.want(envelope.recipient, envelope.sender, now, home=home, wait=wait)

    def _claim(self, name: UserName, routing: Routing, now: float) -> tuple[NodeName, int] | None:
        """Give the better of the claims that were learned and that the message carries."""
        best: tuple[NodeName, int] | None = None
        if routing.epoch > 0 and self._may_be(name, NodeName(routing.home), now):
            best = (NodeName(routing.home), routing.epoch)
        learned = self.learned.use(name, now)
        if (
            learned is not None
            and learned.home != self._me
            and (best is None or wins(learned.epoch, learned.home, best[1], best[0]))
        ):
            best = (learned.home, learned.epoch)
        return best

    def _guesses(self, name: UserName, routing: Routing, now: float) -> Iterator[NodeName]:
        """Give the nodes that may be the home, by a summary: the message's own guess first, then ours."""
        if self._may_be(name, NodeName(routing.home), now):
            yield NodeName(routing.home)
        for node in self.candidates(name, now):
            if node != routing.home and node not in routing.path:
                yield node

    def candidates(self, name: UserName, now: float) -> list[NodeName]:
        """List nodes whose summary has the name and that have not proved otherwise, the nearest first."""
        if not self._by_summaries:
            return []
        found = [node for node in self._candidates(name) if self._may_be(name, node, now)]
        return sorted(found, key=lambda node: (self._ways.hops(node), node)) if len(found) > 1 else found

    def _may_be(self, name: UserName, node: NodeName, now: float) -> bool:
        return bool(node) and node != self._me and not self._stale.holds((name, node), now)

    def _send(self, envelope: Envelope, routing: Routing, home: NodeName, epoch: int, now: float) -> ToNeighbour | None:
        """Give the message the next node on its way to a home; None: there is no way in what legs it has left."""
        name = envelope.recipient
        leg, visited = routing.leg, routing.visited
        corrected = bool(routing.home) and routing.home != home and (epoch > 0 or routing.home == self._me)
        full = len(visited) >= VISITED
        if corrected or full:
            if leg + 1 < MAX_LEGS:
                leg, visited = leg + 1, ()
            elif full or routing.home == self._me:
                return None
        narrow = self._narrow(envelope, now)
        hop = self.towards(name, home, (*visited, *narrow), now)
        if hop is None and visited and leg + 1 < MAX_LEGS:
            hop = self.towards(name, home, narrow, now, sure=True)
            leg, visited = leg + 1, ()
        if hop is None:
            return None
        onward = Routing(
            origin=routing.origin,
            home=home,
            leg=leg,
            path=(*routing.path, self._me)[-PATH:],
            visited=(*visited, self._me),
            epoch=epoch,
            step=routing.step + 1,
            vouch=routing.vouch,
            grant=routing.grant,
        )
        return ToNeighbour(hop, msgspec.structs.replace(envelope, routing=onward))

    def _narrow(self, envelope: Envelope, now: float) -> tuple[NodeName, ...]:
        """Give the neighbours that this very message is too large for."""
        if not self._too_large:
            return ()
        return tuple(node for node in self.neighbours if self._too_large.holds((envelope.id, node), now))

    def towards(
        self, name: UserName, home: NodeName, avoid: Collection[str], now: float, *, sure: bool = False
    ) -> NodeName | None:
        """Give a neighbour that is up, on the way to a home; with `sure` only where a way is known to exist."""
        shunned = {NodeName(node) for node in avoid}
        shunned.update(node for node in self.neighbours if self._blocked.holds((name, node), now))
        if self.neighbours.get(home) and home not in shunned:
            return home  # no way is shorter, even before that neighbour has told of its own
        hop = self._ways.way(home, shunned) if self._by_summaries else None
        if hop is not None and self.neighbours.get(hop):
            return hop
        learned = self.learned.get(name, now)
        if learned is not None and learned.home == home and self._open(learned.next_hop, shunned):
            # Where ways to nodes are exchanged they are the sure ones: this may lead to a dead end.
            return None if sure and self._by_summaries else learned.next_hop
        last = self.last_ways.get(home, NodeName(""))
        return last if not sure and self._open(last, shunned) else None

    def _open(self, node: NodeName, shunned: Collection[NodeName]) -> bool:
        return self.neighbours.get(node, False) and node not in shunned

    def hints(self, name: UserName, now: float) -> list[NodeName]:
        """List neighbours that a search for the name should ask first."""
        learned = self.learned.get(name, now)
        homes = [learned.home] if learned is not None and learned.home != self._me else []
        hops = [self.towards(name, home, (), now) for home in (*homes, *self.candidates(name, now))]
        return list(dict.fromkeys(hop for hop in hops if hop is not None))

    def known(self, name: UserName, now: float) -> LearnedRoute | None:
        """Give the claim by which the home of a name elsewhere is known."""
        learned = self.learned.get(name, now)
        return learned if learned is not None and learned.home != self._me else None

    def reachable(self, name: UserName, now: float) -> bool:
        """Tell whether all nodes that may have the name could be asked: only then "nobody has it" can be true."""
        learned = self.known(name, now)
        homes = self.candidates(name, now) if learned is None else [learned.home]
        return all(self.towards(name, home, (), now, sure=True) is not None for home in homes)

    def failed(self, failure: RouteFailed, now: float) -> None:
        """A neighbour refused a message for good: the same route must not be taken again at once."""
        if failure.status == 404 and failure.home:
            self._stale.put((failure.name, failure.home), now + STALE_LIFE)
            learned = self.learned.get(failure.name, now)
            if learned is not None and learned.home == failure.home:
                self.learned.drop(failure.name)
        elif failure.status == 403 and failure.sender:
            doubt = (failure.name, failure.sender)
            self._doubted.put(doubt, now + DOUBTED_LIFE)
            if not self._doubts.holds(doubt, now):
                self._doubts.put(doubt, now + 2 * DOUBTED_MOST)
        elif failure.status == 513 and failure.message:
            self._too_large.put((failure.message, failure.node), now + STALE_LIFE)
        else:
            self._blocked.put((failure.name, failure.node), now + BLOCKED_LIFE)

    def confirmed(self, name: UserName, home: NodeName) -> None:
        """A claim came: what was held against its home for this name is over."""
        self._stale.drop((name, home))
        self.unknown.drop(name)
