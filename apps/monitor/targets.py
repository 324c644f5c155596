"""Where the nodes are that a console looks at: `http://HOST:PORT`, or `unix:DIR` with a node's data folder."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from apps.client.admin_client import SOCKET_NAME


class Target(Struct, frozen=True):
    """One node's admin interface."""

    base: str
    """The URL in front of `/v1`."""
    socket: Path | None = None
    """The Unix socket that leads there."""
    label: str = ""
    do: str = ""
    """What to do when nobody answers."""


def target(text: str) -> Target:
    """Read one; `ValueError` says what is wrong."""
    if text.startswith("unix:"):
        folder = Path(text.removeprefix("unix:"))
        if not folder.name:
            raise ValueError(f"{text!r} names no data folder; write unix:DIR")
        return Target(
            "http://localhost", folder / SOCKET_NAME, f"unix:{folder}", f"start it: angarium node --data {folder}"
        )
    url = urlsplit(text if "://" in text else f"http://{text}")
    wrong = ValueError(f"{text!r} is no address of a node; write http://127.0.0.1:8060 or unix:DIR")
    try:
        host, port = url.hostname, url.port or 80
    except ValueError:
        raise wrong from None
    if url.scheme != "http" or not host or url.path not in ("", "/") or url.query or url.username:
        raise wrong
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Target(f"http://{shown}", None, shown, f"start it again with --admin {shown}")
