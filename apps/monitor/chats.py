"""The SIP sessions of people who chat in the browser: real clients, which live in the console's process.

One a browser tab, found again by the tab's secret name after a reload; at most MOST, and none outlives its last page by
more than LONE seconds. What comes is on disk before it is answered, as with `angarium chat`. A password is held in
memory for as long as its session, and written nowhere. A history is shown to whom the node let register, not before.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from apps.client.chat_engine import Engine, Link, Me, View
from apps.client.chat_model import Chat, Line
from apps.client.chat_store import ChatStore
from apps.client.state import default_path
from apps.common.exits import Failure
from apps.common.users import user_name
from apps.common.values import Listen, Transport, listen
from apps.monitor.source import NodeError, NodeSource

MOST = 20
"""Sessions at once."""
LONE = 600.0
"""Seconds that a session lives on without a page."""
ATTENDED = 5.0
"""Seconds since a page last looked, in which the session counts as in use."""
LOOK_EVERY = 10.0
PATIENCE = 15.0
"""Seconds that a registration may take."""
LONGEST_TEXT = 20_000
"""Characters of one message."""
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Addresses at which a node listens on all interfaces, and where it then is on this machine."""


class ChatError(Exception):
    """It cannot be done; the text is one sentence for the person at the console."""


class Session(View):
    """One user's device, and what its page shows."""

    def __init__(self, me: Me, node: str, store: ChatStore, password: str) -> None:
        """Take who, where, and the history; nothing runs yet."""
        self.me = me
        self.node = node
        """The label of the node it is registered at."""
        self.engine = Engine(me, store, self, password=password or None)
        self.chat = Chat(store.contacts())
        self.remark = ""
        """What went wrong last, beside the lines and the registration."""
        self.seen = time.monotonic()
        self._store = store
        self._decided = asyncio.Event()

    async def start(self) -> None:
        """Register; raises ChatError, and then all is closed again."""
        await self.engine.start()
        try:
            async with asyncio.timeout(PATIENCE):
                await self._decided.wait()
        except TimeoutError:
            self.engine.why = self.engine.why or "no answer in time"
        if self.engine.link is not Link.ONLINE:
            why = self.engine.why
            await self.end()
            raise ChatError(f"{self.me.user} is not registered at {self.me.via}: {why}")
        if newest := next(iter(self.chat.contacts), None):
            self.open(newest.name)

    async def end(self) -> None:
        """Deregister if that is possible at once, and close all."""
        try:
            await self.engine.stop()
        finally:
            self._store.close()

    def open(self, peer: str) -> None:
        """Talk to somebody; raises ChatError."""
        try:
            self.chat.open(user_name(peer) if peer not in self._known else peer, self._store.conversation(peer))
        except (ValueError, sqlite3.Error) as error:
            raise ChatError(str(error)) from error

    def say(self, text: str) -> None:
        """Write to whom one talks to; raises ChatError."""
        if not self.chat.peer:
            raise ChatError("choose first whom to write to")
        if len(text) > LONGEST_TEXT:
            raise ChatError(f"a message here has at most {LONGEST_TEXT:,} characters")
        try:
            self.engine.say(self.chat.peer, text)
        except sqlite3.Error as error:
            raise ChatError(f"not sent, the history cannot be written: {error}") from error

    def looked(self) -> None:
        """Note that a page shows it now."""
        self.seen = time.monotonic()

    def read(self) -> None:
        """Note that the open conversation was seen up to its end."""
        try:
            self._store.looked_at(self.chat.peer)
        except sqlite3.Error as error:
            self.trouble(f"the history cannot be written: {error}")

    @property
    def attended(self) -> bool:
        """Tell whether a page shows it."""
        return time.monotonic() - self.seen < ATTENDED

    @property
    def _known(self) -> set[str]:
        return {contact.name for contact in self.chat.contacts}

    # What the engine tells.

    def line(self, line: Line) -> None:
        """Take a new or changed line; the first one opens its conversation."""
        self.chat.take(line)
        if not self.chat.peer:
            try:
                self.open(line.peer)
            except ChatError as error:
                self.trouble(str(error))

    def link(self, link: Link, why: str) -> None:
        """Note how it stands with the registration; the engine keeps it."""
        if link not in (Link.CONNECTING, Link.AWAY):
            self._decided.set()

    def trouble(self, text: str) -> None:
        """Keep what went wrong for the page."""
        self.remark = text


class Chats:
    """All sessions of a console, by the secret names of browser tabs."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder for histories; None: where `angarium chat` has them."""
        self._folder = folder
        self._sessions: dict[str, Session] = {}
        self._beginning: set[str] = set()
        self._watching: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """Count them."""
        return len(self._sessions)

    def of(self, tab: str) -> Session | None:
        """Return a tab's session, if there is one."""
        return self._sessions.get(tab)

    async def begin(self, tab: str, source: NodeSource, name: str, password: str) -> Session:
        """Register a user at a node, for this tab; raises ChatError."""
        try:
            user = user_name(name.strip())
        except ValueError as error:
            raise ChatError(str(error)) from None
        if tab in self._beginning:
            raise ChatError("still registering")
        self._beginning.add(tab)
        try:
            await self.end(tab)
            me = Me(user, await where(source))
            await self._make_room(me)
            session = Session(me, source.view.label, self._store(me), password)
            await session.start()
        finally:
            self._beginning.discard(tab)
        self._sessions[tab] = session
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return session

    async def end(self, tab: str) -> None:
        """Deregister a tab's user, if there is one."""
        session = self._sessions.pop(tab, None)
        if session is not None:
            await session.end()

    async def stop(self) -> None:
        """End all."""
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.gather(*(self.end(tab) for tab in list(self._sessions)), return_exceptions=True)

    async def _make_room(self, me: Me) -> None:
        """Let the session of a closed page go where it is in the way; raises ChatError."""
        for tab, session in list(self._sessions.items()):
            if session.me == me:
                if session.attended:
                    raise ChatError(f"{me.user} is registered in another window of this console already")
                await self.end(tab)
        if len(self._sessions) + len(self._beginning) > MOST:
            lone = [tab for tab, session in self._sessions.items() if not session.attended]
            if not lone:
                raise ChatError(f"{MOST} people chat here already, that is the most")
            await self.end(min(lone, key=lambda tab: self._sessions[tab].seen))

    def _store(self, me: Me) -> ChatStore:
        path = default_path(me.user, me.via)
        try:
            return ChatStore(path if self._folder is None else self._folder / path.name)
        except Failure as failure:
            raise ChatError(failure.message) from failure

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = time.monotonic()
            for tab, session in list(self._sessions.items()):
                if now - session.seen > LONE:
                    await self.end(tab)


async def where(source: NodeSource) -> Listen:
    """Return the address at which a node speaks SIP, TCP first; raises ChatError."""
    try:
        status: Any = await source.get("status")
    except NodeError as error:
        raise ChatError(str(error)) from error
    found: dict[Transport, Listen] = {}
    for text in status.get("addresses", ()):
        try:
            address = listen(str(text))
        except ValueError:
            continue  # a transport that this client does not speak
        if address.host in EVERYWHERE:
            here = source.target.socket is not None
            host = EVERYWHERE[address.host] if here else urlsplit(source.target.base).hostname or address.host
            address = Listen(address.transport, host, address.port)
        found.setdefault(address.transport, address)
    if not found:
        raise ChatError(f"{source.view.title} has no address for SIP clients")
    return found.get(Transport.TCP) or found[Transport.UDP]
