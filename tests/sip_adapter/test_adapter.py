"""The adapter as an actor among probes: over loopback sockets on both loops, and in memory under virtual time."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop

from actors.base import start_actor
from actors.messages.client_manager import (
    DeliveriesEnded,
    DeliveryResult,
    FlowsClosed,
    FlowsSeen,
    RegisterContacts,
    SubmitMessages,
)
from actors.messages.lifecycle import ActorFailed, ListenFailed, Listening
from actors.messages.monitor import CountFacts
from actors.messages.requests import Answer
from actors.messages.sip_adapter import AnswerRequests, CloseFlow, SendRequests, SipAdapterCommand
from actors.model import Flow, MessageId
from actors.ref import ActorRef
from actors.runtime import LoopRuntime, SystemClock, ThreadScheduler
from actors.simulation import Simulation
from actors.testing import Probe, actor_context
from sip_adapter.adapter import SipAdapter
from sip_adapter.codec import Request, parse, response
from sip_adapter.domains import Domains
from sip_adapter.limits import Limits
from sip_adapter.transport.base import Network
from sip_adapter.transport.memory import Memory, MemoryNetwork
from sip_adapter.transport.sockets import AsyncioNetwork
from tests.sip_adapter.packets import REALM, outbound, packet, register

TIMEOUT = 3.0
NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Served:
    """A running adapter, the probes round it, and sockets to it."""

    def __init__(self, ref: ActorRef[SipAdapterCommand], probes: tuple[Probe, ...], addresses: tuple[str, ...]) -> None:
        self.ref = ref
        self.client_manager, self.monitor, self.supervisor = probes
        self.addresses = addresses
        self._open: list[socket.socket] = []

    def place(self, index: int) -> tuple[str, int]:
        host, _, port = self.addresses[index].partition("://")[2].rpartition(":")
        return host.strip("[]"), int(port)

    def udp(self) -> socket.socket:
        phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.bind(("127.0.0.1", 0))
        phone.connect(self.place(0))
        return self._keep(phone)

    def tcp(self) -> socket.socket:
        return self._keep(socket.create_connection(self.place(1), TIMEOUT))

    def _keep(self, opened: socket.socket) -> socket.socket:
        opened.settimeout(TIMEOUT)
        self._open.append(opened)
        return opened

    def accept(self) -> None:
        """Answer the next submissions 202."""
        items = self.client_manager.expect(SubmitMessages).items
        answers = (Answer(transaction=item.transaction, status=202, message_id=MessageId("id")) for item in items)
        self.ref.tell(AnswerRequests(items=tuple(answers)))

    def close(self) -> None:
        for opened in self._open:
            opened.close()


@contextmanager
def serving(
    new_loop: NewLoop = asyncio.new_event_loop,
    listen: tuple[str, ...] = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0"),
    limits: Limits | None = None,
) -> Iterator[Served]:
    """Run an adapter over loopback."""
    scheduler = ThreadScheduler()
    probes = (Probe("client_manager"), Probe("monitor"), Probe("supervisor"))
    ready = Probe("ready")
    ref = start_actor(
        SipAdapter,
        LoopRuntime(new_loop),
        actor_context(SystemClock(), scheduler, probes[2]),
        network=AsyncioNetwork(),
        client_manager=probes[0],
        monitor=probes[1],
        domains=Domains(REALM),
        realm=REALM,
        listen=listen,
        ready=ready,
        limits=limits,
    )
    served = Served(ref, probes, ready.expect(Listening).addresses)
    try:
        yield served
    finally:
        served.close()
        ref.pykka_ref.stop(timeout=TIMEOUT)
        scheduler.stop()
    for failure in probes[2].of(ActorFailed):
        raise AssertionError(failure.trace)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    with serving(request.param) as adapter:
        yield adapter


def read_packet(stream: socket.socket) -> bytes:
    """Read one message without a body."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = stream.recv(65535)
        if not more:
            break
        data += more
    return data


