"""`angarium demo`: shows on this machine, with real nodes and real kills, what the promises mean.

Exit codes: 0 all steps came true; 70 one did not.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import rich_click as click

from apps.client.exchange import Timers
from apps.client.sending import deliver
from apps.client.session import ClientSession, Incoming, Refused
from apps.client.wire import Unreachable
from apps.common.output import data as print_line
from apps.common.values import Listen
from apps.demo_stage import NAMES, Server, Stage
from apps.demo_web import show

PATIENCE = 8.0
"""Seconds for one step: each takes a few milliseconds, or the machine is very busy."""
QUIET = 1.0
"""Seconds without a second copy that count as none."""
TIMERS = Timers(timer_f=PATIENCE)


@click.command()
@click.option("--nodes", type=click.IntRange(1, len(NAMES)), default=1, help="Servers, in a line. [default: 1]")
@click.option("--keep", is_flag=True, help="Keep the data folders, and name them.")
@click.option("--monitor", is_flag=True, help="Let people write to each other, and show it in the browser.")
@click.option(
    "--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="Where to serve --monitor. [default: a free port]"
)
def demo(nodes: int, keep: bool, monitor: bool, listen: str) -> None:
    """Start a node, exchange messages, kill it with -9 and start it again: nothing is lost or doubled.

    With --nodes 3 the sender is at the first server, who receives is at the last, and the middle one is killed.

    With --monitor it kills nothing: it prints the address of the web console last, and runs until Ctrl-C. Needs the
    extra `gui`.
    """
    folder = Path(tempfile.mkdtemp(prefix="angarium-demo-"))
    stage = Stage(folder, nodes)
    try:
        asyncio.run(show(stage, folder, listen) if monitor else play(stage))
    except (Unreachable, Refused, TimeoutError) as error:
        raise stage.failure(str(error) or "no answer in time") from error
    finally:
        stage.stop()
        if keep:
            print_line(f"the data of {'the node' if nodes == 1 else 'the nodes'} is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


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
    for server in stage.servers:
        stage.attempt(f"starting {_called(server)}")
        await asyncio.to_thread(stage.start, server)
        stage.rung(server.name, f"started at {server.udp}")
    await linked(stage)
    phones = {"alice": Phone("alice", stage.first.udp)}
    phones |= {name: Phone(name, stage.last.udp) for name in ("bob", "carol")}
    try:
        waiting = await before_the_kill(stage, phones)
        middle = stage.middle
        stage.attempt(f"killing {_called(middle)}")
        middle.kill()
        stage.rung(middle.name, "killed with -9")
        early = await while_it_is_down(stage, phones["alice"]) if len(stage.servers) > 1 else ""
        stage.attempt(f"starting {_called(middle)} again")
        # Beside the phones: one that answers late is sent the same datagram again, and would count it as a copy.
        await asyncio.to_thread(stage.start, middle)
        stage.rung(middle.name, f"started again at {middle.udp}, with the same data")
        if early:
            await linked(stage)
            stage.attempt("delivering what was sent while the way was cut")
            await phones["bob"].hear(early)
            stage.rung(f"{stage.last.name} -> bob", "'the way is cut': it went on by itself")
        await after_the_kill(stage, phones, [waiting] + [early] * bool(early))
    finally:
        for phone in phones.values():
            phone.session.close()
    print_line("done: accepted was on disk, and each message came once. Next: angarium node --open")


async def linked(stage: Stage) -> None:
    """Wait until the servers are neighbours."""
    if len(stage.servers) > 1:
        stage.attempt("linking the servers")
        await holds(stage, stage.linked, "a link does not stand")
        stage.rung(" - ".join(server.name for server in stage.servers), "are neighbours")


async def before_the_kill(stage: Stage, phones: dict[str, Phone]) -> str:
    """Register, deliver one, let one wait for somebody absent; return its id."""
    alice, bob, carol = phones["alice"], phones["bob"], phones["carol"]
    first, last = stage.first, stage.last
    for phone, server in ((alice, first), (bob, last), (carol, last)):
        stage.attempt(f"registering {phone.name}")
        await phone.session.register()
        stage.rung(f"{phone.name} -> {server.name}", "registered")
    stage.attempt("unregistering carol")
    await carol.session.unregister()
    carol.session.close()
    stage.rung(f"carol -> {last.name}", "unregistered: she is away now")

    stage.attempt("sending a message to bob")
    sent = await alice.say("bob", "hello bob")
    stage.rung(f"alice -> {first.name}", f"'hello bob', accepted as {sent}")
    stage.attempt("delivering to bob")
    message = await bob.hear(sent)
    stage.rung(f"{last.name} -> bob", f"'{message.body.decode()}' from {message.sender}, acknowledged")

    stage.attempt("sending a message to carol")
    waiting = await alice.say("carol", "hello carol, when you are back")
    stage.rung(f"alice -> {first.name}", f"'hello carol, ...', accepted as {waiting}")
    await holds(stage, lambda: state(last, waiting) == "waiting", "it does not wait")
    stage.rung(last.name, "keeps it on disk: carol is away")
    return waiting


async def while_it_is_down(stage: Stage, alice: Phone) -> str:
    """Send where the way is cut; return the message's id."""
    first, middle = stage.first, stage.middle
    stage.attempt("sending while the way is cut")
    early = await alice.say("bob", "the way is cut")
    stage.rung(f"alice -> {first.name}", f"'the way is cut', accepted as {early}")
    await holds(stage, lambda: state(first, early) == "waiting", "it does not wait")
    stage.rung(first.name, f"keeps it on disk: {middle.name} is down")
    return early


async def after_the_kill(stage: Stage, phones: dict[str, Phone], before: list[str]) -> None:
    """Carol comes back: the message arrives, once; the others are still known."""
    alice, bob, carol = phones["alice"], phones["bob"], phones["carol"]
    first, last, waiting = stage.first, stage.last, before[0]
    stage.attempt("registering carol again")
    await carol.session.register()
    stage.rung(f"carol -> {last.name}", "registered")
    stage.attempt("delivering to carol")
    message = await carol.hear(waiting)
    stage.rung(f"{last.name} -> carol", f"'{message.body.decode()}' from {message.sender}, acknowledged")
    stage.attempt("sending to bob, who did not register again")
    again = await alice.say("bob", "still there?")
    stage.rung(f"alice -> {first.name}", f"'still there?', accepted as {again}")
    stage.attempt("delivering to bob, who did not register again")
    await bob.hear(again)
    stage.rung(f"{last.name} -> bob", "'still there?': he did not have to register again")
    stage.attempt("counting copies")
    await asyncio.sleep(QUIET)
    all_sent = [*before, again]
    copies = [bob.copies(one) + carol.copies(one) for one in all_sent]
    stage.check(copies == [1] * len(copies), f"the copies that came are {copies}")
    await holds(
        stage,
        lambda: all(state(last, one) == "delivered" for one in all_sent),
        f"{_called(last)} does not call it delivered",
    )
    stage.rung(last.name, "calls all delivered; nobody has a second copy")


def state(server: Server, message_id: str) -> str:
    """Ask a server where a message is."""
    return str(server.ask("messages", message_id).get("state", ""))


async def holds(stage: Stage, question: Callable[[], bool], why: str) -> None:
    """Ask until the answer is yes, for `PATIENCE` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not await asyncio.to_thread(question):
        stage.check(time.monotonic() < deadline, why)
        await asyncio.sleep(0.05)


def _called(server: Server) -> str:
    return "the node" if server.name == "node" else f"server {server.name}"
