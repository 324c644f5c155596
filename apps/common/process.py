"""A program as a process: its event loop, the signals that stop it, and a parent that starts it again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, TypeVar

from apps.common.exits import Exit

T = TypeVar("T")
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
DUMP_SIGNAL = signal.SIGUSR1
"""Has a node write where its threads stand."""
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds between two starts at most: with a watchdog of 5 s a hung node serves again within 10 s or so."""
STEADY = 30.0
"""Seconds of life after which the back-off begins anew."""


def uses_uvloop() -> bool:
    """Tell whether the loop is uvloop: where it is installed and ANGARIUM_NO_UVLOOP is not set."""
    if os.environ.get("ANGARIUM_NO_UVLOOP"):
        return False
    try:
        import uvloop  # noqa: F401
    except ImportError:
        return False
    return True


def new_loop() -> asyncio.AbstractEventLoop:
    """Make the event loop of this process: uvloop's where it exists, else plain asyncio's."""
    if uses_uvloop():
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine to its end in a new loop of the right kind."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


@contextlib.contextmanager
def stop_signals(on_stop: Callable[[], None]) -> Iterator[None]:
    """Call `on_stop` in the running loop on SIGTERM or SIGINT, as often as they come; main thread only."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_stop)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def worth_restarting(code: int) -> bool:
    """Tell whether a process that ended so may do better next time.

    Not after success, wrong usage, or what sysexits says a person must mend; but after 70 (a fault of the
    program), any other code, and a signal (a negative code).
    """
    if code in (Exit.OK, Exit.USAGE):
        return False
    return code == Exit.INTERNAL or not 64 <= code <= 78


def unsupervised(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return command line and environment of the child: the same `angarium`, not supervising again."""
    command = [sys.executable, "-m", "apps.main", *(item for item in argv if item != "--supervise")]
    return command, {**os.environ, "ANGARIUM_SUPERVISE": "false"}


def supervise(
    command: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Run the command, and again each time it ends by a fault; return the code of its last end.

    SIGTERM and SIGINT are passed on as SIGTERM, and then it is not started again. Main thread only.
    """
    return Supervision(command, environ, say).run()


class Supervision:
    """One supervised command, from its first start to its last end."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None, say: Callable[[str], None]) -> None:
        """Take the command; nothing starts yet."""
        self._command = list(command)
        self._environ = environ
        self._say = say
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Start, wait, start again; the caller's signal handlers are put back at the end."""
        before = {number: signal.signal(number, self._on_signal) for number in STOP_SIGNALS}
        # Meant for the node, which inherits that it is ignored until it is ready to answer.
        before[DUMP_SIGNAL] = signal.signal(DUMP_SIGNAL, signal.SIG_IGN)
        try:
            return self._loop()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _loop(self) -> int:
        delay = FIRST_DELAY
        while True:
            started = time.monotonic()
            code = self._once()
            if self._stopping.is_set() or not worth_restarting(code):
                return code if code >= 0 else 128 - code
            if time.monotonic() - started >= STEADY:
                delay = FIRST_DELAY
            self._say(f"the node ended with {ended(code)}; it starts again in {delay:g} s")
            # The handler sets the event, so a signal ends the wait at once.
            if self._stopping.wait(delay):
                return Exit.OK
            delay = min(delay * 2, LONGEST_DELAY)

    def _once(self) -> int:
        self._child = subprocess.Popen(self._command, env=self._environ)
        if self._stopping.is_set():
            # The signal came while the child was being made, and met none.
            self._child.terminate()
        return self._child.wait()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        # A terminal's Ctrl-C reaches the child by itself as well; SIGTERM twice over is still one stop.
        if self._child is not None:
            self._child.send_signal(signal.SIGTERM)


def ended(code: int) -> str:
    """Put a process's end into words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
