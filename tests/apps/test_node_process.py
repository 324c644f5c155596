"""`angarium node` as a process: its ready line, its ends, its refusals, and that it shows no secret."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.state.digest import ha1
from tests.apps.nodes import run
from tests.apps.real_node import Exchanged, RealNode, exchange, started_in_vain, url
from tests.faults.node import angarium
from tests.faults.phones import wait_until
from tests.sip_adapter.packets import packet

PASSWORD = "-".join(("open", "sesame", "4711"))
WRONG = "-".join(("open", "barley", "0815"))
READY = r"ready n1 udp://127\.0\.0\.1:[1-9]\d+ tcp://127\.0\.0\.1:[1-9]\d+ http://127\.0\.0\.1:[1-9]\d+\n"
IDLE_MB = 90.0
"""What an idle node may take: it is held to 70, and the rest is for other Pythons and libraries."""

WATCHDOG = 3
"""Seconds without a sign of life that count as hanging: a busy machine does not take as many."""

HANGING = """
import os
import threading
from actors.messages.router import RouteMessages
from actors.router import Router
from sip_adapter.adapter import SipAdapter

class HangingRouter(Router):
    def handle(self, message):
        if isinstance(message, RouteMessages):
            hang()
        super().handle(message)

class HangingAdapter(SipAdapter):
    def datagrams(self, batch):
        hang()

def hang():
    os.write(2, b"now it hangs\\n")
    threading.Event().wait()
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    """An open node with its admin interface on TCP."""
    with RealNode(tmp_path_factory.mktemp("served") / "data", args=("--open", "--admin", "127.0.0.1:0")) as node:
        yield node


def has_mapped(node: RealNode, library: str) -> bool:
    """Tell whether the process has loaded a compiled library."""
    return library in Path(f"/proc/{node.pid}/maps").read_text()


