"""Sending to devices: the next message, as soon as a device is free, reachable, and not backing off."""

from __future__ import annotations

import msgspec

from actors.model import Binding, Device, Envelope, Seq, StoredMessage
from actors.state.client_registry import UserRecord
from actors.state.delivery_outcome import best_binding
from actors.state.delivery_table import WindowTable
from actors.state.delivery_window import Window
from actors.state.ids import delivery_token
from actors.state.outbound import message_request, options_request
from actors.state.outbox import Read
from actors.state.registrar import UNSAVED


class Sending(WindowTable):
    """Fills the outbox with requests to devices, and with reads of what waits for them on the disk."""

    def relay(self, record: UserRecord, envelope: Envelope, now: float) -> int:
        """Send something that is never stored (is-composing) to all live bindings; answers do not matter."""
        sent = 0
        for device in record.devices.values():
            binding = best_binding(device, now + self._offset)
            if binding is None or self.proof.wanting(binding.flow, now):
                continue
            number = next(self._numbers)
            token = f"{self._random.getrandbits(128):032x}"
            request = message_request(number, record.account.name, binding, envelope, token, 0)
            self._outbox.sends.append(msgspec.structs.replace(request, message_id=None))
            sent += 1
        return sent

    def _pump_window(self, window: Window, now: float) -> None:
        record = self._registry.get(window.user)
        device = record.devices.get(window.device) if record else None
        if record is not None and device is not None:
            self._pump(record, device, window, now)

    def _pump(self, record: UserRecord, device: Device, window: Window, now: float) -> None:
        """Send the next message if the device is free, reachable and not backing off."""
        if window.in_flight is not None or window.probe or (window.user, window.device) in self.retries:
            return
        if window.user in self._draining:
            return
        binding = best_binding(device, now + self._offset)
        if binding is None:
            if window.buffer:
                window.buffer.clear()
                window.behind = True
            return
        while window.buffer:
            message = window.buffer[0]
            if not self._is_for(device, window, message):
                del window.buffer[0]
                # Done with it, or the next read would bring it again.
                window.cursor = max(window.cursor, message.seq)
            elif self.proof.wanting(binding.flow, now):
                self._probe(window, binding)
                return
            else:
                del window.buffer[0]
                self._send(window, device, binding, message, now)
                return
        if window.reading or device.since == UNSAVED:
            return
        if window.aside_due and device.aside:
            window.aside_due = False
            window.reading = True
            self._outbox.reads.append(Read(window.user, window.device, Seq(0), device.aside))
        elif window.behind:
            window.behind = False
            window.reading = True
            self._outbox.reads.append(Read(window.user, window.device, window.cursor))

    def _is_for(self, device: Device, window: Window, message: StoredMessage) -> bool:
        """Tell whether this device has a copy, or may take the one that is open to anyone."""
        if message.seq in self._ending:
            return False
        if message.seq <= window.cursor and message.seq not in device.aside:
            return False
        return message.seq > device.since or self.is_open(message)

    def _send(self, window: Window, device: Device, binding: Binding, message: StoredMessage, now: float) -> None:
        envelope = message.envelope
        attempt = device.attempt if device.attempt_seq == message.seq else 0
        number = next(self._numbers)
        window.in_flight = message
        window.binding = binding
        window.delivery = number
        window.sent = now
        self._deliveries[number] = window
        token = delivery_token(self._node_key, envelope.id, device.key, attempt)
        self._outbox.sends.append(message_request(number, window.user, binding, envelope, token, attempt))

    def _probe(self, window: Window, binding: Binding) -> None:
        number = window.probe = next(self._numbers)
        window.binding = binding
        self._deliveries[number] = window
        token = f"{self._random.getrandbits(128):032x}"
        self._outbox.sends.append(options_request(number, window.user, binding, token))
