"""The transports alone: addresses, full sockets, silent connections, the network in memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest

from actors.model import Flow
from sip_adapter.framer import Event
from sip_adapter.large import Dial
from sip_adapter.limits import Limits
from sip_adapter.transport import tcp, udp
from sip_adapter.transport.base import Address, parse_address, sent_by
from sip_adapter.transport.memory import Memory, MemoryNetwork
from sip_adapter.transport.mmsg import DatagramBatches
from sip_adapter.transport.sockets import AsyncioNetwork


class Heard:
    """What a network brought."""

    def __init__(self) -> None:
        self.batches: list[Sequence[tuple[bytes, Flow]]] = []
        self.events: list[tuple[Flow, Sequence[Event]]] = []
        self.closed: list[Flow] = []
        self.dials: list[tuple[int, Flow | None]] = []
        self.links: list[tuple[int, Flow | None, str]] = []
        self.changed = asyncio.Event()

    def datagrams(self, batch: Sequence[tuple[bytes, Flow]]) -> None:
        self.batches.append(batch)
        self.changed.set()

    def stream_events(self, flow: Flow, events: Sequence[Event]) -> None:
        self.events.append((flow, events))
        self.changed.set()

    def stream_closed(self, flow: Flow) -> None:
        self.closed.append(flow)
        self.changed.set()

    def dialled(self, number: int, flow: Flow | None) -> None:
        self.dials.append((number, flow))
        self.changed.set()

    def link_dialled(self, number: int, flow: Flow | None, reason: str) -> None:
        self.links.append((number, flow, reason))
        self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(3.0):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("udp://127.0.0.1:5060", Address("udp", "127.0.0.1", 5060)),
        ("tcp://[::1]:0", Address("tcp", "::1", 0)),
        ("udp://0.0.0.0", Address("udp", "0.0.0.0", 5060)),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url", ["127.0.0.1:5060", "http://x:1", "udp://:5060", "udp://a:b@c", "udp://h:99999", "udp://h/x"]
)
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_address(url)


def test_addresses_as_they_are_shown() -> None:
    assert str(Address("tcp", "::1", 5060)) == "tcp://[::1]:5060"
    assert sent_by("10.0.0.1", 5) == b"10.0.0.1:5"


Pair = Callable[[str], tuple[socket.socket, socket.socket]]


class FullSocket:
    """Stands for a socket whose buffer is full."""

    def __init__(self) -> None:
        self.full = True
        self.sent: list[bytes] = []

    def send(self, packets: Sequence[bytes], targets: Sequence[bytes]) -> int:
        if self.full:
            raise BlockingIOError
        self.sent += packets
        return len(packets)


def test_a_full_socket_keeps_the_newest_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp, "MAX_UNSENT", 3)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        listener = udp.UdpListener(loop, 0, Address("udp", "127.0.0.1", 0), lambda batch: None)
        full = FullSocket()
        monkeypatch.setattr(listener._batches, "send", full.send)
        flow = Flow("udp", 0, "127.0.0.1", 9)
        assert not any(listener.send([(flow, bytes([number]))]) for number in range(5))
        assert listener.lost == 2
        full.full = False
        assert not listener.send([(flow, b"last")])
        async with asyncio.timeout(3.0):
            while len(full.sent) < 3:
                await asyncio.sleep(0)
        assert full.sent == [b"\x03", b"\x04", b"last"]
        listener.close()

    asyncio.run(scene())


def test_datagrams_come_in_batches_of_64(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        (address,) = network.open([Address("udp", "127.0.0.1", 0)], heard, Limits())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind(("127.0.0.1", 0))
            for number in range(100):
                phone.sendto(b"%d" % number, (address.host, address.port))
            await heard.until(lambda: sum(map(len, heard.batches)) == 100)
            assert [len(batch) for batch in heard.batches] == [64, 36]
            flows = {flow for batch in heard.batches for _, flow in batch}
            assert flows == {Flow("udp", 0, *phone.getsockname())}
        network.close()

    asyncio.run(scene())


def test_all_addresses_or_none() -> None:
    async def scene() -> None:
        network = AsyncioNetwork()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            port = other.getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                network.open([Address("udp", "127.0.0.1", 0), Address("udp", "127.0.0.1", port)], Heard(), Limits())
        with pytest.raises(OSError, match=r"."):
            network.open([Address("udp", "no-such-host.invalid", 0)], Heard(), Limits())
        assert network.send([(Flow("udp", 0, "127.0.0.1", 9), b"x")]) == [Flow("udp", 0, "127.0.0.1", 9)]

    asyncio.run(scene())


def test_silent_and_half_said_connections_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "SWEEP", 0.01)
    monkeypatch.setattr(tcp, "PARTIAL", 0.02)

    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        (address,) = network.open([Address("tcp", "127.0.0.1", 0)], heard, Limits())
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"\r\n\r\n")
        await heard.until(lambda: len(heard.events) == 1)
        writer.write(b"OPTIONS sip:x SIP")
        async with asyncio.timeout(3.0):
            assert await reader.read() == b""
        await heard.until(lambda: len(heard.closed) == 1)
        writer.close()
        monkeypatch.setattr(tcp, "UNPROVEN", 0.02)
        reader, writer = await asyncio.open_connection(address.host, address.port)
        async with asyncio.timeout(3.0):
            assert await reader.read() == b""
        writer.close()
        network.close()
        await asyncio.sleep(0)

    asyncio.run(scene())


def test_dialling_nobody() -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open([Address("udp", "127.0.0.1", 0)], heard, Limits())
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # not listening: refused
            network.dial(Dial(3, Flow("udp", 0, *taken.getsockname())))
            await heard.until(lambda: bool(heard.dials))
        assert heard.dials == [(3, None)]
        network.close()

    asyncio.run(scene())


def test_the_network_in_memory_takes_an_address_once() -> None:
    memory = Memory()
    first, second = MemoryNetwork(memory), MemoryNetwork(memory)
    addresses = [Address("udp", "10.0.0.1", 5060), Address("tcp", "10.0.0.1", 5060)]
    assert first.open(addresses, Heard(), Limits()) == addresses
    with pytest.raises(OSError, match="in use"):
        second.open(addresses[:1], Heard(), Limits())
    first.close()
    second.open(addresses, Heard(), Limits())


def test_the_network_in_memory_refuses_where_nobody_listens() -> None:
    memory, heard = Memory(), Heard()
    network = MemoryNetwork(memory)
    network.open([Address("udp", "10.0.0.1", 0)], heard, Limits())
    network.dial(Dial(1, Flow("udp", 0, "10.0.0.9", 5060)))
    memory.run()
    assert heard.dials == [(1, None)]
    assert memory.connect(("10.0.0.9", 1), ("10.0.0.1", 5060)) is None
    gone = Flow("tcp", 0, "10.0.0.9", 5060, 77)
    assert network.send([(gone, b"x")]) == [gone]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("way", [DatagramBatches, udp.PlainDatagrams])
def test_both_ways_to_datagrams_carry_the_same(
    host: str, way: Callable[[socket.socket], udp.Datagrams], socket_pair: Pair
) -> None:
    """Batches of the system, and one at a time where it has none."""
    here, there = socket_pair(host)
    ours, theirs = way(here), way(there)
    packets = [b"%d" % number * (number + 1) for number in range(64)]
    target = theirs.name(*there.getsockname()[:2])
    sent = 0
    while sent < len(packets):
        sent += ours.send(packets[sent:], [target] * (len(packets) - sent))
    arrived = theirs.receive()
    assert [data for data, _ in arrived] == packets
    assert {theirs.address(source) for _, source in arrived} == {here.getsockname()[:2]}
    with pytest.raises(BlockingIOError):
        theirs.receive()
    with pytest.raises(OSError, match="illegal IP address"):
        ours.name("not an address", 5060)


@pytest.fixture
def socket_pair() -> Iterator[Pair]:
    opened: list[socket.socket] = []

    def pair(host: str) -> tuple[socket.socket, socket.socket]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for _ in range(2):
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.bind((host, 0))
            one.setblocking(False)
            opened.append(one)
        return opened[-2], opened[-1]

    yield pair
    for one in opened:
        one.close()
