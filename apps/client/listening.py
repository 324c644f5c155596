"""Receiving: each message is committed to the state file, then answered, then printed, then marked as printed.

So nothing is lost whenever the listener is killed; a line comes twice only if that is between the last two.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from typing import Any

import msgspec

from apps.client.session import ClientSession, Incoming, Refused
from apps.client.show import json_line, message_fields, message_text
from apps.client.state import StateFile
from apps.client.wire import Unreachable
from apps.common.exits import Exit, Failure
from apps.common.output import say

BATCH = 100
FAREWELL = 3.0
"""Seconds that deregistering may take."""


class Limits(msgspec.Struct, frozen=True):
    """When to stop by itself."""

    count: int | None = None
    """After so many messages."""
    timeout: float | None = None
    """After so many seconds."""


class Listener:
    """One device's ear: what comes goes to the state file and from there to standard output."""

    def __init__(self, state: StateFile, *, json: bool, limits: Limits) -> None:
        """Take where to keep and how to print."""
        self._state = state
        self._json = json
        self._limits = limits
        self._printed = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._failure: sqlite3.Error | None = None

    def take(self, message: Incoming) -> int:
        """Commit a message and return the status to answer; a repeat is known and gets its 200 again."""
        if self._stopping:
            return 480
        try:
            new = self._state.add(message)
        except sqlite3.Error as error:
            self._failure = error
            self.stop()
            return 500
        if new:
            self._wake.set()
        return 200

    def stop(self) -> None:
        """Take no more messages and end."""
        self._stopping = True
        self._wake.set()

    async def run(self, session: ClientSession) -> int:
        """Register, print what comes, deregister; return the exit code.

        Raises Refused or Unreachable if the first registration fails, and a Failure if the state file does.
        """
        self._print_pending()  # what a killed listener had taken but not printed
        granted = await self._register(session)
        if granted is None:
            self._check_file()
            return Exit.OK
        self._state.local_port = session.local_port
        say(f"listening as {session.user} at {session.via}; messages are kept in {self._state.path}")
        keeper = asyncio.create_task(session.stay_registered(granted, say))
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.timeout):
                    await self._serve(keeper)
        finally:
            self._stopping = True
            await _end(keeper)
            await self._farewell(session)
        self._check_file()
        if self._limits.count is not None and not self._enough() and self._limits.timeout is not None:
            say(f"{self._printed} of {self._limits.count} messages came")
            return Exit.NOT_DELIVERED
        return Exit.OK

    async def _register(self, session: ClientSession) -> int | None:
        """Register; None if told to stop before the server answered."""
        registering, waker = asyncio.create_task(session.register()), asyncio.create_task(self._stopped())
        try:
            await asyncio.wait([registering, waker], return_when=asyncio.FIRST_COMPLETED)
            return registering.result() if registering.done() else None
        finally:
            await _end(waker)
            if not registering.done():
                await _end(registering)

    async def _stopped(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()

    async def _serve(self, keeper: asyncio.Task[None]) -> None:
        while not self._stopping:
            self._wake.clear()
            if self._print_pending():
                return
            waker = asyncio.create_task(self._wake.wait())
            try:
                await asyncio.wait([waker, keeper], return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(waker)
            if keeper.done():
                keeper.result()

    def _print_pending(self) -> bool:
        """Print what is not printed yet; True when that was enough."""
        while not self._enough():
            left = BATCH if self._limits.count is None else min(BATCH, self._limits.count - self._printed)
            batch = self._state.unprinted(left)
            if not batch:
                return False
            for kept in batch:
                if self._json:
                    sys.stdout.write(json_line(message_fields(kept.message, kept.at)) + "\n")
                else:
                    sys.stdout.write(message_text(kept.message, kept.at) + "\n")
            sys.stdout.flush()
            self._state.mark_printed(batch)
            self._printed += len(batch)
        self._stopping = True
        return True

    def _check_file(self) -> None:
        if self._failure is not None:
            raise Failure(f"cannot write the state file {self._state.path}", why=str(self._failure), code=Exit.INTERNAL)

    def _enough(self) -> bool:
        return self._limits.count is not None and self._printed >= self._limits.count

    async def _farewell(self, session: ClientSession) -> None:
        try:
            async with asyncio.timeout(FAREWELL):
                await session.unregister()
        except (TimeoutError, Unreachable, Refused):
            say(f"{session.via} did not answer; the registration lapses by itself")
        session.close()


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
