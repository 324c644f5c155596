"""`angarium log`: the newest lines of a running node's log, and what it keeps from now on.

Exit codes: 0 told; 2 usage; 65 the node does not take it; 69 no node answers; 77 not allowed to ask.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from apps.client import admin_client, show
from apps.client.admin_client import AdminClient
from apps.common.config import LogLevel
from apps.common.output import data as print_line
from apps.common.output import fields, printable, say

PAUSE = 0.5
"""Seconds between two questions while following."""
MOST = 4_000
"""Lines a node has at most."""
LEVELS = click.Choice([level.value for level in LogLevel])


@click.group(invoke_without_command=True)
@admin_client.node_options
@click.option("--follow", "-f", is_flag=True, help="Go on with what is written from now on.")
@click.option("--level", type=LEVELS, default="debug", help="Lines of this level and above.")
@click.option("--contains", metavar="TEXT", default="", help="Lines with this text: a user, a message's id.")
@click.option(
    "--lines", "-n", type=click.IntRange(0, MOST), default=100, show_default=True, help="Lines at most, the newest."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def log(
    ctx: click.RichContext,
    /,
    data: Path | None,
    admin: str | None,
    follow: bool,
    level: str,
    contains: str,
    lines: int,
    as_json: bool,
    **more: Any,
) -> None:
    """Show the newest lines of a running node's log, from its memory; Ctrl-C ends --follow."""
    ctx.obj = {"data": data, "admin": admin, **more}
    if ctx.invoked_subcommand is not None:
        return
    node = admin_client.chosen(data, admin, **more)
    wanted = {"level": level, "contains": contains}
    answer = node.get("log", limit=lines, **wanted)
    print_lines(answer["lines"], as_json)
    if follow:
        after = answer["lines"][-1]["number"] if answer["lines"] else answer["newest"]
        try:
            follow_on(node, wanted, after, as_json)
        except KeyboardInterrupt:
            return
    elif not answer["lines"]:
        say("no such line; a debug log is kept after: angarium log level --debug on")


def follow_on(node: AdminClient, wanted: dict[str, str], after: int, as_json: bool) -> None:
    """Print what is written after this line, until interrupted or the node ends."""
    while True:
        time.sleep(PAUSE)
        answer = node.get("log", limit=MOST, after=after, **wanted)
        print_lines(answer["lines"], as_json)
        if answer["newest"] < after:
            after = 0  # started again meanwhile, its lines count from 1
        elif answer["lines"]:
            after = answer["lines"][-1]["number"]


def print_lines(lines: list[dict[str, Any]], as_json: bool) -> None:
    """Print lines as the log's file has them, or as JSON."""
    for line in lines:
        if as_json:
            show.print_json(line)
        else:
            print_line(text_of(line))


def text_of(line: dict[str, Any]) -> str:
    """Return a line as text; a trace follows on lines of its own."""
    about = dict(line["fields"])
    trace = about.pop("trace", "")
    # Actors have names without a colon; `module:line` is for the makers of the program.
    place = "" if ":" in line["place"] else f"{line['place']}: "
    bound = "".join(f" {key}={value}" for key, value in about.items())
    head = printable(f"{show.clock(line['at'])} {line['level']:<8} {place}{line['message']}{bound}")
    return "\n".join([head, *(f"    {printable(part)}" for part in trace.splitlines())])


@log.command("level")
@click.argument("level", type=LEVELS, required=False)
@click.option("--debug", type=click.Choice(["on", "off"]), help="Write the debug log, or no more.")
@admin_client.node_options
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
def level_command(ctx: click.RichContext, /, level: str | None, debug: str | None, as_json: bool, **whom: Any) -> None:
    """Set the program log's level or switch the debug log, until the node ends; without either show both."""
    given = {key: value for key, value in whom.items() if value is not None}
    node = admin_client.chosen(**{**ctx.obj, **given})
    change: dict[str, object] = {}
    if level is not None:
        change["level"] = level
    if debug is not None:
        change["debug"] = debug == "on"
    settings = node.put("log-level", body=change) if change else node.get("log-level")
    if as_json:
        show.print_json(settings)
        return
    fields({"program log": settings["level"], "debug log": "on" if settings["debug"] else "off"}, json=False)
    if change:
        say("until the node ends; for good: log_level and debug_log in its settings")
