"""The nodes' logs as they are written, with a filter; and the switch of how much they tell."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from apps.common.output import printable
from apps.monitor.console import Console
from apps.monitor.frames import Log
from apps.monitor.pages.parts import NodeChoice, clock, field
from apps.monitor.source import NodeError
from apps.monitor.web import Frame, attempt, page_frame

MOST = 300
"""Lines on the page."""
LEVELS = ("debug", "info", "warning", "error")
ORDER = {"trace": 0, "debug": 0, "info": 1, "success": 1, "warning": 2, "error": 3, "critical": 3}


def add(console: Console) -> None:
    """Register the page."""

    @ui.page("/logs")
    def logs() -> None:
        with page_frame(console, "Logs", wants=("logs",)) as frame:
            LogsPage(console, frame)


def wanted(line: Log, level: str, text: str) -> bool:
    """Tell whether a line is severe enough and has the text in it, in any case."""
    if ORDER.get(line.level.lower(), 1) < ORDER[level]:
        return False
    where = " ".join((line.message, line.place, *(str(value) for value in line.fields.values())))
    return text.lower() in where.lower()


class LogsPage:
    """The page of one browser window."""

    def __init__(self, console: Console, frame: Frame) -> None:
        """Draw it; lines come with the ticks."""
        self._console = console
        self._seen: object = None
        with ui.element("section").classes("card").props('aria-label="Log"'):
            with ui.element("div").classes("bar"):
                self._level = ui.select(list(LEVELS), value="info", label="Show from level")
                self._level.props("outlined dense").classes("field node-choice")
                self._text = field("Only lines with")
                self._follow = ui.switch("Follow", value=True)
            self._lines = ui.element("div").classes("log").props('role=log tabindex=0 aria-label="Lines" aria-live=off')
        with ui.element("section").classes("card form").props('role=form aria-label="What nodes write"'):
            self._switches()
        frame.every(0.5, self._draw_if_new)

    def _switches(self) -> None:
        ui.label("What a node writes").classes("card-title")
        with ui.element("div").classes("bar"):
            self._choice = NodeChoice(self._console, "", self._read_level)
            self._writes = ui.select(list(LEVELS), value="info", label="Program log from level")
            self._writes.props("outlined dense").classes("field node-choice")
            self._debug = ui.switch("Debug log, per message and hop")
            ui.button("Set", on_click=self._set).props("unelevated color=primary")
        ui.timer(0.1, self._read_level, once=True)

    async def _read_level(self) -> None:
        try:
            answer: Any = await self._console.source(self._choice.label).get("log-level")
        except NodeError:
            # The alarm on top tells that the node does not answer.
            return
        if isinstance(answer, dict):
            level = str(answer.get("level", "info")).lower()
            self._writes.set_value(level if level in LEVELS else "info")
            self._debug.set_value(bool(answer.get("debug", False)))

    async def _set(self) -> None:
        source = self._console.source(self._choice.label)
        body = {"level": self._writes.value, "debug": bool(self._debug.value)}
        await attempt(source.put("log-level", body=body), f"{source.view.title} writes from {self._writes.value} on")

    def _draw_if_new(self) -> None:
        self._choice.refresh()
        if not self._follow.value:
            return
        level, text = str(self._level.value), str(self._text.value or "")
        state = ([view.logs.count for view in self._console.views], level, text)
        if state == self._seen:
            return
        self._seen = state
        found = [
            (line, view.title)
            for view in self._console.views
            for line in view.logs.since(0)
            if wanted(line, level, text)
        ]
        found = sorted(found, key=lambda pair: pair[0].at)[-MOST:]
        self._lines.clear()
        with self._lines:
            if not found:
                ui.label("No such line yet.").classes("hint")
            for line, node in reversed(found):
                _line(line, node)


def _line(line: Log, node: str) -> None:
    level = line.level.lower() if line.level.lower() in ORDER else "info"
    fields = " ".join(f"{key}={value}" for key, value in line.fields.items() if value not in ("", None))
    with ui.element("div").classes(f"log-line level-{level}"):
        ui.label(clock(line.at)).classes("log-at")
        ui.label(level)
        ui.label(printable(node)).classes("log-node")
        ui.label(printable(f"{line.message}  {fields}" if fields else line.message)).classes("log-text")
