"""What a device's answer means for the message (PROTOCOL 11)."""

from __future__ import annotations

from enum import Enum, auto

_FINAL = frozenset({400, 403, 406, 413, 415, 488, 493, 513})
_WRONG_BINDING = frozenset({301, 302, 305, 404, 410, 416, 430, 481, 484, 485, 604})


class Meaning(Enum):
    """How delivery goes on after an answer."""

    ACKNOWLEDGED = auto()
    REFUSED = auto()
    """For good, by this device."""
    WRONG_BINDING = auto()
    """The contact leads nowhere: drop it, keep the message."""
    LATER = auto()
    """Wait, with back-off."""


def meaning(status: int, retry_after: int = 0) -> Meaning:
    """Read a final status."""
    if 200 <= status < 300:
        return Meaning.ACKNOWLEDGED
    if status == 413 and retry_after:
        return Meaning.LATER
    if status in _WRONG_BINDING:
        return Meaning.WRONG_BINDING
    if status in _FINAL or 600 <= status < 700:
        return Meaning.REFUSED
    return Meaning.LATER
