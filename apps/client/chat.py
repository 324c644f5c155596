"""`angarium chat`: a conversation client on the whole terminal.

Exit codes: 0 ended by the user; 2 usage; 65 no password on standard input; 78 Textual is not installed, there is no
terminal, or the history cannot be used.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import rich_click as click

from apps.client import options
from apps.client.state import default_path
from apps.common.exits import Exit, Failure
from apps.common.values import Listen


def _name_or_nobody(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    return "" if value is None else options.name_of_user(ctx, param, value)


@click.command()
@options.as_option
@options.via_option
@options.password_option
@click.option(
    "--history",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File that keeps device and conversations. [default: the one of angarium listen, one per user and server]",
)
@click.option("--to", callback=_name_or_nobody, metavar="NAME", help="Whom to talk to first.")
def chat(user: str, via: Listen, password_stdin: bool, history: Path | None, to: str) -> None:
    """Talk to other users: contacts, conversations, delivery ticks, a history on this machine.

    /help lists the commands. What comes is on disk before it is answered; what is written is sent until a node has it.
    """
    try:
        from apps.client import chat_screen
        from apps.client.chat_engine import Me
        from apps.client.chat_store import ChatStore
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise Failure(
            "the chat needs Textual", do="install it: pip install 'angarium[tui]'", code=Exit.CONFIG
        ) from error
    password = options.read_password() if password_stdin else None
    _need_terminal(password_stdin)
    store = ChatStore(history or default_path(user, via))
    try:
        chat_screen.run(chat_screen.ChatApp(Me(user, via), store, to=to, password=password))
    finally:
        store.close()


def _need_terminal(read_already: bool) -> None:
    """See that there are keys and a screen; standard input was a pipe if a password came from it."""
    try:
        if read_already and not os.isatty(0):
            terminal = os.open("/dev/tty", os.O_RDWR)
            os.dup2(terminal, 0)
            os.close(terminal)
        fits = os.isatty(0) and sys.stdout.isatty() and sys.stderr.isatty()
    except OSError:
        fits = False
    if not fits:
        raise Failure("the chat needs a terminal", do="use angarium send and angarium listen", code=Exit.CONFIG)
