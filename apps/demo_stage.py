"""What the demo plays on: node processes in a line, and the ladder that is printed."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from apps.client import admin_client
from apps.common.exits import Exit, Failure
from apps.common.output import data as print_line
from apps.common.output import printable
from apps.common.values import Listen, Transport, listen

START_TIMEOUT = 20.0
"""Seconds until a node must be ready."""
NAMES = "abcdefghi"
ONE = "node"
"""What a node is called that has no neighbours."""


class Server:
    """One node process, its place in the line, and where it was bound: the second time it takes the same ports."""

    def __init__(self, name: str, folder: Path, before: Server | None) -> None:
        """Take its name, where it keeps its data, and whom it is told of as its neighbour."""
        self.name = name
        self.data = folder / "data"
        self.errors = folder / "node.err"
        self.udp = Listen(Transport.UDP, "127.0.0.1", 0)
        self.tcp = Listen(Transport.TCP, "127.0.0.1", 0)
        self._before = before
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> bool:
        """Start it and wait for its `ready`; False if that does not come."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("ANGARIUM_")}
        if os.environ.get("ANGARIUM_NO_UVLOOP"):
            environ["ANGARIUM_NO_UVLOOP"] = "1"
        command = [sys.executable, "-m", "apps.main", "node", "--name", self.name, "--open"]
        command += ["--listen", str(self.udp), "--listen", str(self.tcp), "--data", str(self.data)]
        if self._before is not None:
            command += ["--neighbour", f"{self._before.name}={self._before.tcp}"]
        self.data.parent.mkdir(exist_ok=True)
        with self.errors.open("a") as errors:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environ)
        line = self._ready_line()
        udp, tcp = re.search(r"udp://\S+", line), re.search(r"tcp://\S+", line)
        if not line.startswith("ready") or udp is None or tcp is None:
            return False
        self.udp, self.tcp = listen(udp[0]), listen(tcp[0])
        return True

    @property
    def pid(self) -> int:
        """The id of its process, 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def reap(self) -> None:
        """Note that it was ended by somebody else."""
        if self._process is not None and not self.running:
            self._process.communicate()
            self._process = None

    def kill(self) -> None:
        """End it at once, as a crash or a power cut of the process would."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()
        self._process = None

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def ask(self, *path: str) -> dict[str, Any]:
        """Ask its admin interface; nothing if it does not know, or does not answer."""
        try:
            answer: dict[str, Any] = admin_client.of_data(self.data).get(*path)
        except Failure:
            return {}
        return answer

    def links(self) -> int:
        """Return how many neighbours it can send to."""
        return sum(bool(item["up"]) for item in self.ask("neighbours").get("neighbours", ()))

    def last_words(self) -> str:
        """Return the last line it wrote on stderr."""
        with contextlib.suppress(OSError):
            lines = self.errors.read_text("utf-8", "replace").strip().splitlines()
            if lines:
                return f" ({self.name} says: {lines[-1]})"
        return ""

    def _ready_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], START_TIMEOUT)
        # The line is written at once, so that reading it does not wait; a node that ended gives an empty one.
        return self._process.stdout.readline() if readable else ""


class Stage:
    """The servers, and the ladder that is printed."""

    def __init__(self, folder: Path, nodes: int) -> None:
        """Take where they keep their data, and how many they are: several stand in a line."""
        self.servers: list[Server] = []
        for name in NAMES[:nodes] if nodes > 1 else (ONE,):
            self.servers.append(Server(name, folder / name, self.servers[-1] if self.servers else None))
        self._began = time.monotonic()
        self._step = "starting"
        self._tried = self.servers[0]

    @property
    def first(self) -> Server:
        """The one that who sends is registered at."""
        return self.servers[0]

    @property
    def middle(self) -> Server:
        """The one that is killed."""
        return self.servers[len(self.servers) // 2]

    @property
    def last(self) -> Server:
        """The one that who receives is registered at."""
        return self.servers[-1]

    def rung(self, actors: str, text: str) -> None:
        """Print what came true."""
        since = time.monotonic() - self._began
        print_line(printable(f"{since:7.3f} s  {actors:<16} {text}"))

    def attempt(self, step: str) -> None:
        """Note what is tried next, for the report if it fails."""
        self._step = step

    def failure(self, why: str) -> Failure:
        """Return the end of a demo whose step failed; the last words of the node that was started last go with it."""
        words = self._tried.last_words()
        return Failure(f"the demo failed while {self._step}", why=f"{why}{words}", code=Exit.INTERNAL)

    def check(self, holds: bool, why: str) -> None:
        """Fail the step unless this holds."""
        if not holds:
            raise self.failure(why)

    def start(self, server: Server) -> None:
        """Start a server."""
        self._tried = server
        if not server.start():
            raise self.failure("the node did not become ready")

    def linked(self) -> bool:
        """Tell whether all links of the line stand, both ways."""
        ends = {server: sum(server in pair for pair in pairwise(self.servers)) for server in self.servers}
        return all(server.links() == wanted for server, wanted in ends.items())

    def stop(self) -> None:
        """End all that run."""
        for server in self.servers:
            server.stop()
