"""One JSON line and a readable table for each measurement."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

Figure = float | int | str | bool | None


def commit() -> str:
    """Name the commit that is measured, `unknown` outside a clone."""
    try:
        got = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return got.stdout.strip()


def show(name: str, figures: Mapping[str, Figure]) -> None:
    """Print the figures as a table, then as one JSON line with the measurement's name and the commit."""
    print(f"\n{name}")
    for key, value in figures.items():
        print(f"  {key:<28} {_text(value)}")
    rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"id": name, **rounded, "commit": commit()}), flush=True)


def _text(value: Figure) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:>14,}"
    if isinstance(value, float):
        return f"{value:>14,.0f}" if abs(value) >= 1000 else f"{value:>14,.3g}"
    return str(value)
