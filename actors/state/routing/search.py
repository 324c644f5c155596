"""Searches for the home of a name: one token walks the network depth first, and each node keeps a record of it.

Theory of operation (PROTOCOL 22). A node that gets a search answers at once if the name's home is here, or if it has a
record of that search already: then this edge of the network is answered. Else it asks its neighbours one after the
other, each with the budget that is left: first those on the way to a node that may have the name, then those that the
filter does not know, then the rest; never the one it was asked by, nor one that asked it meanwhile (that one has a
record). When all have answered it steps back. "Unknown" says that every edge behind was answered. A neighbour that is
down or silent, a record that found no room, a budget or a time that is spent make it "incomplete". The filter is a hint
only: whom it hides wrongly is asked last, not never.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from actors.messages.links import SearchAnswer, SearchStep
from actors.model import NodeName, UserName, Value
from actors.state.routing.bloom import LARGEST, empty_filter, merged, probably_in, with_node
from actors.state.timers import Deadlines

FOUND = "found"
UNKNOWN = "unknown"
INCOMPLETE = "incomplete"
ROUND_TRIP = 2
"""Requests that asking one neighbour costs: the step, and its answer."""
LIMIT = 10_000
"""Records at most; searches that find no room are answered "incomplete"."""
LONGEST = 60.0
"""Seconds that a search of somebody else is kept here at most."""


class SearchEnded(Value, frozen=True, gc=False):
    """The end of a search that began here."""

    search: str
    name: UserName
    found: bool
    complete: bool
    """Not found, and every edge answered: nobody has the name."""
    home: NodeName = NodeName("")
    epoch: int = 0
    neighbour: NodeName = NodeName("")
    """The neighbour that brought the answer."""
    hops: int = 0
    """Hand-overs to the home, on the way that the search took."""
    spent: int = 0
    """Requests between servers that it cost, answers included."""


class _Record(msgspec.Struct, gc=False):
    """What this node knows of one search."""

    search: str
    name: UserName
    origin: NodeName
    parent: NodeName
    """Who asked; empty: it began here."""
    budget: int
    given: int
    """The budget at its beginning here."""
    deadline: float
    hops: int
    seen: bytes
    hints: tuple[NodeName, ...]
    done: set[NodeName]
    """Neighbours that need not be asked (any more)."""
    waiting: NodeName = NodeName("")
    """The neighbour that has the token."""
    incomplete: bool = False
    over: bool = False


def _nodes_unknown() -> int:
    return 1000


class Searches:
    """The searches that passed here or began here, each until its deadline. Times are monotonic seconds."""

    def __init__(
        self,
        me: NodeName,
        *,
        neighbours: Mapping[NodeName, bool],
        ours: Callable[[UserName], int],
        hints: Callable[[UserName, float], Iterable[NodeName]],
        nodes: Callable[[], int] = _nodes_unknown,
        first: int = 1,
        limit: int = LIMIT,
    ) -> None:
        """`neighbours` are those registered, and whether each is up: a live view. `ours` gives the epoch by which this
        node is the home of a name, 0 if it is not; `hints` the neighbours to ask first; `nodes` about how many nodes
        there are. `first` numbers the first search: drawn at random, so that names differ from life to life."""
        self._me = me
        self._neighbours = neighbours
        self._ours = ours
        self._hints = hints
        self._nodes = nodes
        self._number = first
        self._limit = limit
        self._records: dict[str, _Record] = {}
        self._deadlines = Deadlines[str]()
        self._out: list[tuple[NodeName, SearchStep | SearchAnswer]] = []
        self._ended: list[SearchEnded] = []

    # What happens.

    def start(self, name: UserName, now: float, budget: int, seconds: float) -> str:
        """Begin a search, and give its name; whether this node has the name itself does not count."""
        search = f"{self._me}.{self._number:x}"
        self._number += 1
        seen = empty_filter(self._nodes())
        step = SearchStep(search, name, self._me, budget, seconds, 0, seen)
        self._go_on(self._record(step, NodeName(""), now), now)
        return search

    def step(self, neighbour: NodeName, step: SearchStep, now: float) -> None:
        """A neighbour asks."""
        epoch = self._ours(step.name)
        record = self._records.get(step.search)
        if record is not None:
            if neighbour != record.parent:  # the one who asked first is answered when this branch is done
                record.done.add(neighbour)
                self._reply(neighbour, step, UNKNOWN)
        elif epoch:
            answer = SearchAnswer(step.search, step.name, FOUND, step.budget, self._me, epoch, 0, step.seen)
            self._out.append((neighbour, answer))
        elif step.seconds <= 0 or len(self._records) >= self._limit:
            self._reply(neighbour, step, INCOMPLETE)
        else:
            self._go_on(self._record(step, neighbour, now), now)

    def answer(self, neighbour: NodeName, answer: SearchAnswer, now: float) -> None:
        """A neighbour steps back, or has found it; an answer that nobody waits for counts only if it found."""
        record = self._records.get(answer.search)
        if record is None or record.over or neighbour == record.parent:
            return
        if answer.found == FOUND and answer.home and answer.epoch > 0 and neighbour in record.done:
            self._found(record, neighbour, answer)
        elif record.waiting == neighbour:
            record.budget = max(0, min(record.budget, answer.budget))
            record.seen = merged(record.seen, answer.seen) if 0 < len(answer.seen) <= LARGEST else record.seen
            record.incomplete |= answer.found != UNKNOWN
            self._go_on(record, now)

    def silent(self, neighbour: NodeName, step: SearchStep, now: float) -> None:
        """This step did not reach the neighbour, or only perhaps: go on without it."""
        record = self._records.get(step.search)
        if record is not None and not record.over and record.waiting == neighbour:
            record.incomplete = True
            self._go_on(record, now)

    def neighbour_down(self, neighbour: NodeName, now: float) -> None:
        """A link fell: what it was asked is not answered any more."""
        for record in [record for record in self._records.values() if record.waiting == neighbour and not record.over]:
            record.incomplete = True
            self._go_on(record, now)

    def due(self, now: float) -> None:
        """End what has taken too long, and forget it."""
        for search in self._deadlines.due(now):
            record = self._records.pop(search)
            if not record.over:
                record.incomplete = True
                self._end(record)

    # What comes of it.

    def next_deadline(self) -> float | None:
        """Tell when `due` has something to do; None: never."""
        return self._deadlines.next()

    def take_contents(self) -> tuple[tuple[NodeName, SearchStep | SearchAnswer], ...]:
        """Take what is to be told, and to which neighbour, in order."""
        out, self._out = self._out, []
        return tuple(out)

    def take_ended(self) -> tuple[SearchEnded, ...]:
        """Take the searches of this node that ended."""
        ended, self._ended = self._ended, []
        return tuple(ended)

    def __len__(self) -> int:
        """How many searches there are records of."""
        return len(self._records)

    # How it goes on.

    def _record(self, step: SearchStep, parent: NodeName, now: float) -> _Record:
        record = _Record(
            search=step.search,
            name=step.name,
            origin=step.origin,
            parent=parent,
            budget=step.budget,
            given=step.budget,
            deadline=now + min(step.seconds, LONGEST),
            hops=step.hops,
            seen=with_node(step.seen if len(step.seen) <= LARGEST else b"", step.search, self._me),
            hints=tuple(self._hints(step.name, now)),
            done={parent} if parent else set(),
        )
        self._records[step.search] = record
        self._deadlines.set(step.search, record.deadline)
        return record

    def _go_on(self, record: _Record, now: float) -> None:
        """Ask the next neighbour, or step back."""
        record.waiting = NodeName("")
        target = self._next(record)
        if target is None:
            record.incomplete |= any(not up and node not in record.done for node, up in self._neighbours.items())
            self._end(record)
            return
        if record.budget < ROUND_TRIP:
            record.incomplete = True
            self._end(record)
            return
        record.budget -= ROUND_TRIP
        record.waiting = target
        record.done.add(target)
        left = record.deadline - now
        step = SearchStep(record.search, record.name, record.origin, record.budget, left, record.hops + 1, record.seen)
        self._out.append((target, step))

    def _next(self, record: _Record) -> NodeName | None:
        open_ones = [node for node, up in self._neighbours.items() if up and node not in record.done]
        for node in record.hints:
            if node in open_ones:
                return node
        for node in open_ones:
            if not probably_in(record.seen, record.search, node):
                return node
        return open_ones[0] if open_ones else None

    def _end(self, record: _Record) -> None:
        record.over = True
        record.waiting = NodeName("")
        if record.parent:
            found = INCOMPLETE if record.incomplete else UNKNOWN
            answer = SearchAnswer(record.search, record.name, found, record.budget, seen=record.seen)
            self._out.append((record.parent, answer))
        else:
            spent = record.given - record.budget
            self._ended.append(
                SearchEnded(record.search, record.name, found=False, complete=not record.incomplete, spent=spent)
            )

    def _found(self, record: _Record, neighbour: NodeName, answer: SearchAnswer) -> None:
        record.over = True
        record.waiting = NodeName("")
        record.budget = max(0, min(record.budget, answer.budget))
        if record.parent:
            back = msgspec.structs.replace(answer, hops=answer.hops + 1, budget=record.budget)
            self._out.append((record.parent, back))
            return
        self._ended.append(
            SearchEnded(
                search=record.search,
                name=record.name,
                found=True,
                complete=False,
                home=answer.home,
                epoch=answer.epoch,
                neighbour=neighbour,
                hops=answer.hops + 1,
                spent=record.given - record.budget,
            )
        )

    def _reply(self, neighbour: NodeName, step: SearchStep, found: str) -> None:
        answer = SearchAnswer(step.search, step.name, found, step.budget, seen=step.seen)
        self._out.append((neighbour, answer))
