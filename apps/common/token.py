"""The token of the admin interface: who shows it may ask a node over the network, and change it."""

from __future__ import annotations

import stat
from pathlib import Path

from apps.common.exits import Exit, Failure

MIN_TOKEN = 16
"""Characters."""
ADVICE = "make one with: (umask 077; openssl rand -hex 32 > FILE)"


def read_token(file: Path) -> str:
    """Read the token in a file, without the white space around it; a Failure (78) if there is none."""
    try:
        token = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise Failure(f"cannot read the admin token {file}", why=why, do=ADVICE, code=Exit.CONFIG) from error
    if len(token) < MIN_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise Failure(
            f"the admin token in {file} is none",
            why=f"it has at least {MIN_TOKEN} letters, digits or signs, and no spaces",
            do=ADVICE,
            code=Exit.CONFIG,
        )
    return token


def open_to_others(file: Path) -> str:
    """Say that other users of this machine may read or change the file; empty if they may not."""
    mode = stat.S_IMODE(file.stat().st_mode)
    return f"others may use {file} (mode {mode:04o}); chmod 600 {file}" if mode & 0o077 else ""
