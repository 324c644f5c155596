"""Lines and contacts as `angarium chat` shows them: plain text in columns, never markup."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from apps.client.chat_model import Contact, Line, State, text_of, ticks
from apps.client.show import clock
from apps.common.output import printable

NAME = 14
"""Columns of a name beside its line, at most."""


def drawn_contact(contact: Contact) -> Text:
    """Return a contact for the list: the name, and how many messages were not looked at."""
    unread = f" ({contact.unread})" if contact.unread else ""
    name = Text(printable(contact.name), style="bold" if unread else "")
    name.truncate(20 - len(unread), overflow="ellipsis")
    return name.append(unread, style="yellow")


def drawn(line: Line, user: str, new_day: str = "") -> RenderableType:
    """Return a line for the screen: time, who, text that wraps beside them, ticks; above it a day that begins."""
    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(width=5)
    names = [Text(printable(name)) for name in (user, line.peer)]
    grid.add_column(width=min(NAME, max(name.cell_len for name in names)), no_wrap=True, overflow="ellipsis")
    grid.add_column(ratio=1, overflow="fold")
    if new_day:
        grid.add_row("", "", Text(new_day, style="dim"))
    text = Text(text_of(line))
    if line.own:
        failed = line.state is State.FAILED
        text.append("\n" if failed else " ")
        text.append(ticks(line), style="red" if failed else "green")
    who = Text(printable(user if line.own else line.peer), style="cyan" if line.own else "magenta")
    grid.add_row(Text(clock(line.at)[:5], style="dim"), who, text)
    return grid
