"""`angarium chat` on a screen of its own, at a real node: what is typed, shown, kept, and what a kill -9 leaves."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from apps.client.chat_engine import Link, Me
from apps.client.chat_model import Line, State
from apps.client.chat_screen import ChatApp, PasswordScreen
from apps.client.chat_store import ChatStore
from apps.client.exchange import Timers
from apps.client.session import ClientSession
from apps.common.exits import Exit
from apps.common.values import listen
from sip_adapter.codec import Request
from tests.apps.fake_server import FakeServer, Reply, accept_all, incoming
from tests.apps.nodes import run
from tests.apps.real_node import RealNode, url

WITHIN = 30.0
"""Seconds in which what is awaited must be seen."""
QUICK = Timers(t1=0.1, t2=0.5, timer_f=1.0)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    """An open node on which eve has a password."""
    with RealNode(tmp_path_factory.mktemp("node") / "data") as process:
        added = run("user", "add", "eve", "--data", str(process.data), "--password-stdin", stdin="secret\n")
        assert added.exit_code == Exit.OK
        yield process


@asynccontextmanager
async def chatting(user: str, via: str, folder: Path, **more: Any) -> AsyncIterator[tuple[ChatApp, Pilot[None]]]:
    """Show somebody's chat, 80 columns by 24."""
    store = ChatStore(folder / user)
    app = ChatApp(Me(user, listen(via)), store, **more)
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            yield app, pilot
            await app.action_leave()
    finally:
        store.close()


async def until(pilot: Pilot[None], condition: Callable[[], bool], what: str = "") -> None:
    """Wait until something is so."""
    try:
        async with asyncio.timeout(WITHIN):
            while not condition():
                await pilot.pause(0.02)
    except TimeoutError:
        pytest.fail(f"not seen: {what}\n{screen(pilot)}")


def screen(pilot: Pilot[None]) -> str:
    """Return what stands on the screen."""
    return "\n".join("".join(piece.text for piece in row) for row in pilot.app.screen._compositor.render_strips())


async def type_in(pilot: Pilot[None], *entries: str) -> None:
    """Type lines, each with its end."""
    for entry in entries:
        pilot.app.screen.query_one(Input).value = entry
        await pilot.press("enter")


async def sees(pilot: Pilot[None], text: str) -> None:
    """Wait until a text stands on the screen."""
    await until(pilot, lambda: text in screen(pilot), text)


async def is_online(app: ChatApp, pilot: Pilot[None]) -> None:
    """Wait until it is registered."""
    await until(pilot, lambda: app.engine.link is Link.ONLINE, "online")


def lines(app: ChatApp) -> list[tuple[str, State]]:
    """Return texts and states of the open conversation."""
    return [(line.body.decode(), line.state) for line in app.chat.lines.values()]


def test_two_people_talk(node: RealNode, tmp_path: Path) -> None:
    via = url("udp", node.udp)

    async def main() -> None:
        async with chatting("alice", via, tmp_path) as (alice, left), chatting("bob", via, tmp_path) as (bob, right):
            await is_online(alice, left)
            await is_online(bob, right)
            await type_in(left, "/to bob", "hello [b]bob[/b]\x1b[2J")
            await sees(right, "alice (1)")
            await right.press("ctrl+n")
            await sees(right, "hello [b]bob[/b]\\x1b[2J")
            await sees(left, "✓✓")
            await type_in(right, "and to you")
            await sees(left, "and to you")
            await type_in(left, "/where", "/to nobody", "who is there?")
            await sees(left, "no such user 'nobody'")
            await left.press("ctrl+n")
            assert bob.chat.unread == 0
            assert next(state for _, state in lines(bob)) is State.RECEIVED
        async with chatting("alice", via, tmp_path) as (again, pilot):
            await type_in(pilot, "/to bob")
            await sees(pilot, "and to you")
            await sees(pilot, "✓✓")
            assert len(lines(again)) == 2

    asyncio.run(main())


def test_one_of_two_devices_is_delivery(node: RealNode, tmp_path: Path) -> None:
    via = url("udp", node.udp)

    async def main() -> None:
        away = ClientSession("carl", listen(via), instance="urn:uuid:00000000-0000-0000-0000-00000000ca71")
        await away.register()
        away.close()
        async with chatting("carl", via, tmp_path) as (carl, right), chatting("ann", via, tmp_path) as (ann, left):
            await is_online(carl, right)
            await is_online(ann, left)
            await type_in(left, "/to carl", "one is enough")
            await until(left, lambda: lines(ann) == [("one is enough", State.DELIVERED)], "delivered")

    asyncio.run(main())


