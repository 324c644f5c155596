"""The flags of a node's settings, made from the settings themselves so that the two cannot differ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from apps.common.config import FIELDS, NodeConfig, description

F = TypeVar("F", bound=Callable[..., Any])
SWITCHES = tuple(key for key, field in FIELDS.items() if field.type is bool or field.default is False)
LISTS = ("listen", "neighbour", "router_rungs")
METAVARS = {
    "listen": "URL",
    "neighbour": "NAME=URL",
    "neighbour_secret_file": "FILE",
    "link_address": "URL",
    "router_rungs": "RUNG",
    "data": "DIR",
    "log_dir": "DIR",
    "admin": "HOST:PORT",
    "name": "NAME",
    "realm": "REALM",
}


def node_options(function: F) -> F:
    """Add `--config` and one flag a setting; a flag that was not given is None, or an empty tuple.

    What the command gets goes as it is to `config.load(flags, os.environ, config_file)`.
    """
    for key in reversed(FIELDS):
        function = flag(key)(function)
    return click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="TOML file of settings; also ANGARIUM_CONFIG.",
    )(function)


def flag(key: str) -> Callable[[F], F]:
    """Make the flag of one setting; its value stays text, `config.load` reads it."""
    name = f"--{key.replace('_', '-')}"
    if key in SWITCHES:
        return click.option(name, key, is_flag=True, flag_value="true", default=None, type=str, help=description(key))
    if key in LISTS:
        return click.option(name, key, multiple=True, metavar=METAVARS[key], help=helped(key))
    return click.option(name, key, metavar=METAVARS.get(key, "VALUE"), help=helped(key))


def helped(key: str) -> str:
    """Return the description with the default behind it."""
    default = shown(getattr(NodeConfig(), key))
    if default in ("", None, []):
        return description(key)
    return f"{description(key)} [default: {', '.join(default) if isinstance(default, list) else default}]"


def shown(value: object) -> Any:
    """Return a setting's value as JSON and people read it: text, numbers, lists of text, None."""
    if isinstance(value, tuple):
        return [str(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
