"""Draw the pages of the console anew: `make screenshots` runs the demo, looks at it in chromium, writes PNG files.

The demo has three nodes whose users write to each other; the last picture is of one node killed. Takes a minute.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tests.e2e.browser import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Page

TARGET = Path(__file__).parent / "screenshots"
WIDTH, HEIGHT = 1180, 760
LARGEST = 150_000
"""Bytes of one picture."""
TRAFFIC = 45.0
"""Seconds of it before the pages are drawn, so that the plots show something."""


@contextlib.contextmanager
def demo() -> Iterator[tuple[str, dict[str, int]]]:
    """Run the demo; gives its URL and the process of each node."""
    command = [sys.executable, "-m", "apps.main", "demo", "--nodes", "3", "--monitor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            pids: dict[str, int] = {}
            for line in process.stdout:
                if line.startswith("http://"):
                    yield line.strip(), pids
                    return
                if started := re.search(r"s +(\w+) +started at .* process (\d+),", line):
                    pids[started[1]] = int(started[2])
            raise RuntimeError("the demo did not start")
        finally:
            process.terminate()


def draw(page: Page, name: str) -> None:
    """Write one picture."""
    path = TARGET / f"{name}.png"
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    size = path.stat().st_size
    click.echo(f"{path.relative_to(Path.cwd())}  {size:,} bytes")
    if size > LARGEST:
        raise RuntimeError(f"{path} is larger than {LARGEST:,} bytes")


def chat(page: Page, url: str) -> str:
    """Register and talk to carol; return the path of the page that tells a message's way."""
    page.goto(f"{url}/chat")
    form = page.get_by_role("form", name="Register as a user")
    form.get_by_label("Name").fill("gina")
    form.get_by_role("button", name="Register").click()
    page.get_by_role("status").get_by_text("registered", exact=True).wait_for()
    for name, texts in {"bob": ["Is the bridge open?"], "carol": ["Good morning, Carol", "See you at the inn"]}.items():
        page.get_by_label("Write to").fill(name)
        page.get_by_label("Write to").press("Enter")
        for number, text in enumerate(texts, 1):
            page.get_by_label("Message", exact=True).fill(text)
            page.get_by_role("button", name="Send").click()
            page.get_by_text(f"{name} here. You wrote: {text}").wait_for()
            page.locator(".chat-state.delivered").nth(number - 1).wait_for()
    draw(page, "chat")
    return str(page.get_by_role("link", name="The way of this message").first.get_attribute("href"))


def draw_all(page: Page, url: str, pids: dict[str, int]) -> None:
    """Go through the pages."""
    began = time.monotonic()
    page.goto(url)
    page.wait_for_timeout(4000)
    draw(page, "network")
    way = chat(page, url)
    page.goto(url + way)
    page.locator("img[alt*=ladder]").wait_for()
    draw(page, "message")
    for name, path in (("users", "/users"), ("links", "/neighbours"), ("logs", "/logs")):
        page.goto(url + path)
        page.get_by_role("navigation").wait_for()
        page.wait_for_timeout(1500)
        draw(page, name)
    page.goto(f"{url}/plots")
    page.wait_for_timeout(max(2.0, TRAFFIC - (time.monotonic() - began)) * 1000)
    draw(page, "plots")
    page.goto(url)
    page.locator(".net-node").first.wait_for()
    os.kill(pids["b"], signal.SIGKILL)
    page.get_by_role("alert").get_by_text("no answer").wait_for()
    page.wait_for_timeout(8000)
    draw(page, "alarm")


def main() -> int:
    """Draw all; 1 without a browser."""
    program = shutil.which("chromium")
    if program is None:
        click.echo("needs chromium (Debian: apt install chromium)", err=True)
        return 1
    TARGET.mkdir(exist_ok=True)
    with demo() as (url, pids), chromium(program) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(30_000)
        draw_all(page, url, pids)
    return 0


if __name__ == "__main__":
    sys.exit(main())
