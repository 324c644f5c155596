"""How client commands print what came from the network: JSON lines and text without control characters."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from apps.client.session import Incoming
from apps.common.output import data, printable


def json_line(value: object) -> str:
    r"""Return one line of JSON; what a terminal might obey is written as `\uXXXX`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def print_json(value: object) -> None:
    """Print one line of JSON on stdout."""
    data(json_line(value))


def message_fields(message: Incoming, at: float) -> dict[str, Any]:
    """Return what `listen --json` tells; a body that is not UTF-8 is base64, and `encoding` says so."""
    fields: dict[str, Any] = {
        "id": message.id,
        "from": message.sender,
        "to": message.recipient,
        "at": iso(at),
        "content_type": message.content_type,
    }
    try:
        fields["body"] = message.body.decode("utf-8")
    except UnicodeDecodeError:
        fields["body"] = base64.b64encode(message.body).decode("ascii")
        fields["encoding"] = "base64"
    return fields


def message_text(message: Incoming, at: float) -> str:
    """Return a message as one line for people: time, sender, text."""
    return f"{clock(at)} {printable(message.sender)}: {body_text(message.content_type, message.body)}"


def body_text(content_type: str, body: bytes) -> str:
    """Return a body as one line if it is text, else its type and size."""
    if content_type.partition(";")[0].strip().lower().startswith("text/"):
        try:
            return printable(body.decode("utf-8"))
        except UnicodeDecodeError:
            pass
    return f"({printable(content_type)}, {len(body)} bytes)"


def encoded_text(content_type: str, body: str) -> str:
    """Return as `body_text` does a body that came as base64."""
    return body_text(content_type, base64.b64decode(body))


def iso(at: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at * 1000) % 1000:03d}Z"


def clock(at: float) -> str:
    """Return Unix seconds as a local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"


def age(seconds: float) -> str:
    """Return seconds in the unit that people would use: `4s`, `12m`, `5h`, `3d`."""
    seconds = max(0.0, seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def size(count: float) -> str:
    """Return bytes in the unit that people would use."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
