"""A conversation client without a screen: stays registered, sends what was written, asks what became of it.

All runs in one event loop. What was received is committed before it is answered; what is to be sent is committed before
it is sent, and sent again, as the same message, until a node says yes or no.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable
from enum import StrEnum

import msgspec

from apps.client.chat_model import Line, State
from apps.client.chat_store import ChatStore, Outgoing
from apps.client.chat_watch import Watch
from apps.client.exchange import Timers
from apps.client.sending import Sent, judge, retry_after
from apps.client.session import EXPIRES, ClientSession, Incoming, Refused
from apps.client.wire import TooLarge, Unreachable
from apps.common.exits import Failure
from apps.common.values import Listen

SILENCE = 10.0
"""Seconds until a silent node counts as unreachable: a person watches."""
PAUSES = (0.3, 1.0, 3.0, 8.0)
"""Seconds between tries to send or to register; the last stays."""
FAREWELL = 3.0
"""Seconds that deregistering may take."""
RESENT = 86_400.0
"""Seconds for which an unanswered message is sent again after a start; nodes know repeats for two days."""


class Link(StrEnum):
    """How it stands with the registration."""

    CONNECTING = "connecting"
    ONLINE = "online"
    AWAY = "away"
    """Not registered because the user said so."""
    LOST = "lost"
    """The node does not answer; tried again."""
    REFUSED = "refused"
    LOCKED = "locked"
    """The node wants a password, or another one."""


class View:
    """Who is told what changed; a screen overrides these."""

    def line(self, line: Line) -> None:
        """A line is new or changed."""

    def link(self, link: Link, why: str) -> None:
        """The registration changed."""

    def trouble(self, text: str) -> None:
        """Something went wrong that is not a line's."""


class Me(msgspec.Struct, frozen=True):
    """Who one is, and where."""

    user: str
    via: Listen


class _Session(ClientSession):
    """A session that tells whether it is registered."""

    told: Callable[[Link, str], None]

    async def register(self, expires: int = EXPIRES) -> int:
        try:
            granted = await super().register(expires)
        except Unreachable as error:
            self.told(Link.LOST, str(error))
            raise
        except Refused as error:
            self.told(Link.LOCKED if error.status in (401, 403, 407) else Link.REFUSED, str(error))
            raise
        self.told(Link.ONLINE, "")
        return granted

    def suspect(self, reason: str) -> None:
        """Have the registration tried again: over UDP silence is all that tells of a node that went."""
        if self._connection is not None and not self._connection.reliable:
            self.lost(reason)

    def lost(self, reason: str) -> None:
        super().lost(reason)
        self.told(Link.LOST, reason)


