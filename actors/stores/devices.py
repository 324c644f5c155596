"""Devices as one commit sees them: each is read once, changed in memory, written once."""

from __future__ import annotations

import msgspec

from actors.model import Device, DeviceKey, Seq, UserName, mailbox_queue
from actors.stores.connection import Connection, Row
from actors.stores.records import ANYONE_OPEN, DamagedRow, device_row, read_device, whole_row

SELECT_USER = "SELECT user, key, payload, sum, rowid FROM device WHERE user = ? ORDER BY key"
SELECT_BETWEEN = "SELECT seq, anyone FROM message WHERE queue = ? AND seq > ? AND seq < ? ORDER BY seq"
INSERT_DAMAGED = "INSERT INTO damaged VALUES (?, ?, ?)"


class DeviceRows:
    """The devices that one batch touches; `write` brings the changed ones to the table."""

    def __init__(self, connection: Connection, wall: float) -> None:
        self._connection = connection
        self._wall = wall
        self._users: dict[UserName, dict[DeviceKey, Device]] = {}
        self._changed: dict[tuple[UserName, DeviceKey], None] = {}
        self.damaged = 0
        """Rows put aside by this batch."""

    def of(self, user: UserName) -> tuple[Device, ...]:
        """All devices of a user, by key."""
        return tuple(device for _, device in sorted(self._load(user).items()))

    def register(self, user: UserName, device: Device, last_seq: Seq) -> None:
        """Save a device with its bindings: a known one keeps its place in the mailbox, a new one gets `since`."""
        known = self._load(user).get(device.key)
        if known is not None:
            device = msgspec.structs.replace(known, bindings=device.bindings, seen=max(known.seen, device.seen))
        elif device.since < 0:
            device = msgspec.structs.replace(device, since=last_seq)
        self._put(user, device)

    def progress(self, user: UserName, device: Device) -> None:
        """Save how far a known device has got; its cursor never goes back."""
        known = self._load(user).get(device.key)
        if known is not None:
            self._put(user, _progressed(known, device))

    def acknowledge(self, user: UserName, key: DeviceKey, seq: Seq) -> None:
        """A device is done with a message that stays for others."""
        known = self._load(user).get(key)
        if known is None:
            return
        if seq in known.aside:
            aside = tuple(other for other in known.aside if other != seq)
            self._put(user, msgspec.structs.replace(known, aside=aside))
        elif seq > known.cursor:
            self._put(user, msgspec.structs.replace(known, cursor=seq))

    def skip(self, user: UserName, key: DeviceKey, seq: Seq) -> None:
        """A device needs no copy of a message that moved here: what it still waits for before that steps aside."""
        known = self._load(user).get(key)
        if known is None or seq <= known.cursor:
            return
        rows = self._connection.fetchall(SELECT_BETWEEN, (mailbox_queue(user), known.cursor, seq))
        before = msgspec.structs.replace(known, aside=())
        missed = [Seq(other) for other, slot in rows if slot == ANYONE_OPEN or waits_for(before, other)]
        self._put(user, msgspec.structs.replace(known, cursor=seq, aside=(*known.aside, *missed)))

    def drop(self, user: UserName, key: str) -> None:
        """Forget a device."""
        self._load(user).pop(DeviceKey(key), None)
        self._changed[(user, DeviceKey(key))] = None

    def write(self) -> None:
        """Bring all changes to the table."""
        saved: list[Row] = []
        for user, key in self._changed:
            device = self._users[user].get(key)
            if device is None:
                self._connection.execute("DELETE FROM device WHERE user = ? AND key = ?", (user, key))
            else:
                saved.append(device_row(user, device))
        if saved:
            self._connection.executemany("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)", saved)
        self._changed.clear()

    def _load(self, user: UserName) -> dict[DeviceKey, Device]:
        devices = self._users.get(user)
        if devices is None:
            devices = {}
            for row in self._connection.fetchall(SELECT_USER, (user,)):
                try:
                    devices[row[1]] = read_device(row)
                except DamagedRow:
                    self._put_aside(row)
            self._users[user] = devices
        return devices

    def _put(self, user: UserName, device: Device) -> None:
        self._users[user][device.key] = device
        self._changed[(user, device.key)] = None

    def _put_aside(self, row: Row) -> None:
        self._connection.execute(INSERT_DAMAGED, ("device", self._wall, whole_row(row)))
        self._connection.execute("DELETE FROM device WHERE rowid = ?", row[-1:])
        self.damaged += 1


def waits_for(device: Device, seq: Seq) -> bool:
    """Tell whether a device still waits for a message that is closed to anyone else."""
    return seq > device.since and (seq > device.cursor or seq in device.aside)


def _progressed(stored: Device, new: Device) -> Device:
    return msgspec.structs.replace(
        stored,
        cursor=max(stored.cursor, new.cursor),
        aside=new.aside,
        attempt=new.attempt,
        attempt_seq=new.attempt_seq,
        seen=max(stored.seen, new.seen),
    )
