"""The links to all neighbours: opened, greeted, kept alive, and every request and answer on them proved."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, get_args

from actors.messages.links import Alive, Hello, LinkAnswer, LinkContent, Relay
from actors.messages.server_manager import LinkAnswered, LinkRequested
from actors.messages.sip_adapter import (
    AnswerLinkRequests,
    CloseLink,
    LinkReply,
    LinkRequest,
    OpenLink,
    SendLinkRequests,
)
from actors.model import NodeName
from actors.server_manager.core import Core, Timer
from actors.server_manager.greetings import Greetings, reachable
from actors.state.link_auth import root_key
from actors.state.link_session import LinkState, OutgoingLink, Sessions, Verdict

GRACE = 5.0
"""Seconds after which a request ends by itself, if the SIP border does not tell how it ended."""

Done = Callable[[LinkAnswered], None]


class Flight(NamedTuple):
    """A request under way on a link."""

    node: NodeName
    frame: int
    """Its number within the session."""
    done: Done
    judged: bool
    """No answer in time means that the link has fallen."""
    deadline: float
    """Monotonic: by then the SIP border has told how it ended."""


class Line:
    """A link to a neighbour with what hangs on it."""

    def __init__(self, link: OutgoingLink, address: str, wall: float) -> None:
        self.link = link
        self.address = address
        self.since = wall
        """Wall-clock seconds of the last change between up and down."""
        self.flights: dict[int, None] = {}
        self.timer: Timer | None = None
        """To dial, or to give up dialling, or to ask for a sign of life: as the state has it."""


class Links:
    """Knows which neighbours can be sent to, and believes only what is proved (PROTOCOL 26).

    The hooks are set by the actor: `on_up` once a link stands, `on_down` once it has fallen (after each request that
    was on it got its `done`), `on_removed` after that. Hooks and late `done` run from `calls`, which the actor empties.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.on_up: Callable[[NodeName], None] = _nothing
        self.on_down: Callable[[NodeName, str], None] = _nothing_for
        self.on_removed: Callable[[NodeName], None] = _nothing
        self.calls: list[Callable[[], None]] = []
        self._address: str | None = None
        """Where we can be called; None: the network is not open yet."""
        self._root = root_key(core.settings.secret, core.settings.realm)
        self._sessions = Sessions(core.node, self._root)
        self.greetings = Greetings(core, self._sessions)
        self._lines: dict[NodeName, Line] = {}
        self._flights: dict[int, Flight] = {}
        self._numbers = itertools.count(1)
        self._alive: dict[NodeName, None] = {}
        self._ending: Flight | None = None
        self._requests: list[LinkRequest] = []
        self._replies: list[LinkReply] = []

    # What the other parts use.

    def up(self, node: NodeName) -> bool:
        """Tell whether this neighbour can be sent to."""
        line = self._lines.get(node)
        return line is not None and line.link.state is LinkState.UP

    def all_up(self) -> tuple[NodeName, ...]:
        """Name the neighbours that can be sent to."""
        return tuple(sorted(node for node in self._lines if self.up(node)))

    def send(self, node: NodeName, content: LinkContent, done: Done, seconds: float) -> None:
        """Send a request to a neighbour that is up; `done` is called exactly once, never from within this call.

        `answered` is True only for an answer that was proved. A neighbour that is not up, a link that falls meanwhile,
        no answer in time, and one that cannot be proved (the link may stand then): all end with `answered` False.
        So does a request that is too large to go out: with status 513, and nobody has seen it.
        """
        line = self._lines.get(node)
        if line is None or line.link.state is not LinkState.UP:
            self.calls.append(partial(done, _unanswered(0, "the link is down")))
            return
        frame = line.link.frame(content)
        number = next(self._numbers)
        judged = not isinstance(content, Relay)
        self._fly(line, number, Flight(node, frame.number, done, judged, self._core.now() + seconds + GRACE))
        self._requests.append(LinkRequest(number=number, node=node, frame=frame, content=content, seconds=seconds))
        self._core.count(_COUNTERS[type(content)])

    def answer(
        self,
        request: LinkRequested,
        status: int,
        reason: str = "",
        content: LinkAnswer | None = None,
        retry_after: int = 0,
    ) -> None:
        """Answer a neighbour's request that was believed; handed on at the next flush."""
        session = self._sessions.named(request.frame.session)
        if session is None:  # the neighbour has greeted anew, or was removed: nothing to prove an answer with
            self.refuse(request, 481, "Session is over")
            return
        frame = session.answer_frame(request.frame.number, status, content)
        self._replies.append(LinkReply(request.transaction, status, reason, frame, content, retry_after))

    def refuse(self, request: LinkRequested, status: int, reason: str) -> None:
        """Answer a request that is not believed: without proof."""
        self._replies.append(LinkReply(request.transaction, status, reason))

    # Neighbours come and go.

    def open_network(self, address: str) -> None:
        """Links may be opened from now on; neighbours reach this node at `address`."""
        self._address = address or self._core.settings.address
        for line in self._lines.values():
            if line.link.state is LinkState.DOWN:
                self._dial(line)

    def add(self, node: NodeName, address: str) -> None:
        """Keep a link to this neighbour from now on, or to its new address; an empty one: wait until it calls."""
        line = self._lines.get(node)
        if line is None:
            settings = self._core.settings
            link = OutgoingLink(
                self._core.node,
                node,
                self._root,
                retry_first=settings.retry_first,
                retry_most=settings.retry_most,
            )
            line = self._lines[node] = Line(link, "", self._core.clock.wall())
        if address == line.address and address:
            return
        line.address = address
        if line.link.state is not LinkState.DOWN:
            self._fall(line, "has a new address")
        self._dial(line)

    def remove(self, node: NodeName) -> None:
        """Keep no link to it any more, and believe nothing of it."""
        line = self._lines.get(node)
        if line is not None:
            self._fall(line, "removed")
            _cancel(line)
            del self._lines[node]
        self._sessions.close(node)
        self.calls.append(partial(self.on_removed, node))

    def line(self, node: NodeName) -> Line | None:
        """Give what there is of a link, to look at."""
        return self._lines.get(node)

    def hears(self, node: NodeName) -> bool:
        """Tell whether the neighbour has an open session towards us, and has lately used it."""
        session = self._sessions.of(node)
        silent = self._core.settings.alive_after + self._core.settings.alive_seconds
        return session is not None and self._core.now() - session.heard < 2 * silent

    # What the SIP border tells.

    def opened(self, node: NodeName) -> None:
        """The way is open: greet."""
        line = self._lines.get(node)
        if line is None or line.link.state in (LinkState.UP, LinkState.GREETING):
            return
        core, settings = self._core, self._core.settings
        frame, hello = line.link.greet(
            realm=settings.realm, nonce=self._draw(), address=self._address or "", incarnation=core.incarnation
        )
        _cancel(line)
        number = next(self._numbers)
        wait = settings.control_seconds + GRACE
        self._fly(line, number, Flight(node, 0, partial(self._welcomed, line), False, core.now() + wait))
        line.timer = core.after(wait, partial(self._not_stood, line, "does not answer"))
        self._requests.append(
            LinkRequest(number=number, node=node, frame=frame, content=hello, seconds=settings.control_seconds)
        )
        core.count(_COUNTERS[Hello])

    def closed(self, node: NodeName, reason: str) -> None:
        """The way could not be opened, or is gone."""
        line = self._lines.get(node)
        if line is not None and line.link.state is not LinkState.DOWN:
            self._fall(line, reason or "closed", close=False)

    def ended(self, answer: LinkAnswered) -> None:
        """A request came to its end; one that is not known any more ended before, with its link."""
        self._ending = flight = self._flights.pop(answer.number, None)
        if flight is None:
            return
        line = self._lines[flight.node]
        line.flights.pop(answer.number, None)
        if flight.frame == 0:  # the greeting
            flight.done(answer)
            return
        if answer.answered and not line.link.believes(flight.frame, answer, self._core.now()):
            answer = self._unproved(line, answer)
        elif not answer.answered and flight.judged and answer.status != 513:  # which is too large, and never went out
            self._fall(line, "does not answer" if answer.status == 408 else answer.reason or "cannot be reached")
        flight.done(answer)

    def end_failed(self, answer: LinkAnswered) -> None:
        """Whoever waited for this end failed on it: to him there was no answer."""
        if self._ending is not None:
            self.calls.append(partial(self._ending.done, _unanswered(answer.number, "the server failed on its answer")))
            self._ending = None

    def believed(self, request: LinkRequested) -> NodeName | None:
        """Tell which neighbour a request is from; None: it is not believed, and was answered so."""
        session = self._sessions.judge(request.frame, request.content, self._core.now())
        if isinstance(session, Verdict):
            if session is Verdict.UNKNOWN:
                self.refuse(request, 481, "No such session")
            else:
                self.greetings.suspect(request, session)
                self.refuse(request, 403, "Not believed")
            return None
        if not session.introduced:
            session.introduced = True
            self.greetings.on_caller(session.node, reachable(session.address, request.flow.host))
        self._alive[session.node] = None
        return session.node

    def greeted(self, request: LinkRequested, hello: Hello) -> None:
        """A neighbour's greeting."""
        known = hello.node in self._lines
        self._replies.append(self.greetings.judge(request, hello, known=known, name=self._draw(), nonce=self._draw()))

    # Handing on.

    def revive(self) -> None:
        """Dial those that have shown life over their own links: the back-off is over."""
        alive, self._alive = self._alive, {}
        for node in alive:
            line = self._lines.get(node)
            if line is not None and line.link.revive(self._core.now()):
                self._dial(line)

    def flush(self) -> None:
        """Hand requests and answers to the SIP border."""
        if self._requests:
            requests, self._requests = tuple(self._requests), []
            self._core.refs.sip_adapter.tell(SendLinkRequests(items=requests))
        if self._replies:
            replies, self._replies = tuple(self._replies), []
            self._core.refs.sip_adapter.tell(AnswerLinkRequests(items=replies))

    # The life of a link.

    def _dial(self, line: Line) -> None:
        _cancel(line)
        problem = self.greetings.cannot_call(line.address)
        if self._address is None and not problem:
            problem = "not called yet"
        if problem:
            line.link.reason = problem
            return
        self.flush()  # nothing written before may come after
        line.link.dial(self._core.now())
        line.timer = self._core.after(
            self._core.settings.open_seconds, partial(self._not_stood, line, "cannot be opened")
        )
        self._core.refs.sip_adapter.tell(OpenLink(node=line.link.node, address=line.address))

    def _not_stood(self, line: Line, reason: str) -> None:
        if line.link.state is not LinkState.UP:
            self._fall(line, reason)

    def _welcomed(self, line: Line, answer: LinkAnswered) -> None:
        if line.link.state is not LinkState.GREETING:
            return
        problem = line.link.welcome(answer, self._core.now())
        if problem:
            self._fall(line, problem)
            return
        line.since = self._core.clock.wall()
        self._ask_for_life(line)  # at once: it proves to the other side that our greeting was no recording
        self.calls.append(partial(self.on_up, line.link.node))

    def _ask_for_life(self, line: Line) -> None:
        settings = self._core.settings
        self.send(line.link.node, Alive(), _ignore, settings.alive_seconds)
        _cancel(line)
        line.timer = self._core.after(settings.alive_after, partial(self._silence, line))

    def _silence(self, line: Line) -> None:
        """Perhaps the link was silent for so long."""
        self._end_overdue(line)
        if line.link.state is not LinkState.UP:
            return
        left = line.link.heard + self._core.settings.alive_after - self._core.now()
        if left > 0:
            line.timer = self._core.after(left, partial(self._silence, line))
        else:
            self._ask_for_life(line)

    def _end_overdue(self, line: Line) -> None:
        now = self._core.now()
        for number in [number for number in line.flights if self._flights[number].deadline <= now]:
            self.ended(_unanswered(number, "no answer", 408))

    def _unproved(self, line: Line, answer: LinkAnswered) -> LinkAnswered:
        """An answer that is not the neighbour's, as far as can be told: it counts as none."""
        if answer.status == 481 and not answer.frame.mac:  # it may have restarted, and knows no session any more
            self._fall(line, "does not know our session")
        elif answer.status != 503 or answer.frame.mac:  # its border sheds without a proof
            self.greetings.suspect_answer(line.link.node, answer)
            if line.link.is_talking_nonsense:
                self._fall(line, "its answers cannot be proved")
        return _unanswered(answer.number, answer.reason, answer.status, answer.retry_after)

    def _fall(self, line: Line, reason: str, *, close: bool = True) -> None:
        """The link is no more: all that was under way on it ends, and it is dialled again after a while."""
        link, core = line.link, self._core
        if link.state is LinkState.DOWN:
            return
        was_up = link.state is LinkState.UP
        _cancel(line)
        wait = link.fall(reason, core.now(), core.random)
        line.timer = core.after(wait, partial(self._dial, line))
        flights, line.flights = line.flights, {}
        for number in flights:
            flight = self._flights.pop(number)
            self.calls.append(partial(flight.done, _unanswered(number, reason)))
        if was_up:
            line.since = core.clock.wall()
            self.calls.append(partial(self.on_down, link.node, reason))
        self.flush()
        if close:
            core.refs.sip_adapter.tell(CloseLink(node=link.node))

    def _fly(self, line: Line, number: int, flight: Flight) -> None:
        self._flights[number] = flight
        line.flights[number] = None

    def _draw(self) -> str:
        return self._core.random.getrandbits(128).to_bytes(16, "big").hex()


def _cancel(line: Line) -> None:
    if line.timer is not None:
        line.timer.cancel()
        line.timer = None


def _unanswered(number: int, reason: str, status: int = 503, retry_after: int = 0) -> LinkAnswered:
    return LinkAnswered(number=number, status=status, answered=False, reason=reason, retry_after=retry_after)


def _kinds() -> dict[type, str]:
    kinds = {}
    for kind in get_args(LinkContent):
        kinds[kind] = f'link_requests_total{{kind="{kind.__struct_config__.tag}"}}'
    return kinds


_COUNTERS = _kinds()
"""The counter of each kind of request."""


def _nothing(node: NodeName) -> None:
    """Nobody has set this hook."""


def _nothing_for(node: NodeName, reason: str) -> None:
    """Nobody has set this hook."""


def _ignore(answer: LinkAnswered) -> None:
    """The answer itself was the sign of life."""
