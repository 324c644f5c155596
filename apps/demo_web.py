"""`angarium demo --monitor`: nodes in a line, people who write to each other, and the console in the browser.

Runs until Ctrl-C or SIGTERM. A node that is killed comes back after a while, so that one sees alarm, queue and drain.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.client.sending import deliver
from apps.client.session import ClientSession, Incoming, Refused
from apps.client.wire import TooLarge, Unreachable
from apps.common.exits import Exit, Failure
from apps.common.output import data as print_line
from apps.common.output import say
from apps.common.process import stop_signals
from apps.common.values import Listen
from apps.demo_stage import Server, Stage

PEOPLE = ("alice", "bob", "carol", "dave", "erin", "frank")
"""They live at the nodes in turn."""
CONSOLE_WITHIN = 60.0
"""Seconds that the console may take to serve: it loads much, once."""
PAUSE = (0.4, 2.0)
"""Seconds between two messages, all people together."""
THINKING = 1.0
"""Seconds until somebody answers who was written to from the console."""
GONE = (25.0, 12.0)
"""Seconds that the last of them is there, and away."""
BACK_AFTER = 20.0
"""Seconds that a killed node stays away."""
LOOK_EVERY = 1.0
PATIENCE = 10.0
MOST_ANSWERS = 20
"""Answers that are thought about at once; who writes faster gets none."""
TEXTS = (
    "did you see the post rider?",
    "the road over the pass is open again",
    "supper is at eight",
    "the letters from Susa came",
    "which way did you go?",
    "two horses are lame, send others",
    "the king's message goes first",
    "all is well here",
)


class Person:
    """Somebody with a SIP client: writes to the others, and answers who is none of them."""

    def __init__(self, name: str, via: Listen) -> None:
        """Take whose phone it is; nothing is opened yet."""
        self.name = name
        self.session = ClientSession(name, via, instance=f"urn:angarium:demo:{name}", on_message=self._take)
        self._answering: set[asyncio.Task[None]] = set()

    async def stay(self) -> None:
        """Be registered until cancelled."""
        while True:
            try:
                granted = await self.session.register()
                await self.session.stay_registered(granted, lambda _: None)
            except (Unreachable, Refused):
                await asyncio.sleep(LOOK_EVERY)

    async def write(self, to: str, text: str) -> None:
        """Send a text; a node that is away takes none."""
        with contextlib.suppress(Unreachable, TooLarge):
            await deliver(self.session, to, text.encode(), PATIENCE)

    async def leave(self) -> None:
        """Deregister for a while."""
        with contextlib.suppress(Unreachable, Refused):
            await self.session.unregister()

    def close(self) -> None:
        """End."""
        for task in self._answering:
            task.cancel()
        self.session.close()

    def _take(self, message: Incoming) -> int:
        if message.sender not in (*PEOPLE, "postmaster") and len(self._answering) < MOST_ANSWERS:
            task = asyncio.create_task(self._answer(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
        return 200

    async def _answer(self, message: Incoming) -> None:
        await asyncio.sleep(THINKING)
        text = message.body.decode("utf-8", "replace")[:60]
        await self.write(message.sender, f"{self.name} here. You wrote: {text}")


class ConsoleProcess:
    """`angarium monitor` for these nodes."""

    def __init__(self, stage: Stage, folder: Path, listen: str) -> None:
        """Start it."""
        command = [sys.executable, "-m", "apps.main", "monitor", "--listen", listen, "--data", str(folder)]
        for server in stage.servers:
            command += ["--node", f"unix:{server.data}"]
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ANGARIUM_")}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)

    def url(self) -> str:
        """Wait until it serves, and return where; a Failure if it does not."""
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], CONSOLE_WITHIN)
        word, _, url = (self._process.stdout.readline() if readable else "").partition(" ")
        if word != "ready":
            try:
                code = Exit(self._process.wait(1))
            except (subprocess.TimeoutExpired, ValueError):
                code = Exit.INTERNAL
            raise Failure("the console did not start", code=code)
        return url.strip()

    @property
    def running(self) -> bool:
        """Tell whether it lives."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()


async def show(stage: Stage, folder: Path, listen: str) -> None:
    """Start all, print the URL last, and serve until told to stop."""
    stop = asyncio.Event()
    with stop_signals(stop.set):
        console = ConsoleProcess(stage, folder / "console", listen)
        people: list[Person] = []
        try:
            for server in stage.servers:
                stage.attempt(f"starting server {server.name}")
                await asyncio.to_thread(stage.start, server)
                stage.rung(server.name, f"started at {server.udp}, process {server.pid}, data in {server.data}")
            url = await asyncio.to_thread(console.url)
            people += [Person(name, stage.servers[index % len(stage.servers)].udp) for index, name in enumerate(PEOPLE)]
            await _serve(stage, people, console, url, stop)
        finally:
            for person in people:
                person.close()
            await asyncio.to_thread(console.stop)


async def _serve(
    stage: Stage, people: Sequence[Person], console: ConsoleProcess, url: str, stop: asyncio.Event
) -> None:
    tasks = [asyncio.create_task(person.stay()) for person in people[:-1]]
    tasks += [asyncio.create_task(_come_and_go(people[-1])), asyncio.create_task(_chatter(people))]
    tasks += [asyncio.create_task(_bring_back(stage, console, stop))]
    names = ", ".join(PEOPLE)
    print_line(f"{names} write to each other; in Chat, register under a name of your own and write to one of them")
    print_line(f"kill one with kill -9 and watch: it comes back after {BACK_AFTER:.0f} s. Ctrl-C ends all")
    print_line(url)
    waiting = asyncio.create_task(stop.wait())
    try:
        # A task of these ends by a fault only, which is then told.
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in [waiting, *tasks]:
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


async def _chatter(people: Sequence[Person]) -> None:
    """Let somebody write to somebody, now and then; one at a time, but nobody waits for a node that is away."""
    writing: set[asyncio.Task[None]] = set()
    while True:
        await asyncio.sleep(random.uniform(*PAUSE))
        sender, recipient = random.sample(people, 2)
        if len(writing) < len(people):
            task = asyncio.create_task(sender.write(recipient.name, random.choice(TEXTS)))
            writing.add(task)
            task.add_done_callback(writing.discard)


async def _come_and_go(person: Person) -> None:
    there, away = GONE
    while True:
        staying = asyncio.create_task(person.stay())
        try:
            await asyncio.sleep(there)
        finally:
            staying.cancel()
            await asyncio.gather(staying, return_exceptions=True)
        await person.leave()
        await asyncio.sleep(away)


async def _bring_back(stage: Stage, console: ConsoleProcess, stop: asyncio.Event) -> None:
    """Start nodes again that somebody killed; end with the console."""
    gone: dict[str, float] = {}
    clock = asyncio.get_running_loop().time
    while console.running:
        await asyncio.sleep(LOOK_EVERY)
        for server in stage.servers:
            if not server.running and clock() - gone.setdefault(server.name, clock()) > BACK_AFTER:
                await asyncio.to_thread(_again, stage, server)
                del gone[server.name]
    stop.set()


def _again(stage: Stage, server: Server) -> None:
    server.reap()
    stage.attempt(f"starting server {server.name} again")
    stage.start(server)
    say(f"{server.name} runs again, process {server.pid}")
