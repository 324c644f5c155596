"""Actors' values as the admin interface shows them: plain dictionaries, times as Unix seconds, no secrets."""

from __future__ import annotations

import base64
import os
import time
from typing import Any

from actors.messages.client_manager import UserInfo
from actors.messages.monitor import JourneyStep, RaiseAlarm, ReportEvent
from actors.messages.storage import MessageStateRead, StoreStatsRead
from actors.model import Binding, Device, End, MessageId, Step, StoredMessage

WAITING = "waiting"
UNKNOWN = "unknown"
PASSED = (Step.FORWARDED, Step.RELAYED)
"""After these another node, or a phone, knows more of a message."""
View = dict[str, Any]


def clean(text: str) -> str:
    """Return text that JSON can carry: what was no UTF-8 on the wire becomes U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def rss_bytes() -> int:
    """Return the memory that this process holds, or 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def store(stats: StoreStatsRead) -> View:
    """Show how full the store is."""
    return {
        "users": stats.users,
        "messages": stats.messages,
        "oldest_age_seconds": stats.oldest_age,
        "store_bytes": stats.bytes,
        "damaged": stats.damaged,
        "commits": stats.commits,
    }


def store_gauges(stats: StoreStatsRead) -> dict[str, float]:
    """Give the store's figures as gauges."""
    return {
        "users": float(stats.users),
        "store_messages": float(stats.messages),
        "store_bytes": float(stats.bytes),
        "store_damaged_messages": float(stats.damaged),
        "store_oldest_age_seconds": stats.oldest_age,
    }


def user(info: UserInfo, node_time: float) -> View:
    """Show a user with his devices; `home` is set where only a pointer to another server is left of him."""
    return {
        "name": clean(info.name),
        "has_password": info.has_password,
        "online": info.online,
        "in_flight": info.in_flight,
        "home": info.home or None,
        "devices": [device(item, node_time) for item in info.devices],
    }


def device(item: Device, node_time: float) -> View:
    """Show a device and the contacts it can be reached at."""
    return {
        "key": clean(item.key),
        "seen_seconds_ago": round(max(0.0, node_time - item.seen), 3),
        "bindings": [binding(each, node_time) for each in item.bindings],
    }


def binding(item: Binding, node_time: float) -> View:
    """Show a contact and the way to it."""
    return {
        "contact": clean(item.contact.decode("utf-8", "surrogateescape")),
        "transport": item.flow.transport,
        "host": item.flow.host,
        "port": item.flow.port,
        "expires_in_seconds": round(item.expires - node_time, 3),
    }


def waiting(item: StoredMessage, node_time: float, bodies: bool) -> View:
    """Show a message that waits; its body (base64) only if asked for."""
    envelope = item.envelope
    left = item.expires - node_time
    view: View = {
        "id": envelope.id,
        "seq": item.seq,
        "from": clean(envelope.sender),
        "accepted": envelope.accepted,
        "expires": round(time.time() + left, 3),
        "expires_in_seconds": round(left, 3),
        "size": len(envelope.body),
        "content_type": content_type(item),
        "anyone": item.anyone,
        "notice": envelope.notice,
    }
    if bodies:
        view["body_base64"] = base64.b64encode(envelope.body).decode("ascii")
    return view


def content_type(item: StoredMessage) -> str:
    """Return the media type of a message as it was sent, or nothing."""
    for name, value in item.envelope.headers:
        if name.lower() == b"content-type":
            return clean(value.decode("utf-8", "surrogateescape"))
    return ""


def alarm(item: RaiseAlarm) -> View:
    """Show a lasting trouble."""
    return {"name": item.name, "text": clean(item.text), "advice": clean(item.advice)}


def event(item: ReportEvent) -> View:
    """Show an event."""
    return {
        "at": item.at,
        "level": item.level.value,
        "kind": item.kind,
        "text": clean(item.text),
        "user": clean(item.user),
        "message_id": item.message_id,
    }


def message(wanted: MessageId, state: MessageStateRead, steps: tuple[JourneyStep, ...]) -> View:
    """Show where a message is and how it got there.

    `waiting`: no device has acknowledged it. `delivered`: one has; then `queue` is set while it is kept
    for more of the recipient's devices. Else the end that it found; `forwarded` or `relayed` where it was here only on
    its way, `reason` saying to whom; or `unknown`.
    """
    view: View = {"id": clean(wanted), "state": UNKNOWN, "queue": None, "reason": ""}
    if state.stored is not None:
        envelope = state.stored.envelope
        view |= {
            "state": WAITING if state.stored.anyone else End.DELIVERED.value,
            "queue": clean(state.queue or ""),
            "from": clean(envelope.sender),
            "to": clean(envelope.recipient),
            "accepted": envelope.accepted,
            "size": len(envelope.body),
        }
    if state.ended is not None:
        ended = state.ended
        view |= {
            "state": ended.end.value,
            "reason": clean(ended.reason),
            "from": clean(ended.sender),
            "to": clean(ended.recipient),
            "accepted": ended.accepted,
            "ended": ended.ended,
        }
    if view["state"] == UNKNOWN and (passed := [item for item in steps if item.step in PASSED]):
        view |= {"state": passed[-1].step.value, "reason": f"to {clean(passed[-1].detail)}"}
    view["journey"] = [] if view["state"] == UNKNOWN and not steps else journey(view, steps)
    return view


def journey(view: View, steps: tuple[JourneyStep, ...]) -> list[View]:
    """Join the remembered steps with what the store knows for sure, by time."""
    told = [{"at": item.at, "step": item.step.value, "detail": clean(item.detail)} for item in steps]
    kinds = {item.step for item in steps}
    if Step.ACCEPTED not in kinds and "accepted" in view:
        told.insert(0, {"at": view["accepted"], "step": Step.ACCEPTED.value, "detail": ""})
    if Step.ENDED not in kinds and "ended" in view:
        detail = ": ".join(part for part in (view["state"], view["reason"]) if part)
        told.append({"at": view["ended"], "step": Step.ENDED.value, "detail": detail})
    return sorted(told, key=lambda item: float(item["at"]))
