"""Which names may have their home at which node: 24-bit hashes of all names of all nodes, kept up to date by changes.

A summary travels along the ways to its node, in the other direction: a node asks its next hop for it (`SummaryWanted`)
and is told each change from then on, so that it comes to each node once. Ways have no circles, so all get it. A change
that does not fit what is here, and a version told with a way (`NodeRoute.version`) that is not here, are asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.messages.links import NodeRoute, Summary, SummaryWanted
from actors.model import NodeName, UserName
from actors.state.routing.hash_index import HashIndex
from actors.state.routing.name_hashes import NOTHING, WIDTH, Hashes, changed, name_hash, pack, unpack
from actors.state.routing.nodes import HIGHEST, MOST_NODES

PART = 10_000
"""Names in one part of a summary at most: 30 kB."""
JUMP = 1000
"""Versions left out when one from an earlier life is heard of: others may have later ones of that life."""
ASK_AGAIN = 30.0
"""Seconds after which a summary is asked for again that did not come."""
SummaryContent = Summary | SummaryWanted


class _Held(msgspec.Struct, gc=False):
    """The summary of one node, as far as it is here, and who is told of its changes."""

    version: int = 0
    hop: NodeName = NodeName("")
    """The neighbour that is asked for it: the next hop on the way to the node."""
    followers: tuple[NodeName, ...] = ()
    change: Summary | None = None
    """The last change, for who lacks no more than that."""
    whole: Summary | None = None
    """All of it, if it was made or came in one part."""
    newest: int = 0
    """The version that the next hop says it has."""
    ahead: int = 0
    """A version that somebody behind has although it is not here: from an earlier life of the node, or on its way."""


class _Parts(msgspec.Struct):
    """A summary that is coming in several parts from one neighbour."""

    version: int
    neighbour: NodeName
    hashes: set[int]
    count: int = 0


class Summaries:
    """The summaries of all nodes, this one's included. Times are monotonic seconds."""

    def __init__(self, me: NodeName, *, version: int = 0) -> None:
        """`version` is where this node's own versions begin: drawn at random, so that it differs from life to life."""
        self._me = me
        self._own: dict[int, UserName | tuple[UserName, ...]] = {}
        self._added: set[int] = set()
        self._removed: set[int] = set()
        self._first = True
        """Nobody knows a part of what is here: the next version is told as a whole."""
        self._start = version
        self._index = HashIndex()
        self._held: dict[NodeName, _Held] = {me: _Held()}
        self._parts: dict[NodeName, _Parts] = {}
        self._wants: dict[NodeName, NodeName] = {}
        """Node to be asked about, and whom to ask; empty: the next hop."""
        self._asked: dict[NodeName, float] = {}
        """When a version was asked for that must exist, the oldest question first."""
        self._out: dict[NodeName, list[SummaryContent]] = {}
        self._watched: dict[int, dict[UserName, None]] = {}
        self._hits: dict[UserName, None] = {}
        self._clashes: dict[UserName, None] = {}

    # Names of this node.

    @property
    def version(self) -> int:
        """The version of this node's own summary that was told last; 0: none."""
        return self._held[self._me].version

    def add(self, names: Iterable[UserName]) -> None:
        """These users have their home here."""
        for name in names:
            value = name_hash(name)
            there = _names(self._own.get(value))
            if not there:
                _flip(value, self._removed, self._added)
            if name not in there:
                self._own[value] = (*there, name) if there else name

    def remove(self, names: Iterable[UserName]) -> None:
        """These users have their home here no longer."""
        for name in names:
            value = name_hash(name)
            there = _names(self._own.get(value))
            left = tuple(other for other in there if other != name)
            if left:
                self._own[value] = left
            elif there:
                del self._own[value]
                _flip(value, self._added, self._removed)

    # Where a name may live.

    def candidates(self, name: UserName) -> tuple[NodeName, ...]:
        """List the other nodes whose summary has the hash of this name."""
        return self._index.find(name_hash(name))

    def watch(self, name: UserName) -> None:
        """Notice when a summary comes that has this name."""
        self._watched.setdefault(name_hash(name), {})[name] = None

    def unwatch(self, name: UserName) -> None:
        """Notice it no longer."""
        value = name_hash(name)
        names = self._watched.get(value, {})
        names.pop(name, None)
        if not names:
            self._watched.pop(value, None)

    def take_hits(self) -> tuple[UserName, ...]:
        """Take the watched names that summaries have which came since the last time."""
        hits, self._hits = self._hits, {}
        return tuple(hits)

    def take_clashes(self) -> tuple[UserName, ...]:
        """Take the names of this node that summaries of others seem to have as well, which came since the last time."""
        clashes, self._clashes = self._clashes, {}
        return tuple(clashes)

    def version_of(self, node: NodeName) -> int:
        """Tell which version of a node's summary is here; 0: none."""
        held = self._held.get(node)
        return held.version if held is not None else 0

    # What happens.

    def follow(self, ways: Iterable[tuple[NodeName, NodeName]]) -> None:
        """The next hops to these nodes changed (`NodeTable.take_way_changes`): from there their summaries come now."""
        for node, hop in ways:
            held = self._hold(node)
            held.hop = hop
            held.newest = 0
            if hop:
                self._wants[node] = NodeName("")
            else:
                self._wants.pop(node, None)

    def told(self, neighbour: NodeName, items: Iterable[NodeRoute]) -> None:
        """A neighbour told of its ways, and which versions it has; after `follow` with what that changed."""
        held_here = self._held
        for item in items:
            version = item.version
            if not 0 < version < HIGHEST:
                continue  # most of what is told while a network starts
            held = held_here.get(item.node)
            if held is None or version == held.version:
                continue
            if item.node == self._me:
                self._outdo(item.version)
            elif held.hop == neighbour:
                held.newest = item.version
                if item.node not in self._asked:
                    self._wants[item.node] = NodeName("")

    def heard(self, neighbour: NodeName, summary: Summary) -> None:
        """A neighbour sent a summary, a part or a change of one."""
        node = summary.node
        held = self._held.get(node)
        if held is None:
            if self._has_no_room(node) or summary.version >= HIGHEST:
                return
            held = self._hold(node)
        if not held.version < summary.version < HIGHEST or node == self._me:
            return
        if summary.more or summary.part:
            self._heard_part(neighbour, held, summary)
        elif summary.base == 0:
            self._take(neighbour, node, held, summary.version, changed(NOTHING, summary.added, b""), None, summary)
        elif summary.base == held.version:
            hashes = changed(self._index.get(node), summary.added, summary.removed)
            self._take(neighbour, node, held, summary.version, hashes, summary, None)
        else:
            self._wants[node] = neighbour

    def _heard_part(self, neighbour: NodeName, held: _Held, summary: Summary) -> None:
        parts = self._parts.get(summary.node)
        if not summary.part:
            parts = self._parts[summary.node] = _Parts(summary.version, neighbour, set())
        elif parts is None or (parts.version, parts.neighbour, parts.count) != (
            summary.version,
            neighbour,
            summary.part,
        ):
            self._parts.pop(summary.node, None)
            self._wants[summary.node] = neighbour
            return
        parts.count += 1
        parts.hashes |= unpack(summary.added)
        if not summary.more:
            del self._parts[summary.node]
            self._take(neighbour, summary.node, held, summary.version, frozenset(parts.hashes), None, None)

    def _take(
        self,
        neighbour: NodeName,
        node: NodeName,
        held: _Held,
        version: int,
        hashes: Hashes,
        change: Summary | None,
        whole: Summary | None,
    ) -> None:
        old = self._index.put(node, hashes)
        held.version, held.change, held.whole, held.ahead = version, change, whole, 0
        self._asked.pop(node, None)
        self._wants.pop(node, None)
        if self._watched or self._own:
            self._notice(hashes - old if old else hashes)
        if held.followers:
            self._push(node, held, neighbour)

    def _notice(self, new: Hashes) -> None:
        if self._watched and not self._watched.keys().isdisjoint(new):
            for value in self._watched.keys() & new:
                self._hits.update(self._watched[value])
        if self._own and not self._own.keys().isdisjoint(new):
            for value in self._own.keys() & new:
                self._clashes.update(dict.fromkeys(_names(self._own[value])))

    def _push(self, node: NodeName, held: _Held, source: NodeName) -> None:
        """Tell the followers, but not the one it came from."""
        news: tuple[Summary, ...] = ()
        for follower in held.followers:
            if follower != source:
                news = news or ((held.change,) if held.change is not None else self._parts_of(node, held))
                self._out.setdefault(follower, []).extend(news)

    def answer(self, neighbour: NodeName, wanted: SummaryWanted) -> tuple[Summary, ...]:
        """Give a neighbour what it lacks of a node's summary, in parts; from now on it is told of changes."""
        node, have = wanted.node, wanted.have
        held = self._held.get(node)
        if have >= HIGHEST or (held is None and self._has_no_room(node)):
            return ()
        held = held or self._hold(node)
        if neighbour not in held.followers:
            held.followers = (*held.followers, neighbour)
        if have >= held.version:
            self._heard_of_more(node, held, have)
        if have >= held.version:
            return ()
        if held.change is not None and held.change.base == have:
            return (held.change,)
        return self._parts_of(node, held)

    def _heard_of_more(self, node: NodeName, held: _Held, version: int) -> None:
        """Somebody has a version that is perhaps not here."""
        if node == self._me:
            self._outdo(version)
        elif version > max(held.version, held.ahead):
            held.ahead = version  # the node itself must hear of it
            self._wants.setdefault(node, NodeName(""))

    def silent(self, neighbour: NodeName, items: Iterable[SummaryContent]) -> None:
        """These perhaps did not reach a neighbour that is up: they are sent again, as they stand now."""
        for item in items:
            if isinstance(item, SummaryWanted):
                self._wants.setdefault(item.node, NodeName(""))
            elif not item.more:
                again = self.answer(neighbour, SummaryWanted(item.node, item.base))
                self._out.setdefault(neighbour, []).extend(again)

    def neighbour_down(self, neighbour: NodeName) -> None:
        """A link fell: nobody is told anything over it, and nothing more comes of what was asked for."""
        self._out.pop(neighbour, None)
        for node in [node for node, parts in self._parts.items() if parts.neighbour == neighbour]:
            del self._parts[node]
        for held in self._held.values():
            if neighbour in held.followers:
                held.followers = tuple(follower for follower in held.followers if follower != neighbour)

    def forget(self, nodes: Iterable[NodeName]) -> None:
        """These nodes are gone for good (`NodeTable.take_forgotten`)."""
        for node in nodes:
            if node != self._me:
                self._index.drop(node)
                for table in (self._held, self._wants, self._asked, self._parts):
                    table.pop(node, None)

    # What is told.

    @property
    def pending(self) -> bool:
        """Tell whether `take_updates` has anything to tell (but for what is asked again)."""
        return bool(self._out or self._wants or self._added or self._removed)

    def next_deadline(self) -> float | None:
        """Tell when something that did not come is to be asked for again; None: nothing is missing."""
        return next((asked + ASK_AGAIN for asked in self._asked.values()), None)

    def take_updates(self, now: float) -> dict[NodeName, tuple[SummaryContent, ...]]:
        """Take what each neighbour is to be told and asked; what changed here since the last time is a new version."""
        if self._added or self._removed:
            self._next_version()
        self._ask(now)
        out, self._out = self._out, {}
        return {neighbour: tuple(contents) for neighbour, contents in out.items()}

    def _ask(self, now: float) -> None:
        for node in [node for node, asked in self._asked.items() if asked + ASK_AGAIN <= now]:
            del self._asked[node]
            self._wants.setdefault(node, NodeName(""))
        for node, whom in self._wants.items():
            held = self._held[node]
            target = whom or held.hop
            if target:
                self._asked.pop(node, None)
                if whom or held.newest > held.version:
                    self._asked[node] = now
                out = self._out.setdefault(target, [])
                if held.ahead > held.version:
                    out.append(SummaryWanted(node, held.ahead))
                out.append(SummaryWanted(node, held.version))
        self._wants.clear()

    def _next_version(self) -> None:
        held = self._held[self._me]
        base = 0 if self._first else held.version
        held.version = max(held.version, self._start) + 1
        held.whole = held.change = None
        if base and len(self._added) + len(self._removed) <= PART:
            held.change = Summary(self._me, held.version, base, pack(self._added), pack(self._removed))
        self._first = False
        self._added, self._removed = set(), set()
        self._push(self._me, held, self._me)

    def _outdo(self, version: int) -> None:
        """Others may have a version from an earlier life of this node: go beyond it."""
        held = self._held[self._me]
        if version > held.version:
            held.version, held.change, held.whole = version + JUMP, None, None
            self._push(self._me, held, self._me)

    def _parts_of(self, node: NodeName, held: _Held) -> tuple[Summary, ...]:
        if held.whole is not None:
            return (held.whole,)
        packed = pack(self._own if node == self._me else self._index.get(node))
        size = PART * WIDTH
        pieces = [packed[at : at + size] for at in range(0, len(packed), size)] or [b""]
        last = len(pieces) - 1
        parts = tuple(
            Summary(node, held.version, 0, piece, more=number < last, part=number)
            for number, piece in enumerate(pieces)
        )
        if not last:
            held.whole = parts[0]
        return parts

    def _has_no_room(self, node: NodeName) -> bool:
        """Tell whether a neighbour speaks of one node more than there can be."""
        return node not in self._held and len(self._held) >= MOST_NODES

    def _hold(self, node: NodeName) -> _Held:
        held = self._held.get(node)
        if held is None:
            held = self._held[node] = _Held()
        return held

    def encoded_size(self) -> int:
        """Tell how many bytes the summaries of others take: name, version (4) and number (3), three bytes a hash."""
        return sum(len(node) + 8 + WIDTH * len(hashes) for node, hashes in self._index)


def _names(there: UserName | tuple[UserName, ...] | None) -> tuple[UserName, ...]:
    """Give the names behind one hash of this node: mostly one, stored bare."""
    return () if there is None else there if isinstance(there, tuple) else (there,)


def _flip(value: int, undone: set[int], done: set[int]) -> None:
    """Note a change since the last version; one that takes another back leaves nothing."""
    if value in undone:
        undone.discard(value)
    else:
        done.add(value)
