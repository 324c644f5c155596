"""Delivery to devices: one message in flight a device, in order, until it acknowledges (PROTOCOL 8 to 13)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from actors.messages.client_manager import DeliveryResult
from actors.messages.monitor import Level
from actors.model import Device, DeviceKey, End, Flow, Seq, Step, StoredMessage, UserName
from actors.state.answers import Meaning, meaning
from actors.state.client_registry import UserRecord
from actors.state.delivery_outcome import (
    BACKOFF_CAP,
    PATH_CAP,
    acknowledged,
    back_off,
    best_binding,
    guests_wait,
    next_attempt,
    others_wait,
    refused,
    same_place,
)
from actors.state.delivery_sending import Sending
from actors.state.delivery_table import BUFFER
from actors.state.delivery_window import Window
from actors.state.outbox import Ending
from actors.state.registrar import UNSAVED, without_contact

TRIES = 5
"""Unanswered tries of one message, each with a sign of life before it, until it steps aside (PROTOCOL 12)."""
UNPROVED_PAUSE = 30.0
"""Seconds between sends that an unauthenticated sign of life may cause (PROTOCOL 13)."""


class Deliveries(Sending):
    """All deliveries of this node: what mail, signs of life and answers lead to. Knows no thread and no disk."""

    # What has mail.

    def offer(self, record: UserRecord, message: StoredMessage, now: float) -> None:
        """A message was stored for this user: give it to each of his devices, or let it wait."""
        if record.account.name in self._paused:
            return  # it is on the disk, which is about to be read
        for device in record.devices.values():
            window = self.window(record, device)
            # A device whose registration is on its way to the disk must not skip what waits there already.
            direct = device.bindings and device.since != UNSAVED and len(window.buffer) < BUFFER
            if window.behind or window.reading or not direct:
                window.behind = True
            else:
                window.buffer.append(message)
            self._pump(record, device, window, now)

    def resume(self, record: UserRecord, device: Device, now: float) -> None:
        """Look on the disk for what waits for this device (a new device, a restart, a repair)."""
        if record.account.name in self._paused:
            return
        self.window(record, device).behind = True
        self._pump(record, device, self.window(record, device), now)

    def read(
        self, user: UserName, device: DeviceKey, messages: Iterable[StoredMessage], more: bool, now: float
    ) -> None:
        """Messages read from the mailbox for one device."""
        window = self._windows.get(user, {}).get(device)
        if window is None:
            return
        window.reading = False
        window.behind = window.behind or more
        window.buffer.extend(messages)
        self._pump_window(window, now)
        self._close_idle(window)

    def _close_idle(self, window: Window) -> None:
        """Nothing is known to come for this device: its place in the mailbox is all that is kept."""
        busy = window.in_flight or window.buffer or window.behind or window.reading or window.probe or window.aside_due
        if busy or (window.user, window.device) in self.retries:
            return
        record = self._registry.get(window.user)
        device = record.devices.get(window.device) if record else None
        if device is None or device.since == UNSAVED:
            return
        if device.cursor != window.cursor:
            self._registry.put_device(window.user, msgspec.structs.replace(device, cursor=window.cursor))
        self.drop(window.user, window.device)

    def read_aside(
        self, user: UserName, key: DeviceKey, asked: Iterable[Seq], messages: Sequence[StoredMessage], now: float
    ) -> None:
        """What stepped aside for a device, as far as it still exists."""
        found = {message.seq for message in messages}
        for seq in asked:
            if seq not in found:
                self._not_aside(user, key, seq)
        self.read(user, key, messages, False, now)

    def read_failed(self, user: UserName, device: DeviceKey, now: float) -> None:
        """Reading failed in the store: try again later."""
        window = self._windows.get(user, {}).get(device)
        if window is not None:
            window.reading = False
            window.behind = True
            self._back_off(window, now)

    # Signs of life.

    def alive(self, record: UserRecord, device: Device, now: float) -> None:
        """The device registered: whatever held its mail back is over, and what stepped aside is tried again."""
        if record.account.name in self._paused:
            return
        window = self._windows.get(record.account.name, {}).get(device.key)
        if window is None:
            if not device.aside:
                return  # nothing waits for it: it needs no window, and 100,000 of them take their room
            window = self.window(record, device)
        window.alive = True
        window.failures = 0
        window.aside_due = bool(device.aside)
        self.retries.drop((window.user, window.device))
        self._follow(device, window, now)
        self._pump(record, device, window, now)

    def _follow(self, device: Device, window: Window, now: float) -> None:
        """A device that registered from elsewhere gets what is under way there: the same bytes, no new attempt."""
        message, binding = window.in_flight, best_binding(device, now + self._offset)
        if message is None or window.acking or binding is None or window.binding is None:
            return
        if any(same_place(window.binding, live) for live in device.bindings):
            return
        self._deliveries.pop(window.delivery, None)
        self._left[window.delivery] = window.user
        window.in_flight = None
        window.buffer.insert(0, message)

    def seen(self, flow: Flow, now: float) -> None:
        """An unauthenticated sign of life on a flow: one send, and not often (PROTOCOL 13)."""
        self.proof.seen(flow, now)
        for user, key in self._registry.on_flow(flow):
            window = self._windows.get(user, {}).get(key)
            if window is None:
                continue
            window.alive = True
            if (user, key) in self.retries and now - window.poked >= UNPROVED_PAUSE:
                window.poked = now
                self.retries.drop((user, key))
                self._pump_window(window, now)

    def retry(self, now: float) -> None:
        """Take up again what waited for its back-off."""
        for user, key in list(self.retries.due(now)):
            window = self._windows.get(user, {}).get(key)
            if window is not None:
                self._pump_window(window, now)

    # Answers.

    def ended(self, result: DeliveryResult, now: float) -> None:
        """A request to a device ended: acknowledge, refuse, or wait."""
        self._left.pop(result.delivery, None)
        window = self._deliveries.get(result.delivery)
        if window is not None:
            self._ended(window, result, now)
            # Not before: after an exception `user_of` must still tell whose it was.
            self._deliveries.pop(result.delivery, None)

    def _ended(self, window: Window, result: DeliveryResult, now: float) -> None:
        record = self._registry.get(window.user)
        device = record.devices.get(window.device) if record else None
        if record is None or device is None:
            return
        if window.probe == result.delivery:
            self._probed(record, device, window, result, now)
            return
        message = window.in_flight
        if message is None or window.delivery != result.delivery or window.acking:
            return
        match meaning(result.status, result.retry_after):
            case Meaning.ACKNOWLEDGED:
                self._acknowledge(record, window, message)
            case Meaning.REFUSED:
                self._refuse(record, window, message, result.status, now)
            case Meaning.WRONG_BINDING:
                self._drop_binding(record, device, window, message, result.status, now)
            case Meaning.LATER:
                self._later(record, device, window, message, result, now)

    def committed(self, user: UserName, device: DeviceKey, seq: Seq, now: float, *, removed: bool) -> None:
        """What this device answered is on disk: the next message may go."""
        if removed:
            self.end_committed(seq)
        window = self._windows.get(user, {}).get(device)
        if window is None or not window.acking or window.in_flight is None or window.in_flight.seq != seq:
            return
        window.acking = False
        window.in_flight = None
        window.failures = window.tries = 0
        window.cursor = max(window.cursor, seq)
        self._not_aside(user, device, seq)
        self._pump_window(window, now)

    # What answers mean.

    def _probed(self, record: UserRecord, device: Device, window: Window, result: DeliveryResult, now: float) -> None:
        window.probe = 0
        if result.answered and window.binding is not None:
            self.proof.proved(window.binding.flow, now)
            self._pump(record, device, window, now)
        else:
            self._back_off(window, now)

    def _acknowledge(self, record: UserRecord, window: Window, message: StoredMessage) -> None:
        stays = others_wait(self._windows.get(window.user, {}), record, window, message, anyone=False)
        first = self.is_open(message)
        window.acking = True
        self._closed.add(message.seq)
        self._outbox.acks.append(acknowledged(window, message, stays=stays, first=first))

    def _refuse(self, record: UserRecord, window: Window, message: StoredMessage, status: int, now: float) -> None:
        """This device will never take it; the message ends only if nobody else may."""
        is_open = self.is_open(message)
        windows = self._windows.get(window.user, {})
        stays = others_wait(windows, record, window, message, anyone=is_open) or (
            is_open and guests_wait(windows, record, window, message, now + self._offset)
        )
        ends = is_open and not stays
        reason = f"the recipient's device refused it with {status}"
        window.acking = True
        self._outbox.step(Step.ANSWERED, message.envelope.id, f"{window.device} refused with {status}")
        done = refused(window, message, stays=stays, reason=reason if ends else "")
        if ends:
            self._outbox.endings.append(Ending(message.envelope, End.REFUSED, reason, done))
        else:
            self._outbox.acks.append(done)

    def _drop_binding(
        self,
        record: UserRecord,
        device: Device,
        window: Window,
        message: StoredMessage,
        status: int,
        now: float,
    ) -> None:
        """The contact leads nowhere (a phone restarted on its port answers 404): keep the message, try another."""
        binding = window.binding
        window.in_flight = None
        window.buffer.insert(0, message)
        if binding is not None and binding in device.bindings:  # else it has registered since
            device = without_contact(device, binding.contact)
            self._registry.put_device(window.user, device)
            self._outbox.bindings.append((window.user, device.key))
            text = f"{binding.contact.decode('utf-8', 'backslashreplace')} answered {status}"
            self._outbox.event(Level.INFO, "binding-dropped", text, window.user)
        self._outbox.step(Step.WAITING, message.envelope.id, f"{window.device} answered {status}: not there any more")
        self._pump(record, device, window, now)

    def _later(
        self, record: UserRecord, device: Device, window: Window, message: StoredMessage, result: DeliveryResult,
        now: float,
    ) -> None:  # fmt: skip
        """No answer, or not now: the message waits. Only an ended transaction makes a new attempt (PROTOCOL 10)."""
        window.in_flight = None
        window.buffer.insert(0, message)
        far = window.binding is not None and bool(window.binding.path)
        timed_out = result.status == 408 and (far or not result.answered)  # the edge tells of its Timer F so
        if far and result.answered and not timed_out:
            window.alive = True  # the only sign of life that comes over other servers, beside REGISTER
        why = "did not answer" if not result.answered else f"answered {result.status}"
        self._outbox.step(Step.WAITING, message.envelope.id, f"{window.device} {why}")
        if timed_out or result.answered:
            device = next_attempt(device, message.seq)
            if message.seq in device.aside:
                # One more try did not help: it stays aside until the device registers again.
                window.buffer = [other for other in window.buffer if other.seq != message.seq]
            elif timed_out and window.alive:
                window.tries += 1
                window.alive = False
                if window.tries >= TRIES:
                    device = self._step_aside(device, window, message)
            self._registry.put_device(window.user, device)
            self._outbox.progress.append((window.user, device.key))
        wait = min(result.retry_after, int(BACKOFF_CAP)) if far else result.retry_after  # anybody may write it there
        self._back_off(window, now, wait, cap=PATH_CAP if far and not timed_out else BACKOFF_CAP)

    def _step_aside(self, device: Device, window: Window, message: StoredMessage) -> Device:
        """A message that a living device never answers must not block what comes after it (PROTOCOL 12)."""
        window.tries = 0
        window.failures = 0
        window.cursor = max(window.cursor, message.seq)
        window.buffer = [other for other in window.buffer if other.seq != message.seq]
        self._outbox.step(Step.STEPPED_ASIDE, message.envelope.id, f"{window.device} never answered it")
        self._outbox.event(
            Level.WARNING,
            "stepped-aside",
            f"{window.device} never answered a message",
            window.user,
            message.envelope.id,
        )
        return msgspec.structs.replace(device, aside=(*device.aside, message.seq), cursor=window.cursor)

    def _back_off(self, window: Window, now: float, retry_after: int = 0, cap: float = BACKOFF_CAP) -> None:
        """Exponential, full jitter, never under Retry-After."""
        window.failures += 1
        delay = max(retry_after, back_off(window.failures, self._random, cap))
        self.retries.set((window.user, window.device), now + delay)
