"""`angarium demo`: shows on this machine, with a real node and real kills, what the promises mean.

Exit codes: 0 all steps came true; 70 one did not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rich_click as click

from apps.client import admin_client
from apps.client.exchange import Timers
from apps.client.sending import deliver
from apps.client.session import ClientSession, Incoming, Refused
from apps.client.wire import Unreachable
from apps.common.exits import Exit, Failure
from apps.common.output import data as print_line
from apps.common.output import printable
from apps.common.values import Listen, Transport, listen

PATIENCE = 8.0
"""Seconds for one step: each takes a few milliseconds, or the machine is very busy."""
QUIET = 1.0
"""Seconds without a second copy that count as none."""
START_TIMEOUT = 20.0
"""Seconds until a node must be ready."""
TIMERS = Timers(timer_f=PATIENCE)


@click.command()
@click.option("--keep", is_flag=True, help="Keep the node's data folder, and name it.")
def demo(keep: bool) -> None:
    """Start a node, exchange messages, kill it with -9 and start it again: nothing is lost or doubled."""
    folder = Path(tempfile.mkdtemp(prefix="angarium-demo-"))
    stage = Stage(folder)
    try:
        asyncio.run(play(stage))
    except (Unreachable, Refused, TimeoutError) as error:
        raise stage.failure(str(error) or "no answer in time") from error
    finally:
        stage.stop()
        if keep:
            print_line(f"the node's data is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


class Stage:
    """One node process, and the ladder that is printed."""

    def __init__(self, folder: Path) -> None:
        """Take where the node keeps its data."""
        self.folder = folder
        self._began = time.monotonic()
        self._node: subprocess.Popen[str] | None = None
        self._step = "starting"
        self.via = Listen(Transport.UDP, "127.0.0.1", 0)

    def rung(self, actors: str, text: str) -> None:
        """Print what came true."""
        since = time.monotonic() - self._began
        print_line(printable(f"{since:7.3f} s  {actors:<16} {text}"))

    def attempt(self, step: str) -> None:
        """Note what is tried next, for the report if it fails."""
        self._step = step

    def failure(self, why: str) -> Failure:
        """Return the end of a demo whose step failed; the node's last words go with it."""
        return Failure(f"the demo failed while {self._step}", why=f"{why}{self._last_words()}", code=Exit.INTERNAL)

    def check(self, holds: bool, why: str) -> None:
        """Fail the step unless this holds."""
        if not holds:
            raise self.failure(why)

    def start(self) -> None:
        """Start the node, the second time at the same port, and wait for its `ready`."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ANGARIUM_")}
        if os.environ.get("ANGARIUM_NO_UVLOOP"):
            environ["ANGARIUM_NO_UVLOOP"] = "1"
        command = [sys.executable, "-m", "apps.main", "node", "--name", "demo", "--open"]
        command += ["--listen", str(self.via), "--data", str(self.folder / "data")]
        with self._errors().open("a") as errors:
            self._node = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ)
        line = self._ready_line()
        match = re.search(r"udp://\S+", line)
        if not line.startswith("ready") or match is None:
            raise self.failure("the node did not become ready")
        self.via = listen(match[0])

    def kill(self) -> None:
        """End the node at once, as a crash or a power cut of the process would."""
        assert self._node is not None
        self._node.kill()
        self._node.communicate()
        self._node = None

    def stop(self) -> None:
        """End the node, if it runs."""
        if self._node is None:
            return
        self._node.terminate()
        try:
            self._node.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
        self._node = None

    def state(self, message_id: str) -> str:
        """Ask the node where a message is."""
        return str(admin_client.of_data(self.folder / "data").get("messages", message_id)["state"])

    def _errors(self) -> Path:
        return self.folder / "node.err"

    def _ready_line(self) -> str:
        assert self._node is not None
        assert self._node.stdout is not None
        readable, _, _ = select.select([self._node.stdout], [], [], START_TIMEOUT)
        # The line is written at once, so that reading it does not wait; a node that ended gives an empty one.
        return self._node.stdout.readline() if readable else ""

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._errors().read_text("utf-8", "replace").strip().splitlines()
            if lines:
                return f" (the node says: {lines[-1]})"
        return ""


class Phone:
    """A user's phone: a real SIP client over UDP that keeps what it received."""

    def __init__(self, name: str, via: Listen) -> None:
        """Take whose it is."""
        self.name = name
        self.received: list[Incoming] = []
        self._news = asyncio.Event()
        self.session = ClientSession(
            name, via, instance=f"urn:angarium:demo:{name}", on_message=self._take, timers=TIMERS
        )

    def _take(self, message: Incoming) -> int:
        self.received.append(message)
        self._news.set()
        return 200

    async def say(self, recipient: str, text: str) -> str:
        """Send a text and return its id."""
        sent = await deliver(self.session, recipient, text.encode(), PATIENCE)
        if sent.answer.status != 202:
            raise Refused(sent.answer.status, sent.answer.reason)
        return sent.id

    async def hear(self, message_id: str) -> Incoming:
        """Wait until that message came; TimeoutError."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for message in self.received:
                    if message.id == message_id:
                        return message
                self._news.clear()
                await self._news.wait()

    def copies(self, message_id: str) -> int:
        """Return how often it came."""
        return sum(message.id == message_id for message in self.received)


async def play(stage: Stage) -> None:
    """Go through the steps; a Failure names the one that did not come true."""
    stage.attempt("starting a node")
    stage.start()
    stage.rung("node", f"started at {stage.via}")
    phones = {name: Phone(name, stage.via) for name in ("alice", "bob", "carol")}
    try:
        waiting = await before_the_kill(stage, phones)
        stage.attempt("killing the node")
        stage.kill()
        stage.rung("node", "killed with -9")
        stage.attempt("starting the node again")
        stage.start()
        stage.rung("node", f"started again at {stage.via}, with the same data")
        await after_the_kill(stage, phones, waiting)
    finally:
        for phone in phones.values():
            phone.session.close()
    print_line("done: accepted was on disk, and each message came once. Next: angarium node --open")


async def before_the_kill(stage: Stage, phones: dict[str, Phone]) -> str:
    """Register, deliver one, let one wait for somebody absent; return its id."""
    alice, bob, carol = phones["alice"], phones["bob"], phones["carol"]
    for phone in (alice, bob, carol):
        stage.attempt(f"registering {phone.name}")
        await phone.session.register()
        stage.rung(phone.name, "registered")
    stage.attempt("unregistering carol")
    await carol.session.unregister()
    carol.session.close()
    stage.rung("carol", "unregistered: she is away now")

    stage.attempt("sending a message to bob")
    first = await alice.say("bob", "hello bob")
    stage.rung("alice -> node", f"'hello bob', accepted as {first}")
    stage.attempt("delivering to bob")
    message = await bob.hear(first)
    stage.rung("node -> bob", f"'{message.body.decode()}' from {message.sender}, acknowledged")

    stage.attempt("sending a message to carol")
    waiting = await alice.say("carol", "hello carol, when you are back")
    stage.rung("alice -> node", f"'hello carol, ...', accepted as {waiting}")
    await stage_holds(stage, lambda: stage.state(waiting) == "waiting", "it does not wait")
    stage.rung("node", "keeps it on disk: carol is away")
    return waiting


async def after_the_kill(stage: Stage, phones: dict[str, Phone], waiting: str) -> None:
    """Carol comes back: the message arrives, once; the others are still known."""
    alice, bob, carol = phones["alice"], phones["bob"], phones["carol"]
    stage.attempt("registering carol again")
    await carol.session.register()
    stage.rung("carol", "registered")
    stage.attempt("delivering to carol")
    message = await carol.hear(waiting)
    stage.rung("node -> carol", f"'{message.body.decode()}' from {message.sender}, acknowledged")
    stage.attempt("sending to bob, who did not register again")
    again = await alice.say("bob", "still there?")
    stage.rung("alice -> node", f"'still there?', accepted as {again}")
    stage.attempt("delivering to bob, who did not register again")
    await bob.hear(again)
    stage.rung("node -> bob", "'still there?': he did not have to register again")
    stage.attempt("counting copies")
    await asyncio.sleep(QUIET)
    copies = [carol.copies(waiting), bob.copies(again)]
    stage.check(copies == [1, 1], f"carol has {copies[0]} copies, bob {copies[1]}")
    await stage_holds(stage, lambda: stage.state(waiting) == "delivered", "the node does not call it delivered")
    stage.rung("node", "calls it delivered; nobody has a second copy")


async def stage_holds(stage: Stage, question: Callable[[], bool], why: str) -> None:
    """Ask until the answer is yes, for `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(question):
        stage.check(time.monotonic() < deadline, why)
        await asyncio.sleep(0.05)
