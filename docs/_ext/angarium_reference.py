"""A Sphinx extension that writes the reference from the program: commands, settings, metrics, admin interface.

Where a page has the comment `<!-- from the program: commands -->` there stands Markdown made from what is imported,
so it cannot be out of date. `python docs/_ext/angarium_reference.py commands` prints it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import admin_reference
import command_reference
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from apps.common.config import FIELDS, PREFIX, NodeConfig, description
from apps.common.options import LISTS, SWITCHES, shown
from apps.node.admin_metrics import PREFIX as METRICS
from apps.node.metric_names import ABOUT

MARK = re.compile(r"<!-- from the program: ([a-z-]+) -->")


def cell(text: str) -> str:
    """Return text as it stands in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def settings() -> Iterable[str]:
    """Write one row a setting, in the order of the configuration."""
    yield from ("| key | flag | variable | default | meaning |", "|---|---|---|---|---|")
    for key in FIELDS:
        default = shown(getattr(NodeConfig(), key))
        text = ", ".join(default) if isinstance(default, list) else str(default)
        written = "none" if default in (None, "", []) else f"`{str(text).lower() if key in SWITCHES else text}`"
        flag = f"`--{key.replace('_', '-')}`" + (", may be given again" if key in LISTS else "")
        yield f"| `{key}` | {flag} | `{PREFIX}{key.upper()}` | {written} | {cell(description(key))} |"


def metrics() -> Iterable[str]:
    """Write one row a metric."""
    yield from ("| name | type | meaning |", "|---|---|---|")
    for name, about in ABOUT.items():
        yield f"| `{METRICS}{name}` | {'counter' if name.endswith('_total') else 'gauge'} | {cell(about)} |"


WRITERS: dict[str, Callable[[], Iterable[str]]] = {
    "commands": command_reference.commands,
    "settings": settings,
    "metrics": metrics,
    "admin": admin_reference.paths,
    "admin-types": admin_reference.types,
    "live": admin_reference.frames,
}


def expand(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Put the parts of the reference into a page where it names them."""
    source[0] = MARK.sub(lambda mark: "\n".join(WRITERS[mark[1]]()), source[0])


def outdated(_app: Sphinx, env: BuildEnvironment, _added: set[str], _changed: set[str], _gone: set[str]) -> list[str]:
    """Name the pages of the reference: what they are made of is not a file that Sphinx watches."""
    return [name for name in env.found_docs if name.startswith("reference-")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx what to do and when."""
    app.connect("source-read", expand)
    app.connect("env-get-outdated", outdated)
    return {"version": "1", "parallel_read_safe": True}


if __name__ == "__main__":
    sys.stdout.write("\n".join(WRITERS[sys.argv[1]]()) + "\n")
