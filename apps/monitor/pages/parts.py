"""Small parts that several pages are made of."""

from __future__ import annotations

import time
from collections.abc import Callable

from nicegui import ui

from apps.monitor.console import Console


class Tiles:
    """A row of figures, each with its name below."""

    def __init__(self, *names: str) -> None:
        """Draw them, empty."""
        self._values: dict[str, ui.label] = {}
        with ui.element("section").classes("tiles").props('aria-label="Figures"'):
            for name in names:
                with ui.element("div").classes("tile"):
                    self._values[name] = ui.label("-").classes("tile-value")
                    ui.label(name).classes("tile-name")

    def set(self, name: str, text: str) -> None:
        """Show a figure; nothing is sent where it is the same."""
        if self._values[name].text != text:
            self._values[name].set_text(text)


class NodeChoice:
    """The selection of one of the console's nodes; a fixed name where there is only one."""

    def __init__(self, console: Console, chosen: str, on_change: Callable[[], object]) -> None:
        """`chosen`: the label to begin with, if there is such a node."""
        self._console = console
        self._label = console.source(chosen).view.label
        self._on_change = on_change
        self._select: ui.select | None = None
        if len(console.sources) > 1:
            self._select = ui.select(console.choices(), value=self._label, label="Node", on_change=self._changed)
            self._select.props("outlined dense").classes("field node-choice")

    @property
    def label(self) -> str:
        """The label of the chosen node."""
        return self._label

    def refresh(self) -> None:
        """Show names that became known."""
        if self._select is not None and self._select.options != self._console.choices():
            self._select.set_options(self._console.choices())

    def _changed(self) -> None:
        if self._select is not None and self._select.value in self._console.choices():
            self._label = str(self._select.value)
            self._on_change()


def clock(at: float) -> str:
    """Write a Unix time as the local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def age(seconds: float) -> str:
    """Write a span shortly: `3.2 s`, `4 min`, `2.5 h`, `3.1 d`."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.1f} d"


def hint(text: str) -> None:
    """Say quietly that there is nothing, or what to do."""
    ui.label(text).classes("hint")


def field(name: str, *, password: bool = False, placeholder: str = "") -> ui.input:
    """Make an input with its label; it is as wide as its place."""
    made = ui.input(label=name, placeholder=placeholder, password=password)
    return made.props(f'outlined dense autocomplete=off aria-label="{name}"').classes("field")
