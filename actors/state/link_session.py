"""Sessions between two servers: one link to a neighbour as a state machine, and what neighbours' links come to. Pure.

A node sends its requests to a neighbour over its own link only; the neighbour's requests come over the neighbour's. So
a link has one caller and one callee, and each of them one half of this file.

The caller's half, `OutgoingLink`:

    DOWN --dial--> OPENING --greet--> GREETING --welcome--> UP
      ^---------------- fall, from any of them ----------'

The callee's half, `Sessions`: a greeting opens a session that counts for nothing until its first request has proved
that the greeting was no recording; with that it takes the place of the caller's session before.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from random import Random

from actors.messages.links import Frame, Hello, LinkAnswer, LinkContent, Welcome
from actors.messages.server_manager import LinkAnswered
from actors.model import NodeName
from actors.state.link_auth import answer_mac, greeting_mac, request_mac, same, session_key

WINDOW = 1024
"""Numbers behind the highest one that a session still tells apart: requests over datagrams may overtake."""
PENDING = 4
"""Greetings of one caller that may be open at once: a recorded one must not push the true one out."""
ALL_PENDING = 256
STEADY = 1.0
"""Seconds that a link must have stood for its next back-off to be the first one again."""
UNPROVED = 3
"""So many answers in a row that cannot be proved, and the link falls."""


class LinkState(StrEnum):
    """Where a link to a neighbour stands."""

    DOWN = "down"
    OPENING = "opening"
    GREETING = "greeting"
    UP = "up"


class OutgoingLink:
    """Our link to one neighbour. Times are monotonic seconds; nonces are handed in."""

    def __init__(self, me: NodeName, node: NodeName, root: bytes, *, retry_first: float, retry_most: float) -> None:
        self.node = node
        self.state = LinkState.DOWN
        self.reason = "not yet called"
        """Why it is not up."""
        self.heard = 0.0
        """When the last answer was believed."""
        self.dialled = float("-inf")
        self._me = me
        self._root = root
        self._retry_first = retry_first
        self._retry_most = retry_most
        self._attempts = 0
        self._stood_since = 0.0
        self._session = ""
        self._key = b""
        self._nonce = ""
        self._number = 0
        self._unproved = 0

    def dial(self, now: float) -> None:
        """The way is being opened."""
        self.state = LinkState.OPENING
        self.dialled = now

    def greet(self, *, realm: str, nonce: str, address: str, incarnation: str) -> tuple[Frame, Hello]:
        """The way is open: say who calls."""
        self.state = LinkState.GREETING
        self._nonce = nonce
        hello = Hello(node=self._me, to=self.node, realm=realm, nonce=nonce, address=address, incarnation=incarnation)
        return Frame(mac=greeting_mac(self._root, hello)), hello

    def welcome(self, answer: LinkAnswered, now: float) -> str:
        """The greeting was answered: the link is up, or the reason why not is given."""
        content, frame = answer.content, answer.frame
        if not answer.answered:
            return "does not answer"
        if answer.status != 200:
            return f"refuses us: {answer.status} {answer.reason}"[:200]
        if not isinstance(content, Welcome) or content.node != self.node:
            return "its answer to our greeting is not valid"
        key = session_key(self._root, self._me, self.node, self._nonce, content.nonce)
        if frame.session != content.session or not same(
            frame.mac, answer_mac(key, content.session, frame.number, answer.status, content)
        ):
            return "its answer to our greeting cannot be proved: is its secret another one?"
        self._session, self._key = content.session, key
        self._number = 0
        self._unproved = 0
        self.state = LinkState.UP
        self.reason = ""
        self.heard = self._stood_since = now
        return ""

    def frame(self, content: LinkContent) -> Frame:
        """Number and prove the next request."""
        self._number += 1
        mac = request_mac(self._key, self._session, self._number, content)
        return Frame(session=self._session, number=self._number, mac=mac)

    def believes(self, number: int, answer: LinkAnswered, now: float) -> bool:
        """Tell whether a final answer to the request of that number is the neighbour's own."""
        frame = answer.frame
        proved = (
            frame.session == self._session
            and frame.number == number
            and same(frame.mac, answer_mac(self._key, frame.session, number, answer.status, answer.content))
        )
        if proved:
            self.heard = now
            self._unproved = 0
        elif answer.status != 503 or frame.mac:  # its border sheds without a proof
            self._unproved += 1
        return proved

    @property
    def is_talking_nonsense(self) -> bool:
        """Tell whether too many answers in a row could not be proved."""
        return self._unproved >= UNPROVED

    def fall(self, reason: str, now: float, random: Random) -> float:
        """The link is no more; gives the seconds until the next try (full jitter, doubling)."""
        if self.state is LinkState.UP and now - self._stood_since >= STEADY:
            self._attempts = 0
        self.state = LinkState.DOWN
        self.reason = reason
        most = min(self._retry_most, self._retry_first * 2.0 ** min(self._attempts, 30))
        self._attempts += 1
        return random.uniform(0.0, most)

    def revive(self, now: float) -> bool:
        """The neighbour lives, as something authentic shows: the back-off begins anew; True: dial at once."""
        if self.state is LinkState.UP:
            return False
        self._attempts = 0
        return self.state is LinkState.DOWN and now - self.dialled >= STEADY


