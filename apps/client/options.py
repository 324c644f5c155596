"""Flags that the client commands share, and passwords read so that they never stand on a command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from apps.common import users, values
from apps.common.exits import Exit, Failure
from apps.common.output import say
from apps.common.values import Listen

F = TypeVar("F", bound=Callable[..., Any])


def server_address(_ctx: click.Context, _param: click.Parameter, value: str) -> Listen:
    """Read `udp://HOST:PORT` or `tcp://HOST:PORT`, or fail with a usage error."""
    try:
        address = values.listen(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if address.port == 0:
        raise click.BadParameter("port 0 is no server's")
    return address


def name_of_user(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """Check a user's name (without `sip:` and host), or fail with a usage error."""
    try:
        return users.user_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def via_option(function: F) -> F:
    """Add `--via`, the server to go to."""
    return click.option(
        "--via",
        callback=server_address,
        required=True,
        metavar="URL",
        help="The node: udp://HOST:PORT or tcp://HOST:PORT.",
    )(function)


def as_option(function: F) -> F:
    """Add `--as`, the user to be."""
    return click.option("--as", "user", callback=name_of_user, required=True, metavar="NAME", help="The user.")(
        function
    )


def password_option(function: F) -> F:
    """Add `--password-stdin`."""
    return click.option(
        "--password-stdin",
        is_flag=True,
        help="Read the password from the first line of standard input; else it is asked for when needed.",
    )(function)


def state_option(function: F) -> F:
    """Add `--state`."""
    return click.option(
        "--state",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="File that keeps what was received. [default: one per user and server]",
    )(function)


def password_source(user: str, from_stdin: bool) -> Callable[[], str | None]:
    """Return what gives the password when a server asks: standard input, else a prompt on a terminal."""
    if from_stdin:
        secret = read_password()
        return lambda: secret

    def prompt() -> str | None:
        if not sys.stdin.isatty():
            return None
        answer: str = click.prompt(f"Password of {user}", hide_input=True, err=True)
        return answer

    return prompt


def read_password() -> str:
    """Read a password from the first line of standard input; a Failure (65) if none stands there."""
    line = sys.stdin.readline()
    try:
        return users.password(line.rstrip("\r\n"))
    except ValueError as error:
        raise Failure("cannot use what stands on standard input", why=str(error), code=Exit.BAD_DATA) from None


def new_password(from_stdin: bool) -> str:
    """Return a password for an account: from standard input, or asked for twice on a terminal."""
    if from_stdin:
        return read_password()
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask for the password; use --password-stdin")
    while True:
        answer: str = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
        try:
            return users.password(answer)
        except ValueError as error:
            say(str(error))
