"""`angarium listen` in a process of its own, whose printed lines go to the oracle; it can be killed and begun again.

With a step it kills itself: `before` or `after` the commit of its nth message.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.faults.node import NodeProcess, angarium
from tests.faults.oracle import Log
from tests.faults.phones import wait_until

KILLING = """
import os, signal, sys
from apps.client.state import StateFile
from apps.main import main
step, left, add = sys.argv[1], int(sys.argv[2]), StateFile.add
def killing(self, message):
    global left
    left -= 1
    if left < 0 and step == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = add(self, message)
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
StateFile.add = killing
sys.argv[:3] = ["angarium"]
main()
"""
"""Replaces nothing of the client but the moment of its death."""


class Listener:
    """Runs the command; each line it prints is a message in the user's mailbox."""

    def __init__(self, node: NodeProcess, user: str, state: Path, log: Log) -> None:
        host, port = node.udp
        self.user = user
        self.printed: list[str] = []
        """Ids in the order printed, over all its lives."""
        self._log = log
        self._arguments = ["listen", "--as", user, "--via", f"udp://{host}:{port}", "--state", str(state), "--json"]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._errors = state.with_suffix(".stderr")

    def start(self, step: str = "", after: int = 0) -> None:
        """Begin a life; with a step it ends itself there, after so many messages."""
        command = [*angarium(), *self._arguments]
        if step:
            command = [sys.executable, "-c", KILLING, step, str(after), *self._arguments]
        with self._errors.open("a") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self._reader = threading.Thread(target=self._read, args=(self._process,), name="listener")
        self._reader.start()

    def wait_until_registered(self, within: float = 40.0) -> None:
        """Wait until its first registration was answered."""
        assert wait_until(lambda: "listening as" in self._errors.read_text(), within), self._errors.read_text()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith("\n"):
                page = json.loads(line)
                # A line repeats only if it was killed between printing and noting so: its id tells.
                if page["id"] not in self.printed:
                    self.printed.append(page["id"])
                    self._log.add("kept", page["body"], page["id"])

    def wait_for_kill(self, within: float) -> bool:
        """Wait until it killed itself; false if it did not."""
        assert self._process is not None
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        self._end()
        return code == -signal.SIGKILL

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._end()

    def stop(self, within: float = 15.0) -> int:
        """End it by SIGTERM; the exit code."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(within)
        self._end()
        return code

    def _end(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        self._process.wait(10)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