class Engine:
    """One user's device at one node."""

    def __init__(
        self, me: Me, store: ChatStore, view: View, *, password: str | None = None, timers: Timers | None = None
    ) -> None:
        """Take who one is and where to keep; nothing runs yet."""
        self.me = me
        self.link, self.why = Link.CONNECTING, ""
        self._store = store
        self._view = view
        self._password = password
        self._timers = timers or Timers(timer_f=SILENCE)
        self._outbox: asyncio.Queue[Outgoing] = asyncio.Queue()
        self._online = asyncio.Event()
        self._session = self._new_session()
        self._watch = Watch(self._ask, self._learned)
        self._tasks: list[asyncio.Task[None]] = []
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register, send what is unsent, and watch what is undecided; goes on until `stop`."""
        for item in self._store.unsent():
            if time.time() - item.line.at < RESENT:
                self._outbox.put_nowait(item)
            else:
                self._changed(self._store.mark(item.line, State.FAILED, "not known whether a node took it"))
        for line in self._store.undecided(time.time() - Watch.LIFE, Watch.MOST):
            self._watch.add(line)
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._watch.run())]
        self.register()

    async def stop(self) -> None:
        """End all, and deregister if that is possible at once."""
        for task in self._tasks:
            await _end(task)
        await self._end_keeper()
        if self.link is Link.ONLINE:
            with contextlib.suppress(TimeoutError, Unreachable, Refused):
                async with asyncio.timeout(FAREWELL):
                    await self._session.unregister()
        self._session.close()

    def say(self, peer: str, text: str) -> None:
        """Write to somebody; raises sqlite3.Error if it cannot be kept."""
        item = self._store.write(peer, text)
        self._changed(item.line)
        self._outbox.put_nowait(item)

    def register(self) -> None:
        """Be registered from now on."""
        if self._keeper is None or self._keeper.done():
            self._told(Link.CONNECTING, "")
            self._keeper = asyncio.create_task(self._keep())

    async def unregister(self) -> None:
        """Receive nothing from now on; raises Unreachable, Refused."""
        await self._end_keeper()
        if self._session.contact:
            await self._session.unregister()
        self._told(Link.AWAY, "")

    async def use_password(self, password: str) -> None:
        """Try another password."""
        await self._end_keeper()
        self._session.close()
        self._password = password
        self._session = self._new_session()
        self.register()

    @property
    def unsent(self) -> int:
        """How many messages wait for a node's yes or no, the one under way not counted."""
        return self._outbox.qsize()

    async def state_of(self, message_id: str) -> str:
        """Ask what became of a message; raises Unreachable."""
        return await self._session.state_of(message_id) or "the node does not tell"

    # How it is done.

    def _new_session(self) -> _Session:
        session = _Session(
            self.me.user,
            self.me.via,
            password=lambda: self._password,
            instance=self._store.instance,
            on_message=self._take,
            timers=self._timers,
            local_port=self._store.local_port,
        )
        session.told = self._told
        return session

    def _take(self, message: Incoming) -> int:
        """Commit a message, then show it; a repeat gets its 200 again."""
        try:
            if self._store.add(message):
                for line in self._store.bring_in():
                    self._changed(line)
        except sqlite3.Error as error:
            self._view.trouble(f"cannot keep messages, so they are refused: {error}")
            return 500
        return 200

    async def _keep(self) -> None:
        """Register, at first with patience, then stay so; ends when the node refuses."""
        tries = 0
        while True:
            try:
                granted = await self._session.register()
                break
            except Unreachable:
                await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
            except Refused as error:
                if error.status < 500:
                    return
                await asyncio.sleep(PAUSES[-1])
        self._store.local_port = self._session.local_port
        await self._session.stay_registered(granted, lambda _: None)

    async def _end_keeper(self) -> None:
        if self._keeper is not None:
            await _end(self._keeper)
            self._keeper = None

    async def _send_all(self) -> None:
        while True:
            item = await self._outbox.get()
            try:
                await self._send(item)
            except sqlite3.Error as error:
                self._view.trouble(f"cannot write the history: {error}")

    async def _send(self, item: Outgoing) -> None:
        """Send until the node says yes or no; each try is the same message."""
        tries = 0
        while True:
            while self.link is Link.LOCKED:
                await self._until_online(None)
            pause = PAUSES[min(tries, len(PAUSES) - 1)]
            tries += 1
            try:
                answer = await self._session.send(item.line.peer, item.line.body, message_id=item.key, call=item.call)
            except Unreachable as error:
                self._session.suspect(str(error))
                await self._until_online(pause)
                continue
            except TooLarge as error:
                self._changed(self._store.mark(item.line, State.FAILED, f"too long: {error}; use --via tcp://"))
                return
            if answer.status in (401, 407):
                self._told(Link.LOCKED, f"{answer.status} {answer.reason}")
            elif answer.status == 503:
                await asyncio.sleep(retry_after(answer))
            else:
                given = answer.get(b"angarium-id")
                self._judge(item, Sent(answer, item.key if given is None else given.decode("ascii", "replace")))
                return

    def _judge(self, item: Outgoing, sent: Sent) -> None:
        try:
            judge(sent, item.line.peer)
        except Failure as failure:
            self._changed(self._store.mark(item.line, State.FAILED, failure.message))
            return
        line = self._store.accepted(item.line, sent.id)
        self._changed(line)
        if line.state is State.ACCEPTED:
            self._watch.add(line)

    async def _until_online(self, seconds: float | None) -> None:
        """Wait for the next registration, or for so long."""
        self._online.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._online.wait()

    async def _ask(self, message_id: str) -> str | None:
        if self.link not in (Link.ONLINE, Link.AWAY):
            raise Unreachable(self.why)
        return await self._session.state_of(message_id)

    def _learned(self, line: Line, state: State, reason: str) -> None:
        self._changed(self._store.mark(line, state, reason))

    def _changed(self, line: Line) -> None:
        self._watch.forget(line)
        self._view.line(line)

    def _told(self, link: Link, why: str) -> None:
        if link is Link.ONLINE:
            self._online.set()
        if link is Link.LOST and self.link is Link.AWAY:
            return
        if (link, why) != (self.link, self.why):
            self.link, self.why = link, why
            self._view.link(link, why)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
