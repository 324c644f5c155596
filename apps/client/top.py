"""`angarium top`: rates, queues, neighbours, memory and alarms of a running node, as they change.

Exit codes: 0 told, or ended by the user; 2 usage; 69 no node answers; 77 not allowed to ask.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.live import Live

from apps.client import admin_client, show
from apps.client.admin_client import AdminClient
from apps.client.top_view import Picture, Sample, compare, drawn
from apps.common.exits import Exit, Failure
from apps.common.output import wants_colour


@click.command()
@admin_client.node_options
@click.option("--once", is_flag=True, help="Look twice, one interval apart, tell, and end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a look and line.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    metavar="S",
    help="Seconds between two looks.",
)
def top(data: Path | None, admin: str | None, once: bool, as_json: bool, interval: float) -> None:
    """Watch a node at work; ends on Ctrl-C. Into a pipe each look is printed below the last."""
    node = admin_client.chosen(data, admin)
    pictures = looks(node, interval, patient=not once)
    try:
        if as_json:
            for picture in pictures:
                show.print_json(picture.fields())
                if once:
                    return
        elif once or not sys.stdout.isatty():
            console = Console(no_color=not wants_colour(sys.stdout), highlight=False)
            for picture in pictures:
                console.print(drawn(picture, 10_000))
                if once:
                    return
        else:
            _watch(pictures)
    except KeyboardInterrupt:
        return


def _watch(pictures: Iterator[Picture]) -> None:
    """Show each on the whole terminal."""
    console = Console(no_color=not wants_colour(sys.stdout), highlight=False)
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for picture in pictures:
            live.update(drawn(picture, console.height), refresh=True)


def looks(node: AdminClient, interval: float, *, patient: bool) -> Iterator[Picture]:
    """Yield what each look tells against the one before; a `patient` one waits for a node that went away.

    A Failure says why the first look failed.
    """
    before = look(node)
    while True:
        time.sleep(interval)
        try:
            now = look(node)
        except Failure as failure:
            if not patient or failure.exit_code != Exit.UNREACHABLE:
                raise
            yield Picture(sample=before, trouble=failure.message)
            continue
        yield compare(before, now)
        before = now


def look(node: AdminClient) -> Sample:
    """Ask a node how it is."""
    status = node.get("status")
    links = node.get("neighbours")
    try:
        queues = node.get("queues")["queues"]
    except Failure as failure:
        if failure.exit_code != Exit.NO_SUCH:
            raise
        queues = []  # an older node does not tell
    return Sample(at=time.monotonic(), status=status, neighbours=links["neighbours"], queues=queues)
