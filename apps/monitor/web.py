"""The web server of the console, and the frame around each of its pages.

To add a page: write `apps/monitor/pages/NAME.py` with a function `add(console)` that registers it, and give it a line
in `PAGES`. Inside, the page is built in the frame:

    def add(console: Console) -> None:
        @ui.page("/greeting")
        def greeting() -> None:
            with page_frame(console, "Greeting", wants=("steps",)) as frame:
                label = ui.label()
                frame.every(0.5, lambda: label.set_text(str(len(console.troubles()))))

The frame brings navigation, alarms, light and dark, one timer a browser window, and gives back what the page wanted
when the window is closed. Text from the network goes into labels (no `ui.html`, no `ui.markdown`), through `printable`.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nicegui import app, background_tasks, ui

from apps.monitor.console import Console
from apps.monitor.guard import Guard
from apps.monitor.source import NodeError
from apps.monitor.state import Trouble

TICK = 0.5
"""Seconds between two looks of a page at what is new: two updates a second at most."""
MOST_ALARMS = 6
THEMES = {"auto": None, "light": False, "dark": True}
THEME_ICONS = {"auto": "brightness_auto", "light": "light_mode", "dark": "dark_mode"}
STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
Action = Callable[[], Awaitable[None] | None]


class PageEntry(NamedTuple):
    """A page in the navigation."""

    path: str
    title: str
    icon: str
    """A name of the Material icons that NiceGUI serves itself."""
    module: str


PAGES = (
    PageEntry("/", "Network", "hub", "apps.monitor.pages.network"),
    PageEntry("/users", "Users", "group", "apps.monitor.pages.users"),
    PageEntry("/neighbours", "Links", "link", "apps.monitor.pages.neighbours"),
    PageEntry("/chat", "Chat", "chat", "apps.monitor.pages.chat"),
    PageEntry("/message", "Message", "route", "apps.monitor.pages.message"),
    PageEntry("/plots", "Plots", "show_chart", "apps.monitor.pages.plots"),
    PageEntry("/logs", "Logs", "notes", "apps.monitor.pages.logs"),
)


class Frame:
    """What a page's frame does for it while its window is open."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._actions: list[tuple[float, Action]] = []
        self._due: list[float] = []

    def every(self, seconds: float, action: Action) -> None:
        """Call `action` now and then about every so many seconds (not below TICK), while the window is open."""
        self._actions.append((seconds, action))
        self._due.append(0.0)

    async def tick(self) -> None:
        """Do what is due; one after the other, so that a slow node gets no second question meanwhile."""
        for index, (seconds, action) in enumerate(self._actions):
            now = time.monotonic()
            if now >= self._due[index]:
                self._due[index] = now + seconds - TICK / 2
                done = action()
                if done is not None:
                    await done


@contextmanager
def page_frame(console: Console, title: str, *, wants: Iterable[str] = (), path: str = "") -> Iterator[Frame]:
    """Draw what all pages share, and leave the middle to the page.

    `wants`: of `source.EXTRAS`, for as long as the window is open. `path`: the entry to mark in the navigation, if
    it is not found by `title`.
    """
    client, frame, wanted = ui.context.client, Frame(), tuple(wants)
    console.want(wanted)
    client.on_delete(lambda: console.unwant(wanted))
    ui.page_title(f"{title} · Angarium")
    ui.add_css(STYLE)
    _head(title, path)
    alarms = ui.element("section").classes("alarms").props('aria-label="Alarms" role="alert"')
    with ui.element("main").classes("page").props("id=content tabindex=-1"):
        ui.element("h1").classes("sr-only").props(f'innerText="{title}"')
        yield frame
    frame.every(1.0, _alarm_drawer(console, alarms))
    ui.timer(TICK, frame.tick)


