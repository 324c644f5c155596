"""`angarium user`: add, change, remove, move, list, show and import the users of a node, running or stopped.

Exit codes: 0 done; 2 usage; 65 a name, password or line is wrong; 66 no such user, file or folder;
69 no node answers; 77 refused, as a name that exists; 78 the data folder belongs to another realm.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from apps.client import admin_client, bindings, offline, options, show
from apps.common import users, values
from apps.common.exits import Exit, Failure
from apps.common.output import printable, progress, say, table

F = TypeVar("F", bound=Callable[..., Any])
BATCH = 5_000
"""Users in one commit of an import."""
TIMEOUT = 120.0
PATH = "path"
"""In place of a transport: that binding goes through another server."""
SHOWN_ERRORS = 20


def realm_option(function: F) -> F:
    """Add `--realm`, for a data folder that does not exist yet."""
    return click.option(
        "--realm",
        metavar="REALM",
        envvar="ANGARIUM_REALM",
        help="Realm of a new data folder. [default: angarium]",
    )(function)


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a user and line.")(function)


@click.group()
def user() -> None:
    """Add, remove, move, list and import users of a node, whether it runs or is stopped."""


@user.command()
@click.argument("name")
@admin_client.node_options
@options.password_option
@realm_option
def add(name: str, data: Path | None, admin: str | None, password_stdin: bool, realm: str | None) -> None:
    """Create a user with a password."""
    body = {"name": checked_name(name), "password": options.new_password(password_stdin)}
    with offline.node(data, admin, create=True, realm=realm) as node:
        node.post("users", body=body)
    say(f"added {name}; receive as him with: angarium listen --as {name} --via udp://HOST:PORT")


@user.command()
@click.argument("name")
@admin_client.node_options
@options.password_option
def passwd(name: str, data: Path | None, admin: str | None, password_stdin: bool) -> None:
    """Set a user's password."""
    body = {"name": checked_name(name), "password": options.new_password(password_stdin), "replace": True}
    with offline.node(data, admin, create=False) as node:
        node.post("users", body=body)
    say(f"changed the password of {name}")


@user.command()
@click.argument("name")
@admin_client.node_options
def remove(name: str, data: Path | None, admin: str | None) -> None:
    """Remove a user; the senders of what waits for him are told."""
    with offline.node(data, admin, create=False) as node:
        node.delete("users", name, timeout=TIMEOUT)
    say(f"removed {printable(name)}")


@user.command()
@click.argument("name")
@click.option("--to", required=True, metavar="NODE", help="The server that is to be his home.")
@admin_client.node_options
def move(name: str, to: str, data: Path | None, admin: str | None) -> None:
    """Move a user, with all that waits for him, to another server of the network.

    Done when the last of his mail is there; his phones need not notice.
    """
    try:
        values.node_name(to)
    except ValueError as error:
        raise Failure(str(error), code=Exit.BAD_DATA) from None
    admin_client.chosen(data, admin).post("users", name, "move", body={"to": to}, timeout=TIMEOUT)
    say(f"moved {printable(name)} to {to}")


@user.command("list")
@admin_client.node_options
@json_option
def list_users(data: Path | None, admin: str | None, as_json: bool) -> None:
    """List the users by name."""
    with offline.node(data, admin, create=False) as node:
        if as_json:
            for item in _all_users(node):
                show.print_json(item)
            return
        rows = [
            (item["name"], yes(item["has_password"]), yes(item["online"]), len(item["devices"]))
            for item in _all_users(node)
        ]
    if rows:
        table(("name", "password", "online", "devices"), rows)
    else:
        say("there are no users; add one with: angarium user add NAME")


