"""Debian's chromium on pages of the console, and the console as a process: what they ask for and get wrong is noted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tests.ports import HOST, free_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Request

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TIMEOUT = 20_000
"""Milliseconds in which a page must show what it should."""


@contextmanager
def chromium(program: str, *more: str) -> Iterator[Browser]:
    """Run the browser, with these flags besides."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        launched = play.chromium.launch(executable_path=program, args=[*FLAGS, *more])
        try:
            yield launched
        finally:
            launched.close()


@contextmanager
def serving(nodes: Sequence[str], folder: Path, *more: str) -> Iterator[str]:
    """Run `angarium monitor` for these nodes in that folder; gives its URL."""
    with console_process(nodes, folder, *more) as (url, process):
        yield url
    assert process.wait(20) == 0


@contextmanager
def console_process(nodes: Sequence[str], folder: Path, *more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run it, and give its URL and its process."""
    address = f"{HOST}:{free_port()}"
    command = [sys.executable, "-m", "apps.main", "monitor", "--listen", address, *more]
    for node in nodes:
        command += ["--node", node]
    # NiceGUI serves otherwise where it believes to be under test itself.
    environ = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    with subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == f"ready http://{address}\n"
            yield f"http://{address}", process
        finally:
            process.terminate()


class Watched:
    """A page that notes what it asked for and what went wrong in it; its end fails if there was either."""

    def __init__(self, browser: Browser, width: int = 1280, scheme: Any = "light", *, height: int = 860) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page = self._context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.outside: list[str] = []
        self.wrong: list[str] = []
        # Of the context, so that it counts too what windows ask that the page might open.
        self._context.on("request", self._asked)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("websocket", lambda socket: self._went(socket.url))

    def _asked(self, request: Request) -> None:
        self._went(request.url)

    def _went(self, address: str) -> None:
        url = urlsplit(address)
        if url.scheme not in ("data", "blob") and url.hostname != HOST:
            self.outside.append(address)

    def close(self) -> None:
        """End it, and fail if anything was asked outside or went wrong."""
        self._context.close()
        assert self.outside == []
        assert self.wrong == []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self._context.close()