class ReplayWindow:
    """Which numbers have been seen: each one counts once; those too far behind the highest do not count."""

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0

    def take(self, number: int) -> bool:
        """Take a number; False: it has been taken before, or is too old to tell."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & ((1 << WINDOW) - 1) if ahead < WINDOW else 1
            self._highest = number
            return True
        bit = 1 << -ahead if -ahead < WINDOW else 0
        if not bit or number <= 0 or self._seen & bit:
            return False
        self._seen |= bit
        return True


class Session:
    """One session of a neighbour's link to us."""

    def __init__(self, name: str, hello: Hello, key: bytes, now: float) -> None:
        self.name = name
        self.node = hello.node
        self.address = hello.address
        self.incarnation = hello.incarnation
        self.key = key
        self.heard = now
        self.proved = False
        """A request of it has been believed."""
        self.introduced = False
        """Whoever keeps neighbours knows of it."""
        self.window = ReplayWindow()

    def answer_frame(self, number: int, status: int, content: LinkAnswer | None) -> Frame:
        """Prove an answer to the request of that number."""
        return Frame(session=self.name, number=number, mac=answer_mac(self.key, self.name, number, status, content))


class Verdict(StrEnum):
    """Why a request is not believed."""

    UNKNOWN = "unknown session"
    FORGED = "wrong MAC"
    REPEATED = "repeated"


class Sessions:
    """All sessions towards us, by their names and by neighbour."""

    def __init__(self, me: NodeName, root: bytes) -> None:
        self._me = me
        self._root = root
        self._by_name: dict[str, Session] = {}
        self._pending: dict[str, Session] = {}
        self._proved: dict[NodeName, Session] = {}

    def is_proved(self, frame: Frame, hello: Hello) -> bool:
        """Tell whether a greeting comes from somebody who knows the secret."""
        return same(frame.mac, greeting_mac(self._root, hello))

    def open(self, hello: Hello, name: str, nonce: str, now: float) -> tuple[Session, Welcome]:
        """Open a session for a proved greeting; it counts for nothing yet."""
        key = session_key(self._root, hello.node, self._me, hello.nonce, nonce)
        session = Session(name, hello, key, now)
        mine = [pending for pending in self._pending.values() if pending.node == hello.node]
        if len(mine) >= PENDING:
            self._forget(mine[0])
        elif len(self._pending) >= ALL_PENDING:
            self._forget(next(iter(self._pending.values())))
        self._pending[name] = self._by_name[name] = session
        return session, Welcome(node=self._me, session=name, nonce=nonce)

    def judge(self, frame: Frame, content: LinkContent, now: float) -> Session | Verdict:
        """Give the session that a request belongs to, or the reason why it is not believed."""
        session = self._by_name.get(frame.session)
        if session is None:
            return Verdict.UNKNOWN
        if not same(frame.mac, request_mac(session.key, frame.session, frame.number, content)):
            return Verdict.FORGED
        if not session.window.take(frame.number):
            return Verdict.REPEATED
        session.heard = now
        if not session.proved:
            self._prove(session)
        return session

    def named(self, name: str) -> Session | None:
        """Give a session by its name; None: there is none (any more)."""
        return self._by_name.get(name)

    def of(self, node: NodeName) -> Session | None:
        """Give the session that a neighbour speaks over, if any."""
        return self._proved.get(node)

    def close(self, node: NodeName) -> None:
        """Forget all sessions of a neighbour."""
        for session in tuple(self._all(node)):
            self._forget(session)

    def _all(self, node: NodeName) -> Iterator[Session]:
        return (session for session in self._by_name.values() if session.node == node)

    def _prove(self, session: Session) -> None:
        before = self._proved.get(session.node)
        if before is not None:
            self._forget(before)
        self._pending.pop(session.name, None)
        session.proved = True
        self._proved[session.node] = session

    def _forget(self, session: Session) -> None:
        self._by_name.pop(session.name, None)
        self._pending.pop(session.name, None)
        if self._proved.get(session.node) is session:
            del self._proved[session.node]
