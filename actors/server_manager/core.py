"""What the parts of ServerManager share: whom to tell, keys and time, open questions, timers, and what to report."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import msgspec

from actors.messages.client_manager import ClientManagerCommand
from actors.messages.monitor import CountFacts, JourneySteps, Level, MonitorCommand, ReportEvent
from actors.messages.router import RouterCommand
from actors.messages.server_manager import ServerManagerCommand
from actors.messages.sip_adapter import SipAdapterCommand
from actors.messages.storage import SavedNeighbour, StorageCommand
from actors.model import MessageId, NodeName, Step
from actors.ports import Clock
from actors.ref import Ref
from actors.state.log_lines import LogLimit


class LinkSettings(msgspec.Struct, frozen=True):
    """Who this node is among its neighbours, and how long it waits for them. Times in seconds."""

    node: NodeName = NodeName("node")
    realm: str = "angarium"
    secret: bytes = b""
    """Shared by all nodes of the network; empty: links on loopback only."""
    neighbours: tuple[SavedNeighbour, ...] = ()
    """From the configuration: their addresses win over remembered ones."""
    address: str = ""
    """Where this node listens for links, `tcp://HOST:PORT`, told to those it greets; empty: nobody can call back."""
    alive_after: float = 10.0
    """A link without traffic for so long is asked for a sign of life."""
    alive_seconds: float = 5.0
    open_seconds: float = 10.0
    """How long opening the way may take."""
    control_seconds: float = 5.0
    """How long the answer to a greeting, or to what Routers tell each other, is waited for."""
    carry_seconds: float = 10.0
    retry_first: float = 0.2
    """The first back-off of a link that fell; it doubles up to `retry_most`, and is drawn from 0 to that."""
    retry_most: float = 30.0
    alarm_after: float = 60.0
    """A neighbour that is down for longer is an alarm."""
    expiry_interval: float = 1.0
    """How often the store is asked for messages whose life has ended."""


class References(msgspec.Struct, frozen=True):
    """Whom ServerManager tells."""

    me: Ref[ServerManagerCommand]
    router: Ref[RouterCommand]
    storage: Ref[StorageCommand]
    sip_adapter: Ref[SipAdapterCommand]
    client_manager: Ref[ClientManagerCommand]
    monitor: Ref[MonitorCommand]


class Question(NamedTuple):
    """What a request to Router or Storage was about: who takes its answer, and who makes good that none came."""

    answered: Callable[[Any], None]
    """Given the answer: the whole message."""
    failed: Callable[[str], None]
    """Given the reason: the receiver failed on the request, nothing of it was done."""
    broken: Callable[[str], None] | None = None
    """Given the reason: it was done, but `answered` raised. None: `failed` serves for that too."""


class Timer:
    """A call that is due at a moment, unless it is cancelled before."""

    __slots__ = ("call", "due")

    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Forget the call; a second time does nothing."""
        self.call = None


class Core:
    """Shared by the parts; one thread uses it. What comes from the store is there before any part is asked anything."""

    node_key: bytes = b""
    incarnation: str = ""
    node_offset: float = 0.0

    def __init__(self, refs: References, settings: LinkSettings, clock: Clock, random: Random) -> None:
        self.refs = refs
        self.settings = settings
        self.node = settings.node
        self.clock = clock
        self.random = random
        self._numbers = itertools.count(1)
        self._pending: dict[int, Question] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._steps: dict[Step, tuple[list[MessageId], list[str]]] = {}
        self._events: list[tuple[Level, str, str, str]] = []
        self._counts: dict[str, float] = {}
        self._warnings = LogLimit()

    # Questions to Router and Storage.

    def expect(
        self,
        answered: Callable[[Any], None],
        failed: Callable[[str], None],
        broken: Callable[[str], None] | None = None,
    ) -> int:
        """Remember who takes an answer (see `Question`); gives the number for the request."""
        number = next(self._numbers)
        self._pending[number] = Question(answered, failed, broken)
        return number

    def asked(self, request: int) -> Question | None:
        """Tell what a request was about; None for one that nobody waits for."""
        return self._pending.get(request)

    def answered(self, request: int) -> Question | None:
        """Take what a request was about, once its answer has been served; None: nobody waits for it any more."""
        return self._pending.pop(request, None)

    # Time.

    def now(self) -> float:
        """Monotonic seconds."""
        return self.clock.monotonic()

    def node_time(self) -> float:
        """Node time: what lives and expiries are measured in."""
        return self.clock.monotonic() + self.node_offset

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Make this call in so many seconds; what it raises is contained and reported, and it is not repeated."""
        timer = Timer(self.now() + max(0.0, seconds), call)
        heapq.heappush(self._timers, (timer.due, next(self._numbers), timer))
        return timer

    def due(self) -> list[Timer]:
        """Take the timers whose moment has come, by time."""
        now, taken = self.now(), []
        while self._timers and self._timers[0][0] <= now:
            timer = heapq.heappop(self._timers)[2]
            if timer.call is not None:
                taken.append(timer)
        return taken

    def next_due(self) -> float | None:
        """When the next timer is due; None: none is set."""
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    # Reports: gathered, and told to Monitor by `report`.

    def step(self, step: Step, message: MessageId, detail: str = "") -> None:
        """Note a step of a message's journey."""
        ids, details = self._steps.setdefault(step, ([], []))
        ids.append(message)
        details.append(detail)

    def event(self, level: Level, kind: str, text: str, message_id: str = "") -> None:
        """Note something for the operator."""
        self._events.append((level, kind, text, message_id))

    def warn(self, kind: str, text: str, message_id: str = "") -> None:
        """Note a failure for the operator: a few a minute, of however many there are."""
        held_back = self._warnings.allow(kind, self.now())
        if held_back is not None:
            more = f" ({held_back} more before it)" if held_back else ""
            self.event(Level.WARNING, kind, text + more, message_id)

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter: a Prometheus name without prefix, labels included."""
        self._counts[name] = self._counts.get(name, 0) + amount

    def report(self) -> None:
        """Tell Monitor what was noted since the last time."""
        monitor, wall = self.refs.monitor, self.clock.wall()
        steps, self._steps = self._steps, {}
        for step, (ids, details) in steps.items():
            monitor.tell(JourneySteps(at=wall, step=step, ids=tuple(ids), details=tuple(details)))
        counts, self._counts = self._counts, {}
        if counts:
            monitor.tell(CountFacts(counts=tuple(counts.items())))
        events, self._events = self._events, []
        for level, kind, text, message_id in events:
            monitor.tell(ReportEvent(at=wall, level=level, kind=kind, text=text, message_id=message_id))
