"""`angarium neighbour`: register, deregister and list the neighbours of a node, and make their common secret.

Exit codes: 0 done; 2 usage; 65 a name or address is wrong; 66 no such neighbour or folder; 69 no node answers;
77 refused, as a file that exists.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import rich_click as click

from apps.client import admin_client, offline, show
from apps.common import values
from apps.common.exits import Exit, Failure
from apps.common.output import printable, say, table

SECRET_BYTES = 32


@click.group()
def neighbour() -> None:
    """Register and deregister the neighbours of a node, whether it runs or is stopped."""


@neighbour.command()
@click.argument("name")
@click.argument("url", required=False)
@admin_client.node_options
def add(name: str, url: str | None, data: Path | None, admin: str | None) -> None:
    """Register the server NAME at URL (tcp://HOST:PORT), or NAME=URL in one word; it is remembered.

    The other side learns of it by itself: one of the two is enough.
    """
    item = _neighbour(name if url is None else f"{name}={url}")
    with offline.node(data, admin, create=True) as node:
        node.post("neighbours", body={"name": item.name, "address": str(item.address)})
    say(f"added {item.name}; see how it is with: angarium neighbour list")


@neighbour.command()
@click.argument("name")
@admin_client.node_options
def remove(name: str, data: Path | None, admin: str | None) -> None:
    """Deregister the server NAME; what waits for it is routed anew."""
    with offline.node(data, admin, create=False) as node:
        node.delete("neighbours", name)
    say(f"removed {printable(name)}")


@neighbour.command("list")
@admin_client.node_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a neighbour and line.")
def list_neighbours(data: Path | None, admin: str | None, as_json: bool) -> None:
    """List the neighbours: up or down and why, and what waits for each."""
    with offline.node(data, admin, create=False) as node:
        answer = node.get("neighbours")
    if as_json:
        for item in answer["neighbours"]:
            show.print_json(item)
        return
    if not answer["neighbours"]:
        say("there are no neighbours; add one with: angarium neighbour add NAME tcp://HOST:PORT")
    else:
        table(("name", "address", "state", "for", "waiting", "oldest", "sent", "received"), rows(answer))
    if answer["unrouted"]:
        say(f"without a route: {answer['unrouted']}; they go by themselves when there is one")


def rows(answer: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return a line a neighbour."""
    return [
        (
            item["name"],
            item["address"],
            "up" if item["up"] else f"down: {item['reason']}",
            show.age(item["since_seconds_ago"]),
            item["waiting"],
            show.age(item["oldest_age_seconds"]) if item["waiting"] else "",
            item["sent"],
            item["received"],
        )
        for item in answer["neighbours"]
    ]


@neighbour.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def secret(file: Path) -> None:
    """Make a secret and write it to FILE, for all servers of the network (--neighbour-secret-file)."""
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Failure(
            f"{file} exists already", do="name another file, or remove it first", code=Exit.REFUSED
        ) from error
    except OSError as error:
        raise Failure(f"cannot write {file}", why=error.strerror or "", code=Exit.REFUSED) from error
    with os.fdopen(handle, "w", encoding="ascii") as opened:
        opened.write(secrets.token_hex(SECRET_BYTES) + "\n")
    say(f"wrote {file}; copy it to each server and start them with --neighbour-secret-file {file.name}")


def _neighbour(text: str) -> values.Neighbour:
    try:
        return values.neighbour(text)
    except ValueError as error:
        raise Failure(str(error), code=Exit.BAD_DATA) from None