class TestLoopback:
    def test_a_message_in_and_its_answer_out(self, served: Served) -> None:
        phone = served.udp()
        phone.send(packet())
        served.accept()
        assert phone.recv(65535).startswith(b"SIP/2.0 202 Accepted\r\n")

    def test_many_messages_arrive_in_few_batches_and_are_all_answered(self, served: Served) -> None:
        phone = served.udp()
        for number in range(100):
            phone.send(packet(call_id=f"call-{number}"))
        served.client_manager.wait(
            lambda heard: sum(len(item.items) for item in heard if isinstance(item, SubmitMessages)) == 100
        )
        for _ in served.client_manager.of(SubmitMessages):
            served.accept()
        assert {phone.recv(65535)[:11] for _ in range(100)} == {b"SIP/2.0 202"}

    def test_a_delivery_and_its_end(self, served: Served) -> None:
        phone = served.udp()
        flow = Flow("udp", 0, *phone.getsockname())
        served.ref.tell(SendRequests(items=(outbound(7, flow=flow),)))
        request = parse(phone.recv(65535))
        assert isinstance(request, Request)
        assert f"{request.via.host}:{request.via.port}" == served.addresses[0].removeprefix("udp://")
        phone.send(response(request, 200, "OK", to_tag=b"x"))
        assert served.client_manager.expect(DeliveriesEnded).items == (DeliveryResult(7, 200, True),)

    def test_a_delivery_without_an_answer_is_repeated(self, served: Served) -> None:
        phone = served.udp()
        served.ref.tell(SendRequests(items=(outbound(flow=Flow("udp", 0, *phone.getsockname())),)))
        assert phone.recv(65535) == phone.recv(65535)

    def test_over_tcp_in_pieces(self, served: Served) -> None:
        stream = served.tcp()
        data = packet(via="SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKt") + packet(call_id="second") + b"\r\n\r\n"
        for start in range(0, len(data), 100):
            stream.sendall(data[start : start + 100])
        first = served.client_manager.expect(SubmitMessages, where=lambda heard: heard.items[0].call_id == b"call-1")
        served.ref.tell(AnswerRequests(items=(Answer(transaction=first.items[0].transaction, status=404),)))
        heard = b""
        while len(re.sub(rb"SIP/2.0 404 .*?\r\n\r\n", b"answer", heard, flags=re.DOTALL)) != len(b"answer\r\n"):
            heard += stream.recv(65535)
        flow = first.items[0].flow
        assert (flow.transport, flow.host, flow.port) == ("tcp", *stream.getsockname())
        assert served.client_manager.expect(FlowsSeen).flows == (flow,)

    def test_a_delivery_over_the_connection_of_the_phone(self, served: Served) -> None:
        stream = served.tcp()
        stream.sendall(register("Contact: <sip:bob@192.0.2.1;transport=tcp>"))
        flow = served.client_manager.expect(RegisterContacts).items[0].flow
        served.ref.tell(SendRequests(items=(outbound(flow=flow, body=b"x" * 20_000),)))
        data = b""
        while len(data) < 20_000:
            data += stream.recv(65535)
        request = parse(data)
        assert isinstance(request, Request)
        assert request.via.transport == "TCP"
        stream.sendall(response(request, 200, "OK", to_tag=b"x"))
        assert served.client_manager.expect(DeliveriesEnded).items[0].status == 200

    def test_a_closed_connection_is_told_and_fails_its_deliveries(self, served: Served) -> None:
        stream = served.tcp()
        stream.sendall(b"\r\n\r\n")
        (flow,) = served.client_manager.expect(FlowsSeen).flows
        served.ref.tell(SendRequests(items=(outbound(flow=flow),)))
        read_packet(stream)
        stream.close()
        assert served.client_manager.expect(FlowsClosed).flows == (flow,)
        assert served.client_manager.expect(DeliveriesEnded).items[0].status == 503
        served.ref.tell(SendRequests(items=(outbound(2, flow=flow),)))
        assert served.client_manager.expect(DeliveriesEnded).items == (DeliveryResult(2, 503, False),)

    def test_a_connection_can_be_closed(self, served: Served) -> None:
        stream = served.tcp()
        stream.sendall(b"\r\n\r\n")
        (flow,) = served.client_manager.expect(FlowsSeen).flows
        assert stream.recv(10) == b"\r\n"
        served.ref.tell(CloseFlow(flow=flow))
        assert is_closed(stream)
        assert served.client_manager.expect(FlowsClosed).flows == (flow,)

    def test_garbage_on_a_stream_closes_it(self, served: Served) -> None:
        stream = served.tcp()
        stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert is_closed(stream)

    def test_a_large_message_goes_over_tcp_where_the_phone_takes_it(self, served: Served) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(TIMEOUT)
            flow = Flow("udp", 0, *listener.getsockname())
            served.ref.tell(SendRequests(items=(outbound(flow=flow, body=b"x" * 2000),)))
            stream, _ = listener.accept()
            with stream:
                data = b""
                while len(data) < 2000:
                    data += stream.recv(65535)
                request = parse(data)
                assert isinstance(request, Request)
                stream.sendall(response(request, 200, "OK", to_tag=b"x"))
                assert served.client_manager.expect(DeliveriesEnded).items[0].status == 200

    def test_a_large_message_goes_by_datagram_where_it_does_not(self, served: Served) -> None:
        phone = served.udp()
        flow = Flow("udp", 0, *phone.getsockname())
        served.ref.tell(SendRequests(items=(outbound(flow=flow, body=b"x" * 2000),)))
        assert len(phone.recv(65535)) > 2000

    def test_what_cannot_be_sent_at_all_is_503(self, served: Served) -> None:
        flow = Flow("udp", 0, "127.0.0.1", 9)
        served.ref.tell(SendRequests(items=(outbound(flow=flow, body=b"x" * 70_000),)))
        assert served.client_manager.expect(DeliveriesEnded).items[0] == DeliveryResult(1, 503, False)

    def test_counts_go_to_the_monitor(self, served: Served) -> None:
        phone = served.udp()
        phone.send(packet("OPTIONS"))
        phone.send(packet())
        served.monitor.wait(lambda heard: total(heard, "sip_messages_received_total") == 1.0)
        assert total(served.monitor.messages, "sip_options_received_total") == 1.0
        assert total(served.monitor.messages, "sip_datagrams_received_total") == 2.0

    def test_thousands_of_hostile_datagrams(self, served: Served) -> None:
        phone = served.udp()
        for number in range(2000):
            phone.send(packet()[: number % 300])
            phone.send(bytes((number * index) % 251 for index in range(number % 40)))
        phone.settimeout(0.2)
        for attempt in range(50):  # its answers to garbage may fill the phone's buffer: a phone asks again
            phone.send(packet("OPTIONS", call_id=f"still-there-{attempt}"))
            with suppress(TimeoutError):
                while b"still-there" not in phone.recv(65535):
                    pass
                return
        pytest.fail("it answers no more")


