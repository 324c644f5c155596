"""Exit codes of every command, and the error that ends a command with one of them."""

from __future__ import annotations

import sys
from enum import IntEnum
from typing import IO, Any

import click


class Exit(IntEnum):
    """The documented exit codes; the numbers above 63 are those of BSD's sysexits."""

    OK = 0
    USAGE = 2
    BAD_DATA = 65
    """The input is not what it should be."""
    NO_SUCH = 66
    """No such user, message or file."""
    UNREACHABLE = 69
    """The node does not answer."""
    INTERNAL = 70
    """A fault of this program, or of the disk below it."""
    NOT_DELIVERED = 75
    """Stored, but no device acknowledged yet."""
    REFUSED = 77
    """The node answered no, or the password is wrong."""
    CONFIG = 78
    """A setting is wrong."""


class Failure(click.ClickException):
    """Ends a command with one line on stderr that says what, why and what to do."""

    def __init__(self, what: str, *, code: Exit, why: str = "", do: str = "") -> None:
        """Take the sentence's parts, each without a full stop; `why` and `do` may be empty."""
        super().__init__("".join((what, f": {why}" if why else "", f"; {do}" if do else "")))
        # click types it as the class's, and reads it from the instance.
        self.exit_code = int(code)  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line on stderr, or into `file`; colour only on a terminal without NO_COLOR."""
        from apps.common.output import wants_colour

        stream = sys.stderr if file is None else file
        head = click.style("angarium:", fg="red", bold=True) if wants_colour(stream) else "angarium:"
        click.echo(f"{head} {one_line(self.message)}", file=stream, color=True)


def one_line(text: str) -> str:
    """Return the text with line ends and other control characters replaced by spaces."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
