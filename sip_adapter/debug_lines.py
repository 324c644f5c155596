"""What a debug line says of a packet: enough to follow it, and nothing that may be secret or private.

Of a head it shows the start line and a few fields by name; credentials, proofs and bodies stay out.
"""

from __future__ import annotations

import re

from actors.model import Flow
from sip_adapter.framer import Event, KeepAlive
from sip_adapter.message import Request

MAX_HEAD = 4_096
"""Bytes of a packet looked at."""
MAX_SHOWN = 120
"""Characters of one value shown."""
_FIELD = re.compile(rb"^(call-id|i|cseq|angarium-id)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_NAMES = {b"i": "call-id"}
_PASSWORD = re.compile(r"(sips?:[^:@;?\s]*):[^@\s]*@", re.IGNORECASE)


def where(flow: Flow) -> str:
    """Name the other end of a flow."""
    return f"{flow.transport} {flow.host}:{flow.port}"


def of_packet(data: bytes) -> tuple[str, str]:
    """Return (text, message id or empty) for the bytes of one SIP message, or of anything else."""
    head = data[:MAX_HEAD].partition(b"\r\n\r\n")[0]
    start, _, fields = head.partition(b"\r\n")
    if not start.strip(b"\0 "):
        return f"keep-alive, {len(data)} bytes", ""
    found = {_NAMES.get(name.lower(), name.lower().decode()): text(value) for name, value in _FIELD.findall(fields)}
    parts = [text(start), *(f"{name}={found[name]}" for name in ("call-id", "cseq") if name in found)]
    return f"{' '.join(parts)}, {len(data)} bytes", found.get("angarium-id", "")


def of_event(event: Event) -> tuple[str, str]:
    """Return (text, message id or empty) for what a stream's framer made of its bytes."""
    if isinstance(event, KeepAlive):
        return "keep-alive", ""
    if isinstance(event, Exception):
        return f"unusable: {event}", ""
    if isinstance(event, Request):
        parts = [event.method, text(event.uri)]
    else:
        parts = [str(event.status), text(event.reason.encode("utf-8", "surrogateescape"))]
    for name in (b"call-id", b"cseq"):
        if (value := event.get(name)) is not None:
            parts.append(f"{name.decode()}={text(value)}")
    return f"{' '.join(parts)}, body of {len(event.body)} bytes", text(event.get(b"angarium-id") or b"")


def text(value: bytes) -> str:
    """Return a value as text, cut if it is long, without the password that a URI may hold (RFC 3261 19.1.1)."""
    return _PASSWORD.sub(r"\1:[hidden]@", value.decode("utf-8", "backslashreplace"))[:MAX_SHOWN]
