"""The picture of the network out of what several nodes tell: pure, so that it can be looked at without a browser.

Places are in units of the picture: 0..1 from left to right and from top to bottom. Nodes stand in a row or on a ring,
in the order of a walk along the links, so that neighbours mostly stand side by side and nothing moves while figures do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise

from msgspec import Struct

from apps.common.output import printable
from apps.monitor.frames import Neighbour
from apps.monitor.view import NodeView

MOST_NODES = 40
MOST_IN_LINE = 6
MOST_USERS = 5
"""Names beside one node."""
LONGEST_NAME = 40
ADVICE = "See whether it runs, and start it again; what it keeps is on its disk."


class Condition(StrEnum):
    """What the console knows of a node."""

    UP = "up"
    AWAY = "away"
    """It is watched, and does not answer."""
    UNSEEN = "unseen"
    """Others speak of it; this console does not watch it."""


class Person(Struct, frozen=True):
    """A user beside his home."""

    name: str
    online: bool


class PictureNode(Struct, frozen=True):
    """A node in its place."""

    name: str
    x: float
    y: float
    condition: Condition
    users: tuple[Person, ...] = ()
    more: int = 0
    """Users that are not named."""
    waiting: int = 0
    """Messages that it keeps."""
    alarms: int = 0
    note: str = ""


class PictureLink(Struct, frozen=True):
    """A link between two nodes; `a` comes before `b` in the alphabet."""

    a: str
    b: str
    up: bool
    waiting: int = 0
    """Messages that wait at either end for the other."""
    reason: str = ""


class Picture(Struct, frozen=True):
    """What is drawn."""

    nodes: tuple[PictureNode, ...] = ()
    links: tuple[PictureLink, ...] = ()
    left_out: int = 0
    """Nodes for which there is no room."""

    @property
    def in_words(self) -> str:
        """Tell it to who cannot see it."""
        up = sum(link.up for link in self.links)
        away = [node.name for node in self.nodes if node.condition is Condition.AWAY]
        words = f"{count(len(self.nodes), 'node')}, {count(len(self.links), 'link')}, {up} of them up"
        return f"{words}; no answer from {', '.join(away)}" if away else words


class Trouble(Struct, frozen=True):
    """An alarm of the network: where, what, and what to do."""

    node: str
    name: str
    text: str
    advice: str = ""


def picture(views: Sequence[NodeView]) -> Picture:
    """Draw the network that these nodes tell of."""
    watched = {view.title: view for view in views}
    links = _links(watched.values())
    names = walk(sorted({*watched, *(end for link in links for end in (link.a, link.b))}), links)
    shown = names[:MOST_NODES]
    drawn = tuple(link for link in links if link.a in shown and link.b in shown)
    where = in_line if is_line(shown, drawn) else on_ring
    nodes = [_node(name, watched.get(name), *where(index, len(shown))) for index, name in enumerate(shown)]
    return Picture(tuple(nodes), drawn, len(names) - len(shown))


def troubles(views: Iterable[NodeView]) -> list[Trouble]:
    """List what stands in red: nodes that do not answer, then their alarms."""
    listed = list(views)
    away = [
        Trouble(view.title, "away", f"no answer: {printable(view.reason)}", ADVICE)
        for view in listed
        if not view.connected and view.lost_at is not None
    ]
    standing = [
        Trouble(view.title, alarm.name, printable(alarm.text), printable(alarm.advice))
        for view in listed
        for alarm in view.alarms.values()
    ]
    return away + standing


def walk(names: Sequence[str], links: Iterable[PictureLink]) -> list[str]:
    """Order the names along the links, beginning at ends of lines; each once."""
    beside: dict[str, list[str]] = {name: [] for name in names}
    for link in links:
        beside[link.a].append(link.b)
        beside[link.b].append(link.a)
    order: dict[str, None] = {}
    for start in sorted(names, key=lambda name: (len(beside[name]), name)):
        stack = [start]
        while stack:
            name = stack.pop()
            if name not in order:
                order[name] = None
                stack += sorted((other for other in beside[name] if other not in order), reverse=True)
    return list(order)


def is_line(names: Sequence[str], links: Iterable[PictureLink]) -> bool:
    """Tell whether the walk goes along all links, and there are few enough nodes to stand in a row."""
    pairs = {(link.a, link.b) for link in links}
    steps = {(min(pair), max(pair)) for pair in pairwise(names)}
    return len(names) <= MOST_IN_LINE and pairs == steps


def in_line(index: int, nodes: int) -> tuple[float, float]:
    """Return the place of a node in a row from left to right."""
    if nodes == 1:
        return 0.5, 0.4
    return round(0.12 + 0.76 * index / (nodes - 1), 4), 0.4 if nodes <= 3 or index % 2 == 0 else 0.55


def on_ring(index: int, nodes: int) -> tuple[float, float]:
    """Return the place of a node on the ring, clockwise from the top."""
    angle = 2 * math.pi * index / nodes - math.pi / 2
    return round(0.5 + 0.4 * math.cos(angle), 4), round(0.48 + 0.38 * math.sin(angle), 4)


def count(number: int, word: str) -> str:
    """Write `1 node` or `3 nodes`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _node(name: str, view: NodeView | None, x: float, y: float) -> PictureNode:
    if view is None:
        return PictureNode(short(name), x, y, Condition.UNSEEN, note="not watched by this console")
    if not view.connected:
        return PictureNode(short(name), x, y, Condition.AWAY, note=printable(view.reason))
    here = [user for user in view.users if not user.home]
    people = sorted(here, key=lambda user: (not user.online, user.name))[:MOST_USERS]
    total = view.users_total or len(here)
    return PictureNode(
        short(name),
        x,
        y,
        Condition.UP,
        users=tuple(Person(short(user.name), user.online) for user in people),
        more=max(0, total - len(people) - (len(view.users) - len(here))),
        waiting=view.stats.messages if view.stats else 0,
        alarms=len(view.alarms),
    )


def _links(views: Iterable[NodeView]) -> list[PictureLink]:
    """Join what both ends say: a link is up if no end that answers says otherwise."""
    joined: dict[tuple[str, str], PictureLink] = {}
    for view in views:
        for item in view.stats.neighbours if view.stats else ():
            pair = (min(view.title, item.name), max(view.title, item.name))
            joined[pair] = _join(joined.get(pair), pair, view, item)
    return [joined[pair] for pair in sorted(joined)]


def _join(known: PictureLink | None, pair: tuple[str, str], view: NodeView, item: Neighbour) -> PictureLink:
    # Of a node that does not answer, what it said last of its links is no news; the queue is still there.
    up = view.connected and item.up
    reason = "" if up else printable(item.reason) if view.connected else "no answer"
    before = known or PictureLink(*pair, up=True)
    return PictureLink(*pair, up and before.up, before.waiting + item.waiting, before.reason or reason)


def short(name: str) -> str:
    """Return a name that can be shown beside others: nothing unprintable, and not too long."""
    shown = printable(name)
    return shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"