def total(heard: tuple[object, ...], name: str) -> float:
    """Add up what the monitor was told of one counter."""
    return sum(dict(facts.counts).get(name, 0.0) for facts in heard if isinstance(facts, CountFacts))


def test_a_slow_reader_is_cut_off() -> None:
    with serving(limits=Limits(max_unsent=100_000)) as served:
        stream = served.tcp()
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stream.sendall(b"\r\n\r\n")
        (flow,) = served.client_manager.expect(FlowsSeen).flows
        items = tuple(outbound(n, token=f"{n:032x}", flow=flow, body=b"x" * 60_000) for n in range(200))
        served.ref.tell(SendRequests(items=items))
        served.client_manager.expect(FlowsClosed)
        served.client_manager.wait(
            lambda heard: sum(len(item.items) for item in heard if isinstance(item, DeliveriesEnded)) == 200
        )


def test_connections_are_bounded_and_silent_ones_make_room() -> None:
    with serving(limits=Limits(max_connections=2)) as served:
        proven = served.tcp()
        proven.sendall(b"\r\n\r\n")
        assert proven.recv(10) == b"\r\n"
        silent = served.tcp()
        newer = served.tcp()
        assert is_closed(silent)
        newer.sendall(b"\r\n\r\n")
        assert newer.recv(10) == b"\r\n"
        assert is_closed(served.tcp())
        proven.sendall(b"\r\n\r\n")
        assert proven.recv(10) == b"\r\n"