def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    """GET a page over TCP."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


# It serves.


def test_the_ready_line_names_what_was_bound(tmp_path: Path) -> None:
    anywhere = ("udp://127.0.0.1:0", "tcp://127.0.0.1:0")
    with RealNode(tmp_path / "data", name="n1", args=("--open", "--admin", "127.0.0.1:0"), listen=anywhere) as node:
        assert re.fullmatch(READY, node.said)
        assert get(node.admin, "/livez")[0] == 200
        with socket.create_connection(node.tcp, timeout=10):
            pass
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.settimeout(10)
            phone.sendto(packet("OPTIONS", body=b""), node.udp)
            assert phone.recv(65535).startswith(b"SIP/2.0 200 ")
        assert node.process is not None
        assert node.process.stdout is not None
        node.process.terminate()
        assert node.process.stdout.read() == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(tmp_path: Path, number: signal.Signals) -> None:
    with RealNode(tmp_path / "data") as node:
        exchange(url("udp", node.udp))
        assert node.process is not None
        node.process.send_signal(number)
        assert node.wait(within=5.0) == 0
        assert not (node.data / "control.sock").exists()


@pytest.mark.parametrize("env", [{}, {"ANGARIUM_NO_UVLOOP": "1"}], ids=["uvloop", "asyncio"])
def test_messages_pass_over_udp_and_tcp_on_both_loops(tmp_path: Path, env: dict[str, str]) -> None:
    pytest.importorskip("uvloop")
    with RealNode(tmp_path / "data", env=env) as node:
        assert has_mapped(node, "uvloop") == (not env)
        for transport, address in (("udp", node.udp), ("tcp", node.tcp)):
            text = f"over {transport}"
            assert exchange(url(transport, address), text) == Exchanged(202, (text.encode(),))
        assert node.waiting() == 0


def test_the_admin_interface_answers(served: RealNode) -> None:
    exchange(url("udp", served.udp))
    admin = served.admin
    assert get(admin, "/livez") == (200, "ok\n")
    status, body = get(admin, "/readyz")
    assert status == 200
    assert '"ready":true' in body.replace(" ", "")
    status, metrics = get(admin, "/metrics")
    assert status == 200
    assert "# TYPE " in metrics
    assert "process_resident_memory_bytes" in metrics


def test_idle_it_is_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RealNode(tmp_path / "data") as node:
        node.status()
        taken = node.resident_mb()
    with capsys.disabled():
        print(f"[idle node: {taken:.1f} MB]", end=" ")  # noqa: T201
    assert taken < IDLE_MB


def test_the_version_is_printed() -> None:
    done = subprocess.run([*angarium(), "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert re.fullmatch(r"angarium \d+\.\d+\.\d+\n", done.stdout)
    assert done.stderr == ""


# It says what is wrong, and refuses.


def test_without_accounts_it_says_what_to_do(tmp_path: Path) -> None:
    with RealNode(tmp_path / "data", args=()) as node:
        (line,) = [line for line in node.errors.read_text().splitlines() if "account" in line]
        assert f"angarium user add NAME --data {node.data}" in line
        assert "--open" in line
        assert run("user", "add", "alice", "--data", str(node.data), "--password-stdin", stdin=PASSWORD).exit_code == 0
        node.terminate(within=10)
        node.restart()
    assert node.errors.read_text().count("nobody has an account") == 1


def test_open_mode_stays_on_this_machine(tmp_path: Path) -> None:
    code, errors = started_in_vain(tmp_path / "data", "--open", "--listen", "udp://0.0.0.0:0")
    assert code == 78
    (line,) = errors.splitlines()
    assert "udp://0.0.0.0:0" in line
    assert "--open-to-network" in line


def test_a_data_folder_has_one_node(served: RealNode) -> None:
    code, errors = started_in_vain(served.data, "--open")
    assert code == 78
    (line,) = errors.splitlines()
    assert str(served.data) in line
    assert served.status()["pid"] == served.pid


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_an_address_has_one_node(tmp_path: Path, served: RealNode, transport: str) -> None:
    taken = url(transport, served.udp if transport == "udp" else served.tcp)
    code, errors = started_in_vain(tmp_path / "data", "--open", "--listen", taken)
    assert code == 78
    (line,) = errors.splitlines()
    assert taken in line
    assert "--listen" in line


def test_an_admin_address_has_one_node(tmp_path: Path, served: RealNode) -> None:
    code, errors = started_in_vain(tmp_path / "data", "--open", "--admin", f"127.0.0.1:{served.tcp[1]}")
    assert code == 78
    assert f"127.0.0.1:{served.tcp[1]}" in errors.splitlines()[-1]


def test_a_realm_is_for_ever(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with RealNode(data, args=("--open", "--realm", "first.example")) as node:
        node.terminate(within=10)
        code, errors = started_in_vain(data, "--open", "--realm", "second.example")
        assert code == 78
        (line,) = errors.splitlines()
        assert "first.example" in line
        assert "second.example" in line
        node.args = ["--open"]
        node.restart()
        assert node.status()["realm"] == "first.example"


# It is started again, or ends by itself.


def test_supervised_a_killed_node_comes_back_and_a_signal_ends_both(tmp_path: Path) -> None:
    with RealNode(tmp_path / "data", args=("--open", "--supervise")) as node:
        child = node.status()["pid"]
        assert child != node.pid
        os.kill(child, signal.SIGKILL)
        assert node.wait_ready().startswith("ready a udp://")
        again = node.status()["pid"]
        assert again not in (child, node.pid)
        node.terminate(within=10)
        assert node.process is not None
        assert node.process.returncode == 0
        with pytest.raises(ProcessLookupError):
            os.kill(again, 0)
    assert "SIGKILL" in node.errors.read_text()


@pytest.mark.parametrize(
    ("flag", "name", "actors"),
    [
        ("--router", "HangingRouter", "router"),
        # Who hangs on the network's loop takes with him all who live there; one of them is named.
        ("--sip-adapter", "HangingAdapter", "monitor|router|client_manager|sip_adapter"),
    ],
)
def test_a_hanging_actor_ends_the_process_with_70(tmp_path: Path, flag: str, name: str, actors: str) -> None:
    with hanging(tmp_path, flag, name) as node:
        send_one(node)
        assert node.wait(within=60) == 70
    errors = node.errors.read_text()
    assert re.search(f"the node ends: ({actors}) has not answered for {WATCHDOG} s", errors)
    assert "hanging.py" in errors


def test_supervised_a_hanging_node_serves_again(tmp_path: Path) -> None:
    with hanging(tmp_path, "--router", "HangingRouter", "--supervise") as node:
        child = node.status()["pid"]
        send_one(node)
        assert node.wait_ready().startswith("ready a udp://")
        assert node.status()["pid"] != child
        node.terminate(within=10)
    assert "code 70" in node.errors.read_text()


def test_a_hanging_actor_does_not_keep_it_from_stopping(tmp_path: Path) -> None:
    with hanging(tmp_path, "--router", "HangingRouter", "--watchdog", "0") as node:
        send_one(node)
        assert wait_until(lambda: "now it hangs" in node.errors.read_text(), 30.0)
        assert node.process is not None
        node.process.send_signal(signal.SIGTERM)
        assert node.wait(within=60) == 70
    assert "router does not stop" in node.errors.read_text()


def hanging(folder: Path, flag: str, name: str, *more: str) -> RealNode:
    """A node with an actor that hangs at the first message."""
    (folder / "hanging.py").write_text(HANGING)
    part = f"{folder / 'hanging.py'}:{name}"
    return RealNode(folder / "data", args=("--open", "--watchdog", str(WATCHDOG), flag, part, *more))


def send_one(node: RealNode) -> None:
    """Send a message that nobody answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.sendto(packet(), node.udp)


