"""The root of the command line: a table of subcommands, each imported only when it is used.

So the help stays fast, and a fault in one command does not break the others.
"""

from __future__ import annotations

import importlib
from difflib import get_close_matches
from typing import Any, NamedTuple, NoReturn

import rich_click as click
from click.exceptions import NoArgsIsHelpError

from apps.common.exits import Exit, Failure
from apps.main import version_line


class Entry(NamedTuple):
    """Where a subcommand is found, and its line in the help."""

    target: str
    """`module:attribute` of a click command."""
    help: str


COMMANDS: dict[str, Entry] = {
    "node": Entry("apps.node.cli:node", "Run a node: accept, keep and deliver messages."),
    "user": Entry("apps.client.accounts:user", "Add, remove, move, list and import users of a node."),
    "neighbour": Entry("apps.client.neighbours:neighbour", "Add, remove and list the neighbours of a node."),
    "send": Entry("apps.client.cli:send", "Send a message."),
    "listen": Entry("apps.client.cli:listen", "Register and receive messages."),
    "chat": Entry("apps.client.chat:chat", "Talk to other users on the whole terminal."),
    "register": Entry("apps.client.cli:register", "Register a user's device at a node."),
    "unregister": Entry("apps.client.cli:unregister", "End a device's registration."),
    "inbox": Entry("apps.client.queries:inbox", "Show what waits for a user."),
    "status": Entry("apps.client.queries:status", "Show how a node is doing."),
    "top": Entry("apps.client.top:top", "Watch a node at work."),
    "where": Entry("apps.client.where:where", "Tell a message's journey."),
    "log": Entry("apps.client.logs:log", "Show a node's log, and change what it keeps."),
    "config": Entry("apps.common.config_cli:config", "Show and check the settings."),
    "monitor": Entry("apps.monitor.cli:monitor", "Serve the web console: the network in a browser."),
    "demo": Entry("apps.demo:demo", "Show on this machine that it works."),
}


class LazyGroup(click.RichGroup):
    """A group that lists its commands from a table and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a stand-in that knows only name and help line: enough to list and to complete."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else click.RichCommand(name=cmd_name, help=entry.help, short_help=entry.help)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is about to run, to complete its arguments, or to show its help."""
        near = get_close_matches(args[0], COMMANDS, n=1)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:
            ctx.fail(f"No such command '{args[0]}'. Did you mean '{near[0]}'?")
        name, command, rest = super().resolve_command(ctx, args)
        return name, command if name is None else load(name), rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run; an expected failure is one line on stderr and its exit code, not a box."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            failure.show()
            ctx.exit(failure.exit_code)
        except click.UsageError as error:
            _usage(ctx, error)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the command."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            return _usage(ctx, error)


def _usage(ctx: click.Context, error: click.UsageError) -> NoReturn:
    """End with one line; a group that was called without a command shows its help instead."""
    if isinstance(error, NoArgsIsHelpError):
        raise error
    where = error.ctx or ctx
    message = error.format_message().rstrip(".")
    Failure(message, do=f"see {where.command_path} -h", code=Exit.USAGE).show()
    ctx.exit(Exit.USAGE)


def load(name: str) -> click.Command:
    """Import the command of that name; a Failure with code 70 if this installation lacks its module."""
    module, _, attribute = COMMANDS[name].target.partition(":")
    try:
        command = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise Failure(
            f"cannot run {name!r}", why=str(error), do="install angarium again", code=Exit.INTERNAL
        ) from error
    if not isinstance(command, click.Command):
        raise TypeError(f"{COMMANDS[name].target} is no command")
    return command


def show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    """Print name and version, then stop."""
    if value and not ctx.resilient_parsing:
        click.echo(version_line())
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version.",
)
def angarium() -> None:
    """Messages between SIP users: accepted is on disk, kept until that device acknowledged.

    `angarium demo` shows it at work; `angarium node --help` starts a node.
    """