def _head(title: str, path: str) -> None:
    theme = ui.context.client.request.cookies.get("theme", "auto")
    theme = theme if theme in THEMES else "auto"
    dark = ui.dark_mode(THEMES[theme])
    with ui.element("header").classes("top"):
        with ui.link(target="#content").classes("skip"):
            ui.label("To the content")
        with ui.link(target="/").classes("brand"):
            ui.icon("hub").props("aria-hidden=true")
            ui.label("Angarium")
        with ui.element("nav").classes("nav").props('aria-label="Pages"'):
            for entry in PAGES:
                here = entry.path == path or entry.title == title
                with ui.link(target=entry.path).classes("tab here" if here else "tab") as link:
                    ui.icon(entry.icon).props("aria-hidden=true")
                    ui.label(entry.title)
                if here:
                    link.props("aria-current=page")
        _theme_button(theme, dark)


def _theme_button(theme: str, dark: ui.dark_mode) -> None:
    state = {"theme": theme}

    def turn() -> None:
        names = list(THEMES)
        chosen = names[(names.index(state["theme"]) + 1) % len(names)]
        state["theme"] = chosen
        dark.set_value(THEMES[chosen])
        button.props(f"icon={THEME_ICONS[chosen]}").props(f'aria-label="Theme: {chosen}" title="Theme: {chosen}"')
        ui.run_javascript(f"document.cookie='theme={chosen};path=/;max-age=31536000;SameSite=Strict'")

    button = ui.button(icon=THEME_ICONS[theme], on_click=turn).props("flat round dense")
    button.classes("theme").props(f'aria-label="Theme: {theme}" title="Theme: {theme}"')


def _alarm_drawer(console: Console, box: ui.element) -> Action:
    shown: list[Trouble] = []

    def draw() -> None:
        standing = console.troubles()
        if standing == shown:
            return
        shown[:] = standing
        box.clear()
        with box:
            for trouble in standing[:MOST_ALARMS]:
                _alarm(trouble)
            if len(standing) > MOST_ALARMS:
                ui.label(f"and {len(standing) - MOST_ALARMS} more alarms").classes("alarm-more")

    return draw


def _alarm(trouble: Trouble) -> None:
    with ui.element("div").classes("alarm"):
        ui.icon("error").props("aria-hidden=true")
        with ui.element("div").classes("alarm-text"):
            with ui.element("div"):
                ui.label(trouble.node).classes("alarm-node")
                ui.label(trouble.text).classes("alarm-what")
            if trouble.advice:
                ui.label(trouble.advice).classes("alarm-advice")


async def attempt(work: Awaitable[object], done: str) -> bool:
    """Carry out an action of the person at the console; say that it is done, or why not."""
    try:
        await work
    except NodeError as error:
        ui.notify(str(error), type="negative", position="bottom", multi_line=True, timeout=8000, close_button="Close")
        return False
    ui.notify(done, type="positive", position="bottom")
    return True


def serve(console: Console, host: str, port: int, *, token: str = "", ready: Callable[[], Awaitable[None]]) -> None:
    """Serve the console until SIGTERM or SIGINT; `ready` is called in the loop when the nodes are being followed."""
    for entry in PAGES:
        importlib.import_module(entry.module).add(console)

    async def begin() -> None:
        await console.start()
        background_tasks.create(ready())

    app.on_startup(begin)
    app.on_shutdown(console.stop)
    app.add_middleware(Guard, token=token)
    ui.run(
        host=host,
        port=port,
        title="Angarium",
        favicon=FAVICON,
        dark=None,
        language="en-US",
        show=False,
        reload=False,
        tailwind=False,
        show_welcome_message=False,
        message_history_length=100,
        binding_refresh_interval=None,
        access_log=False,
    )


FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0f766e"/>'
    '<g stroke="#fff" stroke-width="2.4"><path d="M8 22 16 9 24 22Z" fill="none"/></g>'
    '<g fill="#fff"><circle cx="8" cy="22" r="3.6"/><circle cx="16" cy="9" r="3.6"/>'
    '<circle cx="24" cy="22" r="3.6"/></g></svg>'
)
