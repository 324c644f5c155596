"""Which lines go into the program log, and how: few of a kind, and nothing in them that drives a terminal."""

from __future__ import annotations

import msgspec

BURST = 10
"""Lines of one kind within one window."""
WINDOW = 60.0
"""Seconds."""
KINDS = 1_000
"""Kinds remembered at most; beyond it the oldest are forgotten."""


def printable(text: str, *, keep: str = "") -> str:
    r"""Return the text with control characters as escapes (`\x1b`), but for those in `keep`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


class _Window(msgspec.Struct):
    """How many lines of a kind were asked for since `began`."""

    began: float
    asked: int = 0


class LogLimit:
    """Lets a burst of lines of each kind through per window, and counts those it holds back."""

    def __init__(self, burst: int = BURST, window: float = WINDOW) -> None:
        self._burst = burst
        self._length = window
        self._windows: dict[str, _Window] = {}

    def allow(self, kind: str, now: float) -> int | None:
        """None: hold this line back. Else write it, and say how many were held back before it."""
        window = self._windows.get(kind)
        held_back = 0
        if window is None or now - window.began >= self._length:
            if window is not None:
                held_back = max(0, window.asked - self._burst)
                del self._windows[kind]  # so that the dictionary stays in order of age
            elif len(self._windows) >= KINDS:
                del self._windows[next(iter(self._windows))]
            window = self._windows[kind] = _Window(began=now)
        window.asked += 1
        return held_back if window.asked <= self._burst else None