def is_closed(stream: socket.socket) -> bool:
    """Tell whether the other side closed it, whether the kernel says reset or end."""
    try:
        return stream.recv(10) == b""
    except ConnectionResetError:
        return True


def test_ipv6() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with serving(listen=("udp://[::1]:0", "tcp://[::1]:0")) as served:
        assert served.addresses[0].startswith("udp://[::1]:")
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
            phone.settimeout(TIMEOUT)
            phone.connect(served.place(0))
            phone.send(packet("OPTIONS", "sip:[::1]"))
            answer = phone.recv(65535)
            assert answer.startswith(b"SIP/2.0 200 ")
            assert b";received=::1;" in answer


def test_a_wildcard_names_the_address_towards_the_peer() -> None:
    with serving(listen=("udp://0.0.0.0:0",)) as served:
        port = served.place(0)[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.settimeout(TIMEOUT)
            phone.bind(("127.0.0.1", 0))
            served.ref.tell(SendRequests(items=(outbound(flow=Flow("udp", 0, *phone.getsockname())),)))
            request = parse(phone.recv(65535))
            assert (request.via.host, request.via.port) == ("127.0.0.1", port)
            phone.sendto(packet("OPTIONS", "sip:198.51.100.1"), ("127.0.0.1", port))
            assert phone.recv(65535).startswith(b"SIP/2.0 200 ")


@pytest.mark.parametrize("listen", [("udp://127.0.0.1:0", "tcp://203.0.113.1:5060"), ("ws://127.0.0.1:0",)])
def test_an_address_that_cannot_be_had_is_told_and_the_adapter_stops(listen: tuple[str, ...]) -> None:
    ready = Probe("ready")
    ref = start_actor(
        SipAdapter,
        LoopRuntime(),
        actor_context(),
        network=AsyncioNetwork(),
        client_manager=Probe(),
        monitor=Probe(),
        domains=Domains(REALM),
        realm=REALM,
        listen=listen,
        ready=ready,
    )
    assert listen[-1] in ready.expect(ListenFailed).address
    ref.pykka_ref.actor_stopped.wait(TIMEOUT)
    assert not ref.pykka_ref.is_alive()


class Simulated:
    """An adapter in a simulation, on a network in memory."""

    def __init__(self, simulation: Simulation, network: Callable[[Memory], Network] = MemoryNetwork) -> None:
        self.simulation = simulation
        self.memory = Memory()
        self.heard: list[bytes] = []
        self.client_manager, self.supervisor = Probe("client_manager"), Probe("supervisor")
        self.ref = start_actor(
            SipAdapter,
            simulation.runtime,
            actor_context(simulation.clock, simulation.scheduler, self.supervisor),
            network=network(self.memory),
            client_manager=self.client_manager,
            monitor=Probe(),
            domains=Domains(REALM),
            realm=REALM,
            listen=("udp://10.0.0.1:5060", "tcp://10.0.0.1:5060"),
            ready=Probe(),
            random_bytes=simulation.random_bytes,
        )
        self.memory.phones[("10.0.0.7", 5060)] = self
        simulation.settle()

    def datagram(self, data: bytes, source: tuple[str, int]) -> None:
        assert source == ("10.0.0.1", 5060)
        self.heard.append(data)

    def send(self, data: bytes) -> None:
        self.memory.send(data, ("10.0.0.7", 5060), ("10.0.0.1", 5060))
        self.run()

    def run(self) -> None:
        self.memory.run()
        self.simulation.settle()
        self.memory.run()


PHONE = Flow("udp", 0, "10.0.0.7", 5060)


class TestMemory:
    def test_a_message_and_its_answer(self) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)
            served.send(packet())
            (item,) = served.client_manager.expect(SubmitMessages).items
            assert item.flow == PHONE
            served.ref.tell(AnswerRequests(items=(Answer(transaction=item.transaction, status=202),)))
            served.run()
            assert served.heard[0].startswith(b"SIP/2.0 202")

    def test_timers_run_in_virtual_time(self) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)
            served.ref.tell(SendRequests(items=(outbound(flow=PHONE),)))
            simulation.run_for(40.0)
            served.memory.run()
            assert len(served.heard) == 11
            assert served.client_manager.expect(DeliveriesEnded).items == (DeliveryResult(1, 408, False),)
            assert simulation.scheduler.next_due is None

    def test_streams(self) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)
            stream = served.memory.connect(("10.0.0.7", 40000), ("10.0.0.1", 5060))
            assert stream is not None
            stream.send(packet("OPTIONS")[:50])
            stream.send(packet("OPTIONS")[50:] + b"\r\n\r\n")
            served.run()
            assert stream.heard.startswith(b"SIP/2.0 200 ")
            assert stream.heard.endswith(b"\r\n\r\n\r\n")
            (flow,) = served.client_manager.expect(FlowsSeen).flows
            stream.close()
            served.run()
            assert served.client_manager.expect(FlowsClosed).flows == (flow,)

    def test_a_dialled_stream(self) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)
            heard = bytearray()
            served.memory.listening[("10.0.0.7", 5060)] = lambda stream: heard.extend
            served.ref.tell(SendRequests(items=(outbound(flow=PHONE, body=b"x" * 2000),)))
            served.simulation.settle()
            served.run()
            assert heard.startswith(b"MESSAGE ")

    def test_what_the_medium_loses_is_sent_again(self) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)
            served.memory.carry = lambda deliver: None
            served.ref.tell(SendRequests(items=(outbound(flow=PHONE),)))
            simulation.settle()
            served.memory.carry = lambda deliver: deliver()
            simulation.run_for(1.0)
            assert len(served.heard) == 1


