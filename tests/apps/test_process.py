"""The process: its loop, its signals, and the parent that starts it again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from apps.common import process
from apps.common.exits import Exit

FLAKY = """
import os, signal, sys
path = sys.argv[1]
ends = [int(word) for word in sys.argv[2].split(",")]
with open(path, "a") as file: file.write("x")
end = ends[os.path.getsize(path) - 1]
if end < 0: os.kill(os.getpid(), -end)
sys.exit(end)
"""
"""Ends as its second argument says, one end a start; the first is the file that counts the starts."""

PATIENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True: signal.pause()
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_DELAY", 0.001)


@pytest.mark.parametrize(
    ("ends", "starts", "code"),
    [
        ("0", 1, 0),
        ("2", 1, 2),
        ("69", 1, 69),
        ("78", 1, 78),
        ("70,0", 2, 0),
        ("1,70,78", 3, 78),
        ("-9,-11,0", 3, 0),
    ],
)
def test_a_fault_starts_it_again_and_a_mistake_does_not(tmp_path: Path, ends: str, starts: int, code: int) -> None:
    counter = tmp_path / "starts"
    said: list[str] = []
    assert process.supervise([sys.executable, "-c", FLAKY, str(counter), ends], say=said.append) == code
    assert counter.stat().st_size == starts
    assert len(said) == starts - 1


def test_the_signal_s_name_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    process.supervise([sys.executable, "-c", FLAKY, str(tmp_path / "n"), "-9,0"], say=said.append)
    assert "signal SIGKILL" in said[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_reaches_the_child_and_ends_both(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PATIENT]
    parent = f"import sys; from apps.common.process import supervise; sys.exit(supervise({command!r}))"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(number)
        assert running.wait(timeout=10) == 0


def test_a_stop_ends_the_wait_before_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_DELAY", 3600.0)
    stop = lambda text: os.kill(os.getpid(), signal.SIGTERM)  # noqa: E731
    before = signal.getsignal(signal.SIGTERM)
    assert process.supervise([sys.executable, "-c", "raise SystemExit(70)"], say=stop) == Exit.OK
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_child_does_not_supervise_again() -> None:
    command, environ = process.unsupervised(["node", "--supervise", "--name", "a"])
    assert command == [sys.executable, "-m", "apps.main", "node", "--name", "a"]
    assert environ["ANGARIUM_SUPERVISE"] == "false"


def test_the_loop_is_plain_asyncio_if_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def name() -> str:
        return type(asyncio.get_running_loop()).__module__

    monkeypatch.delenv("ANGARIUM_NO_UVLOOP", raising=False)
    assert process.run(name()).startswith("uvloop" if process.uses_uvloop() else "asyncio")
    monkeypatch.setenv("ANGARIUM_NO_UVLOOP", "1")
    assert process.run(name()).startswith("asyncio")


def test_stop_signals_call_into_the_loop() -> None:
    async def main() -> None:
        stop = asyncio.Event()
        with process.stop_signals(stop.set):
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stop.wait(), 10)

    process.run(main())
