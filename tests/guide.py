"""Runs a page of the documentation as its reader would: its commands in terminals, and what it says they show.

Fenced blocks count, by the words behind the three ticks:

    sh                  commands at the reader's own terminal; each must end with 0
    sh in each terminal likewise, and at the begin of every other terminal
    sh at NAME          a command at the terminal NAME; what ran there is ended first, with Ctrl-C
    text                what the last commands at the reader's own terminal must have shown
    text at NAME        what the terminal NAME must come to show, behind what was seen there before
    text type at NAME   what is typed there, with Enter at the end; ^C ends what runs there

In what is shown `...` stands for anything within a line; lines may stand between. Ports are replaced by free ones.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from tests.faults.phones import wait_until
from tests.ports import free_port

FENCE = re.compile(r"^```(\w+)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")
COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Za-z0-9]|[@-Z\\-_=>])")
WITHIN = 40.0
"""Seconds until something must be shown, or a command must have ended."""
SCREEN = struct.pack("HHHH", 30, 110, 0, 0)


class Block(NamedTuple):
    """A fenced block."""

    kind: str
    """`sh` or `text`."""
    words: str
    """What stands behind that."""
    body: str

    @property
    def terminal(self) -> str:
        """Whose it is; nobody's: the reader's own."""
        return self.words.partition("at ")[2]


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page that a reader runs, types or sees, in their order."""
    found = [Block(kind, words.strip(), body) for kind, words, body in FENCE.findall(text)]
    return [block for block in found if block.kind in ("sh", "text")]


class Terminal:
    """A program with a screen and keys."""

    def __init__(self, command: str, folder: Path, env: Mapping[str, str]) -> None:
        mine, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, SCREEN)
        self._keys = mine
        self._shown = ""
        self._seen = 0
        self._process = subprocess.Popen(
            ["bash", "-e", "-c", command],
            cwd=folder,
            env=env,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        while True:
            try:
                data = os.read(self._keys, 65_536)
            except OSError:  # the other side is closed
                return
            if not data:
                return
            self._shown += decode(data)

    @property
    def shown(self) -> str:
        """All it has shown, without the escape sequences that move and colour."""
        plain = ESCAPES.sub("\n", COLOURS.sub("", self._shown)).replace("\r", "\n")
        return re.sub(r"\n\s*\n", "\n", plain)

    def shows(self, expected: str) -> bool:
        """Tell whether it shows that, behind what was seen before; if so, it is seen."""
        end = found_in(self.shown[self._seen :], expected)
        if end is not None:
            self._seen += end
        return end is not None

    def type(self, text: str) -> None:
        """Press the keys."""
        os.write(self._keys, text.encode())

    def end(self) -> None:
        """Press Ctrl-C, as one does; it is killed if that is not enough."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(5)
        self._reader.join(5)
        os.close(self._keys)


def found_in(text: str, expected: str) -> int | None:
    """Return where the last of the expected lines ends; None: one is missing. They may stand in another order."""
    ends = []
    for line in expected.splitlines():
        pattern = re.escape(" ".join(line.split())).replace(r"\.\.\.", "[^\n]*").replace(r"\ ", r"[ ]*")
        found = re.search(pattern, text)
        if found is None:
            return None
        ends.append(found.end())
    return max(ends)


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        """Take the folder that everything happens in, and the environment of each terminal."""
        self._folder = folder
        self._env = dict(env)
        self._ports: dict[str, str] = {}
        self._terminals: dict[str, Terminal] = {}
        self._everywhere = ""
        self._said = ""
        self._variables = folder / ".variables"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for terminal in reversed(self._terminals.values()):
            terminal.end()

    def follow(self, page: str) -> int:
        """Do all that a page says; return how many blocks that was."""
        told = blocks(page)
        for block in told:
            self._do(block, PORT.sub(self._port, block.body))
        return len(told)

    def _port(self, match: re.Match[str]) -> str:
        if match[0] not in self._ports:
            self._ports[match[0]] = str(free_port())
        return self._ports[match[0]]

    def _do(self, block: Block, body: str) -> None:
        name = block.terminal
        if block.kind == "sh" and name:
            self._open(name, body)
        elif block.kind == "sh":
            self._everywhere += body if block.words == "in each terminal" else ""
            self._run(body)
        elif block.words.startswith("type") and body.strip() == "^C":
            self._terminals.pop(name).end()
        elif block.words.startswith("type"):
            self._terminals[name].type(body.strip() + "\r")
        elif name:
            seen = wait_until(lambda: self._terminals[name].shows(body), WITHIN)
            assert seen, f"{name} does not show:\n{body}\nbut:\n{self._terminals[name].shown[-3000:]}"
        else:
            assert found_in(self._said, body) is not None, f"expected:\n{body}\nshown:\n{self._said}"

    def _open(self, name: str, command: str) -> None:
        if name in self._terminals:
            self._terminals.pop(name).end()
        self._terminals[name] = Terminal(f"{self._everywhere}\nexec {command}", self._folder, self._env)

    def _run(self, body: str) -> None:
        """Run it in a shell that knows the variables of those before."""
        script = f". {self._variables}\nset -e\n{body}\nset +e\n declare -p id > {self._variables} 2>/dev/null || true"
        self._variables.touch()
        done = subprocess.run(
            ["bash", "-c", f"{self._everywhere}\n{script}"],
            cwd=self._folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=WITHIN * 3,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{body}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        self._said = done.stdout
