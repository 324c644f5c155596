"""Chats of the console without a browser: who gets in, who finds his session again, and when one ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apps.client.chat_engine import Link
from apps.client.chat_model import State
from apps.monitor import chats as module
from apps.monitor.chats import ChatError, Chats, where
from apps.monitor.source import NodeSource
from apps.monitor.targets import target
from tests.apps.nodes import run
from tests.apps.real_node import RealNode
from tests.monitor.fake_node import FakeNode, beside

WITHIN = 20.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    """An open node on which eve has a password."""
    with RealNode(tmp_path_factory.mktemp("node") / "data") as process:
        added = run("user", "add", "eve", "--data", str(process.data), "--password-stdin", stdin="secret\n")
        assert added.exit_code == 0
        yield process


@asynccontextmanager
async def chatting(node: RealNode, folder: Path) -> AsyncIterator[tuple[Chats, NodeSource]]:
    chats, source = Chats(folder), NodeSource(target(f"unix:{node.data}"))
    try:
        yield chats, source
    finally:
        await chats.stop()
        await source.stop()


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN):
        while not true():
            await asyncio.sleep(0.01)


async def refusal(work: Awaitable[object]) -> str:
    with pytest.raises(ChatError) as caught:
        await work
    return str(caught.value)


def test_two_tabs_talk_and_find_their_sessions_again(node: RealNode, tmp_path: Path) -> None:
    async def main() -> None:
        async with chatting(node, tmp_path) as (chats, source):
            alice = await chats.begin("tab 1", source, " alice ", "")
            bob = await chats.begin("tab 2", source, "bob", "")
            assert chats.of("tab 1") is alice
            assert chats.of("another tab") is None
            alice.open("bob")
            alice.say("hello")
            await until(lambda: [line.state for line in alice.chat.lines.values()] == [State.DELIVERED])
            assert bob.chat.peer == "alice"  # the first who writes is opened
            assert [line.body for line in bob.chat.lines.values()] == [b"hello"]
            await chats.end("tab 1")
            assert chats.of("tab 1") is None
            again = await chats.begin("tab 3", source, "alice", "")
            assert [line.body for line in again.chat.lines.values()] == [b"hello"]
        assert not node.get("/v1/users/alice")["online"]

    asyncio.run(main())


def test_without_the_password_no_history_is_shown_and_none_is_kept(node: RealNode, tmp_path: Path) -> None:
    async def main() -> None:
        async with chatting(node, tmp_path) as (chats, source):
            eve = await chats.begin("tab", source, "eve", "secret")
            assert eve.engine.link is Link.ONLINE
            await chats.end("tab")
            assert "not registered" in await refusal(chats.begin("tab", source, "eve", "wrong"))
            assert "not registered" in await refusal(chats.begin("tab", source, "eve", ""))
            assert chats.of("tab") is None
        assert all(b"secret" not in path.read_bytes() for path in tmp_path.iterdir())

    asyncio.run(main())


def test_a_user_is_in_one_window_and_a_closed_window_gives_way(
    node: RealNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with chatting(node, tmp_path) as (chats, source):
            first = await chats.begin("tab 1", source, "carol", "")
            assert "another window" in await refusal(chats.begin("tab 2", source, "carol", ""))
            first.seen -= module.ATTENDED
            assert await chats.begin("tab 2", source, "carol", "") is not first
            assert chats.of("tab 1") is None
            monkeypatch.setattr(module, "MOST", 1)
            assert "the most" in await refusal(chats.begin("tab 3", source, "dave", ""))
            assert len(chats) == 1

    asyncio.run(main())


def test_a_session_ends_a_while_after_its_last_page(
    node: RealNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY", 0.02)

    async def main() -> None:
        async with chatting(node, tmp_path) as (chats, source):
            session = await chats.begin("tab", source, "frida", "")
            other = await chats.begin("tab 2", source, "gina", "")
            session.seen -= module.LONE
            await until(lambda: chats.of("tab") is None)
            assert chats.of("tab 2") is other
            await until(lambda: not node.get("/v1/users/frida")["online"])

    asyncio.run(main())


def test_what_cannot_be_is_told_in_one_sentence(node: RealNode, tmp_path: Path) -> None:
    async def main() -> None:
        async with chatting(node, tmp_path) as (chats, source):
            assert "a name" in await refusal(chats.begin("tab", source, "", ""))
            session = await chats.begin("tab", source, "gina", "")
            with pytest.raises(ChatError, match="whom"):
                session.say("hello")
            with pytest.raises(ChatError, match="reserved"):
                session.open("postmaster")
            session.open("bob")
            with pytest.raises(ChatError, match="at most"):
                session.say("x" * (module.LONGEST_TEXT + 1))
            gone = NodeSource(target(f"unix:{tmp_path}"))
            assert "does not answer" in await refusal(chats.begin("tab 2", gone, "gina", ""))
            await gone.stop()

    asyncio.run(main())


def test_the_address_is_the_nodes_own_tcp_first_and_reachable() -> None:
    node = FakeNode("a")
    for addresses, wanted in (
        (["udp://127.0.0.1:5060", "tcp://127.0.0.1:5061", "ws://127.0.0.1:80"], "tcp://127.0.0.1:5061"),
        (["udp://0.0.0.0:5060"], "udp://127.0.0.1:5060"),
    ):
        node.answers["GET /v1/status"] = (200, {"addresses": addresses})

        async def main() -> str:
            source = NodeSource(target(node.url))
            try:
                return str(await where(source))
            finally:
                await source.stop()

        with beside(node):
            assert asyncio.run(main()) == wanted
