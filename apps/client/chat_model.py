"""What a conversation client knows and decides: contacts, lines, ticks, commands, completion. No screen, no network."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from apps.client.show import body_text
from apps.common.output import printable
from apps.common.users import user_name

SHOWN = 300
"""Lines of a conversation that are kept in memory; the file has all."""
_TICKS = {"sending": "..", "accepted": "✓", "delivered": "✓✓", "failed": "✗"}
COMMANDS = {
    "/to": "NAME  talk to NAME",
    "/where": "[ID]  ask what became of a message; without ID of the last one here",
    "/status": "say how the connection is",
    "/register": "receive messages (again)",
    "/unregister": "receive none; they wait at the node",
    "/help": "show this",
    "/quit": "end",
}


class State(StrEnum):
    """What became of a line."""

    RECEIVED = "received"
    SENDING = "sending"
    """Not answered yet; it is sent again until it is."""
    ACCEPTED = "accepted"
    """On the node's disk."""
    DELIVERED = "delivered"
    """A device acknowledged it."""
    FAILED = "failed"
    """Refused, or it ended without delivery; `reason` says why."""


class Line(msgspec.Struct, frozen=True):
    """A message of a conversation, received or own."""

    number: int
    """Its order in the file."""
    peer: str
    own: bool
    at: float
    """When it was committed here, Unix seconds."""
    id: str
    """The network's id; of an own one empty until it was accepted."""
    content_type: str
    body: bytes
    state: State
    reason: str = ""


class Contact(msgspec.Struct):
    """Somebody who wrote, was written to, or was named."""

    name: str
    unread: int = 0
    last: float = 0.0
    """Time of the last line, Unix seconds."""


class Say(msgspec.Struct, frozen=True):
    """Send a text to whom one talks to."""

    text: str


class Command(msgspec.Struct, frozen=True):
    """One of COMMANDS with what followed it."""

    name: str
    argument: str = ""


class Wrong(msgspec.Struct, frozen=True):
    """Not to be done, and why."""

    why: str


def read_entry(text: str) -> Say | Command | Wrong | None:
    """Read what was typed; `//` begins a text with a slash, None is an empty entry."""
    if not text.strip():
        return None
    if text.startswith("//"):
        return Say(text[1:])
    if not text.startswith("/"):
        return Say(text)
    name, _, argument = text.strip().partition(" ")
    argument = argument.strip()
    if name not in COMMANDS:
        near = [known for known in COMMANDS if known.startswith(name)]
        if len(near) != 1:
            return Wrong(f"there is no {name}; /help lists the commands, // begins a text with a slash")
        name = near[0]
    if name == "/to":
        try:
            user_name(argument)
        except ValueError as error:
            return Wrong(f"/to NAME: {error}")
    return Command(name, argument)


def completions(text: str, names: Iterable[str], ids: Iterable[str]) -> list[str]:
    """Return whole entries that begin with what was typed: commands, names after `/to`, ids after `/where`."""
    command, space, rest = text.partition(" ")
    if not text.startswith("/") or text.startswith("//"):
        return []
    if not space:
        found = [f"{name} " if name in ("/to", "/where") else name for name in COMMANDS if name.startswith(command)]
    else:
        known = {"/to": names, "/where": ids}.get(command, ())
        found = [f"{command} {word}" for word in known if word.startswith(rest)]
    return [item for item in found if item != text]


def common_start(words: Iterable[str]) -> str:
    """Return what all words begin with."""
    first, *others = words
    length = len(first)
    for word in others:
        while not word.startswith(first[:length]):
            length -= 1
    return first[:length]


def ticks(line: Line) -> str:
    """Return the mark of an own line: `..` sending, one tick accepted, two delivered, a cross and the reason failed."""
    mark = _TICKS.get(line.state, "")
    return f"{mark} {printable(line.reason)}" if line.reason else mark


def text_of(line: Line) -> str:
    """Return the text without anything a terminal would obey; only its line ends stay."""
    if b"\n" not in line.body:
        return body_text(line.content_type, line.body)
    rows = line.body.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    return (
        "\n".join(body_text(line.content_type, row) for row in rows)
        if _is_text(line)
        else body_text(line.content_type, line.body)
    )


def _is_text(line: Line) -> bool:
    try:
        line.body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return line.content_type.strip().lower().startswith("text/")


def day(at: float) -> str:
    """Return Unix seconds as a local date, for the rule between two days."""
    return time.strftime("%a %d %b %Y", time.localtime(at))


class Chat:
    """Contacts and the open conversation."""

    def __init__(self, contacts: Iterable[Contact]) -> None:
        """Take who is known already."""
        self._contacts = {contact.name: contact for contact in contacts}
        self.peer = ""
        """Whom one talks to; empty before the first is chosen."""
        self.lines: dict[int, Line] = {}
        """The end of the open conversation, by number."""

    @property
    def contacts(self) -> list[Contact]:
        """Those known, who spoke last first, then by name."""
        return sorted(self._contacts.values(), key=lambda contact: (-contact.last, contact.name))

    @property
    def unread(self) -> int:
        """Messages not looked at yet, of all contacts."""
        return sum(contact.unread for contact in self._contacts.values())

    @property
    def ids(self) -> list[str]:
        """Ids of own messages in the open conversation, the last first."""
        return [line.id for line in reversed(self.lines.values()) if line.own and line.id]

    def open(self, peer: str, lines: Sequence[Line]) -> None:
        """Talk to somebody; `lines` is the end of what was said."""
        contact = self._contacts.setdefault(peer, Contact(peer))
        contact.unread = 0
        self.peer = peer
        self.lines = {line.number: line for line in lines[-SHOWN:]}

    def take(self, line: Line) -> bool:
        """Take a new or changed line; True if it belongs to the open conversation."""
        contact = self._contacts.setdefault(line.peer, Contact(line.peer))
        contact.last = max(contact.last, line.at)
        if line.peer != self.peer:
            contact.unread += not line.own
            return False
        self.lines[line.number] = line
        while len(self.lines) > SHOWN:
            del self.lines[next(iter(self.lines))]
        return True

    def neighbour(self, step: int) -> str:
        """Return the contact that is `step` further down the list than the open one; empty if there is none."""
        names = [contact.name for contact in self.contacts]
        if not names:
            return ""
        here = names.index(self.peer) if self.peer in names else (-1 if step > 0 else 0)
        return names[(here + step) % len(names)]
