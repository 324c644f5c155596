"""`angarium user register` and `deregister`: bindings of phones that do not register themselves.

Exit codes: 0 done; 2 usage; 65 a name or contact is wrong; 66 no such user or contact; 69 no node answers; 77 refused.
"""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from apps.client import admin_client, show
from apps.common.output import printable, say

EXPIRES = 3600


@click.command()
@click.argument("name")
@click.option("--contact", metavar="URI", required=True, help="Where the phone is: sip:NAME@ADDRESS[:PORT], by UDP.")
@click.option("--expires", type=click.IntRange(60, 7200), default=EXPIRES, metavar="S", help="Seconds it is valid.")
@admin_client.node_options
@click.option("--json", "as_json", is_flag=True, help="Print the user as one JSON object.")
def register(name: str, contact: str, expires: int, data: Path | None, admin: str | None, as_json: bool) -> None:
    """Register a phone that does not do so itself, by its address.

    The node sends what waits for the user there, without a proof that he is there.
    """
    body = {"contact": contact, "expires": expires}
    item = admin_client.chosen(data, admin).post("users", name, "bindings", body=body)
    if as_json:
        show.print_json(item)
    say(f"{printable(name)} is reached at {printable(contact)} for {show.age(expires)}")


@click.command()
@click.argument("name")
@click.option("--contact", metavar="URI", help="Only this one, as it was registered. [default: all]")
@admin_client.node_options
@click.option("--json", "as_json", is_flag=True, help="Print the user's name as one JSON object.")
def deregister(name: str, contact: str | None, data: Path | None, admin: str | None, as_json: bool) -> None:
    """End the bindings of a user; what comes for him waits until he registers again."""
    query: dict[str, object] = {} if contact is None else {"contact": contact}
    item = admin_client.chosen(data, admin).delete("users", name, "bindings", query=query)
    if as_json:
        show.print_json(item)
    say(f"{printable(name)} is deregistered")
