"""What a console costs a node, and whether it grows: with no console, with one, and with its page open in chromium.

`python -m benchmarks.console --pairs 10` offers a fixed rate to a fresh node in each of the three ways, in turn and in
alternating order, and compares processor time per message. `--soak 10` keeps a page open for so many minutes under
load and samples the console's memory and the page's heap (after a collection).
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.end_to_end import Probe, probe
from benchmarks.load import send_messages
from benchmarks.report import show
from benchmarks.stage import Stage, stage
from tests.e2e.browser import chromium, console_process

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAYS = ("none", "console", "page")
"""No console; one that follows the node, with no window; one with the picture of the network in a window."""
WARM = 2.0
"""Seconds of the same load before each probe, so that all that is made once has been made."""
SAMPLES = 20
"""Of memory, during a soak."""
PATIENCE = 30_000
"""Milliseconds in which the page must show the node."""


class Sample(msgspec.Struct, frozen=True):
    """Memory at one moment of a soak."""

    minutes: float
    console_mb: float
    heap_mb: float
    elements: int
    """Of the page's document."""


@contextmanager
def watched(on: Stage, browser: Browser | None) -> Iterator[tuple[int, Page | None]]:
    """Run a console for the node, and open its page if there is a browser; gives the console's process."""
    folder = Path(tempfile.mkdtemp(prefix="angarium-console-"))
    with ExitStack() as held:
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        url, process = held.enter_context(console_process([f"unix:{on.node.data}"], folder, "--data", str(folder)))
        page = None
        if browser is not None:
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            held.callback(page.close)
            page.goto(url)
            page.locator(".net-node").first.wait_for(timeout=PATIENCE)
        yield process.pid, page


def once(way: str, rate: int, seconds: float, browser: Browser) -> Probe:
    """Probe a fresh node in one of the WAYS."""
    with stage() as on, ExitStack() as held:
        if way != "none":
            held.enter_context(watched(on, browser if way == "page" else None))
        probe(on, rate, WARM)
        return probe(on, rate, seconds)


def compare(rate: int, seconds: float, pairs: int, browser: Browser) -> dict[str, float | int | bool]:
    """Probe all ways `pairs` times; returns medians of processor time per message, and of the ratios of each turn."""
    costs: dict[str, list[float]] = {way: [] for way in WAYS}
    held = True
    for turn in range(pairs):
        for way in WAYS if turn % 2 == 0 else reversed(WAYS):
            result = once(way, rate, seconds, browser)
            held = held and result.holds
            costs[way].append(result.cpu_per_message * 1e6)
            verdict = "holds" if result.holds else "fails"
            print(f"  {turn + 1:>2} {way:<8} {costs[way][-1]:6.1f} us  {verdict}", file=sys.stderr, flush=True)
    ratios = {way: [one / base for one, base in zip(costs[way], costs["none"], strict=True)] for way in WAYS[1:]}
    return {
        "rate": rate,
        "pairs": pairs,
        "all_held": held,
        **{f"{way}_us": statistics.median(costs[way]) for way in WAYS},
        **{f"{way}_ratio": statistics.median(ratios[way]) for way in ratios},
        **{f"{way}_ratio_worst": max(ratios[way]) for way in ratios},
    }


def soak(rate: int, minutes: float, browser: Browser) -> list[Sample]:
    """Keep a page open under load; the first sample is of the page before it."""
    seconds = minutes * 60
    with stage() as on, watched(on, browser) as (pid, page), ThreadPoolExecutor(1) as pool:
        assert page is not None
        began = time.monotonic()
        samples = [sample(pid, page, 0.0)]
        load = pool.submit(send_messages, on.node.udp, rate=rate, count=int(rate * seconds), run="soak")
        for number in range(1, SAMPLES + 1):
            page.wait_for_timeout(max(0.0, began + seconds * number / SAMPLES - time.monotonic()) * 1000)
            samples.append(sample(pid, page, (time.monotonic() - began) / 60))
            print(f"  {msgspec.json.encode(samples[-1]).decode()}", file=sys.stderr, flush=True)
        sent = load.result()
        print(f"  {sent.accepted:,} of {sent.offered:,} accepted", file=sys.stderr, flush=True)
    return samples


def sample(pid: int, page: Page, minutes: float) -> Sample:
    """Measure the console's process and, after a collection, the page's heap."""
    session = page.context.new_cdp_session(page)
    try:
        session.send("HeapProfiler.enable")
        session.send("HeapProfiler.collectGarbage")
        session.send("Performance.enable")
        values = {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}
    finally:
        session.detach()
    rss = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    elements = int(page.evaluate("document.getElementsByTagName('*').length"))
    return Sample(round(minutes, 2), int(rss.split()[1]) / 1024, values["JSHeapUsedSize"] / 1e6, elements)


def growth(samples: list[Sample]) -> dict[str, float | int]:
    """Compare the last quarter of a soak with the second: the first fills what is bounded."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter] or samples[:1], samples[-quarter:]

    def middle(of: list[Sample], name: str) -> float:
        return float(statistics.median(getattr(item, name) for item in of))

    names = ("console_mb", "heap_mb", "elements")
    early = {f"{name}_early": middle(second, name) for name in names}
    return {"minutes": samples[-1].minutes, **early, **{f"{name}_late": middle(last, name) for name in names}}


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=0, help="turns of none, console and page")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="keep a page open for so long")
    parser.add_argument("--rate", type=int, default=2000, help="messages a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each probe")
    given = parser.parse_args()
    program = shutil.which("chromium")
    if program is None:
        parser.error("chromium is not installed (Debian: apt install chromium)")
    with chromium(program) as browser:
        if given.pairs:
            show("console-cost", compare(given.rate, given.seconds, given.pairs, browser))
        if given.soak:
            show("console-soak", growth(soak(given.rate, given.soak, browser)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
