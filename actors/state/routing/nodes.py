"""Ways to all nodes of the network: a distance-vector table without loops at any moment.

Theory of operation. Each node draws a number of its own; a claim is a pair (number, metric), better than another if its
number is higher, or the number is the same and the metric lower. A node takes a neighbour for its next hop only if that
neighbour's claim is better than the best that it ever claimed itself (the feasibility condition of DUAL and of Babel,
RFC 8966 2.4). So along next hops claims become better all the time, whatever is lost, late or out of order: there is
no circle. With the same number a metric never grows, so a node whose ways have all become infeasible asks for a higher
number: it tells `NodeRoute(node, number wanted, 255)`, "by me there is no way (for you); I want that number". Whoever
has a way with a lower number passes that on towards the node itself, which draws the number; the answer goes back to
those who asked and nobody else. A node that restarted with a low number hears what is wanted of it, and draws that.

A link is two, one each way, which come and go by themselves: so a node whose link comes up asks the neighbour for its
whole table, `NodeRoute(neighbour, 0, 255)`; what that one told before is not believed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

import msgspec

from actors.messages.links import NodeRoute
from actors.model import NodeName

NO_WAY = 255
FORGET = 86_400.0
"""Seconds after which a node is forgotten to which there is no way: old claims about it are gone from everywhere."""
MOST_NODES = 100_000
"""Nodes known at most: a neighbour that invents more gets nowhere with them."""
HIGHEST = 1 << 53
"""Numbers above are not believed: every encoding must be able to hold the next one."""
REFRESH = 600.0
"""Seconds between two tellings of the whole table: it mends what was lost without anybody noticing."""


def _no_version(_: NodeName) -> int:
    return 0


class _Way(msgspec.Struct, gc=False):
    """What is known of one node; `number` and `metric` are the best ever claimed here. Neighbours are slots."""

    node: NodeName
    number: int = 0
    metric: int = NO_WAY
    slot: int = -1
    """The next hop; -1: there is no way."""
    claims: list[NodeRoute | None] = []
    """What each neighbour last said, by slot; None: nothing, or that it has no way."""
    askers: dict[int, int] | None = None
    """Neighbours that want a higher number, which was asked for and has not come yet."""
    asked: dict[int, int] | None = None
    """Neighbours that were asked for a number although there is a way: to them this node said that it has none."""
    lost: float = 0.0
    """When the way was lost."""

    def feasible(self, claim: NodeRoute) -> bool:
        """Tell whether going by this claim makes no circle."""
        return claim.number > self.number or (claim.number == self.number and claim.metric < self.metric)

    def wanted(self, claim: NodeRoute) -> int:
        """Tell what number would make this claim feasible."""
        return self.number if claim.metric < self.metric else self.number + 1


class NodeTable:
    """The ways of this node to all others. Times are monotonic seconds; metrics are hand-overs, 254 at most."""

    def __init__(
        self, me: NodeName, *, version_of: Callable[[NodeName], int] = _no_version, number: int = 1, now: float = 0.0
    ) -> None:
        """`version_of` tells which version of a node's summary is here (`Summaries.version_of`)."""
        self._me = me
        self._version_of = version_of
        self._number = number
        self._ways: dict[NodeName, _Way] = {}
        self._slots: dict[NodeName, int] = {}
        self._neighbours: list[NodeName] = []
        """Neighbours by slot; empty: the slot is free."""
        self._changed: dict[NodeName, None] = {}
        """Told to all neighbours next time."""
        self._extra: list[dict[NodeName, None]] = []
        """Told to one neighbour, by slot."""
        self._whole: set[int] = set()
        """Neighbours that are told everything next time."""
        self._greet: set[int] = set()
        """Neighbours that are asked for everything next time."""
        self._moved: dict[NodeName, None] = {}
        self._forgotten: tuple[NodeName, ...] = ()
        self._asking: set[NodeName] = set()
        """Nodes about which questions may be open (`_Way.asked`)."""
        self._refresh = now + REFRESH

    # What is known.

    def way(self, node: NodeName, avoid: Collection[NodeName] = ()) -> NodeName | None:
        """Give the neighbour that is the best next hop to a node, but none of `avoid`; None: there is none.

        With `avoid`, neighbours that are no farther from the node than this one are given too: their ways do not lead
        back through here. A way around may end at a node of `avoid` farther on.
        """
        way = self._ways.get(node)
        if way is None or way.slot < 0:
            return None
        hop = self._neighbours[way.slot]
        if hop not in avoid:
            return hop
        best: tuple[int, NodeName] | None = None
        for slot, claim in enumerate(way.claims):
            if claim is None or (claim.metric > way.metric and not way.feasible(claim)):
                continue
            found = (claim.metric, self._neighbours[slot])
            if found[1] not in avoid and (best is None or found < best):
                best = found
        return best[1] if best else None

    def hops(self, node: NodeName) -> int:
        """Tell how many hand-overs it takes to a node; 255: there is no way."""
        if node == self._me:
            return 0
        way = self._ways.get(node)
        return NO_WAY if way is None or way.slot < 0 else way.metric

    def nodes(self) -> list[NodeName]:
        """List the nodes to which there is a way."""
        return [way.node for way in self._ways.values() if way.slot >= 0]

    def neighbours(self) -> list[NodeName]:
        """List the neighbours that are up."""
        return list(self._slots)

    def claims(self) -> Iterator[tuple[NodeName, int, int]]:
        """Give for each node known the best number and metric ever claimed here: they improve along next hops."""
        return ((way.node, way.number, way.metric) for way in self._ways.values())

    # What happens.

    def neighbour_up(self, node: NodeName, now: float) -> None:
        """A link stands: the neighbour is told and asked for everything. One that is up was gone in between."""
        if node in self._slots:
            self.neighbour_down(node, now)
        if "" in self._neighbours:
            slot = self._neighbours.index(NodeName(""))
            self._neighbours[slot] = node
        else:
            slot = len(self._neighbours)
            self._neighbours.append(node)
            self._extra.append({})
        self._slots[node] = slot
        self._whole.add(slot)
        self._greet.add(slot)

    def neighbour_down(self, node: NodeName, now: float) -> None:
        """A link fell: what that neighbour said holds no longer."""
        slot = self._slots.pop(node, None)
        if slot is None:
            return
        for way in self._ways.values():
            if way.askers:
                way.askers.pop(slot, None)
            if way.asked:
                way.asked.pop(slot, None)
            if slot < len(way.claims) and way.claims[slot] is not None:
                way.claims[slot] = None
                if way.slot == slot:
                    self._select(way, now)
        self._neighbours[slot] = NodeName("")
        self._extra[slot] = {}
        self._whole.discard(slot)
        self._greet.discard(slot)

    def heard(self, neighbour: NodeName, items: Iterable[NodeRoute], now: float) -> None:
        """A neighbour told of its ways; what one says that is not up does not count."""
        slot = self._slots.get(neighbour)
        if slot is None:
            return
        ways = self._ways
        for item in items:
            metric = item.metric
            if metric < 0 or not 0 <= item.number < HIGHEST:
                continue
            way = ways.get(item.node)
            if way is None:
                if item.node == self._me:
                    self._heard_of_me(slot, item)
                    continue
                if metric >= NO_WAY - 1 or len(ways) >= MOST_NODES:
                    continue
                way = ways[item.node] = _Way(node=item.node, claims=[None] * len(self._neighbours))
                way.claims[slot] = item
                self._go_by(way, slot, item)
                continue
            claims = way.claims
            if slot >= len(claims):
                claims.extend([None] * (slot + 1 - len(claims)))
            if metric >= NO_WAY - 1:
                self._heard_none(way, slot, item, now)
                continue
            claims[slot] = item
            if way.slot < 0 or way.slot == slot or way.askers or way.asked:
                self._heard_claim(way, slot, item, now)
            elif metric + 1 < way.metric:
                if way.feasible(item):
                    self._go_by(way, slot, item)
                else:
                    self._ask(way, slot, way.wanted(item))

    def silent(self, neighbour: NodeName, items: Iterable[NodeRoute]) -> None:
        """These perhaps did not reach the neighbour: they are told again, as they stand then."""
        slot = self._slots.get(neighbour)
        if slot is not None:
            self._extra[slot].update(dict.fromkeys(item.node for item in items))

    def _heard_of_me(self, slot: int, item: NodeRoute) -> None:
        if item.metric >= NO_WAY - 1 and not item.number:
            self._whole.add(slot)
        elif item.metric >= NO_WAY - 1:
            self._number = max(self._number, item.number)
            self._extra[slot][self._me] = None
        elif item.number > self._number:
            # From an earlier life of this node: others believe nothing lower any more.
            self._number = item.number + 1
            self._changed[self._me] = None

    def _heard_none(self, way: _Way, slot: int, item: NodeRoute, now: float) -> None:
        """A neighbour has no way (for this node), and wants a number."""
        way.claims[slot] = None
        self._answered(way, slot)
        if way.slot == slot:
            self._select(way, now)
        if way.slot < 0:
            return  # what it wants is wanted here too: once there is a way, everybody hears of it
        if way.number >= item.number:
            self._extra[slot][way.node] = None
            return
        way.askers = way.askers or {}
        way.askers[slot] = item.number
        self._ask(way, way.slot, item.number)

    def _heard_claim(self, way: _Way, slot: int, item: NodeRoute, now: float) -> None:
        if way.askers:
            way.askers.pop(slot, None)
        if way.asked and item.number >= way.asked.get(slot, item.number + 1):
            self._answered(way, slot)
        if way.slot < 0 and not way.feasible(item):
            self._extra[slot][way.node] = None  # it must know what number is wanted
            return
        self._select(way, now)

    def _answered(self, way: _Way, slot: int) -> None:
        """A neighbour that was asked has answered: it shall know again how far it is by this node."""
        if way.asked and way.asked.pop(slot, None) is not None:
            self._extra[slot][way.node] = None

    # What is decided.

    def _select(self, way: _Way, now: float) -> None:
        """Choose the next hop anew, and note whom that concerns."""
        best: NodeRoute | None = None
        chosen = -1
        for slot, claim in enumerate(way.claims):
            if claim is None or not way.feasible(claim):
                continue
            if best is None or claim.metric < best.metric or (claim.metric == best.metric and slot == way.slot):
                best, chosen = claim, slot
        if best is None:
            self._lose(way, now)
            return
        self._go_by(way, chosen, best)
        self._serve_askers(way)
        for slot, claim in enumerate(way.claims):
            if claim is not None and claim.metric + 1 < way.metric:
                self._ask(way, slot, way.wanted(claim))

    def _go_by(self, way: _Way, slot: int, claim: NodeRoute) -> None:
        """Take a neighbour for the next hop."""
        if slot != way.slot:
            self._moved[way.node] = None
        if claim.metric + 1 != way.metric or way.slot < 0:
            self._changed[way.node] = None
            way.asked = None  # all are told
        way.slot, way.number, way.metric = slot, claim.number, claim.metric + 1

    def _lose(self, way: _Way, now: float) -> None:
        if way.slot < 0:
            return
        way.slot = -1
        way.lost = now
        way.askers = way.asked = None
        self._changed[way.node] = None
        self._moved[way.node] = None

    def _serve_askers(self, way: _Way) -> None:
        if not way.askers:
            return
        for slot in [slot for slot, number in way.askers.items() if number <= way.number]:
            del way.askers[slot]
            self._extra[slot][way.node] = None
        if way.askers:
            self._ask(way, way.slot, max(way.askers.values()))

    def _ask(self, way: _Way, slot: int, number: int) -> None:
        """Ask a neighbour for a number, once."""
        way.asked = way.asked or {}
        self._asking.add(way.node)
        if way.asked.get(slot, 0) < number:
            way.asked[slot] = number
            self._extra[slot][way.node] = None

    # What is told.

    @property
    def pending(self) -> bool:
        """Tell whether `take_updates` has anything to tell (but for the refresh)."""
        return bool(self._changed or self._whole or any(self._extra))

    def next_deadline(self) -> float:
        """Tell when the whole table is to be told again."""
        return self._refresh

    def take_updates(self, now: float) -> dict[NodeName, tuple[NodeRoute, ...]]:
        """Take what each neighbour is to be told; asked some times a second at most, it is much less to tell.

        Tuples are shared between neighbours that are told the same; they may hold every node of the network.
        """
        if now >= self._refresh:
            self._refresh = now + REFRESH
            self._forget(now)
            self._whole.update(self._slots.values())
        changed, self._changed = self._changed, {}
        whole = self._items((self._me, *self._ways) if self._whole else ())
        plain = self._items(changed)
        questions = self._asking = {name for name in self._asking if (way := self._ways.get(name)) and way.asked}
        updates: dict[NodeName, tuple[NodeRoute, ...]] = {}
        for node, slot in self._slots.items():
            extra, self._extra[slot] = self._extra[slot], {}
            if slot in self._whole:
                items, more = whole, []
            else:
                items, more = plain, [self._item(name) for name in extra if name not in changed]
            if questions and not questions.isdisjoint(self._ways if slot in self._whole else changed):
                items = tuple([self._question(item, slot) for item in items])
            if more:
                items = (*items, *[self._question(item, slot) for item in more])
            if slot in self._greet:
                items = (NodeRoute(node, 0, NO_WAY, 0), *items)
            if items:
                updates[node] = items
        self._whole.clear()
        self._greet.clear()
        return updates

    def take_way_changes(self) -> tuple[tuple[NodeName, NodeName], ...]:
        """Take the nodes whose next hop changed, with the new one; empty: no way any more."""
        moved, self._moved = self._moved, {}
        return tuple((node, self.way(node) or NodeName("")) for node in moved)

    def _items(self, nodes: Iterable[NodeName]) -> tuple[NodeRoute, ...]:
        return tuple([self._item(node) for node in nodes])

    def _item(self, node: NodeName) -> NodeRoute:
        way = self._ways.get(node)
        version = self._version_of(node)
        if way is None:
            # Of a node forgotten meanwhile nothing is known: that is no way, and nothing is wanted.
            return NodeRoute(node, self._number, 0, version) if node == self._me else NodeRoute(node, 0, NO_WAY, 0)
        if way.slot < 0:
            return NodeRoute(node, way.number + 1, NO_WAY, version)
        return NodeRoute(node, way.number, way.metric, version)

    def _question(self, item: NodeRoute, slot: int) -> NodeRoute:
        way = self._ways.get(item.node)
        if way is None or not way.asked or slot not in way.asked:
            return item
        return NodeRoute(item.node, way.asked[slot], NO_WAY, item.version)

    def take_forgotten(self) -> tuple[NodeName, ...]:
        """Take the nodes that were forgotten."""
        forgotten, self._forgotten = self._forgotten, ()
        return forgotten

    def _forget(self, now: float) -> None:
        gone = [way.node for way in self._ways.values() if way.slot < 0 and way.lost + FORGET <= now]
        for node in gone:
            del self._ways[node]
        self._forgotten = (*self._forgotten, *gone)

    def encoded_size(self) -> int:
        """Tell how many bytes the table takes when encoded: names once, next hops by slot, most claims in a byte."""
        rows = [
            (
                way.node,
                way.number,
                way.metric,
                way.slot,
                [_encoded(claim, way.number) for claim in way.claims],
            )
            for way in self._ways.values()
        ]
        return len(msgspec.msgpack.encode((self._number, self._neighbours, rows)))


def _encoded(claim: NodeRoute | None, number: int) -> int | tuple[int, int] | None:
    """Give what must be kept of a claim: mostly it has the number that this node goes by."""
    if claim is None:
        return None
    return claim.metric if claim.number == number else (claim.number, claim.metric)