@pytest.mark.faults
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_message_arrives_once_over_a_kill(tmp_path: Path, transport: str) -> None:
    with RealNode(tmp_path / "data") as node:
        via = url(transport, node.udp if transport == "udp" else node.tcp)

        async def main() -> None:
            async with (
                chatting("alice", via, tmp_path, timers=QUICK) as (alice, left),
                chatting("bob", via, tmp_path, timers=QUICK) as (bob, right),
            ):
                await is_online(alice, left)
                await is_online(bob, right)
                node.kill()
                await type_in(left, "/to bob", "over the kill")
                await until(left, lambda: alice.engine.link is Link.LOST, "lost")
                await sees(left, "no answer, trying again")
                assert lines(alice) == [("over the kill", State.SENDING)]
                await asyncio.to_thread(node.start)
                await until(left, lambda: lines(alice) == [("over the kill", State.DELIVERED)], "delivered")
                await is_online(alice, left)
                await type_in(right, "/to alice")
                assert lines(bob) == [("over the kill", State.RECEIVED)]

        asyncio.run(main())


def test_repeats_are_the_same_message_both_ways(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(request: Request) -> Reply | None:
        """Lose the answer to the first try, wherever its transaction repeats it."""
        if request.method == "MESSAGE":
            branch = request.via.branch or b""
            seen.append(branch)
            return accept_all(request) if branch != seen[0] else None
        return accept_all(request)

    async def main(server: FakeServer) -> None:
        via = f"udp://127.0.0.1:{server.via.port}"
        async with chatting("bob", via, tmp_path, to="alice", timers=QUICK) as (bob, pilot):
            await is_online(bob, pilot)
            await type_in(pilot, "once")
            await until(pilot, lambda: lines(bob) == [("once", State.ACCEPTED)], "accepted")
            for number in (1, 1, 2):
                server.push(incoming(number))
            await until(pilot, lambda: len(lines(bob)) == 3, "received")
            answers = [await asyncio.to_thread(server.response, number) for number in range(3)]
            assert [found.status for found in answers] == [200, 200, 200]

    with FakeServer(answer) as server:
        asyncio.run(main(server))
        sent = [request for request in server.requests if request.method == "MESSAGE"]
    assert len(set(seen)) == 2
    assert (
        len({(request.get(b"angarium-id"), request.call_id, request.cseq, request.from_tag) for request in sent}) == 1
    )


def test_deregistered_one_receives_nothing_until_one_is_back(node: RealNode, tmp_path: Path) -> None:
    via = url("tcp", node.tcp)

    async def main() -> None:
        async with chatting("fay", via, tmp_path, to="fay") as (fay, pilot):
            await is_online(fay, pilot)
            await type_in(pilot, "/unregister")
            await until(pilot, lambda: fay.engine.link is Link.AWAY, "away")
            await type_in(pilot, "to myself", "/status")
            await until(pilot, lambda: lines(fay) == [("to myself", State.ACCEPTED)], "accepted")
            await sees(pilot, "messages wait at the node")
            await type_in(pilot, "/where")
            await sees(pilot, ": waiting")
            await type_in(pilot, "/register")
            await until(pilot, lambda: ("to myself", State.RECEIVED) in lines(fay), "received")

    asyncio.run(main())


def test_a_password_is_asked_for(node: RealNode, tmp_path: Path) -> None:
    async def main() -> None:
        async with chatting("eve", url("udp", node.udp), tmp_path, password="wrong") as (eve, pilot):
            await until(pilot, lambda: isinstance(eve.screen, PasswordScreen), "the question")
            assert eve.engine.link is Link.LOCKED
            await type_in(pilot, "secret")
            await is_online(eve, pilot)

    asyncio.run(main())


def test_keys_are_served_in_their_order(node: RealNode, tmp_path: Path) -> None:
    async def main() -> None:
        async with chatting("gil", url("udp", node.udp), tmp_path, to="ann") as (gil, pilot):
            keys = [*"/to", "space", *"bo", "tab", "b", "enter", *"hi", "enter", "ctrl+n", *"/he", "tab", "enter"]
            await pilot.press(*keys)
            await sees(pilot, "/unregister")
            said: list[Line] = gil._store.conversation("bob")
            assert [line.body for line in said] == [b"hi"]

    asyncio.run(main())


def test_a_history_that_cannot_be_written_refuses_messages(
    node: RealNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    def full(*_: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    async def main() -> None:
        async with chatting("hal", url("udp", node.udp), tmp_path, to="hal") as (hal, pilot):
            await is_online(hal, pilot)
            with monkeypatch.context() as patch:
                patch.setattr(ChatStore, "add", full)
                await type_in(pilot, "to myself")
                await sees(pilot, "cannot keep messages")
            assert len(lines(hal)) == 1

    asyncio.run(main())


def test_without_textual_or_a_terminal_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    arguments = ("chat", "--as", "alice", "--via", "udp://127.0.0.1:9")
    done = run(*arguments)
    assert (done.exit_code, "needs a terminal" in done.output) == (Exit.CONFIG, True)
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "apps.client" and rest[2:3] and "chat_screen" in (rest[2] or ()):
            raise ModuleNotFoundError("No module named 'textual'", name="textual")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    done = run(*arguments)
    assert done.exit_code == Exit.CONFIG
    assert "pip install 'angarium[tui]'" in done.output
    assert not list(tmp_path.iterdir())
