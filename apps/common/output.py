"""What a command prints: data on stdout as a table or as JSON, all the rest on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, TypeVar

import click

T = TypeVar("T")


def wants_colour(stream: IO[Any]) -> bool:
    """Tell whether to colour what goes to the stream: a terminal, and NO_COLOR not set (no-color.org)."""
    return not os.environ.get("NO_COLOR") and stream.isatty()


def say(text: str) -> None:
    """Print a remark for the person at the terminal, on stderr."""
    click.echo(text, err=True)


def data(text: str) -> None:
    """Print one line of data on stdout, at once, so that a reader of a pipe sees it."""
    click.echo(text)
    sys.stdout.flush()


def as_json(value: object) -> None:
    """Print one value as one line of JSON on stdout; bytes become base64, times ISO 8601."""
    import msgspec

    data(msgspec.json.encode(value).decode())


def rows(columns: Sequence[str], values: Iterable[Sequence[object]], *, json: bool, title: str = "") -> None:
    """Print rows as a table, or with `json` as one object a line under the columns' names."""
    if json:
        for row in values:
            as_json(dict(zip(columns, row, strict=True)))
        return
    table(columns, values, title=title)


def fields(values: Mapping[str, object], *, json: bool, title: str = "") -> None:
    """Print one thing's named values, as two columns or with `json` as one object."""
    if json:
        as_json(dict(values))
        return
    table(("", ""), values.items(), title=title, header=False)


def table(columns: Sequence[str], values: Iterable[Sequence[object]], *, title: str = "", header: bool = True) -> None:
    """Print a table on stdout: lines that fit the terminal, or plain and unwrapped into a pipe."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    grid = Table(title=title or None, show_header=header, box=box.SIMPLE_HEAD if terminal else None)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in values:
        # Text, not markup: what came from the network must not be able to style the terminal.
        grid.add_row(*(Text(printable(str(cell))) for cell in row))
    console = Console(file=sys.stdout, width=None if terminal else 10_000, highlight=False)
    console.print(grid, soft_wrap=not terminal)


def printable(text: str) -> str:
    r"""Return the text with control characters as escapes (`\x1b`), so that it cannot drive a terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def progress(values: Iterable[T], *, label: str, length: int | None = None) -> Iterator[T]:
    """Yield the values, with a progress bar on stderr if that is a terminal."""
    if not sys.stderr.isatty():
        yield from values
        return
    with click.progressbar(values, length=length, label=label, file=sys.stderr) as bar:
        yield from bar
