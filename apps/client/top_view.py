"""What `angarium top` shows: two looks at a node compared, and drawn. No network, no clock."""

from __future__ import annotations

from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from apps.client.show import age, size
from apps.common.output import printable

FEW = 4
"""Rows of a table that are shown even on a low screen."""
HEAD = 10
"""Lines of the screen that are no rows of a table."""
_FIRST = (
    "messages_accepted_total",
    "messages_acknowledged_total",
    "registrations_total",
)
"""These rates come first, also where they are 0."""


class Sample(msgspec.Struct, frozen=True):
    """One look at a node."""

    at: float
    """Monotonic seconds."""
    status: dict[str, Any]
    neighbours: list[dict[str, Any]]
    queues: list[dict[str, Any]]
    """Those with mail, the longest first; empty where the node does not tell."""


class Picture(msgspec.Struct, frozen=True):
    """What a look tells against the one before."""

    sample: Sample
    rates: dict[str, float] = {}
    """Counters' growth a second, by their names without `_total`; empty if the node was started in between."""
    cpu: float | None = None
    """Processors in use; None where the node does not tell."""
    trouble: str = ""
    """Why the node could not be asked; then the sample is the last one."""

    def fields(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        status = self.sample.status
        names = (
            "name", "version", "uptime_seconds", "ready", "rss_bytes", "store_bytes", "users", "online", "messages",
            "oldest_age_seconds", "alarms",
        )  # fmt: skip
        return {
            **{name: status.get(name) for name in names},
            "unrouted": status.get("gauges", {}).get("unrouted", 0),
            "cpu": self.cpu,
            "rates": self.rates,
            "neighbours": self.sample.neighbours,
            "queues": self.sample.queues,
            "trouble": self.trouble,
        }


def compare(before: Sample, now: Sample) -> Picture:
    """Return the rates between two looks; none if a counter went back, for then the node is another process."""
    seconds = now.at - before.at
    old, new = before.status["counters"], now.status["counters"]
    again = before.status["pid"] != now.status["pid"] or any(new.get(name, 0) < old[name] for name in old)
    if again or seconds <= 0:
        return Picture(now)
    names = [*_FIRST, *sorted(set(new) - set(_FIRST))]
    rates = {name.removesuffix("_total"): round((new.get(name, 0) - old.get(name, 0)) / seconds, 3) for name in names}
    was, used = before.status.get("cpu_seconds"), now.status.get("cpu_seconds")
    cpu = None if was is None or used is None else round((used - was) / seconds, 3)
    return Picture(now, rates, cpu)


def drawn(picture: Picture, height: int) -> RenderableType:
    """Return it for a screen of so many lines; text of the network is escaped and never markup."""
    status = picture.sample.status
    room = max(FEW, (height - HEAD - len(status["alarms"])) // 2)
    parts: list[RenderableType] = [_head(picture)]
    for alarm in status["alarms"]:
        text = f"ALARM {alarm['name']}: {alarm['text']}; {alarm['advice']}"
        parts.append(Text(printable(text), style="bold red"))
    if picture.trouble:
        parts.append(Text(f"{printable(picture.trouble)}; trying again", style="bold red"))
    parts += ["", _rates(picture, room)]
    if picture.sample.neighbours:
        parts += ["", _neighbours(picture.sample.neighbours, room // 2 or 1)]
    if queues := [item for item in picture.sample.queues if item["waiting"]]:
        parts += ["", _queues(queues, room // 2 or 1)]
    return Group(*parts)


def _head(picture: Picture) -> Text:
    status, gauges = picture.sample.status, picture.sample.status["gauges"]
    online = "?" if status["online"] is None else status["online"]
    first = [
        f"{status['name']} {status['version']}",
        f"up {age(status['uptime_seconds'])}",
        "ready" if status["ready"] else "not ready",
        f"memory {size(status['rss_bytes'])}",
        f"store {size(status['store_bytes'])}",
    ]
    if picture.cpu is not None:
        first.append(f"processor {picture.cpu:.0%}")
    second = [
        f"{online} of {status['users']} users online",
        f"{status['messages']} messages wait, the oldest {age(status['oldest_age_seconds'])}",
    ]
    if unrouted := int(gauges.get("unrouted", 0)):
        second.append(f"{unrouted} without a route")
    if known := int(gauges.get("neighbours", 0)):
        second.append(f"{int(gauges.get('neighbours_up', 0))} of {known} neighbours up")
    return Text(printable(", ".join(first)), style="bold").append("\n" + printable(", ".join(second)), style="not bold")


def _rates(picture: Picture, room: int) -> RenderableType:
    """Two columns of rates: those that move, and the first ones always."""
    first = [name.removesuffix("_total") for name in _FIRST]
    shown = [name for name in picture.rates if picture.rates[name] or name in first][: 2 * room]
    if not shown:
        why = "the node does not answer" if picture.trouble else "the node has just been started"
        return Text(f"no rates: {why}", style="dim")
    grid = _table("a second", "", "", "")
    half = (len(shown) + 1) // 2
    for row in range(half):
        cells: list[str] = []
        for name in (shown[row], *shown[row + half : row + half + 1]):
            cells += [printable(name).replace("_", " "), f"{picture.rates[name]:,.1f}"]
        grid.add_row(*map(Text, cells))
    return grid


def _neighbours(items: list[dict[str, Any]], room: int) -> Table:
    grid = _table("neighbour", "state", "waiting", "oldest", "sent", "received")
    for item in sorted(items, key=lambda each: (each["up"], -each["waiting"]))[:room]:
        state = "up" if item["up"] else f"down: {item['reason']}"
        oldest = age(item["oldest_age_seconds"]) if item["waiting"] else ""
        cells = (
            item["name"], state, item["waiting"], oldest, item["sent"], item["received"],
        )  # fmt: skip
        grid.add_row(*(Text(printable(str(cell))) for cell in cells))
    return grid


def _queues(items: list[dict[str, Any]], room: int) -> Table:
    grid = _table("queue", "of", "waiting", "oldest", "in flight", "in doubt")
    for item in sorted(items, key=lambda each: -each["waiting"])[:room]:
        oldest = item.get("oldest_age_seconds")
        cells = (
            item["kind"], item["name"], item["waiting"], "" if oldest is None else age(oldest), item["in_flight"],
            item["in_doubt"],
        )  # fmt: skip
        grid.add_row(*(Text(printable(str(cell))) for cell in cells))
    return grid


def _table(*columns: str) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold cyan")
    for number, column in enumerate(columns):
        grid.add_column(column, justify="left" if number < 2 and column != "" else "right", overflow="ellipsis")
    return grid
