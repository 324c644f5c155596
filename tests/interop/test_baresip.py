"""baresip as phone: registers with and without digest, sends and receives, over UDP and TCP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.node import Address, NodeProcess
from tests.faults.phones import wait_until
from tests.interop.baresip import Baresip
from tests.interop.conftest import PASSWORDS
from tests.interop.ours import receive, send
from tests.ports import free_port

pytestmark = pytest.mark.interop
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


def address(node: NodeProcess, transport: str) -> Address:
    return node.tcp if transport == "tcp" else node.udp


@TRANSPORTS
def test_both_directions(open_node: NodeProcess, tmp_path: Path, transport: str) -> None:
    where = address(open_node, transport)
    user, friend = f"bare{transport}", f"friend{transport}"
    with (
        Baresip(tmp_path / "a", user, friend, where, transport=transport) as one,
        Baresip(tmp_path / "b", friend, user, where, transport=transport) as two,
    ):
        one.registered()
        two.registered()
        one.message("salut")
        two.wait_for("salut")
        two.message("et toi?")
        one.wait_for("et toi?")


@pytest.mark.parametrize(("transport", "user"), [("udp", "bob"), ("tcp", "erin")])
def test_with_digest(closed_node: NodeProcess, tmp_path: Path, transport: str, user: str) -> None:
    where = address(closed_node, transport)
    before = closed_node.waiting()
    with Baresip(tmp_path / "b", user, "carol", where, transport=transport, password=PASSWORDS[user]) as phone:
        phone.registered()
        send(closed_node, "alice", user, f"for {transport}", password=PASSWORDS["alice"])
        phone.wait_for(f"for {transport}")
        phone.message(f"from {transport}")
        # Its own message is acknowledged and gone by then, and carol's waits.
        assert wait_until(lambda: closed_node.waiting() == before + 1, 40.0)
    got = receive(closed_node, "carol", tmp_path / "state", password=PASSWORDS["carol"])
    assert [item["body"] for item in got] == [f"from {transport}"]


def test_a_wrong_password_is_refused(closed_node: NodeProcess, tmp_path: Path) -> None:
    with Baresip(tmp_path / "b", "bob", "carol", closed_node.udp, password="wrong") as phone:
        phone.wait_for("403")
        assert "200 OK" not in phone.said


@TRANSPORTS
def test_offline_then_registered(open_node: NodeProcess, tmp_path: Path, transport: str) -> None:
    where = address(open_node, transport)
    user = f"off{transport}"
    with Baresip(tmp_path / "b", user, "peer", where, transport=transport) as phone:
        phone.registered()
    send(open_node, "ours", user, "first")
    send(open_node, "ours", user, "second")
    with Baresip(tmp_path / "c", user, "peer", where, transport=transport) as phone:
        phone.wait_for("second")
        assert phone.said.index("first") < phone.said.index("second")


def test_killed_and_restarted_on_its_port(open_node: NodeProcess, tmp_path: Path) -> None:
    port = free_port()
    with Baresip(tmp_path / "b", "phoenix", "peer", open_node.udp, sip_port=port) as phone:
        phone.registered()
        phone.kill()
    with Baresip(tmp_path / "c", "phoenix", "peer", open_node.udp, sip_port=port) as phone:
        # It answers 404 to its old contact, which must not end the message.
        send(open_node, "ours", "phoenix", "still here")
        phone.wait_for("still here")
