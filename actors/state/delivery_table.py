"""All windows of a node: which request is about which, and to whom nothing is sent for the moment."""

from __future__ import annotations

import itertools
from random import Random

import msgspec

from actors.model import Device, DeviceKey, Seq, StoredMessage, UserName
from actors.state.address_proof import AddressProof
from actors.state.client_registry import ClientRegistry, UserRecord
from actors.state.delivery_window import Window
from actors.state.outbox import Outbox
from actors.state.timers import Deadlines

BUFFER = 32
"""Messages of one device kept in memory behind the one in flight; what is more is read from the disk again."""
ANSWERS_WITHIN = 1.0
"""Seconds; a device that has not answered for so long is not what makes mail wait in an overloaded node."""


class WindowTable:
    """Knows what is under way, what has ended, and who is to be left alone; sends nothing.

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

    # What is under way.

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

    def device_of(self, delivery: int) -> DeviceKey | None:
        """Tell which device a request under way is for."""
        window = self._deliveries.get(delivery)
        return None if window is None else window.device

    def lost(self, delivery: int) -> None:
        """Nobody will hear what came of a request: where its device was before, nothing is under way any more."""
        self._left.pop(delivery, None)

    def in_flight(self, user: UserName) -> int:
        """Count the user's messages on their way to devices."""
        return sum(window.in_flight is not None for window in self._windows.get(user, {}).values())

    def is_open(self, message: StoredMessage) -> bool:
        """Tell whether no device has acknowledged it yet."""
        return message.anyone and message.seq not in self._closed

    def cursor(self, user: UserName, device: Device) -> Seq:
        """How far a device has got."""
        window = self._windows.get(user, {}).get(device.key)
        return window.cursor if window is not None else device.cursor

    # Windows.

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

    # Ends from outside.

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

    def _not_aside(self, user: UserName, key: DeviceKey, seq: Seq) -> None:
        record = self._registry.get(user)
        device = record.devices.get(key) if record else None
        if device is not None and seq in device.aside:
            aside = tuple(other for other in device.aside if other != seq)
            self._registry.put_device(user, msgspec.structs.replace(device, aside=aside))

    # To whom nothing is sent.

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
