"""What is no mistake in the settings, but is better changed."""

from __future__ import annotations

import os
import shlex
import stat

from apps.common.config import NodeConfig

NOT_MINE = stat.S_IRWXG | stat.S_IRWXO


def warnings(config: NodeConfig) -> list[str]:
    """Say what an operator should change, and how: a line each."""
    return [line for line in (_secret_for_all(config),) if line]


def _secret_for_all(config: NodeConfig) -> str:
    """Who can read the secret can pose as any server of the network."""
    file = config.neighbour_secret_file
    if file is None or os.name != "posix":
        return ""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return ""  # whoever needs it says so
    if not mode & NOT_MINE:
        return ""
    return (
        f"warning: others on this machine have access to the neighbours' secret {file} (mode {mode:04o}); "
        f"run: chmod 600 {shlex.quote(str(file))}"
    )
