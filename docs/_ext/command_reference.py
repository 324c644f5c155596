"""The commands with their options, as click knows them, and their exit codes, as their modules state them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from apps.commands import COMMANDS, load

CODES = re.compile(r"Exit codes: (.*?)(?:\n\n|$)", re.DOTALL)


def commands() -> Iterator[str]:
    """Write a section a command, in the order of the program's help."""
    for name in COMMANDS:
        yield from section(load(name), f"angarium {name}", "##")


def section(command: click.Command, name: str, level: str) -> Iterator[str]:
    """Write one command, and below it its own commands."""
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield from ("", f"{level} {name}", "", "```text", usage, "```", "")
    yield from described(command)
    yield from table(command, context)
    if isinstance(command, click.Group):
        if command.invoke_without_command:
            yield from ("", f"Exit codes: {codes(command)}", "")
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from section(found, f"{name} {child}", level + "#")
    else:
        yield from ("", f"Exit codes: {codes(command)}", "")


def described(command: click.Command) -> Iterator[str]:
    """Write the help text: paragraphs as they are, without click's marks."""
    text = inspect.cleandoc(command.help or "").split("\f")[0]
    for paragraph in CODES.sub("", text).split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line != "\b"]
        yield from (" ".join(lines).replace("<", "&lt;"), "")


def table(command: click.Command, context: click.Context) -> Iterator[str]:
    """Write a row an option; arguments stand in the usage, `-h` everywhere."""
    records = [item.get_help_record(context) for item in command.params if isinstance(item, click.Option)]
    rows = [record for record in records if record is not None]
    if rows:
        yield from ("| option | meaning |", "|---|---|")
    for option, about in rows:
        told = " ".join(about.split()).replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{option.replace('|', '/')}` | {told} |"


def codes(command: click.Command) -> str:
    """Return what its help or its module says of exit codes; a command that says nothing is a mistake."""
    module = inspect.getmodule(inspect.unwrap(command.callback)) if command.callback is not None else None
    texts = (command.help, module.__doc__ if module is not None else "")
    found = next(filter(None, (CODES.search(inspect.cleandoc(text or "")) for text in texts)), None)
    if found is None:
        raise ValueError(f"{command.name}: nothing says which exit codes it has")
    return " ".join(found[1].split())