# It shows no secret.


def test_no_password_or_hash_of_one_is_shown_anywhere(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in ("alice", "bob"):
        assert run("user", "add", name, "--data", str(data), "--password-stdin", stdin=PASSWORD).exit_code == 0
    args = ("--debug-log", "--log-level", "debug", "--admin", "127.0.0.1:0", "--digest-algorithm", "both")
    shown: list[str] = []
    with RealNode(data, args=args) as node:
        via = url("udp", node.udp)
        assert exchange(via, password=lambda: PASSWORD).status == 202
        refused = run("send", "--from", "alice", "--to", "bob", "--via", via, "--password-stdin", "hi", stdin=WRONG)
        sent = run("send", "--from", "alice", "--to", "bob", "--via", via, "--password-stdin", "hi", stdin=PASSWORD)
        assert (refused.exit_code, sent.exit_code) == (77, 0)
        again = run("user", "add", "alice", "--data", str(data), "--password-stdin", stdin=WRONG)
        assert again.exit_code == 77
        shown += [refused.output, sent.output, again.output]
        for command in ("user list", "user show alice", "user list --json", "user show alice --json", "inbox bob"):
            shown.append(run(*command.split(), "--data", str(data)).output)
        shown += [run("status", "--data", str(data), *flags).output for flags in ((), ("--json",))]
        pages = ("status", "users", "users/alice", "users/nobody", "mailboxes/bob?bodies=1", "events")
        paths = [*(f"/v1/{page}" for page in pages), f"/v1/messages/{sent.output.strip()}", "/metrics", "/readyz"]
        shown += [get(node.admin, path)[1] for path in paths]
        node.terminate(within=10)
    shown += [path.read_text() for path in data.glob("*.log")]
    shown.append(node.errors.read_text())
    assert len(list(data.glob("*.log"))) == 2
    assert sum('"alice"' in text for text in shown) >= 4
    assert all(shown)
    secrets = {PASSWORD, WRONG}
    for name in ("alice", "bob"):
        for secret in (PASSWORD, WRONG):
            secrets |= {ha1(algorithm, name, "angarium", secret) for algorithm in ("MD5", "SHA-256")}
    assert [(secret, text) for secret in secrets for text in shown if secret in text] == []
