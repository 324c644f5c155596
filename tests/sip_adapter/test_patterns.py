"""What all patterns of the border keep to."""

from __future__ import annotations

import re
from pathlib import Path

import sip_adapter


def test_no_group_is_repeated_possessively() -> None:
    """Early releases of Python 3.11, Debian 12's among them, match such a group half and call it a match."""
    room = Path(sip_adapter.__file__).parent
    for path in sorted(room.rglob("*.py")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"""rb?["']""", line):
                assert not re.search(r"(?<!\\)\)[*+?]\+|(?<!\\)\}\+", line), f"{path.name}:{number}: {line.strip()}"
