"""Talk as a user of a node: registers a real SIP client, shows people, lines, and what became of each message."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from nicegui import app, ui

from actors.model import POSTMASTER
from apps.client.chat_engine import Link
from apps.client.chat_model import Contact, Line, State, text_of
from apps.common.output import printable
from apps.monitor.chats import ChatError, Chats, Session
from apps.monitor.console import Console
from apps.monitor.pages.parts import NodeChoice, clock, field, hint
from apps.monitor.web import Frame, page_frame

MOST_LINES = 100
MOST_PEOPLE = 60
LINKS = {
    Link.ONLINE: ("good", "registered"),
    Link.CONNECTING: ("warn", "connecting"),
    Link.AWAY: ("", "not registered"),
    Link.LOST: ("bad", "no answer, trying again"),
    Link.REFUSED: ("bad", "refused"),
    Link.LOCKED: ("bad", "the password is wrong, or one is needed"),
}
STATES = {
    State.SENDING: "sending",
    State.ACCEPTED: "✓ accepted",
    State.DELIVERED: "✓✓ delivered",
    State.FAILED: "✗ failed",
}
SCROLL = "(() => { const lines = document.getElementById('chat-lines'); if (lines) lines.scrollTop = 1e9; })()"


def add(console: Console) -> None:
    """Register the page."""
    chats = Chats(console.chat_folder)
    app.on_shutdown(chats.stop)

    @ui.page("/chat")
    def chat() -> None:
        with page_frame(console, "Chat") as frame:
            ChatPage(console, chats, frame)


class ChatPage:
    """The page of one browser tab: a form, or the conversations of who registered with it."""

    def __init__(self, console: Console, chats: Chats, frame: Frame) -> None:
        """Draw nothing until the tab has told its name."""
        self._console = console
        self._chats = chats
        self._client = ui.context.client
        self._box = ui.element("div").classes("rows").style("gap: 18px")
        self._shown: Session | None = None
        self._room: Room | None = None
        self._form: NodeChoice | None = None
        frame.every(0.5, self._tick)

    def _tick(self) -> None:
        tab = self._client.tab_id
        if tab is None:
            return  # gone for a moment, or not there yet
        session = self._chats.of(tab)
        if session is not self._shown or (self._room is None and self._form is None):
            self._redraw(session)
        if session is not None:
            session.looked()
        if self._room is not None:
            self._room.refresh()
        if self._form is not None:
            self._form.refresh()

    def _redraw(self, session: Session | None) -> None:
        self._shown, self._room, self._form = session, None, None
        self._box.clear()
        with self._box:
            if session is None:
                self._form = self._draw_form()
            else:
                self._room = Room(session, self._leave)

    def _draw_form(self) -> NodeChoice:
        with ui.element("section").classes("card form").props('role=form aria-label="Register as a user"'):
            ui.label("Register as a user").classes("card-title")
            with ui.element("div").classes("bar"):
                choice = NodeChoice(self._console, "", lambda: None)
                name, secret = field("Name"), field("Password", password=True)
            hint("In open mode any name will do, without a password. What is written to you comes here, by SIP.")
            trouble = ui.label().classes("chat-trouble").props("role=alert")

            async def submit() -> None:
                button.disable()
                trouble.set_text("")
                password = str(secret.value or "")
                secret.set_value("")
                source = self._console.source(choice.label)
                try:
                    await self._chats.begin(self._client.tab_id or "", source, str(name.value or ""), password)
                except ChatError as error:
                    trouble.set_text(printable(str(error)))
                    button.enable()
                    return
                self._tick()

            secret.on("keydown.enter", submit)
            name.on("keydown.enter", submit)
            button = ui.button("Register", on_click=submit).props("unelevated color=primary")
        return choice

    async def _leave(self) -> None:
        await self._chats.end(self._client.tab_id or "")
        self._tick()


class Room:
    """What one sees once registered."""

    def __init__(self, session: Session, leave: Callable[[], object]) -> None:
        """Draw it; `refresh` fills it."""
        self._session = session
        self._lines: dict[int, tuple[Line, ui.element]] = {}
        self._people_shown: list[tuple[str, int]] | None = None
        self._peer = ""
        with ui.element("section").classes("card chat-head").props('aria-label="Registration"'):
            ui.label(printable(session.me.user)).classes("row-name")
            self._link = ui.label().classes("badge").props("role=status")
            ui.label(f"at {printable(str(session.me.via))}").classes("hint wrap chat-at")
            ui.button("Deregister", on_click=leave).props("flat dense color=primary")
        self._trouble = ui.label().classes("chat-trouble").props("role=alert")
        with ui.element("div").classes("chat"):
            with ui.element("section").classes("card chat-people").props('aria-label="People"'):
                with ui.element("div").classes("bar chat-entry"):
                    self._new = field("Write to").classes("grow")
                    self._new.on("keydown.enter", self._open_new)
                    ui.button("Open", on_click=self._open_new).props("flat dense color=primary")
                self._people = ui.element("div").classes("chat-names").props("role=list")
            with ui.element("section").classes("card chat-talk").props('aria-label="Conversation"'):
                self._title = ui.label().classes("card-title")
                self._talk = ui.element("div").classes("chat-lines")
                self._talk.props('id=chat-lines role=log aria-live=polite tabindex=0 aria-label="Messages"')
                with ui.element("div").classes("bar chat-entry"):
                    self._entry = field("Message").classes("grow")
                    self._entry.on("keydown.enter", self._say)
                    ui.button("Send", on_click=self._say).props("unelevated color=primary")

    def refresh(self) -> None:
        """Draw what changed."""
        engine, chat = self._session.engine, self._session.chat
        kind, words = LINKS[engine.link]
        words = f"{words}: {printable(engine.why)}" if engine.why else words
        if self._link.text != words:
            self._link.set_text(words)
            self._link.classes(replace=f"badge {kind}")
        if self._trouble.text != self._session.remark:
            self._trouble.set_text(printable(self._session.remark))
        people = [(contact.name, contact.unread) for contact in chat.contacts[:MOST_PEOPLE]]
        if people != self._people_shown or chat.peer != self._peer:
            self._people_shown = people
            self._draw_people(chat.contacts[:MOST_PEOPLE])
        if chat.peer != self._peer or not self._title.text:
            self._peer = chat.peer
            self._title.set_text(printable(chat.peer) or "Nobody wrote yet: name somebody, or wait")
            self._talk.clear()
            self._lines.clear()
        self._draw_lines(list(chat.lines.values())[-MOST_LINES:])

    def _draw_people(self, contacts: list[Contact]) -> None:
        self._people.clear()
        with self._people:
            for contact in contacts:
                self._person(contact)

    def _person(self, contact: Contact) -> None:
        here = contact.name == self._session.chat.peer
        name = printable(contact.name)
        spoken = f"{name}, {contact.unread} unread" if contact.unread else name
        # A label inside, since a button's own text comes in capitals and cannot be cut.
        with ui.element("div").props("role=listitem"):
            button = ui.button(on_click=lambda: self._open(contact.name)).props("flat no-caps align=left")
            button.classes("chat-name here" if here else "chat-name")
            button.props["aria-label"] = spoken
            with button:
                ui.label(name).classes("chat-who")
                if contact.unread:
                    ui.label(str(contact.unread)).classes("chat-unread")

    def _draw_lines(self, lines: list[Line]) -> None:
        new = False
        wanted = {line.number for line in lines}
        for number in [number for number in self._lines if number not in wanted]:
            self._lines.pop(number)[1].delete()
        with self._talk:
            for line in lines:
                known = self._lines.get(line.number)
                if known is None:
                    row = ui.element("div").classes("chat-line own" if line.own else "chat-line")
                    new = True
                elif known[0] is not line and known[0] != line:
                    row = known[1]
                    row.clear()
                else:
                    continue
                self._lines[line.number] = (line, row)
                with row:
                    _line(line, self._session.me.user)
        if new:
            self._session.read()
            ui.run_javascript(SCROLL)

    def _open_new(self) -> None:
        name = str(self._new.value or "").strip()
        if name and self._open(name):
            self._new.set_value("")

    def _open(self, peer: str) -> bool:
        return self._tell(lambda: self._session.open(peer))

    def _say(self) -> None:
        text = str(self._entry.value or "")
        if text.strip() and self._tell(lambda: self._session.say(text)):
            self._entry.set_value("")

    def _tell(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except ChatError as error:
            self._session.remark = str(error)
            self.refresh()
            return False
        self._session.remark = ""
        self.refresh()
        return True


def _line(line: Line, user: str) -> None:
    with ui.element("div").classes("chat-meta"):
        ui.label(printable(user if line.own else line.peer)).classes("chat-from")
        ui.label(clock(line.at)).classes("hint")
        if line.own:
            words = STATES.get(line.state, "")
            words = f"{words}: {printable(line.reason)}" if line.reason else words
            ui.label(words).classes(f"chat-state {line.state.value} wrap")
        if line.id and line.peer != POSTMASTER:
            with ui.link(target=f"/message/{quote(line.id, safe='')}").classes("chat-way") as link:
                ui.label("way")
            link.props('aria-label="The way of this message" title="The way of this message"')
    ui.label(text_of(line)).classes("chat-text").props("dir=auto")
