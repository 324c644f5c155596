"""All that a Router knows of the network, put together: what it hears, decides and tells, but for threads and refs.

The parts, each pure: ways to nodes (`nodes`), summaries of names (`summaries`), searches (`search`), the ladder that
places messages by them (`ladder`), and the lookout that decides about searches (`lookout`). What they have for others
is gathered in `told`. Changes of ways and of summaries are told at intervals, so that many cost one message.

Between two nodes there are two links, which rise and fall by themselves. What a neighbour wants to which there is no
link is answered once there is one; a neighbour whose link is new asks for all ways (see `nodes`), and has forgotten who
is told of changes of summaries by it: they are asked for anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

from actors.messages.links import (
    NodeRoute,
    RouterContent,
    Routes,
    SearchAnswer,
    SearchStep,
    Summary,
    SummaryWanted,
)
from actors.messages.router import Claim, FindNames, RouteInfo
from actors.model import NodeName, UserName
from actors.state.routing.ladder import Ladder
from actors.state.routing.lookout import Lookout
from actors.state.routing.nodes import NO_WAY, NodeTable
from actors.state.routing.search import FOUND, Searches
from actors.state.routing.settings import SUMMARIES, RouterSettings
from actors.state.routing.summaries import Summaries
from actors.state.routing.told import Told
from actors.state.routing.wanted import WantedNames
from actors.state.routing_table import RoutingTable

ROUTES_IN_ONE = 400
"""Ways told in one message to a neighbour at most: names of 32 characters make it 20 kB."""
NODES_UNKNOWN = 1_000
"""How many nodes a search's filter is made for, where no ways to nodes are exchanged."""


