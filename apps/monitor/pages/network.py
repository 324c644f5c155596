"""The first page: the network as it is now, messages on their way, and what happened last."""

from __future__ import annotations

import time
from urllib.parse import quote

import msgspec
from nicegui import ui

from apps.common.output import printable
from apps.monitor.console import Console
from apps.monitor.pages.parts import Tiles, clock, hint
from apps.monitor.state import Condition, Picture, picture, short
from apps.monitor.web import Frame, page_frame

MOST_EVENTS = 12
PASSING = ("forwarded", "relayed")


class NetworkPicture(ui.element, component="network.js"):
    """The drawing; `show` sets what stands still, `animate` lets dots run along the links."""

    def __init__(self) -> None:
        """Begin with an empty picture."""
        super().__init__()
        self._props["nodes"] = []
        self._props["links"] = []
        self._props["words"] = ""
        self._shown: Picture | None = None

    def show(self, drawn: Picture, links_of: dict[str, str]) -> None:
        """Draw it unless it is there already; `links_of`: name of a node -> where a click on it leads."""
        if drawn == self._shown:
            return
        self._shown = drawn
        nodes = msgspec.to_builtins(drawn.nodes)
        self._props["nodes"] = [{**node, "href": links_of.get(node["name"], "/neighbours")} for node in nodes]
        self._props["links"] = [
            {**link, "a": short(link["a"]), "b": short(link["b"])} for link in msgspec.to_builtins(drawn.links)
        ]
        self._props["words"] = drawn.in_words
        self.update()

    def animate(self, flows: list[tuple[str, str, int]]) -> None:
        """Let messages move: (from, to, how many); to "" is a pulse at the node."""
        if flows:
            self.run_method("move", flows)


def add(console: Console) -> None:
    """Register the page."""

    @ui.page("/")
    def network() -> None:
        with page_frame(console, "Network", wants=("steps", "users")) as frame:
            _build(console, frame)


def _build(console: Console, frame: Frame) -> None:
    tiles = Tiles("Nodes", "Users online", "Messages waiting", "Accepted / s", "Delivered / s")
    with ui.element("section").classes("card").props('aria-label="Picture of the network"'):
        drawing = NetworkPicture()
        left_out = ui.label().classes("hint")
        with ui.element("div").classes("legend"):
            for name, text in (("up", "link up"), ("down", "link down"), ("online", "online"), ("offline", "away")):
                with ui.element("span").classes("legend-item"):
                    ui.element("i").classes(f"key {name}").props("aria-hidden=true")
                    ui.label(text)
    with ui.element("section").classes("card").props('aria-label="Recent events"'):
        ui.label("Recent events").classes("card-title")
        events = ui.element("div").classes("events")
    read = {view.label: view.flows.count for view in console.views}
    told = {"events": -1}

    def figures() -> None:
        drawn = picture(console.views)
        links_of = {short(view.title): f"/users?node={quote(view.label, safe='')}" for view in console.views}
        drawing.show(drawn, links_of)
        left_out.set_text(f"and {drawn.left_out} more nodes" if drawn.left_out else "")
        _fill(tiles, console, drawn)

    def flows() -> None:
        moving: list[tuple[str, str, int]] = []
        for view in console.views:
            for flow in view.flows.since(read[view.label]):
                to = short(flow.to) if flow.step in PASSING else ""
                moving.append((short(view.title), to, flow.messages))
            read[view.label] = view.flows.count
        drawing.animate(moving[-60:])

    def happened() -> None:
        count = sum(view.events.count for view in console.views)
        if count != told["events"]:
            told["events"] = count
            _events(events, console)

    frame.every(0.5, figures)
    frame.every(0.5, flows)
    frame.every(0.5, happened)


def _fill(tiles: Tiles, console: Console, drawn: Picture) -> None:
    views = [view for view in console.views if view.connected and view.stats]
    points = [view.points[-1] for view in views if view.points]
    stats = [view.stats for view in views if view.stats]
    up = sum(node.condition is Condition.UP for node in drawn.nodes)
    tiles.set("Nodes", f"{up} of {len(drawn.nodes) + drawn.left_out}")
    tiles.set(
        "Users online", f"{sum(item.online or 0 for item in stats):,} of {sum(view.users_total for view in views):,}"
    )
    tiles.set("Messages waiting", f"{sum(item.messages for item in stats):,}")
    tiles.set("Accepted / s", f"{sum(item.accepted for item in points):,.1f}")
    tiles.set("Delivered / s", f"{sum(item.acknowledged for item in points):,.1f}")


def _events(box: ui.element, console: Console) -> None:
    newest = sorted(
        ((event, view.title) for view in console.views for event in view.events.since(0)[-MOST_EVENTS:]),
        key=lambda pair: pair[0].at,
        reverse=True,
    )[:MOST_EVENTS]
    box.clear()
    with box:
        if not newest:
            hint("Nothing has happened since this console was started.")
        for event, node in newest:
            with ui.element("div").classes(f"event level-{event.level if event.level.isalpha() else 'info'}"):
                ui.label(clock(event.at)).classes("event-at").props(
                    f'title="{time.strftime("%F", time.gmtime(event.at))}"'
                )
                ui.label(printable(node)).classes("event-node")
                ui.label(printable(event.kind)).classes("event-kind")
                ui.label(printable(event.text)).classes("event-text")
