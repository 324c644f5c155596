"""How Sphinx makes HTML of these pages: `make docs`."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed
from pathlib import Path

HERE = Path(__file__).parent
# The extension beside this file, and the program that it reads.
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "Angarium"
version = release = installed("angarium")
language = "en"
extensions = ["myst_parser", "angarium_reference"]
exclude_patterns = ["_ext"]
# Links to headings are written as a forge knows them.
myst_heading_anchors = 4
# Examples are shown as they are: most are lines of a shell.
highlight_language = "none"
# "--wait" is an option, not a dash.
smartquotes = False
html_theme = "furo"
html_title = f"Angarium {version}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
