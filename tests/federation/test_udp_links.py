"""Links over UDP: beside links over TCP, and over a way that loses some, repeats and reorders."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, wait_until
from tests.federation.lossy import Lossy
from tests.federation.network import (
    Edge,
    Nodes,
    counted,
    counter,
    custody,
    delivered,
    line,
    neighbours,
    network,
    ring,
    said,
    start,
    wait_until_known,
    wait_until_linked,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


def exchange_messages(nodes: Nodes, log: Log, *, ends: str, pairs: int, count: int, pace: float = 0.02) -> None:
    """Have phones at both ends write to each other until so many messages have arrived, and all the rest."""
    one, other = (nodes[end].udp for end in ends)
    phones = [Phone(f"x{n}", one, log) for n in range(pairs)] + [Phone(f"y{n}", other, log) for n in range(pairs)]
    senders = [Sender(f"x{n}", f"y{n}", one, log, pace=pace) for n in range(pairs)]
    senders += [Sender(f"y{n}", f"x{n}", other, log, pace=pace) for n in range(pairs)]
    with Exchange(phones, senders) as exchange:
        exchange.register()
        exchange.go()
        assert wait_until(lambda: delivered(log) >= count, 90.0), said(nodes)
        exchange.pause()
        assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)
    verdict = judge(log.facts())
    assert verdict.failures == 0, str(verdict)
    assert wait_until(lambda: custody(nodes) == 0, 10.0)


def test_a_line_half_over_tcp_half_over_udp(tmp_path: Path) -> None:
    with Log(tmp_path / "oracle.log") as log, line(tmp_path, udp=[("b", "c")]) as nodes:
        for one, other in ("ab", "ba", "bc", "cb"):
            address = neighbours(nodes[one])[other]["address"]
            assert address.startswith("udp://" if "c" in (one, other) else "tcp://")
        exchange_messages(nodes, log, ends="ac", pairs=2, count=100)


def test_a_way_that_loses_repeats_and_reorders(tmp_path: Path) -> None:
    ways = {"loss": 0.15, "repeat": 0.1, "jitter": 0.05}
    with ExitStack() as stack:
        a, b = (NodeProcess(tmp_path / name, name=name) for name in "ab")
        to_a, to_b = (stack.enter_context(Lossy(node.udp, seed=7, **ways)) for node in (a, b))
        a.args += ["--neighbour", f"b={to_b.url}"]
        b.args += ["--neighbour", f"a={to_a.url}"]
        nodes = start(stack, a, b)
        wait_until_linked(nodes, [("a", "b")], 60.0)
        with Log(tmp_path / "oracle.log") as log:
            exchange_messages(nodes, log, ends="ab", pairs=8, count=80, pace=0.5)
        assert counted(nodes, "sip_retransmissions_sent_total") > 0
        assert to_a.lost > 10
        assert to_a.passed + to_b.passed < 10 * delivered(log)


def send_large(node: NodeProcess, recipient: str, size: int) -> None:
    """Send a text of that size over TCP, as eve does."""
    host, port = node.tcp
    head = (
        f"MESSAGE sip:{recipient}@{host} SIP/2.0\r\nVia: SIP/2.0/TCP {host}:9;rport;branch=z9hG4bKlarge{size}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:eve@{host}>;tag=1\r\nTo: <sip:{recipient}@{host}>\r\n"
        f"Call-ID: large{size}\r\nCSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
    )
    with socket.create_connection((host, port), 10.0) as phone:
        phone.sendall(head.encode() + b"x" * size)
        assert phone.recv(65536).startswith(b"SIP/2.0 202 ")


@pytest.mark.parametrize(("edges", "arrives"), [([("a", "b")], False), (ring("abc"), True)], ids=["no other", "ring"])
def test_what_is_too_large_for_a_datagram(tmp_path: Path, edges: list[Edge], arrives: bool) -> None:
    """It goes another way, or its sender is told; what comes behind it goes on."""
    with Log(tmp_path / "oracle.log") as log, network(tmp_path, edges, udp=[("a", "b")]) as nodes:
        wait_until_known(nodes)
        senders = [Sender("alice", "bob", nodes["a"].udp, log, pace=0.1)]
        with Exchange([Phone("bob", nodes["b"].udp, log)], senders) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: delivered(log) >= 3, 30.0), said(nodes)
            send_large(nodes["a"], "bob", 64_900)
            before = delivered(log)
            assert wait_until(lambda: delivered(log) >= before + 10, 30.0), said(nodes)
            exchange.pause()
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 30.0), said(nodes)
        assert wait_until(lambda: custody(nodes) == 0, 10.0), said(nodes)
        turned_back = 'messages_turned_back_total{status="513"}'
        assert counter(nodes["a"], turned_back) == 1
        large = [fact for fact in log.facts() if fact.what == "delivered" and fact.body.startswith("x")]
        assert len(large) == arrives
