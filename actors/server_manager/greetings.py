"""Who may call, and who may be called: greetings judged, and what was not believed reported."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from actors.messages.links import Hello
from actors.messages.monitor import Level
from actors.messages.server_manager import LinkAnswered, LinkRequested
from actors.messages.sip_adapter import LinkReply
from actors.model import NodeName
from actors.server_manager.core import Core
from actors.state.link_auth import is_loopback
from actors.state.link_session import Sessions, Verdict

MAX_NAME = 32
NAME = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_NAME}}}")
"""What a node may be called."""
WILDCARDS = frozenset({"0.0.0.0", "::"})
REPORT_EVERY = 1.0
"""Seconds between two events about what was not believed: somebody else decides how often that happens."""


class Greetings:
    """Judges greetings, and addresses to call; says so when something is not what it claims to be.

    The hook `on_caller` is set by the actor: a caller has proved itself, and said where it can be called back.
    """

    def __init__(self, core: Core, sessions: Sessions) -> None:
        self._core = core
        self._sessions = sessions
        self.on_caller: Callable[[NodeName, str], None] = _nothing
        self.removed: dict[NodeName, None] = {}
        """Neighbours that an operator removed, the latest last: they do not come back by calling."""
        self._reported = float("-inf")
        self._unreported = 0

    def judge(self, request: LinkRequested, hello: Hello, *, known: bool, name: str, nonce: str) -> LinkReply:
        """Answer a greeting: with a session of that name, or with the reason why not."""
        proved = self._sessions.is_proved(request.frame, hello)
        problem = self._problem(request, hello, known=known, proved=proved)
        if not problem:
            session, welcome = self._sessions.open(hello, name, nonce, self._core.now())
            return LinkReply(
                transaction=request.transaction,
                status=200,
                frame=session.answer_frame(0, 200, welcome),
                content=welcome,
            )
        text = f"A greeting from {request.flow.host} in the name of {hello.node[:MAX_NAME]} was refused: {problem}"
        if proved:
            self._report(text)
        else:
            self._suspect(text)
        return LinkReply(transaction=request.transaction, status=403, reason=problem)

    def cannot_call(self, address: str) -> str:
        """Tell why an address cannot be called; empty: it can."""
        if not address:
            return "has no address: it must call us"
        problem = address_problem(address)
        if problem:
            return problem
        if not self._core.settings.secret and not is_loopback(urlsplit(address).hostname or ""):
            return "is beyond this machine, and there is no secret: give one with --neighbour-secret-file"
        return ""

    def suspect(self, request: LinkRequested, verdict: Verdict) -> None:
        """A request of a known session that is not believed."""
        self._suspect(f"A request from {request.flow.host} on a neighbour's link: {verdict}")

    def suspect_answer(self, node: NodeName, answer: LinkAnswered) -> None:
        """An answer that is not the neighbour's own."""
        self._suspect(f"An answer {answer.status} in the name of {node} that cannot be proved; it counts as none")

    def _problem(self, request: LinkRequested, hello: Hello, *, known: bool, proved: bool) -> str:
        core = self._core
        if not core.settings.secret and not is_loopback(request.flow.host):
            return f"{core.node} has no secret: only servers on its own machine may call"
        if hello.realm != core.settings.realm:
            return f"{core.node} belongs to another network: its realm is {core.settings.realm}"
        if not proved:
            return f"{core.node} has another secret"
        if hello.node == core.node:
            return f"two servers are called {core.node}, or this one called itself: each needs a --name of its own"
        if hello.to != core.node:
            return f"this is {core.node}, not {hello.to[:MAX_NAME]}"
        if self._is_another(hello):
            return f"two servers are called {hello.node}: each needs a --name of its own"
        if not NAME.fullmatch(hello.node):
            return "that is no name of a server"
        if hello.node in self.removed:
            return f"{core.node} was told to remove {hello.node}: 'angarium neighbour add' there takes it back"
        if not known and not hello.address:
            return f"{core.node} does not know {hello.node}, and is given no address to call it back"
        return ""

    def _is_another(self, hello: Hello) -> bool:
        """Tell whether one of that name, but with another data folder, is in conversation with us."""
        session, settings = self._sessions.of(hello.node), self._core.settings
        if session is None or session.incarnation == hello.incarnation:
            return False
        return self._core.now() - session.heard < settings.alive_after + settings.alive_seconds

    def _suspect(self, text: str) -> None:
        self._core.count("link_auth_failed_total")
        self._report(text)

    def _report(self, text: str) -> None:
        core, now = self._core, self._core.now()
        if now - self._reported < REPORT_EVERY:
            self._unreported += 1
            return
        more = f" (and {self._unreported} more)" if self._unreported else ""
        self._reported, self._unreported = now, 0
        core.event(Level.WARNING, "link-not-believed", text + more)


def address_problem(address: str) -> str:
    """Tell what is wrong with an address of a neighbour; empty: nothing."""
    try:
        parts = urlsplit(address)
        right = parts.scheme in ("tcp", "udp") and parts.hostname and parts.port and not parts.path
    except ValueError:
        right = False
    return "" if right else f"'{address}' is no address: write tcp://HOST:PORT or udp://HOST:PORT"


def reachable(address: str, source: str) -> str:
    """Put the host that a greeting came from in place of a wildcard: one who listens everywhere names nowhere."""
    parts = urlsplit(address)
    if parts.hostname not in WILDCARDS:
        return address
    host = f"[{source}]" if ":" in source else source
    return f"{parts.scheme}://{host}:{parts.port}"


def _nothing(node: NodeName, address: str) -> None:
    """Nobody has set this hook."""