@user.command("show")
@click.argument("name")
@admin_client.node_options
@json_option
def show_user(name: str, data: Path | None, admin: str | None, as_json: bool) -> None:
    """Show a user with his devices."""
    with offline.node(data, admin, create=False) as node:
        item = node.get("users", name)
    if as_json:
        show.print_json(item)
        return
    rows = [("name", item["name"])]
    if item["home"]:
        table(("", ""), [*rows, ("moved to", item["home"])], header=False)
        return
    rows += [
        ("password", yes(item["has_password"])),
        ("online", yes(item["online"])),
        ("in flight", item["in_flight"]),
    ]
    for device in item["devices"]:
        rows += [("device", device["key"]), ("  last seen", f"{show.age(device['seen_seconds_ago'])} ago")]
        for binding in device["bindings"]:
            way = f"{binding['transport']}://{binding['host']}:{binding['port']}"
            if binding["transport"] == PATH:
                way = f"through server {binding['host']}"
            rows.append(("  reachable", f"{way} for {show.age(binding['expires_in_seconds'])}"))
    table(("", ""), rows, header=False)


@user.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@admin_client.node_options
@realm_option
def import_users(file: Path, data: Path | None, admin: str | None, realm: str | None) -> None:
    """Create or replace users from FILE: lines of `name, password`; blank lines and # lines are skipped.

    Nothing is imported unless every line is right. `-` is standard input.
    """
    pairs = read_pairs(file)
    with offline.node(data, admin, create=True, realm=realm) as node:
        node_realm = str(node.get("status")["realm"])
        batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
        done = 0
        for batch in progress(batches, label="Importing", length=len(batches)):
            try:
                node.post("users", "import", body={"users": list(hashed(batch, node_realm))}, timeout=TIMEOUT)
            except Failure:
                if done:
                    say(f"the first {done} users of {file} are imported, the others are not")
                raise
            done += len(batch)
    say(f"imported {len(pairs)} users; see them with: angarium user list")


def read_pairs(file: Path) -> list[tuple[str, str]]:
    """Read names and passwords; a Failure (66, 65) that names each bad line by its number, not its content."""
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except FileNotFoundError as error:
        raise Failure(f"there is no file {file}", code=Exit.NO_SUCH) from error
    except UnicodeDecodeError as error:
        raise Failure(f"{file} is not UTF-8", code=Exit.BAD_DATA) from error
    except OSError as error:
        raise Failure(f"cannot read {file}", why=error.strerror or "", code=Exit.NO_SUCH) from error
    pairs: dict[str, tuple[str, int]] = {}
    errors: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            name, secret = read_line(stripped)
            if name in pairs:
                raise ValueError(f"the same name stands in line {pairs[name][1]}")
            pairs[name] = (secret, number)
        except ValueError as error:
            errors.append(f"line {number}: {error}")
    if errors:
        _name_errors(errors)
        raise Failure(f"{len(errors)} bad lines in {file}", do="nothing was imported", code=Exit.BAD_DATA)
    return [(name, secret) for name, (secret, _) in pairs.items()]


def read_line(line: str) -> tuple[str, str]:
    """Split `name, password`; raises ValueError. A password may hold commas, and no spaces at its ends."""
    name, comma, secret = line.partition(",")
    if not comma:
        # The line is not repeated in the message: it may be a password.
        raise ValueError("is not `name, password`")
    return users.user_name(name.strip()), users.password(secret.strip())


def hashed(pairs: Sequence[tuple[str, str]], realm: str) -> Iterator[dict[str, str]]:
    """Yield users with hashes in place of passwords."""
    for name, secret in pairs:
        md5, sha256 = users.hashes(name, realm, secret)
        yield {"name": name, "ha1_md5": md5, "ha1_sha256": sha256}


def checked_name(name: str) -> str:
    """Return the name of a new user; a Failure (65) says what is wrong with it."""
    try:
        return users.user_name(name)
    except ValueError as error:
        raise Failure(str(error), code=Exit.BAD_DATA) from None


def yes(value: bool) -> str:
    """Put a truth into a word."""
    return "yes" if value else "no"


def _all_users(node: admin_client.AdminClient) -> Iterator[dict[str, Any]]:
    after: str | None = ""
    while after is not None:
        page = node.get("users", after=after, limit=10_000)
        yield from page["users"]
        after = page["next"]


def _name_errors(errors: Sequence[str]) -> None:
    for line in errors[:SHOWN_ERRORS]:
        say(printable(line))
    if len(errors) > SHOWN_ERRORS:
        say(f"... and {len(errors) - SHOWN_ERRORS} more")


user.add_command(bindings.register)
user.add_command(bindings.deregister)
