"""`/v1/live`: what a reader is told, and what it costs a node when he is slow or not there."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError

from actors.messages.monitor import (
    ClearAlarm,
    JourneySteps,
    Level,
    MonitorRead,
    RaiseAlarm,
    ReadMonitor,
    ReportEvent,
    Subscribe,
    Unsubscribe,
)
from actors.messages.server_manager import ListNeighbours, NeighbourInfo, NeighboursListed
from actors.messages.storage import ReadStoreStats, StoreStatsRead
from actors.model import MessageId, NodeName, Step
from apps.common.values import Address
from apps.node.admin import AdminServer
from apps.node.admin_api import AdminApi
from apps.node.admin_facts import NodeActors, NodeFacts
from apps.node.admin_feed import SAMPLES, FrameQueue, summary
from apps.node.admin_frames import Dropped, EventFrame

WITHIN = 20.0
ALARM = RaiseAlarm("disk-full", "the disk is full\x1b", "free some space")
NEIGHBOUR = NeighbourInfo(
    node=NodeName("b"),
    address="tcp://127.0.0.1:5070",
    origin="setting",
    up=True,
    hears_us=True,
    since=1.0,
    reason="",
    waiting=3,
    in_flight=1,
    in_doubt=0,
    oldest=2.5,
    sent=7,
    received=0,
)


class Node:
    """Plays the actors that are asked, and tells subscribers."""

    def __init__(self) -> None:
        self.subscribed: dict[int, Subscribe] = {}

    def tell(self, command: Any) -> None:
        match command:
            case Subscribe():
                self.subscribed[id(command.subscriber)] = command
            case Unsubscribe():
                del self.subscribed[id(command.subscriber)]
            case ReadMonitor():
                gauges = {"users": 1_001.0, "users_online": 2.0}
                command.reply_to.tell(MonitorRead(command.request, (), (ALARM,), {"x_total": 1.0}, gauges))
            case ReadStoreStats():
                command.reply_to.tell(StoreStatsRead(command.request, 3, 5, 4096, 0, 12, 1.5))
            case ListNeighbours():
                command.reply_to.tell(NeighboursListed(command.request, (NEIGHBOUR,), 4, NodeName("a")))

    def publish(self, message: Any, *, steps: bool = False) -> None:
        for one in self.subscribed.values():
            if one.steps or not steps:
                one.subscriber.tell(message)


def event(number: int) -> ReportEvent:
    return ReportEvent(at=1.0, level=Level.INFO, kind="k", text=str(number), user="alice", message_id="m")


@asynccontextmanager
async def live(tmp_path: Path, query: str = "") -> AsyncIterator[tuple[Node, aiohttp.ClientWebSocketResponse]]:
    node = Node()
    api = AdminApi(NodeFacts("a", "r", "1", ()), NodeActors(node, node, node, node, node))
    server = AdminServer(api.app, data=tmp_path)
    server.start()
    try:
        connector = aiohttp.UnixConnector(str(tmp_path / "control.sock"))
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.ws_connect(f"http://localhost/v1/live{query}") as socket:
                yield node, socket
            await until(lambda: not node.subscribed)
    finally:
        await asyncio.to_thread(server.stop)


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN):
        while not true():
            await asyncio.sleep(0.01)


async def next_of(socket: aiohttp.ClientWebSocketResponse, kind: str) -> Any:
    """Return the next frame of a kind; whatever comes before is skipped."""
    async with asyncio.timeout(WITHIN):
        while (told := await socket.receive_json())["type"] != kind:
            pass
    return told


def test_a_reader_is_told_who_speaks_then_alarms_stats_and_events(tmp_path: Path) -> None:
    async def read() -> None:
        async with live(tmp_path, "?interval=0.2") as (node, socket):
            hello = await socket.receive_json()
            assert {key: hello[key] for key in ("type", "node", "version")} == {
                "type": "hello",
                "node": "a",
                "version": "1",
            }
            alarm = await socket.receive_json()
            assert alarm == {"type": "alarm", "name": ALARM.name, "text": ALARM.text, "advice": ALARM.advice}
            stats = await next_of(socket, "stats")
            assert (stats["messages"], stats["online"], stats["unrouted"]) == (3, 2, 4)
            assert stats["neighbours"][0]["name"] == "b"
            assert not any(one.steps for one in node.subscribed.values())
            node.publish(event(1))
            told = await next_of(socket, "event")
            assert told == {
                "type": "event", "at": 1.0, "level": "info", "kind": "k", "text": "1", "user": "alice",
                "message_id": "m",
            }  # fmt: skip
            node.publish(ClearAlarm(ALARM.name))
            assert await next_of(socket, "alarm-over") == {"type": "alarm-over", "name": ALARM.name}
            await next_of(socket, "stats")

    asyncio.run(read())


def test_steps_are_summed_up_for_who_wants_them(tmp_path: Path) -> None:
    async def read() -> None:
        async with live(tmp_path, "?topics=steps") as (node, socket):
            await until(lambda: any(one.steps for one in node.subscribed.values()))
            for number in range(10):
                node.publish(JourneySteps(1.0, Step.ACCEPTED, (MessageId(f"m{number}"),)), steps=True)
            node.publish(JourneySteps(2.0, Step.FORWARDED, (MessageId("m1"), MessageId("m2")), ("b", "b")), steps=True)
            node.publish(event(1))
            seen: dict[str, int] = {}
            flows: list[Any] = []
            while sum(seen.values()) < 12:
                told = await socket.receive_json()
                assert told["type"] in ("hello", "alarm", "steps")
                for step, count in told.get("steps", {}).items():
                    seen[step] = seen.get(step, 0) + count
                flows += told.get("flows", [])
            assert seen == {"accepted": 10, "forwarded": 2}
            assert flows == [{"step": "forwarded", "to": "b", "messages": 2}]

    asyncio.run(read())


def test_samples_are_the_newest() -> None:
    many = JourneySteps(1.0, Step.SENT, tuple(MessageId(f"m{number}") for number in range(200)))
    told = summary([many, JourneySteps(2.0, Step.ENDED, (MessageId("e"),), ("expired\udcff",))], 3.0)
    assert (told.steps, len(told.samples)) == ({"sent": 200, "ended": 1}, SAMPLES)
    assert [sample.id for sample in told.samples[-2:]] == ["m199", "e"]
    assert told.samples[-1].detail == "expired\ufffd"


def test_a_slow_reader_loses_the_oldest_frames_and_is_told_how_many() -> None:
    async def read() -> None:
        queue = FrameQueue(capacity=3)
        for number in range(5):
            queue.put(event(number))
        assert await queue.get() == Dropped(2)
        assert [(await queue.get()).text for _ in range(3)] == ["2", "3", "4"]  # type: ignore[union-attr]
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        last = EventFrame(1.0, "info", "k", "last")
        await asyncio.to_thread(queue.put, last)
        async with asyncio.timeout(WITHIN):
            assert await waiting == last

    asyncio.run(read())


def test_a_reader_who_does_not_read_costs_a_bounded_queue(tmp_path: Path) -> None:
    text = "x" * 20_000
    number = 3_000

    async def read() -> None:
        async with live(tmp_path, "?topics=events") as (node, socket):
            await next_of(socket, "alarm")  # the last before what is published
            for index in range(number):  # far more than all buffers between hold
                node.publish(ReportEvent(at=float(index), level=Level.INFO, kind="k", text=text))
            node.publish(event(0))
            dropped, heard = 0, 0
            async with asyncio.timeout(WITHIN):
                while True:
                    told = await socket.receive_json()
                    dropped += told.get("frames", 0)
                    heard += told["type"] == "event"
                    if told.get("text") == "0":
                        break
            assert dropped > 0
            assert dropped + heard == number + 1

    asyncio.run(read())


@pytest.mark.parametrize("query", ["?topics=secrets", "?interval=0", "?interval=nan", "?topics="])
def test_a_wrong_wish_is_refused(tmp_path: Path, query: str) -> None:
    async def read() -> int:
        with pytest.raises(WSServerHandshakeError) as refused:
            async with live(tmp_path, query):
                pass
        return refused.value.status

    assert asyncio.run(read()) == 400


def test_a_reader_is_told_that_the_node_stops(tmp_path: Path) -> None:
    node = Node()
    api = AdminApi(NodeFacts("a", "r", "1", ()), NodeActors(node, node, node, node, node))
    server = AdminServer(api.app, data=tmp_path)

    async def read() -> int | None:
        connector = aiohttp.UnixConnector(str(tmp_path / "control.sock"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect("http://localhost/v1/live") as socket,
        ):
            await next_of(socket, "stats")
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            async with asyncio.timeout(WITHIN):
                async for _ in socket:
                    pass
            await stopping
            return socket.close_code

    server.start()
    try:
        assert asyncio.run(read()) == aiohttp.WSCloseCode.GOING_AWAY
    finally:
        server.stop()
    assert not node.subscribed


def test_a_reader_who_has_stopped_reading_does_not_hold_up_the_end(tmp_path: Path) -> None:
    node = Node()
    api = AdminApi(NodeFacts("a", "r", "1", ()), NodeActors(node, node, node, node, node))
    server = AdminServer(api.app, data=tmp_path, tcp=Address("127.0.0.1", 0))
    server.start()
    assert server.address is not None
    with stalled_reader(server.address.port):
        wait_until(lambda: bool(node.subscribed))
        for _ in range(3_000):
            node.publish(ReportEvent(1.0, Level.INFO, "kind", "x" * 2_000))
        server.stop()
        assert not server.running


@contextmanager
def stalled_reader(port: int) -> Iterator[None]:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        reader.connect(("127.0.0.1", port))
        lines = (
            "GET /v1/live?topics=events HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
        )
        reader.sendall("\r\n".join((*lines, "", "")).encode())
        yield


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
