"""Users of a node with their devices, and forms to add, register, deregister, move and remove them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from apps.common.output import printable
from apps.monitor import frames
from apps.monitor.console import Console
from apps.monitor.pages.parts import NodeChoice, age, field, hint
from apps.monitor.source import MOVE_TIMEOUT, NodeError, NodeSource
from apps.monitor.state import count
from apps.monitor.web import Frame, attempt, page_frame

MOST = 50
"""Users on one page; who is not among them is found by a part of his name."""
MOST_BINDINGS = 6
EVERY = 2.0


def add(console: Console) -> None:
    """Register the page."""

    @ui.page("/users")
    def users(node: str = "", q: str = "") -> None:
        with page_frame(console, "Users") as frame:
            UsersPage(console, frame, node, q)


class UsersPage:
    """The page of one browser window."""

    def __init__(self, console: Console, frame: Frame, node: str, part: str) -> None:
        """Draw it; the list comes with the first tick."""
        self._console = console
        self._shown: list[frames.User] | None = None
        with ui.element("section").classes("card").props('aria-label="Users"'):
            with ui.element("div").classes("bar"):
                self._choice = NodeChoice(console, node, self._again)
                self._search = field("Search by a part of the name")
                self._search.set_value(part[:128])
                self._search.on("keydown.enter", self.refresh)
                self._online = ui.checkbox("Online only", on_change=self._again)
                self._count = ui.label().classes("hint")
            self._list = ui.element("div").classes("rows").props("role=list")
        with ui.element("div").classes("forms"):
            self._form_user()
            self._form_client()
            self._form_move()
        frame.every(EVERY, self.refresh)
        frame.every(0.5, self._if_searched)
        self._searched = part

    @property
    def source(self) -> NodeSource:
        """The chosen node."""
        return self._console.source(self._choice.label)

    async def refresh(self) -> None:
        """Ask for the users again, and draw them if they changed in more than ages."""
        self._choice.refresh()
        self._searched = str(self._search.value or "")
        query: dict[str, str | int] = {"limit": MOST}
        if self._searched:
            query["q"] = self._searched
        if self._online.value:
            query["online"] = 1
        try:
            page = await self.source.users(**query)
        except NodeError as error:
            self._count.set_text(printable(str(error)))
            return
        more = " (more: search for a name)" if page.next is not None else ""
        self._count.set_text(f"{len(page.users):,} shown of {count(page.total, 'user')}{more}")
        if [_key(user) for user in page.users] != [_key(user) for user in self._shown or ()] or self._shown is None:
            self._shown = page.users
            self._draw(page.users)

    async def _if_searched(self) -> None:
        if str(self._search.value or "") != self._searched:
            await self.refresh()

    async def _again(self) -> None:
        self._shown = None
        await self.refresh()

    def _draw(self, users: list[frames.User]) -> None:
        self._list.clear()
        with self._list:
            if not users:
                hint("No user here. A client that registers in open mode appears by itself; others are added below.")
            for user in users:
                self._row(user)

    def _row(self, user: frames.User) -> None:
        name = printable(user.name)
        with ui.element("div").classes("row-item").props("role=listitem"):
            ui.label(name).classes("row-name")
            kind, text = ("good", "online") if user.online else ("", "away")
            if user.home:
                kind, text = "warn", f"moved to {printable(user.home)}"
            ui.label(text).classes(f"badge {kind}")
            with ui.element("div").classes("row-main"):
                _devices(user)
            with ui.element("div").classes("row-actions"):
                if any(device.bindings for device in user.devices):
                    _small("Deregister", lambda: self._deregister(user.name), f"Deregister {name}")
                if not user.home:
                    _small("Remove", lambda: self._confirm_remove(user.name), f"Remove {name}", danger=True)

    async def _act(self, work: Awaitable[object], done: str) -> bool:
        good = await attempt(work, printable(done))
        self._shown = None
        await self.refresh()
        return good

    async def _deregister(self, name: str) -> None:
        await self._act(self.source.delete("users", name, "bindings"), f"{name} is deregistered; his mail waits")

    def _confirm_remove(self, name: str) -> None:
        with ui.dialog() as dialog, ui.element("div").classes("card form"):
            ui.label(f"Remove {printable(name)}?").classes("card-title")
            ui.label("What waits for him ends, and its senders are told.")

            async def remove() -> None:
                dialog.close()
                await self._act(self.source.delete("users", name), f"{name} is removed")

            with ui.element("div").classes("row-actions"):
                ui.button("Keep", on_click=dialog.close).props("flat autofocus")
                ui.button("Remove", on_click=remove).props("color=negative unelevated")
        dialog.on("hide", dialog.delete)
        dialog.open()

    def _form_user(self) -> None:
        with _form("Add a user"):
            name, secret = field("Name"), field("Password", password=True)

            async def submit() -> None:
                body = {"name": name.value or "", "password": secret.value or ""}
                if await self._act(self.source.post("users", body=body), f"{name.value} is added"):
                    name.set_value("")
                secret.set_value("")

            _submit("Add", submit, secret)

    def _form_client(self) -> None:
        with _form("Register a client"):
            name = field("User")
            contact = field("Contact, as sip:alice@127.0.0.1:5062")
            expires = ui.number(label="For seconds", value=3600, min=1, precision=0)
            expires.props('outlined dense aria-label="For seconds"').classes("field")
            hint("For a phone that does not register itself: mail goes to this address over UDP.")

            async def submit() -> None:
                body = {"contact": contact.value or "", "expires": int(expires.value or 3600)}
                user = str(name.value or "")
                work = self.source.post("users", user, "bindings", body=body)
                if user and await self._act(work, f"{user} is registered at {contact.value}"):
                    contact.set_value("")

            _submit("Register", submit, contact)

    def _form_move(self) -> None:
        with _form("Move a user"):
            name, to = field("User to move"), field("To node")
            hint("His mail goes along, and other nodes learn his new home.")

            async def submit() -> None:
                body = {"to": to.value or ""}
                work = self.source.post("users", str(name.value or ""), "move", body=body, timeout=MOVE_TIMEOUT)
                await self._act(work, f"{name.value} lives at {to.value} now")

            _submit("Move", submit, to)


def _devices(user: frames.User) -> None:
    bindings = [(device, binding) for device in user.devices for binding in device.bindings]
    for device, binding in bindings[:MOST_BINDINGS]:
        ui.label(printable(binding.contact)).classes("mono wrap")
        way = f"{binding.transport} {binding.host}:{binding.port}"
        ui.label(f"{printable(way)}, device {printable(device.key)}").classes("row-sub")
    if len(bindings) > MOST_BINDINGS:
        hint(f"and {len(bindings) - MOST_BINDINGS} more")
    if user.devices and not bindings:
        seen = age(min(device.seen_seconds_ago for device in user.devices))
        ui.label(f"{count(len(user.devices), 'device')}, seen {seen} ago").classes("row-sub")
    if user.in_flight:
        ui.label(f"{user.in_flight} on the way to his devices").classes("row-sub")


def _key(user: frames.User) -> tuple[object, ...]:
    """Return what of a user is drawn and matters; ages alone redraw nothing."""
    ways = [(device.key, *(item.contact for item in device.bindings)) for device in user.devices]
    return user.name, user.online, user.home, user.in_flight > 0, tuple(ways)


def _form(title: str) -> ui.element:
    box = ui.element("section").classes("card form").props(f'role=form aria-label="{title}"')
    with box:
        ui.label(title).classes("card-title")
    return box


def _submit(text: str, action: Callable[[], Awaitable[None]], last: ui.input) -> None:
    last.on("keydown.enter", action)
    ui.button(text, on_click=action).props("unelevated color=primary")


def _small(text: str, action: Callable[[], Awaitable[None] | None], spoken: str, *, danger: bool = False) -> None:
    button = ui.button(text, on_click=action).props(f"flat dense color={'negative' if danger else 'primary'}")
    button.props["aria-label"] = spoken
