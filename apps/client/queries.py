"""The commands that ask a running node: inbox, status.

Exit codes: 0 told; 2 usage; 66 no such user; 69 no node answers; 77 not allowed to ask.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from apps.client import admin_client, show
from apps.common.output import fields, printable, say, table

PAGE = 100


@click.command()
@click.argument("name")
@admin_client.node_options
@click.option("--bodies", is_flag=True, help="Show the texts too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a message and line.")
def inbox(name: str, data: Path | None, admin: str | None, bodies: bool, as_json: bool) -> None:
    """Show what waits for a user, oldest first."""
    node = admin_client.chosen(data, admin)
    messages, home = _waiting(node, name, bodies)
    if as_json:
        for message in messages:
            show.print_json(message)
        return
    if not messages:
        moved = f"; he has moved to {home}: ask there" if home else ""
        say(f"nothing waits for {printable(name)} here{moved}")
        return
    columns = ["id", "from", "waiting", "ends in", "size"] + ["text"] * bodies
    table(columns, [_row(message, bodies) for message in messages])
    say(f"{len(messages)} waiting; follow one with: angarium where ID")


def _waiting(node: admin_client.AdminClient, name: str, bodies: bool) -> tuple[list[Any], str]:
    """Return what waits, and where the user has moved to, if he has."""
    found: list[Any] = []
    after, more, home = 0, True, ""
    while more:
        page = node.get("mailboxes", name, after=after, limit=PAGE, bodies=int(bodies))
        found += page["messages"]
        more = page["more"] and bool(page["messages"])
        after = found[-1]["seq"] if found else 0
        home = page["home"] or ""
    return found, home


def _row(message: dict[str, Any], bodies: bool) -> list[str]:
    row = [
        message["id"],
        message["from"],
        show.age(time.time() - message["accepted"]),
        show.age(message["expires_in_seconds"]),
        show.size(message["size"]),
    ]
    return [*row, show.encoded_text(message["content_type"], message["body_base64"])] if bodies else row


@click.command()
@admin_client.node_options
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(data: Path | None, admin: str | None, as_json: bool) -> None:
    """Show how a node is doing."""
    answer = admin_client.chosen(data, admin).get("status")
    if as_json:
        show.print_json(answer)
        return
    fields(
        {
            "node": answer["name"],
            "realm": answer["realm"],
            "version": answer["version"],
            "addresses": ", ".join(answer["addresses"]),
            "up for": show.age(answer["uptime_seconds"]),
            "users": answer["users"],
            "online": "?" if answer["online"] is None else answer["online"],
            **_network(answer["gauges"]),
            "messages waiting": answer["messages"],
            "oldest waits for": show.age(answer["oldest_age_seconds"]),
            "commits": answer["commits"],
            "store": show.size(answer["store_bytes"]),
            "memory": show.size(answer["rss_bytes"]),
            "process": answer["pid"],
            "ready": "yes" if answer["ready"] else "no",
        },
        json=False,
    )
    for alarm in answer["alarms"]:
        say(printable(f"ALARM {alarm['name']}: {alarm['text']}; {alarm['advice']}"))


def _network(gauges: dict[str, float]) -> dict[str, str | int]:
    """Say how it stands with other servers, if there are any: neighbours, and messages without a way to go."""
    known, unrouted = int(gauges.get("neighbours", 0)), int(gauges.get("unrouted", 0))
    said: dict[str, str | int] = {}
    if known:
        said["neighbours"] = f"{int(gauges.get('neighbours_up', 0))} of {known} up"
    if unrouted:
        said["without a route"] = unrouted
    return said
