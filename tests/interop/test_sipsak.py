"""sipsak as phone: pings, registers with and without digest, sends, unregisters with a star."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.faults.node import Address, NodeProcess
from tests.faults.oracle import Log
from tests.faults.phones import Exchange, Phone, wait_until
from tests.interop.conftest import PASSWORDS
from tests.interop.ours import receive, send
from tests.ports import free_port
from tests.tools import require_tool

pytestmark = pytest.mark.interop


def sipsak(*arguments: str, code: int = 0) -> str:
    """Run it; return what it wrote."""
    done = subprocess.run(
        [require_tool("sipsak"), "-vvv", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert done.returncode == code, said
    return said


def uri(node: Address, user: str = "") -> str:
    return f"sip:{user}{'@' if user else ''}{node[0]}:{node[1]}"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ping(open_node: NodeProcess, transport: str) -> None:
    where = open_node.tcp if transport == "tcp" else open_node.udp
    assert "200 OK" in sipsak("-E", transport, "-s", uri(where))


def test_register_and_unregister(open_node: NodeProcess) -> None:
    contact = f"sip:sak@127.0.0.1:{free_port()}"
    said = sipsak("-U", "-C", contact, "-x", "300", "-s", uri(open_node.udp, "sak"))
    assert contact in said.rpartition("SIP/2.0 200")[2]
    said = sipsak("-U", "-C", "*", "-x", "0", "-s", uri(open_node.udp, "sak"))
    assert contact not in said.rpartition("SIP/2.0 200")[2]


def test_register_with_digest(closed_node: NodeProcess) -> None:
    # Told the name apart, as it takes the @ of the URI into its own.
    contact = f"sip:dave@127.0.0.1:{free_port()}"
    where = uri(closed_node.udp, "dave")
    said = sipsak("-U", "-C", contact, "-x", "60", "-u", "dave", "-a", PASSWORDS["dave"], "-s", where)
    assert "401 Unauthorized" in said
    assert "SIP/2.0 200" in said
    sipsak("-U", "-C", "*", "-x", "0", "-u", "dave", "-a", PASSWORDS["dave"], "-s", where)


def test_a_wrong_password_is_refused(closed_node: NodeProcess) -> None:
    contact = f"sip:dave@127.0.0.1:{free_port()}"
    said = sipsak(
        "-U", "-C", contact, "-x", "60", "-u", "dave", "-a", "guess", "-s", uri(closed_node.udp, "dave"), code=1
    )
    assert "SIP/2.0 200" not in said


def test_send_to_an_absent_user_who_comes(open_node: NodeProcess, tmp_path: Path) -> None:
    sipsak("-U", "-C", f"sip:late@127.0.0.1:{free_port()}", "-x", "60", "-s", uri(open_node.udp, "late"))
    sipsak("-U", "-C", "*", "-x", "0", "-s", uri(open_node.udp, "late"))
    host, port = open_node.udp
    local = free_port()
    request = tmp_path / "message"
    request.write_text(
        f"MESSAGE sip:late@{host}:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{local};rport;branch=z9hG4bKsak{local}\r\nMax-Forwards: 70\r\n"
        f"From: <sip:sak@{host}>;tag=s{local}\r\nTo: <sip:late@{host}>\r\nCall-ID: sak-{local}\r\n"
        "CSeq: 1 MESSAGE\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\nfrom sak",
        newline="",
    )
    said = sipsak("-L", "-i", "-f", str(request), "-l", str(local), "-S", "-s", uri(open_node.udp, "late"))
    assert "202 Accepted" in said
    assert [item["body"] for item in receive(open_node, "late", tmp_path / "state")] == ["from sak"]


def test_mail_goes_where_the_register_came_from(open_node: NodeProcess, tmp_path: Path) -> None:
    # A Contact that is not the source address, as sipsak's is, must not lead the mail astray.
    with Log(tmp_path / "log") as log:
        phone = Phone("elsewhere", open_node.udp, log)
        with Exchange([phone], []) as exchange:
            exchange.register()
            send(open_node, "ours", "elsewhere", "s>elsewhere 1")
            assert wait_until(lambda: any(fact.what == "delivered" for fact in log.facts()), 40.0)
