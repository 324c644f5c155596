"""Links between nodes and what waits where: a table, forms to add and remove neighbours, queues."""

from __future__ import annotations

from typing import Any

import msgspec
from nicegui import ui

from apps.common.output import printable
from apps.monitor.console import Console
from apps.monitor.frames import Neighbour
from apps.monitor.pages.parts import NodeChoice, age, field, hint
from apps.monitor.source import NodeError, NodeSource
from apps.monitor.web import Frame, attempt, page_frame

MOST = 60
EVERY = 2.0


class Queue(msgspec.Struct, frozen=True):
    """Where messages wait."""

    kind: str
    name: str = ""
    waiting: int = 0
    oldest_age_seconds: float = 0.0
    in_flight: int = 0
    in_doubt: int = 0


def add(console: Console) -> None:
    """Register the page."""

    @ui.page("/neighbours")
    def neighbours(node: str = "") -> None:
        with page_frame(console, "Links", path="/neighbours") as frame:
            NeighboursPage(console, frame, node)


class NeighboursPage:
    """The page of one browser window."""

    def __init__(self, console: Console, frame: Frame, node: str) -> None:
        """Draw it; the figures come with the ticks."""
        self._console = console
        self._shown: object = None
        self._queues_shown: object = None
        with ui.element("section").classes("card").props('aria-label="Neighbours"'):
            ui.label("Neighbours").classes("card-title")
            self._choice = NodeChoice(console, node, self._again)
            self._list = ui.element("div").classes("rows").props("role=list")
        with ui.element("section").classes("card").props('aria-label="Queues"'):
            ui.label("Queues").classes("card-title")
            self._queues = ui.element("div").classes("rows").props("role=list")
        with ui.element("section").classes("card form").props('role=form aria-label="Add a neighbour"'):
            self._form()
        frame.every(1.0, self._draw_if_new)
        frame.every(EVERY, self.refresh_queues)

    @property
    def source(self) -> NodeSource:
        """The chosen node."""
        return self._console.source(self._choice.label)

    async def refresh_queues(self) -> None:
        """Ask where messages wait."""
        self._choice.refresh()
        try:
            queues = msgspec.convert((await self.source.get("queues", limit=MOST))["queues"], list[Queue])
        except (NodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            self._show_queues(str(error), [])
            return
        self._show_queues("Nothing waits.", [queue for queue in queues if queue.waiting or queue.in_flight])

    def _again(self) -> None:
        self._shown = None
        self._draw_if_new()

    def _draw_if_new(self) -> None:
        view = self.source.view
        neighbours = view.stats.neighbours if view.stats else []
        # Ages alone redraw nothing.
        new = (view.connected, [msgspec.structs.replace(item, since_seconds_ago=0.0) for item in neighbours])
        if new == self._shown:
            return
        self._shown = new
        self._list.clear()
        with self._list:
            if not view.connected:
                hint(f"{view.title} does not answer: {printable(view.reason)}")
            elif not neighbours:
                hint("This node has no neighbours. Add one below: one of the two sides is enough.")
            for item in neighbours[:MOST]:
                self._row(item, view.connected)

    def _row(self, item: Neighbour, known: bool) -> None:
        with ui.element("div").classes("row-item").props("role=listitem"):
            ui.label(printable(item.name)).classes("row-name")
            kind, text = ("good", "up") if item.up else ("bad", "down")
            ui.label(text if known else "unknown").classes(f"badge {kind if known else ''}")
            with ui.element("div").classes("row-main"):
                ui.label(printable(item.address) or "it calls us").classes("mono wrap")
                parts = [f"{item.waiting:,} waiting", f"{item.sent:,} sent", f"{item.received:,} received"]
                if item.in_doubt:
                    parts.insert(1, f"{item.in_doubt:,} in doubt")
                if item.waiting:
                    parts.insert(1, f"oldest {age(item.oldest_age_seconds)}")
                ui.label(", ".join(parts)).classes("row-sub")
                if item.reason and not item.up:
                    ui.label(printable(item.reason)).classes("row-sub")
            with ui.element("div").classes("row-actions"):
                button = ui.button("Remove", on_click=lambda: self._confirm(item.name))
                button.props("flat dense color=negative")
                button.props["aria-label"] = f"Remove {printable(item.name)}"

    def _confirm(self, name: str) -> None:
        with ui.dialog() as dialog, ui.element("div").classes("card form"):
            ui.label(f"Remove the link to {printable(name)}?").classes("card-title")
            ui.label("What waits for it is routed anew. It cannot come back by calling in this run.")

            async def remove() -> None:
                dialog.close()
                await attempt(self.source.delete("neighbours", name), printable(f"{name} is removed"))

            with ui.element("div").classes("row-actions"):
                ui.button("Keep", on_click=dialog.close).props("flat autofocus")
                ui.button("Remove", on_click=remove).props("color=negative unelevated")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _form(self) -> None:
        ui.label("Add a neighbour").classes("card-title")
        with ui.element("div").classes("bar"):
            name, address = field("Name"), field("Address, tcp://HOST:PORT")

            async def submit() -> None:
                body: dict[str, Any] = {"name": name.value or "", "address": address.value or ""}
                if await attempt(self.source.post("neighbours", body=body), printable(f"{name.value} is added")):
                    name.set_value("")
                    address.set_value("")

            address.on("keydown.enter", submit)
            ui.button("Add", on_click=submit).props("unelevated color=primary")

    def _show_queues(self, empty: str, queues: list[Queue]) -> None:
        if (empty, queues) == self._queues_shown:
            return
        self._queues_shown = (empty, queues)
        self._queues.clear()
        with self._queues:
            if not queues:
                hint(printable(empty))
            for queue in queues[:MOST]:
                with ui.element("div").classes("row-item").props("role=listitem"):
                    ui.label(printable(queue.name) or "no route known").classes("row-name")
                    ui.label(_kind(queue.kind)).classes("row-sub")
                    words = [f"{queue.waiting:,} waiting", f"oldest {age(queue.oldest_age_seconds)}"]
                    if queue.in_flight:
                        words.append(f"{queue.in_flight:,} on the way")
                    if queue.in_doubt:
                        words.append(f"{queue.in_doubt:,} in doubt")
                    ui.label(", ".join(words)).classes("row-main")


def _kind(kind: str) -> str:
    return {"neighbour": "for a neighbour", "mailbox": "mailbox", "unrouted": "without a route"}.get(
        kind, printable(kind)
    )
