"""Delivery to devices: one message in flight a device, in order, until it acknowledges (PROTOCOL 8 to 13)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from random import Random

import msgspec

from actors.messages.client_manager import DeliveryResult
from actors.messages.monitor import Level
from actors.model import Binding, Device, DeviceKey, End, Envelope, Flow, Seq, Step, StoredMessage, UserName
from actors.state.address_proof import AddressProof
from actors.state.answers import Meaning, meaning
from actors.state.client_registry import ClientRegistry, UserRecord
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
from actors.state.delivery_window import Window
from actors.state.ids import delivery_token
from actors.state.outbound import message_request, options_request
from actors.state.outbox import Ending, Outbox, Read
from actors.state.registrar import UNSAVED, without_contact
from actors.state.timers import Deadlines

BUFFER = 32
"""Messages of one device kept in memory behind the one in flight; what is more is read from the disk again."""
ANSWERS_WITHIN = 1.0
"""Seconds; a device that has not answered for so long is not what makes mail wait in an overloaded node."""
TRIES = 5
"""Unanswered tries of one message, each with a sign of life before it, until it steps aside (PROTOCOL 12)."""
UNPROVED_PAUSE = 30.0
"""Seconds between sends that an unauthenticated sign of life may cause (PROTOCOL 13)."""


class Deliveries:
    """All windows of this node. Decides and fills the outbox; knows no thread and no disk.

    Times: `now` is monotonic seconds; lives of bindings are node time, `now + offset`.
    """

    def __init__(
        self, registry: ClientRegistry, outbox: Outbox, random: Random, *, node_key: bytes, offset: float,
        prove_addresses: bool,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._outbox = outbox
        self._random = random
        self._node_key = node_key
        self._offset = offset
        self.proof = AddressProof(wanted=prove_addresses)
        self._windows: dict[UserName, dict[DeviceKey, Window]] = {}
        self._deliveries: dict[int, Window] = {}
        self._left: dict[int, UserName] = {}
        """Requests still under way to where a device is no longer: what comes of them is ignored."""
        self._numbers = itertools.count(1)
        self._closed: set[Seq] = set()
        """Messages some device acknowledged in this run, whose rows are still there."""
        self._ending: set[Seq] = set()
        self._paused: set[UserName] = set()
        """Nothing is sent to these: they are being read again from the disk, or held."""
        self._held: set[UserName] = set()
        self._draining: set[UserName] = set()
        """Nothing new is sent to these; what is under way comes to its end."""
        self.retries: Deadlines[tuple[UserName, DeviceKey]] = Deadlines()

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

    # Ends from outside.

    def backlog(self, now: float) -> int:
        """Count what waits in memory behind messages on their way to devices that do answer."""
        recent = now - ANSWERS_WITHIN
        return sum([len(w.buffer) + (BUFFER if w.behind else 0) for w in self._deliveries.values() if w.sent > recent])

    def is_in_flight(self, user: UserName, seq: Seq) -> bool:
        """Tell whether any device of the user is being sent this message."""
        return any(
            window.in_flight is not None and window.in_flight.seq == seq
            for window in self._windows.get(user, {}).values()
        )

    def user_of(self, delivery: int) -> UserName | None:
        """Whose device a request went to; None if nobody waits for its result."""
        window = self._deliveries.get(delivery)
        return window.user if window is not None else None

    def lost(self, delivery: int) -> None:
        """Nobody will hear what came of a request: where its device was before, nothing is under way any more."""
        self._left.pop(delivery, None)

    def in_flight(self, user: UserName) -> int:
        """Count the user's messages on their way to devices."""
        return sum(window.in_flight is not None for window in self._windows.get(user, {}).values())

    def is_open(self, message: StoredMessage) -> bool:
        """Tell whether no device has acknowledged it yet."""
        return message.anyone and message.seq not in self._closed

    def end(self, user: UserName, seq: Seq) -> None:
        """The message is about to end (expired, user removed): no device gets it any more."""
        self._ending.add(seq)
        for window in self._windows.get(user, {}).values():
            if window.buffer and window.buffer[0].seq == seq:
                window.tries = 0
            window.buffer = [message for message in window.buffer if message.seq != seq]
            self._not_aside(user, window.device, seq)

    def end_committed(self, seq: Seq) -> None:
        """The row is gone; nothing can bring it back."""
        self._ending.discard(seq)
        self._closed.discard(seq)

    def pause(self, user: UserName) -> None:
        """Memory may be wrong about this user: send nothing until he has been read again (`go_on`)."""
        self.drop(user)
        self._paused.add(user)

    def go_on(self, user: UserName) -> None:
        """The user was read again, or is gone."""
        if user not in self._held:
            self._paused.discard(user)

    def drain(self, user: UserName) -> None:
        """He is about to move: let what is under way to him come to its end (`is_idle`), and send nothing else."""
        self._draining.add(user)

    def is_idle(self, user: UserName) -> bool:
        """Tell whether nothing is under way to any of his devices, answers on their way to the disk included, nor to
        where they were before: the same message in another node's bytes is another one to a plain phone."""
        under_way = any(window.in_flight or window.probe for window in self._windows.get(user, {}).values())
        return not under_way and user not in self._left.values()

    def hold(self, user: UserName) -> None:
        """He is just moving: send him nothing until `release`."""
        self._held.add(user)
        self.pause(user)

    def release(self, user: UserName) -> None:
        """He is moving no more: when he has been read again (`go_on`), his mail goes on."""
        self._held.discard(user)
        self._draining.discard(user)

    def drop(self, user: UserName, device: DeviceKey | None = None) -> None:
        """Forget the windows of a device, or of all devices of a user; results still to come are ignored."""
        windows = self._windows.get(user, {})
        for key in [device] if device is not None else list(windows):
            window = windows.pop(key, None)
            if window is not None:
                self._deliveries.pop(window.delivery, None)
                self._deliveries.pop(window.probe, None)
                self.retries.drop((user, key))
        if not windows:
            self._windows.pop(user, None)

    def window(self, record: UserRecord, device: Device) -> Window:
        """Find or make the window of a device."""
        name = record.account.name
        windows = self._windows.get(name)
        if windows is None:
            windows = self._windows[name] = {}
        window = windows.get(device.key)
        if window is None:
            window = windows[device.key] = Window(name, device.key, device.cursor)
        return window

    def cursor(self, user: UserName, device: Device) -> Seq:
        """How far a device has got."""
        window = self._windows.get(user, {}).get(device.key)
        return window.cursor if window is not None else device.cursor

    # Sending.

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

    def _probe(self, window: Window, binding: Binding) -> None:
        number = window.probe = next(self._numbers)
        window.binding = binding
        self._deliveries[number] = window
        token = f"{self._random.getrandbits(128):032x}"
        self._outbox.sends.append(options_request(number, window.user, binding, token))

    def _probed(self, record: UserRecord, device: Device, window: Window, result: DeliveryResult, now: float) -> None:
        window.probe = 0
        if result.answered and window.binding is not None:
            self.proof.proved(window.binding.flow, now)
            self._pump(record, device, window, now)
        else:
            self._back_off(window, now)

    # What answers mean.

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
            f"{message.envelope.id}: {window.device} never answered it",
            window.user,
        )
        return msgspec.structs.replace(device, aside=(*device.aside, message.seq), cursor=window.cursor)

    def _not_aside(self, user: UserName, key: DeviceKey, seq: Seq) -> None:
        record = self._registry.get(user)
        device = record.devices.get(key) if record else None
        if device is not None and seq in device.aside:
            aside = tuple(other for other in device.aside if other != seq)
            self._registry.put_device(user, msgspec.structs.replace(device, aside=aside))

    def _back_off(self, window: Window, now: float, retry_after: int = 0, cap: float = BACKOFF_CAP) -> None:
        """Exponential, full jitter, never under Retry-After."""
        window.failures += 1
        delay = max(retry_after, back_off(window.failures, self._random, cap))
        self.retries.set((window.user, window.device), now + delay)
