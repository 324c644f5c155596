"""Recent log lines in memory, for those who look at them from elsewhere, and what no line may show."""

from __future__ import annotations

import heapq
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable
from operator import attrgetter

from actors.model import Value

RECENT = 2_000
"""Lines kept of the program log, and as many of the debug log."""
LEVELS = {"debug": 10, "info": 20, "success": 25, "warning": 30, "error": 40, "critical": 50}
HIDDEN = "[hidden]"
_VALUE = r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',;)}\]]+)"""
_NAME = r"\b\w*(?:password|passwd|secret|ha1\w*|response|nonce|opaque|proof|api_?key|(?<!_)token)"
_SECRETS = re.compile(
    rf"({_NAME}\s*=\s*[bru]?|{_NAME}[\"']\s*[:,]\s*[bru]?){_VALUE}"
    r"|\b[0-9a-f]{32}(?=['\"]?,\s*['\"]?[0-9a-f]{64})|\b[0-9a-f]{64}\b"  # the hashes of a password
    r"|((?:proxy-)?authorization[\"']?\s*[:=,]\s*(?:b?[\"'])?(?:basic|bearer)\s+|\bbearer\s+)(\S+)",
    re.IGNORECASE,
)


class LogLine(Value, frozen=True):
    """One line of the log; nothing in it drives a terminal."""

    number: int
    """Counts up from 1 in this run of the node."""
    at: float
    """Wall-clock seconds."""
    level: str
    message: str
    place: str
    """The actor, or module and line, that wrote it."""
    fields: dict[str, str]
    """What the line is about: `message_id`, `user`, `kind`; a fault's `trace`."""


Heard = Callable[[LogLine], None]


class RecentLines:
    """The newest lines of the program log and of the debug log, apart so that many of one leave those of the other."""

    def __init__(self, capacity: int = RECENT) -> None:
        self._lock = threading.Lock()
        self._program: deque[LogLine] = deque(maxlen=capacity)
        self._debug: deque[LogLine] = deque(maxlen=capacity)
        self._number = 0
        self._heard: tuple[Heard, ...] = ()

    def add(self, at: float, level: str, message: str, place: str, fields: dict[str, str]) -> None:
        """Keep one line, and tell it to who subscribed."""
        with self._lock:
            self._number += 1
            line = LogLine(number=self._number, at=at, level=level, message=message, place=place, fields=fields)
            (self._debug if rank(level) <= LEVELS["debug"] else self._program).append(line)
            heard = self._heard
        for tell in heard:
            tell(line)

    def subscribe(self, callback: Heard) -> Callable[[], None]:
        """Have each new line told, in whatever thread wrote it; the callback must not block, raise or log.

        Returns what ends it.
        """
        with self._lock:
            self._heard = (*self._heard, callback)

        def unsubscribe() -> None:
            with self._lock:
                self._heard = tuple(one for one in self._heard if one is not callback)

        return unsubscribe

    def read(self, *, limit: int, level: str = "debug", contains: str = "", after: int = 0) -> list[LogLine]:
        """Return the newest lines, oldest first: of this level or above, with this text in any case, after a number."""
        with self._lock:
            program, debug = tuple(self._program), tuple(self._debug)
        lines: Iterable[LogLine] = program
        if rank(level) <= LEVELS["debug"]:
            lines = heapq.merge(program, debug, key=attrgetter("number"))
        wanted = [line for line in lines if line.number > after and rank(line.level) >= rank(level)]
        if contains:
            wanted = [line for line in wanted if holds(line, contains.casefold())]
        return wanted[-limit:] if limit else []

    @property
    def newest(self) -> int:
        """The number of the newest line; 0: there is none."""
        return self._number


def rank(level: str) -> int:
    """Return how much a level matters; an unknown one as much as info."""
    return LEVELS.get(level, LEVELS["info"])


def holds(line: LogLine, text: str) -> bool:
    """Tell whether this casefolded text stands in a line or its fields."""
    return text in line.message.casefold() or any(text in value.casefold() for value in line.fields.values())


def hide(text: str) -> str:
    """Return the text without the values of what is named like a secret: a second guard, should a line hold one."""
    return _SECRETS.sub(lambda found: (found[1] or found[3] or "") + HIDDEN, text)


def is_secret(name: str) -> bool:
    """Tell whether a field of this name may not be shown."""
    return hide(f"{name}=x") != f"{name}=x"
