"""A node in a process of its own: started, asked, killed and started again on the same ports and data."""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.ports import free_port

START_WITHIN = 30.0
"""Seconds a node may take until it prints its `ready` line."""

Address = tuple[str, int]


def angarium() -> list[str]:
    """Return the command line that begins every `angarium` command, from this interpreter's environment."""
    beside = Path(sys.executable).with_name("angarium")
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "apps.main"]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        sock.connect(str(self._path))
        self.sock = sock


class NodeFailed(Exception):
    """The node ended, or did not say `ready` in time; the text ends with what it wrote on stderr."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        """The exit code if it ended by itself."""


class NodeProcess:
    """One `angarium node`: UDP and TCP on free loopback ports that stay the same over restarts."""

    def __init__(
        self,
        data: Path,
        *,
        args: Sequence[str] = ("--open",),
        command: Sequence[str] | None = None,
        listen: Sequence[str] = (),
        env: dict[str, str] | None = None,
        name: str = "a",
    ) -> None:
        self.data = data
        self.name = name
        port = free_port()
        self.listen = list(listen or (f"udp://127.0.0.1:{port}", f"tcp://127.0.0.1:{port + 1}"))
        self.args = list(args)
        self.command = list(command or angarium())
        self.env = {**os.environ, **(env or {})}
        self.errors = data.with_name(data.name + ".stderr")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of the running node."""
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        """Tell whether the process lives."""
        return self.process is not None and self.process.poll() is None

    @property
    def udp(self) -> Address:
        """Where it hears UDP."""
        return self._address("udp")

    @property
    def tcp(self) -> Address:
        """Where it hears TCP."""
        return self._address("tcp")

    def start(self, *extra: str) -> Self:
        """Start the process and return once it serves; `extra` are arguments for this start only."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        command = [*self.command, "node", "--name", self.name, "--data", str(self.data), *self.args, *extra]
        for address in self.listen:
            command += ["--listen", address]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=self.env
            )
        words = self._read_ready().split()
        self.listen = [word for word in words if "://" in word and not word.startswith("http")]
        return self

    def kill(self) -> None:
        """Kill it with SIGKILL, if it lives, and wait for its end."""
        if self.process is None:
            return
        self.process.kill()
        self._reap(10.0)

    def terminate(self, within: float) -> float:
        """Send SIGTERM; return the seconds it took to end (`TimeoutExpired` if more than `within`)."""
        assert self.process is not None
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self._reap(within)
        return time.monotonic() - started

    def wait(self, within: float) -> int:
        """Wait for its end; return the exit code (minus the signal's number if one ended it)."""
        return self._reap(within)

    def restart(self) -> Self:
        """Start again at once after an end, same ports, same data."""
        return self.start()

    def get(self, path: str, timeout: float = 10.0) -> Any:
        """GET a JSON page of its admin interface over DIR/control.sock."""
        connection = _UnixConnection(self.data / "control.sock", timeout)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise NodeFailed(f"GET {path}: {answer.status} {body[:200]!r}")
        return json.loads(body)

    def status(self) -> dict[str, Any]:
        """Ask the node for its status."""
        page = self.get("/v1/status")
        assert isinstance(page, dict)
        return page

    def waiting(self) -> int:
        """Count the messages in its custody."""
        return int(find_number(self.status(), "messages"))

    def commits(self) -> int:
        """Count its commits since it started."""
        return int(find_number(self.status(), "commits"))

    def cpu_seconds(self) -> float:
        """User and system time it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Resident memory in MB."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def _address(self, transport: str) -> Address:
        for address in self.listen:
            scheme, _, rest = address.partition("://")
            if scheme == transport:
                host, _, port = rest.rpartition(":")
                return host, int(port)
        raise NodeFailed(f"the node does not listen on {transport}: {self.listen}")

    def _read_ready(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        deadline = time.monotonic() + START_WITHIN
        text = b""
        while not text.endswith(b"\n"):
            if not _readable(self.process.stdout, deadline - time.monotonic()):
                break
            got = os.read(self.process.stdout.fileno(), 4096)
            if not got:
                break
            text += got
        line = text.decode()
        if not line.startswith("ready"):
            code = self._ended_by_itself()
            self.kill()
            tail = self.errors.read_text(errors="replace")[-2000:]
            raise NodeFailed(f"no ready line but {line!r}, exit {code}\n{tail}", code)
        return line

    def _ended_by_itself(self) -> int | None:
        assert self.process is not None
        try:
            return self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None

    def _reap(self, within: float) -> int:
        assert self.process is not None
        code = self.process.wait(within)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def find_number(page: dict[str, Any], name: str) -> float:
    """Find the first number called `name` in a JSON page, the outermost first."""
    level: list[dict[str, Any]] = [page]
    while level:
        for item in level:
            value = item.get(name)
            if isinstance(value, int | float):
                return value
        level = [inner for item in level for inner in item.values() if isinstance(inner, dict)]
    raise KeyError(f"no number {name!r} in {page}")


def _readable(stream: IO[bytes], timeout: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        return bool(selector.select(max(timeout, 0.0)))