class Network:
    """The network as one node sees it. Times are monotonic seconds."""

    def __init__(self, settings: RouterSettings, random: Random, now: float) -> None:
        self._settings = settings
        self._me = settings.node
        self._exchanges = SUMMARIES in settings.rungs
        self._joined = False
        """There was a neighbour: from then on a summary of our own names is kept."""
        self._routes_told = self._summaries_told = -float("inf")
        self._way: dict[NodeName, NodeName] = {}
        self._deferred: dict[NodeName, dict[NodeName, SummaryWanted]] = {}
        """What neighbours want to which there is no link yet."""
        self.table = RoutingTable()
        self.told = Told()
        self.summaries = Summaries(self._me, version=random.getrandbits(31))
        self.nodes = NodeTable(self._me, version_of=self.summaries.version_of, now=now)
        self.wanted = WantedNames(random, noticed=self.summaries)
        self.ladder = Ladder(settings, self.table, self.nodes, self.summaries.candidates, self.wanted)
        self.searches = Searches(
            self._me,
            neighbours=self.ladder.neighbours,
            ours=lambda name: self.table.claim(name) or 0,
            hints=self.ladder.hints,
            nodes=lambda: len(self._way) + 1 if self._exchanges else NODES_UNKNOWN,
            first=random.getrandbits(31),
        )
        self.lookout = Lookout(settings, self.table, self.ladder, self.wanted, self.searches, random, self.told)

    # Names.

    def ours(self, names: tuple[UserName, ...], epochs: tuple[int, ...], fresh: bool, now: float) -> None:
        """These users have their home here."""
        self.table.add(names, epochs)
        if self._joined:
            self.summaries.add(names)
        self.lookout.ours(names, fresh, now)

    def gone(self, names: tuple[UserName, ...]) -> None:
        """These have it here no longer."""
        self.table.remove(names)
        if self._joined:
            self.summaries.remove(names)
        self.lookout.gone(names)

    def claimed(self, claims: Iterable[Claim], now: float) -> None:
        """These claims are certain."""
        for claim in claims:
            self.lookout.claimed(claim, NodeName(""), 0, now)

    def find(self, question: FindNames, now: float) -> None:
        """Answer a question now or after a search."""
        self.lookout.find(question, now)

    # Links.

    def neighbour_up(self, node: NodeName, now: float) -> None:
        """A link stands."""
        if not self._joined:
            self._joined = True
            self.summaries.add(self.table)
        if self.ladder.neighbours.get(node):
            self._cut(node, now)
        self.ladder.neighbours[node] = True
        if self._exchanges:
            self.nodes.neighbour_up(node, now)
            for wanted in self._deferred.pop(node, {}).values():
                self._tell(node, self.summaries.answer(node, wanted))
        else:
            self._moved(((node, node),))
        self.lookout.link_up(now)
        self._wake_reachable(self.wanted.homes(), now)

    def neighbour_down(self, node: NodeName, removed: bool, now: float) -> None:
        """A link fell, or is not there yet; or the neighbour is none any more."""
        self._cut(node, now)
        if removed:
            self.ladder.neighbours.pop(node, None)
            self._deferred.pop(node, None)
        else:
            self.ladder.neighbours[node] = False

    def _cut(self, node: NodeName, now: float) -> None:
        was_up = self.ladder.neighbours.get(node, False)
        self.ladder.neighbours[node] = False
        self.searches.neighbour_down(node, now)
        if not was_up:
            return
        self.summaries.neighbour_down(node)
        if self._exchanges:
            self.nodes.neighbour_down(node, now)
            self._follow(now)
        else:
            self._moved(((node, NodeName("")),))

    def heard(self, node: NodeName, items: Iterable[RouterContent], now: float) -> None:
        """A neighbour's Router tells several things: mostly of summaries, one for each node of the network."""
        up = bool(self.ladder.neighbours.get(node))
        summaries, tell = self.summaries, self.told.neighbours.append
        for item in items:
            if type(item) is Summary:
                summaries.heard(node, item)
            elif up and type(item) is SummaryWanted:
                for part in summaries.answer(node, item):
                    tell((node, part))
            else:
                self.said(node, item, now)

    def said(self, node: NodeName, item: RouterContent, now: float) -> None:
        """A neighbour's Router tells something."""
        match item:
            case SearchStep():
                self.searches.step(node, item, now)
            case SearchAnswer():
                self._answered(node, item, now)
            case Routes():
                self.nodes.heard(node, item.items, now)
                self._follow(now)
                if any(route.metric == NO_WAY and not route.number and route.node == self._me for route in item.items):
                    self.summaries.follow([(known, hop) for known, hop in self._way.items() if hop == node])
                self.summaries.told(node, item.items)
            case Summary():
                self.summaries.heard(node, item)
            case SummaryWanted() if self.ladder.neighbours.get(node):
                self._tell(node, self.summaries.answer(node, item))
            case SummaryWanted() if node in self.ladder.neighbours:
                self._deferred.setdefault(node, {})[item.node] = item
            case SummaryWanted():
                pass  # a link of its own will come first

    def _answered(self, node: NodeName, answer: SearchAnswer, now: float) -> None:
        """An answer that is handed on, or ends a search of ours, was waited for: what it found is learned here too."""
        self.searches.answer(node, answer, now)
        onward = [item for _, item in self._take_contents() if isinstance(item, SearchAnswer)]
        if any(item.found == FOUND and item.search == answer.search for item in onward):
            self.lookout.claimed(Claim(answer.name, answer.home, answer.epoch), node, answer.hops + 1, now)

    def silent(self, node: NodeName, item: RouterContent, now: float) -> None:
        """Something that was told a neighbour perhaps did not reach it."""
        match item:
            case SearchStep():
                self.searches.silent(node, item, now)
            case SearchAnswer():
                pass  # who waits for it gives up when the link falls, or at its deadline
            case Routes():
                self.nodes.silent(node, item.items)
            case Summary() | SummaryWanted():
                if self.ladder.neighbours.get(node):
                    self.summaries.silent(node, (item,))

    # Ways.

    def _follow(self, now: float) -> None:
        changes = self.nodes.take_way_changes()
        if changes:
            self.summaries.follow(changes)
            self._moved(changes)
            self._wake_reachable((node for node, hop in changes if hop), now)

    def _moved(self, changes: tuple[tuple[NodeName, NodeName], ...]) -> None:
        for node, hop in changes:
            before = self._way.pop(node, None)
            if hop:
                self._way[node] = hop
                self.ladder.last_ways.pop(node, None)
            elif before is not None:
                self.ladder.last_ways[node] = before
        self.told.ways.extend(changes)

    def _wake_reachable(self, homes: Iterable[NodeName], now: float) -> None:
        """Messages that wait for the way to these homes are routed anew."""
        if not len(self.wanted):
            return
        for home in homes:
            names = self.wanted.waiting_for((home,))
            if names and self.ladder.towards(names[0], home, (), now) is not None:
                self.told.tell_again(names)

    # What is due.

    def work(self, now: float) -> None:
        """Do what time or events have made due; what comes of it is in `told`."""
        self._notice(now)
        self.lookout.work(now)
        self._collect(now)
        if self._joined and self._exchanges:
            self._tell_summaries(now)
            self._tell_routes(now)

    def _notice(self, now: float) -> None:
        """Summaries came that have names wanted, or names of ours."""
        hits = self.summaries.take_hits()
        if hits:
            self.told.tell_again(hits)
        for name in self.summaries.take_clashes():
            self.lookout.confirmations.suspect(name, now)

    def _collect(self, now: float) -> None:
        """Take what the searches have come to, until nothing more follows from it."""
        self.searches.due(now)
        while True:
            self._take_contents()
            ends = self.searches.take_ended()
            for end in ends:
                self.lookout.ended(end, now)
            if not ends:
                return
            self.lookout.work(now)

    def _take_contents(self) -> tuple[tuple[NodeName, RouterContent], ...]:
        """Tell what the searches have for neighbours; to one that is down there is no stepping back."""
        up = self.ladder.neighbours
        contents = tuple(item for item in self.searches.take_contents() if up.get(item[0]))
        self.told.neighbours.extend(contents)
        return contents

    def _tell_summaries(self, now: float) -> None:
        due = self._summaries_due()
        if due is not None and now >= due:
            self._summaries_told = now
            for node, contents in self.summaries.take_updates(now).items():
                self._tell(node, contents)

    def _tell_routes(self, now: float) -> None:
        if now < self._routes_due():
            return
        self._routes_told = now
        pieces: dict[int, list[Routes]] = {}
        updates = self.nodes.take_updates(now)
        for node, routes in updates.items():
            if id(routes) not in pieces:  # most neighbours are told the same tuple
                pieces[id(routes)] = _in_pieces(routes)
            self._tell(node, pieces[id(routes)])
        self.summaries.forget(self.nodes.take_forgotten())

    def _summaries_due(self) -> float | None:
        if self.summaries.pending:
            return self._summaries_told + self._settings.summaries_interval
        return self.summaries.next_deadline()

    def _routes_due(self) -> float:
        if self.nodes.pending:
            return self._routes_told + self._settings.routes_interval
        return self.nodes.next_deadline()

    def _tell(self, node: NodeName, contents: Iterable[RouterContent]) -> None:
        self.told.neighbours.extend([(node, content) for content in contents])

    def next_deadline(self) -> float | None:
        """Tell when there is work again, None for not before something is heard."""
        times = [self.searches.next_deadline(), self.lookout.next_deadline()]
        if self._joined and self._exchanges:
            times.append(self._routes_due())
            times.append(self._summaries_due())
        return min((time for time in times if time is not None), default=None)

    # For operators.

    def routes(self, limit: int, now: float) -> tuple[RouteInfo, ...]:
        """List what was learned, then the ways to nodes."""
        infos: list[RouteInfo] = []
        for route in list(self.ladder.learned)[:limit]:
            hop = self.ladder.towards(route.name, route.home, (), now) or ""
            infos.append(RouteInfo(route.name, route.home, hop, route.epoch, route.hops))
        for node, hop in sorted(self._way.items())[: max(0, limit - len(infos))]:
            infos.append(RouteInfo("", node, hop, 0, self.nodes.hops(node) if self._exchanges else 1))
        return tuple(infos)

    def state_bytes(self) -> int:
        """Tell the encoded size of all that was learned from others."""
        return self.nodes.encoded_size() + self.summaries.encoded_size() + self.ladder.learned.encoded_size()

    @property
    def nodes_known(self) -> int:
        """How many other nodes there is a way to."""
        return len(self._way)


def _in_pieces(routes: tuple[NodeRoute, ...]) -> list[Routes]:
    return [Routes(routes[at : at + ROUTES_IN_ONE]) for at in range(0, len(routes), ROUTES_IN_ONE)]