class TestContainment:
    def test_a_fault_costs_one_datagram_which_is_answered_500(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)

            def broken(*arguments: object) -> bool:
                raise ZeroDivisionError("planted")

            with monkeypatch.context() as patched:
                patched.setattr("sip_adapter.endpoint.SipEndpoint._quick", broken)
                served.send(packet())
            assert served.heard[0].startswith(b"SIP/2.0 500 ")
            assert "planted" in served.supervisor.expect(ActorFailed).error
            served.send(packet())
            assert len(served.client_manager.expect(SubmitMessages).items) == 1

    def test_reports_of_a_flood_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)

            def broken(*arguments: object) -> bool:
                raise ZeroDivisionError("planted")

            monkeypatch.setattr("sip_adapter.endpoint.SipEndpoint._quick", broken)
            for _ in range(100):
                served.send(packet())
            assert len(served.supervisor.of(ActorFailed)) <= 20
            assert len(served.heard) == 100

    def test_a_request_over_a_listener_of_an_earlier_run_costs_no_other_its_way(self) -> None:
        with Simulation(1) as simulation:
            served = Simulated(simulation)
            gone = Flow("udp", 7, PHONE.host, PHONE.port)
            flows = (PHONE, gone, PHONE)
            served.ref.tell(
                SendRequests(items=tuple(outbound(n, token=f"{n:032x}", flow=f) for n, f in enumerate(flows)))
            )
            simulation.settle()
            served.run()
            assert len(served.heard) == 2
            assert served.client_manager.expect(DeliveriesEnded).items == (DeliveryResult(1, 503, False),)
            assert "IndexError" in served.supervisor.expect(ActorFailed).error
