"""The console's way to a node: what it keeps, how it comes back, what it asks only while wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from apps.monitor.source import Backoff, NodeError, NodeSource
from apps.monitor.targets import target
from tests.monitor.fake_node import FakeNode, user

WITHIN = 10.0


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30.0))


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN):
        while not true():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watched(node: FakeNode, token: str = "") -> AsyncIterator[NodeSource]:
    await node.start()
    source = NodeSource(target(node.url), token, first_wait=0.01)
    await source.start()
    try:
        yield source
    finally:
        await source.stop()
        await node.stop()


def test_it_waits_longer_each_time_and_anew_after_a_success() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.failed() for _ in range(4)] == [0.5, 1.0, 2.0, 3.0]
    backoff.succeeded()
    assert backoff.failed() == 0.5


def test_it_keeps_what_the_node_tells() -> None:
    async def story() -> None:
        node = FakeNode()
        node.frames = [{"type": "alarm", "name": "disk-full", "text": "Full.", "advice": "Free some."}]
        async with watched(node) as source:
            await until(lambda: source.view.alarms)
            assert (source.view.name, source.view.connected) == ("a", True)
            assert source.view.stats is not None
            assert source.view.stats.messages == 3
            event = {"type": "event", "at": 1.0, "level": "info", "kind": "registered", "text": "alice"}
            await node.tell(event)
            await node.tell({"type": "alarm-over", "name": "disk-full"})
            await until(lambda: not source.view.alarms)
            assert [item.kind for item in source.view.events.since(0)] == ["registered"]

    run(story())


def test_it_comes_back_and_says_why_it_was_away() -> None:
    async def story() -> None:
        node = FakeNode()
        node.frames = [{"type": "alarm", "name": "old", "text": "Old."}]
        async with watched(node) as source:
            await until(lambda: source.view.alarms)
            await node.stop()
            await until(lambda: source.view.reason == "nobody listens there")
            assert not source.view.connected
            assert source.view.lost_at is not None
            assert not source.view.alarms
            node.frames = []
            await node.start()
            await until(lambda: source.view.connected)
            assert source.view.reason == ""
            assert source.view.name == "a"

    run(story())


def test_a_frame_that_it_does_not_know_is_counted_and_does_no_harm() -> None:
    async def story() -> None:
        node = FakeNode()
        async with watched(node) as source:
            await until(lambda: source.view.stats)
            for strange in ({"type": "novelty"}, {"type": "stats", "at": "noon"}, "no json", {"no": "type"}):
                await node.tell(strange)
            await node.tell({"type": "event", "at": 1.0, "level": "info", "kind": "k", "text": "t", "new": 1})
            await until(lambda: source.view.events.count)
            assert source.view.misread == 4

    run(story())


def test_what_costs_the_node_is_asked_for_only_while_wanted() -> None:
    async def story() -> None:
        node = FakeNode()
        node.users = [user("alice")]
        async with watched(node) as source:
            await until(lambda: node.topics)
            assert node.topics == ["events,stats"]
            assert not [path for _, path, _ in node.asked if path.startswith("/v1/users")]
            for _ in range(2):
                source.want("steps")
            source.want("users")
            await until(lambda: "steps" in node.topics and source.view.users)
            await node.tell(
                {
                    "type": "steps",
                    "at": 2.0,
                    "steps": {"accepted": 1},
                    "flows": [{"step": "forwarded", "to": "b", "messages": 7}],
                    "samples": [
                        {"id": "1", "step": "accepted", "at": 1.0, "detail": ""},
                        {"id": "1", "step": "acknowledged", "at": 1.5, "detail": ""},
                    ],
                },
                "steps",
            )
            await until(lambda: source.view.flows.count == 2)
            source.unwant("steps")
            assert "steps" in node.topics
            source.unwant("steps")
            await until(lambda: "steps" not in node.topics)
            assert source.view.connected
            await node.tell({**node.stats, "at": 1001.0})
            await until(lambda: len(source.view.points) == 2)
            assert source.view.points[-1].latency == 0.5

    run(story())


def test_lines_of_the_log_come_once_though_told_twice() -> None:
    async def story() -> None:
        node = FakeNode()
        lines: list[dict[str, Any]] = [
            {"at": 1.0, "level": "INFO", "message": f"line {n}", "number": n, "fields": {}} for n in (1, 2)
        ]
        node.answers["GET /v1/log"] = (200, {"lines": lines, "newest": 2})
        async with watched(node) as source:
            source.want("logs")
            await until(lambda: source.view.logs.count == 2)
            for line in (lines[1], {**lines[1], "number": 3, "message": "line 3"}):
                await node.tell({"type": "log", **line}, "logs")
            await until(lambda: source.view.logs.count == 3)
            assert [line.message for line in source.view.logs.since(0)] == ["line 1", "line 2", "line 3"]

    run(story())


def test_an_action_is_one_request_and_its_refusal_one_sentence() -> None:
    async def story() -> None:
        node = FakeNode()
        node.answers["POST /v1/users"] = (409, {"error": "exists", "detail": "there is a user 'bob' already"})
        node.answers["DELETE /v1/users/a%2Fb?c"] = (200, {"name": "a/b?c"})
        node.answers["DELETE /v1/users/a/b?c"] = (200, {"name": "a/b?c"})
        async with watched(node) as source:
            with pytest.raises(NodeError, match="there is a user 'bob' already"):
                await source.post("users", body={"name": "bob", "password": "secret"})
            await source.delete("users", "a/b?c")
            asked = [item for item in node.asked if item[0] != "GET"]
            assert asked[0] == ("POST", "/v1/users", {"name": "bob", "password": "secret"})
            assert asked[1][1] == "/v1/users/a%2Fb%3Fc"

    run(story())


def test_the_token_opens_and_its_lack_is_explained() -> None:
    async def story() -> None:
        node = FakeNode()
        node.token = "0123456789abcdef"
        async with watched(node) as source:
            await until(lambda: "--admin-token-file" in source.view.reason)
        async with watched(node, node.token) as source:
            await until(lambda: source.view.connected)

    run(story())


@pytest.mark.parametrize(
    "wrong", ["ftp://127.0.0.1:1", "http://", "http://h:x", "http://h/path", "unix:", "http://u@h"]
)
def test_an_address_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|names no data folder"):
        target(wrong)


def test_addresses_may_be_short() -> None:
    assert target("127.0.0.1:8060").base == "http://127.0.0.1:8060"
    assert target("http://[::1]:8060").base == "http://[::1]:8060"
    assert str(target("unix:/tmp/x").socket) == "/tmp/x/control.sock"
