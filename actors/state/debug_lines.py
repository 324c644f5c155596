"""Debug lines: the switch that all actors of a node look at, and what a line says of a message between actors.

A line names the kind of a message and the ids in it, never its fields: passwords and hashes travel in some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from actors.messages.lifecycle import Ping, Wake
from actors.messages.monitor import CountFacts, JourneySteps, ReportEvent, SetGauges

DEPTH = 5
"""Values inside values looked into for ids."""
SILENT = (Ping, Wake, CountFacts, SetGauges, ReportEvent)
"""Too frequent to tell anything, or written anyway."""

Write = Callable[[str, str, str], None]
"""(place, text, message id or empty)"""


def nowhere(_place: str, _text: str, _message_id: str) -> None:
    """Drop the line."""


class DebugLog:
    """A switch, off at first, and where lines go while it is on.

    Who has something to tell looks at `on` before he makes the text: switched off, a line costs that look.
    """

    __slots__ = ("on", "write")

    def __init__(self, write: Write = nowhere) -> None:
        self.on = False
        self.write = write


def lines_of(message: object) -> Iterator[tuple[str, str]]:
    """Say what an actor hears: (text, message id), one for each SIP message that it is about, else one without id."""
    if isinstance(message, SILENT):
        return
    if isinstance(message, JourneySteps):
        for index, one in enumerate(message.ids):
            detail = message.details[index] if message.details else ""
            yield f"{message.step} {detail}".rstrip(), one
        return
    text = f"hears {type(message).__name__}"
    for message_id in dict.fromkeys(ids_in(message)) or ("",):
        yield text, message_id


def ids_in(value: object, depth: int = DEPTH) -> Iterator[str]:
    """Yield the message ids in a message between actors, some of them perhaps more than once."""
    if isinstance(value, tuple | list):
        for item in value:
            yield from ids_in(item, depth)
    elif isinstance(value, msgspec.Struct) and depth:
        for name in value.__struct_fields__:
            part = getattr(value, name)
            if name in ("id", "message_id") and isinstance(part, str):
                if part:
                    yield part
            elif not isinstance(part, str | bytes):
                yield from ids_in(part, depth - 1)
