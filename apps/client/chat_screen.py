"""The screen of `angarium chat` (Textual): contacts at the left, the conversation, a line to write in.

What comes from the network is put in as `rich.text.Text`, never as markup, after its control characters were escaped.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from actors.model import POSTMASTER
from apps.client.chat_drawn import drawn, drawn_contact
from apps.client.chat_engine import Engine, Link, Me, View
from apps.client.chat_model import (
    COMMANDS,
    SHOWN,
    Chat,
    Command,
    Line,
    Say,
    Wrong,
    common_start,
    completions,
    day,
    read_entry,
)
from apps.client.chat_store import ChatStore
from apps.client.exchange import Timers
from apps.client.session import Refused
from apps.client.wire import Unreachable
from apps.common.output import printable
from apps.common.process import stop_signals

NARROW = 60
"""Columns below which the contacts are not shown; their unread count stands above."""
GATHER = 0.05
"""Seconds in which changes are gathered before they are drawn."""
REMARKS = 100
"""Remarks that stay on the screen."""
_COLOURS = {Link.ONLINE: "green", Link.AWAY: "yellow", Link.CONNECTING: "yellow"}
_WORDS = {
    Link.CONNECTING: "connecting",
    Link.ONLINE: "online",
    Link.AWAY: "not registered: messages wait at the node; /register",
    Link.LOST: "no answer, trying again",
    Link.REFUSED: "refused; /register tries again",
    Link.LOCKED: "a password is wanted, or another one; /register asks again",
}


class PasswordScreen(ModalScreen[str]):
    """Asks for the password; an empty one is a no."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]

    def __init__(self, user: str, why: str) -> None:
        """Take whose password is wanted and what the node said."""
        super().__init__()
        self._user = user
        self._why = why

    def compose(self) -> ComposeResult:
        """Put a question and a hidden entry in the middle."""
        with Vertical(id="ask"):
            yield Static(Text(f"Password of {printable(self._user)} ({printable(self._why)}), Esc to leave"))
            yield Input(password=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer."""
        event.stop()
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Answer nothing."""
        self.dismiss("")


class Entry(Input):
    """A line to write in that serves its keys in the order in which they come.

    Textual's bindings are served by the application, behind characters that were typed after them.
    """

    def __init__(self, keys: Mapping[str, Callable[[], None]], suggester: Suggester) -> None:
        """Take what to do at which key."""
        super().__init__(placeholder="write, or /help", id="entry", suggester=suggester)
        self._keys = keys

    def _on_key(self, event: Key) -> None:  # type: ignore[override]  # Textual calls each class's own, awaited or not
        if event.key in self._keys:
            event.stop()
            event.prevent_default()
            self._keys[event.key]()


class Completion(Suggester):
    """Completes commands, names and ids while they are typed."""

    def __init__(self, chat: Chat) -> None:
        """Take where names and ids come from."""
        super().__init__(use_cache=False, case_sensitive=True)
        self._chat = chat

    def of(self, value: str) -> list[str]:
        """Return all entries that begin so."""
        names = [contact.name for contact in self._chat.contacts if contact.name != POSTMASTER]
        return completions(value, names, self._chat.ids)

    async def get_suggestion(self, value: str) -> str | None:
        """Return the first."""
        return next(iter(self.of(value)), None)


class ChatApp(App[None], View):
    """A conversation client on the whole terminal."""

    ENABLE_COMMAND_PALETTE = False
    CSS = f"""
    #status {{ dock: top; height: 1; background: $panel; padding: 0 1; }}
    #contacts {{ width: 22; height: 1fr; border: none; border-right: solid $panel; padding: 0; }}
    #contacts.narrow {{ display: none; }}
    #lines {{ height: 1fr; padding: 0 1; }}
    #lines Static {{ height: auto; }}
    #entry {{ dock: bottom; height: 1; border: none; background: $panel; padding: 0 1; }}
    PasswordScreen {{ align: center middle; }}
    #ask {{ width: {NARROW}; max-width: 90%; height: auto; background: $panel; padding: 1 2; }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", "end", priority=True),
        Binding("ctrl+q", "leave", "end", priority=True),
    ]

    def __init__(
        self,
        me: Me,
        store: ChatStore,
        *,
        to: str = "",
        password: str | None = None,
        timers: Timers | None = None,
    ) -> None:
        """Take who one is, where to keep, and whom to talk to first."""
        super().__init__()
        self._store = store
        self.chat = Chat(store.contacts())
        self.engine = Engine(me, store, self, password=password, timers=timers)
        self._to = to
        self._me = me
        self._dirty: dict[int, Line] = {}
        self._gathering = False
        self._asking = False
        self._link_said = Link.CONNECTING
        self._last_day = ""
        self._shown: dict[int, tuple[Static, str]] = {}
        """The lines on the screen, and the day that is written above one."""
        self._remarks: list[Static] = []
        self._completion = Completion(self.chat)

    # What Textual calls.

    def compose(self) -> ComposeResult:
        """Lay out."""
        yield Static(id="status")
        contacts = OptionList(id="contacts", markup=False)
        contacts.can_focus = False
        lines = VerticalScroll(id="lines", can_focus=False)
        with Horizontal():
            yield contacts
            yield lines
        keys: dict[str, Callable[[], None]] = {
            "enter": self.enter,
            "tab": self.complete,
            "pageup": lines.action_page_up,
            "pagedown": lines.action_page_down,
        }
        keys |= dict.fromkeys(("ctrl+n", "ctrl+down"), lambda: self.go(1))
        keys |= dict.fromkeys(("ctrl+p", "ctrl+up"), lambda: self.go(-1))
        yield Entry(keys, self._completion)

    async def on_mount(self) -> None:
        """Show the history and begin."""
        self.query_one("#entry").focus()
        peer = self._to or next((contact.name for contact in self.chat.contacts), "")
        if peer:
            self.open(peer)
        else:
            self.remark("nobody wrote yet; /to NAME begins a conversation, /help lists the commands")
        self._draw_status()
        self._draw_contacts()
        await self.engine.start()

    def on_resize(self) -> None:
        """Hide the contacts where there is no room for them."""
        self.query_one("#contacts").set_class(self.size.width < NARROW, "narrow")

    def enter(self) -> None:
        """Do what was typed."""
        line = self.query_one("#entry", Entry)
        entry, line.value = read_entry(line.value), ""
        if isinstance(entry, Say):
            self._say(entry.text)
        elif isinstance(entry, Wrong):
            self.remark(entry.why)
        elif entry is not None:
            self._obey(entry)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open whom one clicked at."""
        contacts = self.chat.contacts
        if event.option_index < len(contacts):
            self.open(contacts[event.option_index].name)

    def complete(self) -> None:
        """Complete the entry; where several fit, list them."""
        entry = self.query_one("#entry", Entry)
        found = self._completion.of(entry.value)
        if len(found) > 1:
            self.remark("  ".join(item.rstrip() for item in found[:20]))
        if found:
            entry.value = common_start(found)
            entry.cursor_position = len(entry.value)

    def go(self, step: int) -> None:
        """Open the next or the previous conversation."""
        if peer := self.chat.neighbour(step):
            self.open(peer)

    async def action_leave(self) -> None:
        """Deregister and end."""
        self.query_one("#status", Static).update(Text("ending"))
        await self.engine.stop()
        self.exit()

    # What the engine tells.

    def line(self, line: Line) -> None:
        """Take a new or changed line, drawn in a moment."""
        if self.chat.take(line):
            self._dirty[line.number] = line
        self._gather()

    def link(self, link: Link, why: str) -> None:
        """Say how the registration is; ask for a password if one is wanted."""
        if link is not self._link_said:
            self._link_said = link
            if link in (Link.LOST, Link.REFUSED):
                self.remark(f"{_WORDS[link]}: {why}")
            elif link is Link.ONLINE:
                self.remark(f"registered at {self._me.via}")
        self._gather()
        if link is Link.LOCKED and not self._asking:
            self._asking = True
            self.push_screen(PasswordScreen(self._me.user, why), self._password_given)

    def trouble(self, text: str) -> None:
        """Say what went wrong."""
        self.remark(text)

    # What the user wants.

    def open(self, peer: str) -> None:
        """Show a conversation."""
        self.chat.open(peer, self._store.conversation(peer))
        lines = self.query_one("#lines", VerticalScroll)
        for widget in (*(shown for shown, _ in self._shown.values()), *self._remarks):
            widget.remove()
        self._shown, self._remarks, self._last_day = {}, [], ""
        self._dirty.clear()
        widgets = [self._new_line(line) for line in self.chat.lines.values()]
        if widgets:
            lines.mount_all(widgets)
        lines.scroll_end(animate=False)
        self._gather()

    def remark(self, text: str) -> None:
        """Show a line that is no message and is not kept."""
        lines = self.query_one("#lines", VerticalScroll)
        widget = Static(Text("\n".join(f"- {printable(row)}" for row in text.split("\n")), style="dim"))
        self._remarks.append(widget)
        lines.mount(widget)
        if len(self._remarks) > REMARKS:
            self._remarks.pop(0).remove()
        lines.scroll_end(animate=False)

    def _say(self, text: str) -> None:
        if not self.chat.peer or self.chat.peer == POSTMASTER:
            self.remark("whom to? /to NAME chooses; what postmaster is sent nobody reads")
            return
        try:
            self.engine.say(self.chat.peer, text)
        except sqlite3.Error as error:
            self.remark(f"not sent, the history cannot be written: {error}")

    def _obey(self, command: Command) -> None:
        simple: dict[str, Callable[[], object]] = {
            "/help": lambda: self.remark("\n".join(f"{name} {what}" for name, what in COMMANDS.items()) + _KEYS),
            "/to": lambda: self.open(command.argument),
            "/status": self._tell_status,
            "/register": self.engine.register,
            "/unregister": lambda: self.run_worker(self._deregister()),
            "/where": lambda: self.run_worker(self._where(command.argument)),
            "/quit": lambda: self.run_worker(self.action_leave()),
        }
        simple[command.name]()

    def _tell_status(self) -> None:
        engine = self.engine
        why = f" ({engine.why})" if engine.why else ""
        self.remark(
            f"{self._me.user} at {self._me.via}: {_WORDS[engine.link]}{why}\n"
            f"{engine.unsent} to send, {self.chat.unread} unread, {len(self.chat.contacts)} contacts\n"
            f"history: {self._store.path}"
        )

    async def _deregister(self) -> None:
        try:
            await self.engine.unregister()
        except (Unreachable, Refused) as error:
            self.remark(f"not deregistered: {error}")
        else:
            self.remark(_WORDS[Link.AWAY])

    async def _where(self, message_id: str) -> None:
        wanted = message_id or next(iter(self.chat.ids), "")
        if not wanted:
            self.remark("no message of yours was accepted here yet; /where ID asks about another one")
            return
        try:
            self.remark(f"{wanted}: {await self.engine.state_of(wanted)}")
        except Unreachable as error:
            self.remark(f"{wanted}: no answer: {error}")

    async def _password_given(self, password: str | None) -> None:
        self._asking = False
        if password:
            await self.engine.use_password(password)

    # Drawing.

    def _gather(self) -> None:
        if not self._gathering:
            self._gathering = True
            self.set_timer(GATHER, self._draw)

    def _draw(self) -> None:
        """Draw what changed since the last time."""
        self._gathering = False
        lines = self.query_one("#lines", VerticalScroll)
        new = [line for number, line in self._dirty.items() if number not in self._shown]
        for number, line in self._dirty.items():
            if number in self._shown:
                widget, above = self._shown[number]
                widget.update(drawn(line, self._me.user, above))
        self._dirty.clear()
        if new:
            self._store.looked_at(self.chat.peer)
            lines.mount_all([self._new_line(line) for line in new])
            while len(self._shown) > SHOWN:
                self._shown.pop(next(iter(self._shown)))[0].remove()
            lines.scroll_end(animate=False)
        self._draw_status()
        self._draw_contacts()

    def _new_line(self, line: Line) -> Static:
        today = day(line.at)
        above = today if today != self._last_day else ""
        widget = Static(drawn(line, self._me.user, above))
        self._last_day = today
        self._shown[line.number] = widget, above
        return widget

    def _draw_status(self) -> None:
        link, unread = self.engine.link, self.chat.unread
        status = Text(f"{printable(self._me.user)} at {self._me.via} ", no_wrap=True, overflow="ellipsis")
        status.append(_WORDS[link], style=_COLOURS.get(link, "red"))
        if self.chat.peer:
            status.append(f"  with {printable(self.chat.peer)}", style="bold")
        if unread:
            status.append(f"  {unread} unread", style="bold yellow")
        self.query_one("#status", Static).update(status)

    def _draw_contacts(self) -> None:
        contacts = self.query_one("#contacts", OptionList)
        known = self.chat.contacts
        contacts.clear_options()
        contacts.add_options([Option(drawn_contact(contact)) for contact in known])
        names = [contact.name for contact in known]
        contacts.highlighted = names.index(self.chat.peer) if self.chat.peer in names else None


_KEYS = "\nTab completes, Ctrl-N and Ctrl-P change the conversation, PageUp and PageDown scroll, Ctrl-C ends"


def run(app: ChatApp) -> None:
    """Show it until the user ends it, or SIGTERM does."""

    async def main() -> None:
        def end() -> None:
            app.run_worker(app.action_leave())

        with stop_signals(end):
            await app.run_async()

    asyncio.run(main())
