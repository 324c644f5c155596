"""What an answer comes to: who still waits for a message, what is written of it, when to try again. All pure."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import msgspec

from actors.messages.storage import Acknowledgement
from actors.model import Binding, Device, DeviceKey, End, Seq, StoredMessage
from actors.state.client_registry import GUEST, UserRecord
from actors.state.delivery_window import Window
from actors.state.registrar import UNSAVED

BACKOFF_BASE = 2.0
BACKOFF_CAP = 300.0
PATH_CAP = 16.0
"""Seconds; a cut link gives no sign of life to the phones behind it when it is whole again."""


def best_binding(device: Device, now: float) -> Binding | None:
    """Choose where to send: among live bindings the highest q, then the longest life; `now` in node time."""
    best: Binding | None = None
    for binding in device.bindings:
        live = binding.expires > now
        if live and (best is None or (binding.q, binding.expires) >= (best.q, best.expires)):
            best = binding
    return best


def same_place(one: Binding, other: Binding) -> bool:
    """Tell whether two bindings lead to the same contact the same way."""
    return one.contact == other.contact and one.flow == other.flow and one.path[-1:] == other.path[-1:]


def others_wait(
    windows: Mapping[DeviceKey, Window], record: UserRecord, me: Window, message: StoredMessage, *, anyone: bool
) -> bool:
    """Tell whether another device has a copy still to come; with `anyone`, whether another could take it."""
    for device in record.devices.values():
        if device.key == me.device or device.key.startswith(GUEST) or device.since == UNSAVED:
            continue
        window = windows.get(device.key)
        if window is not None and window.acking and window.in_flight and window.in_flight.seq == message.seq:
            continue
        if message.seq in device.aside:
            return True
        cursor = window.cursor if window is not None else device.cursor
        if cursor < message.seq and (anyone or device.since < message.seq):
            return True
    return False


def guests_wait(
    windows: Mapping[DeviceKey, Window], record: UserRecord, me: Window, message: StoredMessage, now: float
) -> bool:
    """Tell whether a guest who is there now could still take a message that is open to anyone."""
    for device in record.devices.values():
        if device.key == me.device or not device.key.startswith(GUEST) or best_binding(device, now) is None:
            continue
        window = windows.get(device.key)
        if window is not None and window.acking and window.in_flight and window.in_flight.seq == message.seq:
            continue
        if (window.cursor if window is not None else device.cursor) < message.seq:
            return True
    return False


def acknowledged(window: Window, message: StoredMessage, *, stays: bool, first: bool) -> Acknowledgement:
    """A device answered 2xx; `first` of all: that is the message's end."""
    envelope = message.envelope
    return Acknowledgement(  # by position: this is the hot path, and names cost as much as the rest
        message.seq,
        window.user,
        window.device,
        envelope.id,
        not stays,
        True,
        End.DELIVERED if first else None,
        "",
        None,
        envelope.sender,
        envelope.accepted,
    )


def refused(window: Window, message: StoredMessage, *, stays: bool, reason: str) -> Acknowledgement:
    """A device will never take it; with a `reason` that is the message's end."""
    return Acknowledgement(
        seq=message.seq,
        user=window.user,
        device=window.device,
        id=message.envelope.id,
        remove=not stays,
        end=End.REFUSED if reason else None,
        reason=reason,
        sender=message.envelope.sender,
        accepted=message.envelope.accepted,
    )


def next_attempt(device: Device, seq: Seq) -> Device:
    """Count an attempt whose transaction has ended."""
    attempt = device.attempt + 1 if device.attempt_seq == seq else 1
    return msgspec.structs.replace(device, attempt=attempt, attempt_seq=seq)


def back_off(failures: int, random: Random, cap: float = BACKOFF_CAP) -> float:
    """Seconds until the next try: exponential, full jitter."""
    return 0.5 + random.random() * min(cap, BACKOFF_BASE * 2.0 ** min(failures, 10))
