"""SIPp as phone: registers with and without digest, sends, receives, over UDP and TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.node import Address, NodeProcess
from tests.faults.phones import wait_until
from tests.interop.conftest import PASSWORDS
from tests.interop.ours import receive, send
from tests.interop.sipp import WITHIN, Sipp, run_sipp
from tests.ports import free_port

pytestmark = pytest.mark.interop
TRANSPORTS = pytest.mark.parametrize("transport", ["u1", "t1"])


def address(node: NodeProcess, transport: str) -> Address:
    return node.tcp if transport.startswith("t") else node.udp


@TRANSPORTS
def test_register_and_deregister(open_node: NodeProcess, tmp_path: Path, transport: str) -> None:
    where = address(open_node, transport)
    heard = run_sipp(tmp_path, "register", where, transport=transport, user=f"r{transport}", expires="300")
    assert f"Contact: <sip:r{transport}@127.0.0.1:" in heard.partition("SIP/2.0 200")[2]
    heard = run_sipp(tmp_path, "register", where, transport=transport, user=f"r{transport}", expires="0")
    assert ";expires=0" not in heard.partition("SIP/2.0 200")[2]


@TRANSPORTS
def test_register_with_digest(closed_node: NodeProcess, tmp_path: Path, transport: str) -> None:
    heard = run_sipp(
        tmp_path,
        "register_digest",
        address(closed_node, transport),
        transport=transport,
        user="alice",
        password=PASSWORDS["alice"],
        expires="60",
    )
    assert 'qop="auth"' in heard


def test_a_wrong_password_is_refused(closed_node: NodeProcess, tmp_path: Path) -> None:
    keys = {"user": "alice", "password": "guess", "expires": "60"}
    with Sipp(tmp_path, "register_digest", closed_node.udp, keys=keys) as run:
        assert wait_until(lambda: "SIP/2.0 403" in run.messages, WITHIN)
    assert "SIP/2.0 200" not in run.messages


@TRANSPORTS
def test_send_with_digest(closed_node: NodeProcess, tmp_path: Path, transport: str) -> None:
    run_sipp(
        tmp_path,
        "send_digest",
        address(closed_node, transport),
        transport=transport,
        user="alice",
        password=PASSWORDS["alice"],
        peer="dave",
        body=f"to dave over {transport}",
    )
    got = receive(closed_node, "dave", tmp_path / "state", password=PASSWORDS["dave"])
    assert [item["body"] for item in got] == [f"to dave over {transport}"]


@TRANSPORTS
def test_send_to_our_client(open_node: NodeProcess, tmp_path: Path, transport: str) -> None:
    user = f"ours{transport}"
    run_sipp(tmp_path, "register", open_node.udp, user=user, expires="300")
    run_sipp(tmp_path, "register", open_node.udp, user=user, expires="0")
    where = address(open_node, transport)
    run_sipp(tmp_path, "send", where, transport=transport, user="sipp", peer=user, body=f"over {transport}")
    assert [item["body"] for item in receive(open_node, user, tmp_path / "state")] == [f"over {transport}"]


def test_receive_at_once(open_node: NodeProcess, tmp_path: Path) -> None:
    port = free_port()
    run_sipp(tmp_path, "register", open_node.udp, port=port, user="now", expires="300")
    with Sipp(tmp_path, "uas", None, port=port) as phone:
        send(open_node, "ours", "now", "hello sipp")
        heard = phone.finish()
    assert "hello sipp" in heard
    assert "Angarium-Id:" in heard


def test_offline_then_registered(open_node: NodeProcess, tmp_path: Path) -> None:
    port = free_port()
    run_sipp(tmp_path, "register", open_node.udp, port=port, user="away", expires="300")
    run_sipp(tmp_path, "register", open_node.udp, port=port, user="away", expires="0")
    send(open_node, "ours", "away", "while you were away")
    with Sipp(
        tmp_path,
        "register_and_receive",
        open_node.udp,
        port=port,
        keys={"user": "away", "expires": "300"},
        call_id="away-%u",
    ) as phone:
        # SIPp takes a request of another Call-ID for a stray; that it came is all that is asked here.
        assert wait_until(lambda: "while you were away" in phone.messages, WITHIN)


def test_receive_over_the_connection_of_the_register(open_node: NodeProcess, tmp_path: Path) -> None:
    with Sipp(
        tmp_path,
        "register_and_receive",
        open_node.tcp,
        transport="t1",
        keys={"user": "tcp", "expires": "300"},
        call_id="tcp-%u",
    ) as phone:
        assert wait_until(lambda: "SIP/2.0 200" in phone.messages, WITHIN)
        run_sipp(tmp_path, "send", open_node.udp, user="sipp", peer="tcp", body="down the pipe", call_id="tcp-%u")
        assert "down the pipe" in phone.finish()
