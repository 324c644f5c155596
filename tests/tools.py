"""Foreign programs that tests drive: asked for by name, skipped or failed where they are missing."""

from __future__ import annotations

import os
import shutil

import pytest

PACKAGES = {"sipp": "sip-tester", "sipsak": "sipsak", "baresip": "baresip-core", "systemd-analyze": "systemd"}
"""Debian's package of each program."""


def require_tool(name: str) -> str:
    """Return the program's path; without it skip the test, or fail it if ANGARIUM_REQUIRE_TOOLS is set."""
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed (Debian: apt install {PACKAGES.get(name, name)})"
        if os.environ.get("ANGARIUM_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path
