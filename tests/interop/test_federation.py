"""Foreign phones away from home: their users live at `home`, they are at `away`, which has no users (rule 21)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.node import NodeProcess
from tests.faults.phones import wait_until
from tests.federation.network import network, said, wait_until_known
from tests.interop.accounts import import_users
from tests.interop.baresip import Baresip
from tests.interop.conftest import PASSWORDS
from tests.interop.ours import receive, send
from tests.interop.sipp import WITHIN, Sipp, run_sipp
from tests.ports import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]


class Nodes(NamedTuple):
    """Two closed nodes with one between."""

    home: NodeProcess
    """Has all accounts."""
    middle: NodeProcess
    away: NodeProcess


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("roaming")
    import_users(folder / "home", PASSWORDS)
    edges = [("home", "middle"), ("middle", "away")]
    with network(folder, edges, args=()) as started:
        wait_until_known(started)
        yield Nodes(**started)


def mailbox(nodes: Nodes, user: str) -> int:
    """Messages that none of his devices has yet; copies for others that he has do not count."""
    return sum(item["anyone"] for item in nodes.home.get(f"/v1/mailboxes/{user}")["messages"])


def nothing_left(nodes: Nodes) -> bool:
    return nodes.away.waiting() == nodes.middle.waiting() == sum(mailbox(nodes, user) for user in PASSWORDS) == 0


def test_baresip_away_from_home(nodes: Nodes, tmp_path: Path) -> None:
    send(nodes.home, "alice", "bob", "while you travelled", password=PASSWORDS["alice"])
    with Baresip(tmp_path / "b", "bob", "carol", nodes.away.udp, password=PASSWORDS["bob"]) as phone:
        phone.registered()
        phone.wait_for("while you travelled")
        assert wait_until(lambda: mailbox(nodes, "bob") == 0, 20.0), said(nodes._asdict())
        send(nodes.home, "alice", "bob", "are you there?", password=PASSWORDS["alice"])
        phone.wait_for("are you there?")
        phone.message("from far away")
        assert wait_until(lambda: mailbox(nodes, "carol") == 1, 40.0), said(nodes._asdict())
        assert wait_until(lambda: mailbox(nodes, "bob") == 0, 20.0)
        assert phone.said.count("while you travelled") == phone.said.count("are you there?") == 1
    # He lives where he lived, and nothing of him stays where he was.
    assert nodes.away.status()["users"] == nodes.middle.status()["users"] == 0
    got = receive(nodes.home, "carol", tmp_path / "state", password=PASSWORDS["carol"])
    assert [(item["from"], item["body"]) for item in got] == [("bob", "from far away")]
    assert wait_until(lambda: nothing_left(nodes), 20.0)


def test_baresip_with_a_wrong_password(nodes: Nodes, tmp_path: Path) -> None:
    with Baresip(tmp_path / "b", "bob", "carol", nodes.away.udp, password="wrong") as phone:
        phone.wait_for("403")
        assert "200 OK" not in phone.said


@pytest.mark.parametrize("transport", ["u1", "t1"])
def test_sipp_registers_and_sends_away_from_home(nodes: Nodes, tmp_path: Path, transport: str) -> None:
    where = nodes.away.tcp if transport == "t1" else nodes.away.udp
    heard = run_sipp(
        tmp_path,
        "register_digest",
        where,
        transport=transport,
        user="alice",
        password=PASSWORDS["alice"],
        expires="60",
    )
    assert 'qop="auth"' in heard
    assert "Contact: <sip:alice@127.0.0.1:" in heard.partition("SIP/2.0 200")[2]
    run_sipp(
        tmp_path,
        "send_digest",
        where,
        transport=transport,
        user="alice",
        password=PASSWORDS["alice"],
        peer="dave",
        body=f"over {transport}",
    )
    got = receive(nodes.home, "dave", tmp_path / "state", password=PASSWORDS["dave"])
    assert [(item["from"], item["body"]) for item in got] == [("alice", f"over {transport}")]


@pytest.mark.parametrize("scenario", ["register_digest", "send_digest"])
@pytest.mark.parametrize("user", ["erin", "nobody"])
def test_sipp_with_a_wrong_password(nodes: Nodes, tmp_path: Path, scenario: str, user: str) -> None:
    """Whether there is such a user does not show."""
    keys = {"user": user, "password": "guess", "expires": "60", "peer": "dave", "body": "forged"}
    with Sipp(tmp_path, scenario, nodes.away.udp, keys=keys) as run:
        assert wait_until(lambda: "SIP/2.0 403" in run.messages, WITHIN), run.messages
    assert "SIP/2.0 20" not in run.messages
    assert mailbox(nodes, "dave") == 0


def test_sipp_gets_what_waited_once(nodes: Nodes, tmp_path: Path) -> None:
    """Not proved yet is not registered: what waits comes after the digest, over the edge."""
    port = free_port()
    keys = {"user": "erin", "password": PASSWORDS["erin"], "expires": "60"}
    send(nodes.home, "alice", "erin", "one at a time", password=PASSWORDS["alice"])
    run_sipp(tmp_path, "register_digest", nodes.away.udp, port=port, **keys)
    with Sipp(tmp_path, "uas", None, port=port) as phone:
        heard = phone.finish()
    assert "one at a time" in heard
    assert "Angarium-Id:" in heard
    assert "Angarium-Route:" not in heard
    assert wait_until(lambda: mailbox(nodes, "erin") == 0, 20.0)


def test_our_client_comes_home(nodes: Nodes, tmp_path: Path) -> None:
    """The same phone here and there: each message once (N5)."""
    state, password = tmp_path / "state", PASSWORDS["carol"]
    send(nodes.away, "alice", "carol", "first", password=PASSWORDS["alice"])
    got = receive(nodes.away, "carol", state, password=password)
    send(nodes.away, "alice", "carol", "second", password=PASSWORDS["alice"])
    got += receive(nodes.home, "carol", state, password=password)
    send(nodes.home, "alice", "carol", "third", password=PASSWORDS["alice"])
    got += receive(nodes.middle, "carol", state, password=password, transport="tcp")
    assert [item["body"] for item in got] == ["first", "second", "third"]
    assert wait_until(lambda: nothing_left(nodes), 20.0), said(nodes._asdict())
