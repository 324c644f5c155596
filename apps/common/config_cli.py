"""The command `angarium config`: what a node would start with, where from, and whether it holds.

Exit codes: 0 told, or it holds; 2 usage; 78 a setting is wrong.
"""

from __future__ import annotations

import os
from pathlib import Path

import rich_click as click

from apps.common import output
from apps.common.advice import warnings
from apps.common.config import FIELDS, load
from apps.common.options import node_options, shown


@click.group()
def config() -> None:
    """Show and check the settings that `angarium node` would start with.

    Defaults, then the file of --config or ANGARIUM_CONFIG, then variables like ANGARIUM_NAME, then flags.
    """


@config.command()
@click.option("--origin", is_flag=True, help="Also tell where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@node_options
def show(config_file: Path | None, origin: bool, as_json: bool, **flags: object) -> None:
    """Show every setting."""
    loaded = load(flags, os.environ, config_file)
    values = {key: shown(getattr(loaded.config, key)) for key in FIELDS}
    if as_json:
        output.as_json(
            {key: {"value": value, "origin": loaded.origins[key]} for key, value in values.items()}
            if origin
            else values
        )
        return
    columns = ("setting", "value", "origin")[: 3 if origin else 2]
    rows = [(key, human(value), loaded.origins[key])[: len(columns)] for key, value in values.items()]
    output.table(columns, rows)


@config.command()
@node_options
def check(config_file: Path | None, **flags: object) -> None:
    """Check the settings: exit code 0 if a node can start with them, else 78 and the mistake."""
    loaded = load(flags, os.environ, config_file)
    changed = [key for key, origin in loaded.origins.items() if origin != "default"]
    output.say(f"the settings hold; {len(changed)} of {len(FIELDS)} are not the default")
    for line in warnings(loaded.config):
        output.say(line)
    output.say("next: angarium config show --origin")


def human(value: object) -> str:
    """Write a value for a table's cell."""
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else str(value)
