"""Actors' values as the admin interface shows them: times as Unix seconds, no secrets."""

from __future__ import annotations

import base64
import os
import time

from msgspec import UNSET
from msgspec.structs import replace

from actors.messages.client_manager import UserInfo
from actors.messages.monitor import JourneyStep, RaiseAlarm, ReportEvent
from actors.messages.server_manager import NeighbourInfo
from actors.messages.storage import MessageStateRead, StoreStatsRead
from actors.model import Binding, Device, End, MessageId, Step, StoredMessage
from apps.node.admin_answers import (
    Alarm,
    BindingView,
    DeviceView,
    Event,
    MessageView,
    NeighbourView,
    StepView,
    UserView,
    Waiting,
)

WAITING = "waiting"
UNKNOWN = "unknown"
PASSED = (Step.FORWARDED, Step.RELAYED)
"""After these another node, or a phone, knows more of a message."""


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


def store_gauges(stats: StoreStatsRead) -> dict[str, float]:
    """Give the store's figures as gauges."""
    return {
        "users": float(stats.users),
        "store_messages": float(stats.messages),
        "store_bytes": float(stats.bytes),
        "store_damaged_messages": float(stats.damaged),
        "store_oldest_age_seconds": stats.oldest_age,
    }


def user(info: UserInfo, node_time: float) -> UserView:
    """Show a user with his devices; `home` is set where only a pointer to another server is left of him."""
    return UserView(
        name=clean(info.name),
        has_password=info.has_password,
        online=info.online,
        in_flight=info.in_flight,
        home=info.home or None,
        devices=tuple(device(item, node_time) for item in info.devices),
    )


def device(item: Device, node_time: float) -> DeviceView:
    """Show a device and the contacts it can be reached at."""
    return DeviceView(
        key=clean(item.key),
        seen_seconds_ago=round(max(0.0, node_time - item.seen), 3),
        bindings=tuple(binding(each, node_time) for each in item.bindings),
    )


def binding(item: Binding, node_time: float) -> BindingView:
    """Show a contact and the way to it."""
    return BindingView(
        contact=clean(item.contact.decode("utf-8", "surrogateescape")),
        transport=item.flow.transport,
        host=item.flow.host,
        port=item.flow.port,
        expires_in_seconds=round(item.expires - node_time, 3),
    )


def waiting(item: StoredMessage, node_time: float, bodies: bool) -> Waiting:
    """Show a message that waits; its body (base64) only if asked for."""
    envelope = item.envelope
    left = item.expires - node_time
    return Waiting(
        id=envelope.id,
        seq=item.seq,
        sender=clean(envelope.sender),
        accepted=envelope.accepted,
        expires=round(time.time() + left, 3),
        expires_in_seconds=round(left, 3),
        size=len(envelope.body),
        content_type=content_type(item),
        anyone=item.anyone,
        notice=envelope.notice,
        body_base64=base64.b64encode(envelope.body).decode("ascii") if bodies else UNSET,
    )


def content_type(item: StoredMessage) -> str:
    """Return the media type of a message as it was sent, or nothing."""
    for name, value in item.envelope.headers:
        if name.lower() == b"content-type":
            return clean(value.decode("utf-8", "surrogateescape"))
    return ""


def alarm(item: RaiseAlarm) -> Alarm:
    """Show a lasting trouble."""
    return Alarm(name=item.name, text=clean(item.text), advice=clean(item.advice))


def event(item: ReportEvent) -> Event:
    """Show an event."""
    return Event(
        at=item.at,
        level=item.level.value,
        kind=item.kind,
        text=clean(item.text),
        user=clean(item.user),
        message_id=clean(item.message_id),
    )


def neighbour(item: NeighbourInfo) -> NeighbourView:
    """Show a neighbour."""
    return NeighbourView(
        name=item.node,
        address=item.address,
        origin=item.origin,
        up=item.up,
        hears_us=item.hears_us,
        since_seconds_ago=round(max(0.0, time.time() - item.since), 3),
        reason=clean(item.reason),
        waiting=item.waiting,
        in_flight=item.in_flight,
        in_doubt=item.in_doubt,
        oldest_age_seconds=item.oldest,
        sent=item.sent,
        received=item.received,
    )


def message(wanted: MessageId, state: MessageStateRead, steps: tuple[JourneyStep, ...]) -> MessageView:
    """Show where a message is and how it got there.

    `waiting`: no device has acknowledged it. `delivered`: one has; then `queue` is set while it is kept
    for more of the recipient's devices. Else the end that it found; `forwarded` or `relayed` where it was here only on
    its way, `reason` saying to whom; or `unknown`.
    """
    view = _ended(_stored(MessageView(id=clean(wanted), state=UNKNOWN), state), state)
    if view.state == UNKNOWN and (passed := [item for item in steps if item.step in PASSED]):
        view = replace(view, state=passed[-1].step.value, reason=f"to {clean(passed[-1].detail)}")
    return view if view.state == UNKNOWN and not steps else replace(view, journey=journey(view, steps))


def _stored(view: MessageView, state: MessageStateRead) -> MessageView:
    if state.stored is None:
        return view
    envelope = state.stored.envelope
    return replace(
        view,
        state=WAITING if state.stored.anyone else End.DELIVERED.value,
        queue=clean(state.queue or ""),
        sender=clean(envelope.sender),
        recipient=clean(envelope.recipient),
        accepted=envelope.accepted,
        size=len(envelope.body),
    )


def _ended(view: MessageView, state: MessageStateRead) -> MessageView:
    ended = state.ended
    if ended is None:
        return view
    return replace(
        view,
        state=ended.end.value,
        reason=clean(ended.reason),
        sender=clean(ended.sender),
        recipient=clean(ended.recipient),
        accepted=ended.accepted,
        ended=ended.ended,
    )


def journey(view: MessageView, steps: tuple[JourneyStep, ...]) -> tuple[StepView, ...]:
    """Join the remembered steps with what the store knows for sure, by time."""
    told = [StepView(item.at, item.step.value, clean(item.detail)) for item in steps]
    kinds = {item.step for item in steps}
    if Step.ACCEPTED not in kinds and view.accepted is not UNSET:
        told.insert(0, StepView(view.accepted, Step.ACCEPTED.value, ""))
    if Step.ENDED not in kinds and view.ended is not UNSET:
        detail = ": ".join(part for part in (view.state, view.reason) if part)
        told.append(StepView(view.ended, Step.ENDED.value, detail))
    return tuple(sorted(told, key=lambda item: item.at))
