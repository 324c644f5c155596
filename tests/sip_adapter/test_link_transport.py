"""Ways to other servers: over sockets of this machine, in memory, and in the simulated air."""

from __future__ import annotations

import asyncio
import socket
from random import Random

import pytest

from actors.model import Flow
from actors.simulation import Simulation
from apps.simulated.air import Air, NodeNetwork
from sip_adapter.codec import Request
from sip_adapter.limits import Limits
from sip_adapter.transport import tcp
from sip_adapter.transport.base import NO_LISTENER, Address, LinkDial
from sip_adapter.transport.memory import Memory, MemoryNetwork
from sip_adapter.transport.sockets import AsyncioNetwork
from tests.sip_adapter.packets import packet
from tests.sip_adapter.test_transport import Heard

HOSTS = ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_connection_to_a_server(host: str) -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open([Address("udp", host, 0), Address("tcp", host, 0)], heard, Limits())
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await accepted.put(writer)

        server = await asyncio.start_server(accept, host, 0)
        port = server.sockets[0].getsockname()[1]
        network.dial_link(LinkDial(7, Address("tcp", host, port)))
        await heard.until(lambda: bool(heard.links))
        ((number, flow, reason),) = heard.links
        assert (number, reason) == (7, "")
        assert flow is not None
        assert (flow.transport, flow.listener, flow.host, flow.port) == ("tcp", 1, host, port)
        assert network.via(flow).startswith(b"TCP ")
        writer = await accepted.get()
        large = packet(body=b"x" * 100_000, more=("Angarium-Link: carry",))
        writer.write(large)
        await heard.until(lambda: bool(heard.events))
        ((_, (event,)),) = heard.events
        assert isinstance(event, Request)
        assert len(event.body) == 100_000
        assert not network.send([(flow, b"x" * 2_000_000)])  # more than a phone's connection may hold
        writer.close()
        await heard.until(lambda: heard.closed == [flow])
        network.close()
        server.close()
        await asyncio.sleep(0)

    asyncio.run(scene())


def test_a_server_that_refuses() -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open([Address("udp", "127.0.0.1", 0)], heard, Limits())
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # not listening
            network.dial_link(LinkDial(3, Address("tcp", "127.0.0.1", taken.getsockname()[1])))
            await heard.until(lambda: bool(heard.links))
        assert heard.links == [(3, None, "Connection refused")]
        network.close()

    asyncio.run(scene())


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".invalid"])
def test_a_name_that_nobody_has(transport: str, host: str) -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open([Address("udp", "127.0.0.1", 0)], heard, Limits())
        network.dial_link(LinkDial(3, Address(transport, host, 5060)))
        await heard.until(lambda: bool(heard.links))
        ((number, flow, reason),) = heard.links
        assert (number, flow) == (3, None)
        assert reason
        network.close()

    asyncio.run(scene())


def test_a_server_that_does_not_take_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "LINK_TIMEOUT", 0.0)

    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open([Address("udp", "127.0.0.1", 0)], heard, Limits())
        with socket.create_server(("127.0.0.1", 0)) as silent:
            network.dial_link(LinkDial(3, Address("tcp", *silent.getsockname())))
            await heard.until(lambda: bool(heard.links))
        assert heard.links == [(3, None, "No answer to the attempt to connect")]
        network.close()

    asyncio.run(scene())


def test_a_link_finds_room_among_connections() -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        addresses = network.open([Address("tcp", "127.0.0.1", 0)], heard, Limits(max_connections=0))
        with socket.create_server(("127.0.0.1", 0)) as other:
            network.dial_link(LinkDial(3, Address("tcp", *other.getsockname())))
            await heard.until(lambda: bool(heard.links))
            assert heard.links[0][1] is not None
        assert addresses
        network.close()
        await asyncio.sleep(0)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("address", "flow"),
    [
        (Address("udp", "127.0.0.1", 5060), Flow("udp", 1, "127.0.0.1", 5060)),
        (Address("udp", "0:0:0:0:0:0:0:1", 5060), Flow("udp", 2, "::1", 5060)),
    ],
)
def test_datagrams_go_from_a_listener_that_can_send_there(address: Address, flow: Flow) -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        listen = [Address("tcp", "127.0.0.1", 0), Address("udp", "127.0.0.1", 0), Address("udp", "::1", 0)]
        network.open(listen, heard, Limits())
        network.dial_link(LinkDial(3, address))
        assert not heard.links
        await heard.until(lambda: bool(heard.links))
        assert heard.links == [(3, flow, "")]
        network.close()

    asyncio.run(scene())


