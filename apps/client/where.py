"""`angarium where ID`: a message's journey over all servers that had to do with it, as text, picture or packets.

Exit codes: 0 told; 2 usage; 66 no server knows the message; 69 no node answers, or one that may know it is silent; 77
not allowed to ask.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from actors.model import Step
from apps.client import admin_client, show
from apps.client.ladder import ladder, mermaid, pcap, svg
from apps.common.exits import Exit, Failure
from apps.common.journey import Journey
from apps.common.output import say

FORMATS = ("ladder", "mermaid", "svg", "json", "pcap")


@click.command()
@click.argument("message_id", metavar="ID")
@admin_client.node_options
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="ladder",
    show_default=True,
    help="Lines of text, a Mermaid diagram, a picture, one JSON object, or packets for sngrep and Wireshark.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there instead of on stdout.",
)
def where(
    message_id: str, data: Path | None, admin: str | None, form: str, as_json: bool, out: Path | None, **token: Any
) -> None:
    """Tell where a message is and how it got there, over all servers that had to do with it."""
    form = "json" if as_json else form
    if form == "pcap" and out is None and sys.stdout.isatty():
        raise click.UsageError("packets are nothing for a terminal; write --out FILE")
    node = admin_client.chosen(data, admin, **token)
    try:
        journey = msgspec.convert(node.get("journeys", message_id), Journey)
    except msgspec.ValidationError as error:
        raise Failure("the node tells what this program does not know", why=str(error), code=Exit.UNREACHABLE) from None
    content = _written(form, journey, _local(node, message_id) if form == "json" else {})
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise Failure(f"cannot write {out}", why=error.strerror or "", code=Exit.NO_SUCH) from error
    say(f"wrote {out}: {journey.state}, {len(journey.steps)} steps")


def _local(node: admin_client.AdminClient, message_id: str) -> dict[str, Any]:
    """Return what the asked node knows by itself; nothing if that is nothing."""
    try:
        view: dict[str, Any] = node.get("messages", message_id)
    except Failure as failure:
        if failure.exit_code != Exit.NO_SUCH:
            raise
        return {}
    return view


def _written(form: str, journey: Journey, local: dict[str, Any]) -> bytes:
    match form:
        case "pcap":
            return pcap(journey)
        case "svg":
            text = svg(journey)
        case "mermaid":
            text = mermaid(journey)
        case "json":
            text = show.json_line(view(journey, local)) + "\n"
        case _:
            text = ladder(journey) + "\n"
    return text.encode("utf-8", "replace")


def view(journey: Journey, local: dict[str, Any]) -> dict[str, Any]:
    """Join the whole journey with what the asked node told by itself, whose keys scripts know.

    `state` and `reason` are the whole journey's, each step also names its `node` and where it went `to`.
    """
    whole: dict[str, Any] = json.loads(msgspec.json.encode(journey))
    steps = whole.pop("steps")
    joined = {"queue": None, "reason": "", "from": journey.sender, "to": journey.recipient, **local}
    if joined.get("state") != journey.state or journey.state == Step.FORWARDED:
        joined |= {"state": journey.state, "reason": journey.reason}
    for key, value in (("accepted", journey.accepted_at), ("ended", journey.ended_at)):
        if value is not None:
            joined.setdefault(key, value)
    return {**whole, **joined, "journey": steps}
