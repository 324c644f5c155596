"""Runs SIPp scenarios of this folder against a node."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.faults.node import Address
from tests.ports import free_port
from tests.tools import require_tool

SCENARIOS = Path(__file__).with_name("scenarios")
WITHIN = 40
"""Seconds in which a scenario must have passed: more than all repeats of a message take (Timer F)."""


class Sipp:
    """One scenario, one call, in the background; `finish` waits for it and tells what it said and heard."""

    def __init__(
        self,
        folder: Path,
        scenario: str,
        node: Address | None,
        *,
        port: int = 0,
        transport: str = "u1",
        keys: Mapping[str, str] | None = None,
        call_id: str = "",
    ) -> None:
        self.folder = folder / f"{scenario}-{len(list(folder.iterdir()))}"
        self.folder.mkdir()
        command = [require_tool("sipp")]
        if node is not None:
            command.append(f"{node[0]}:{node[1]}")
        command += ["-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1", "-t", transport, "-m", "1"]
        command += ["-p", str(port or free_port()), "-nd", "-nostdin", "-timeout", f"{WITHIN}s", "-timeout_error"]
        command += ["-trace_msg", "-message_file", "messages", "-trace_err", "-error_file", "errors"]
        if call_id:
            command += ["-cid_str", call_id]
        given = dict(keys or {})
        if "password" in given:
            command += ["-au", given["user"], "-ap", given.pop("password")]
        for key, value in given.items():
            command += ["-key", key, value]
        self._limit = WITHIN + 10
        self._out = (self.folder / "out").open("wb")
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TERM": "dumb"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._out.close()

    @property
    def messages(self) -> str:
        """What was sent and received so far, as SIPp wrote it down."""
        path = self.folder / "messages"
        return path.read_text(errors="replace") if path.exists() else ""

    def finish(self) -> str:
        """Wait until it passed; return its messages. AssertionError with all it said if it failed."""
        code = self._process.wait(self._limit)
        errors = self.folder / "errors"
        said = errors.read_text(errors="replace") if errors.exists() else ""
        assert code == 0, f"sipp ended with {code}\n{said}\n{self.messages}"
        return self.messages


def run_sipp(
    folder: Path,
    scenario: str,
    node: Address,
    *,
    port: int = 0,
    transport: str = "u1",
    call_id: str = "",
    **keys: str,
) -> str:
    """Run one scenario to its end; return the messages."""
    with Sipp(folder, scenario, node, port=port, transport=transport, keys=keys, call_id=call_id) as run:
        return run.finish()