def test_names_of_servers_are_resolved() -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open([Address("udp", "127.0.0.1", 0)], heard, Limits())
        network.dial_link(LinkDial(3, Address("udp", "localhost", 5060)))
        await heard.until(lambda: bool(heard.links))
        assert heard.links == [(3, Flow("udp", 0, "127.0.0.1", 5060), "")]
        network.close()

    asyncio.run(scene())


@pytest.mark.parametrize("listen", [[], [Address("tcp", "127.0.0.1", 0)], [Address("udp", "::1", 0)]])
def test_without_a_listener_no_datagrams_go(listen: list[Address]) -> None:
    async def scene() -> None:
        heard, network = Heard(), AsyncioNetwork()
        network.open(listen, heard, Limits())
        network.dial_link(LinkDial(3, Address("udp", "127.0.0.1", 5060)))
        await heard.until(lambda: bool(heard.links))
        assert heard.links == [(3, None, NO_LISTENER)]
        network.close()

    asyncio.run(scene())


def test_two_networks_in_memory() -> None:
    memory = Memory()
    here, there = Heard(), Heard()
    ours, theirs = MemoryNetwork(memory), MemoryNetwork(memory)
    ours.open([Address("udp", "10.0.0.1", 5060)], here, Limits())
    theirs.open([Address("udp", "10.0.0.2", 5060), Address("tcp", "10.0.0.2", 5060)], there, Limits())
    ours.dial_link(LinkDial(1, Address("tcp", "10.0.0.2", 5060)))
    ours.dial_link(LinkDial(2, Address("udp", "10.0.0.2", 5060)))
    ours.dial_link(LinkDial(3, Address("tcp", "10.0.0.3", 5060)))
    theirs.dial_link(LinkDial(1, Address("tcp", "10.0.0.1", 5060)))
    assert not here.links
    memory.run()
    (_, stream, _), (_, datagrams, _), refused = here.links
    assert refused == (3, None, "Connection refused")
    assert there.links == [(1, None, "Connection refused")]
    assert datagrams == Flow("udp", 0, "10.0.0.2", 5060)
    assert stream is not None
    assert not ours.send([(stream, packet()), (datagrams, b"hello")])
    memory.run()
    assert len(there.events) == 1
    assert [data for batch in there.batches for data, _ in batch] == [b"hello"]
    theirs.close()
    memory.run()
    assert here.closed == [stream]


def test_a_network_in_memory_without_listeners() -> None:
    memory, heard = Memory(), Heard()
    network = MemoryNetwork(memory)
    network.open([], heard, Limits())
    network.dial_link(LinkDial(1, Address("udp", "10.0.0.2", 5060)))
    memory.run()
    assert heard.links == [(1, None, NO_LISTENER)]
    network.dial_link(LinkDial(2, Address("udp", "10.0.0.2", 5060)))
    network.close()
    memory.run()
    assert len(heard.links) == 1


def test_the_air_carries_datagrams_to_servers_and_nothing_else() -> None:
    simulation, heard = Simulation(1), Heard()
    network = NodeNetwork(Air(simulation.scheduler, Random(1)), simulation.scheduler)
    network.open([Address("udp", "10.0.0.1", 5060)], heard, Limits())
    network.dial_link(LinkDial(1, Address("udp", "10.0.0.2", 5060)))
    network.dial_link(LinkDial(2, Address("tcp", "10.0.0.2", 5060)))
    assert not heard.links
    simulation.run_for(0.1)
    assert heard.links == [(1, Flow("udp", 0, "10.0.0.2", 5060), ""), (2, None, "Only UDP is simulated")]
    network.dial_link(LinkDial(3, Address("udp", "10.0.0.2", 5060)))
    network.close()
    simulation.run_for(0.1)
    assert len(heard.links) == 2
    simulation.close()
