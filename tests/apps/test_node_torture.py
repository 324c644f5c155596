"""The torture messages of RFC 4475 and RFC 5118 at a running node: each gets its verdict, and the node serves on."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.faults.node import NodeProcess
from tests.sip_adapter.packets import packet
from tests.sip_adapter.torture.table import TABLE, load

HERE = "127.47.11.1"
"""An address of the loopback that nobody else uses, so that the ports that the messages name in Via are free."""
TOP_VIA = re.compile(
    rb"^v(?:ia)?\s*:(?:\s|\\\r\n)*SIP\s*/\s*2\.0\s*/\s*\w+\s+[^;,\r\n]*?(?::\s*([0-9]{1,5}))?\s*[;,\r\n]",
    re.MULTILINE | re.IGNORECASE,
)
TIMEOUT = 10.0


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all of them."""
    with NodeProcess(tmp_path_factory.mktemp("torture") / "data") as served:
        yield served


def way_back(data: bytes) -> int:
    """The port that the answer goes to: the one in Via, else 5060 (RFC 3261 18.2.2)."""
    found = TOP_VIA.search(data)
    return int(found[1]) if found and found[1] else 5060


@pytest.mark.parametrize("name", sorted(TABLE))
def test_each_gets_its_verdict_and_the_node_serves_on(name: str, node: NodeProcess) -> None:
    data = load(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(TIMEOUT)
        phone.bind((HERE, way_back(data)))
        phone.sendto(data, node.udp)
        # If the message gets no answer, that to the OPTIONS behind it is the first to come.
        phone.sendto(packet("OPTIONS", call_id=f"after-{name}", body=b""), node.udp)
        heard = [phone.recv(65535)]
        while f"after-{name}".encode() not in heard[-1]:
            heard.append(phone.recv(65535))
    *verdict, alive = heard
    assert alive.startswith(b"SIP/2.0 200 ")
    expected = TABLE[name].node
    assert len(verdict) == bool(expected), verdict
    if expected:
        assert int(verdict[0][8:11]) in expected
        assert re.match(rb"SIP/2\.0 [1-6][0-9]{2} [^\r\n]+\r\n", verdict[0])


def test_none_of_it_was_a_fault_of_the_node(node: NodeProcess) -> None:
    status = node.status()
    assert status["messages"] == 0
    assert status["alarms"] == []
    assert status["counters"].get("actor_failures_total", 0) == 0
    assert status["counters"].get("sip_packets_failed_total", 0) == 0
    assert "Traceback" not in node.errors.read_text()
