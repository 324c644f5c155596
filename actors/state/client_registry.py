"""Who the users of this node are, which devices they have, and over which flow each is reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from actors.model import Account, Binding, Device, DeviceKey, Flow, Seq, User, UserName

MAX_DEVICES = 10
"""Of one user; the one unseen for longest gives way (PROTOCOL 8)."""
NEVER = Seq(1 << 62)
"""`since` of a device that has no copies of its own: it gets only what is open to anyone."""
GUEST = "guest:"
"""Device keys of contacts without a lasting name (`.invalid` hosts without an instance): never stored."""


class UserRecord:
    """A user in memory: small, since a node holds 100,000 of them."""

    __slots__ = ("account", "devices")

    def __init__(self, account: Account, devices: Iterable[Device] = ()) -> None:
        self.account = account
        self.devices: dict[DeviceKey, Device] = {device.key: device for device in devices}

    def bindings(self, now: float) -> Iterator[tuple[Device, Binding]]:
        """List the live bindings of all devices; `now` in node time."""
        for device in self.devices.values():
            for binding in device.bindings:
                if binding.expires > now:
                    yield device, binding


class ClientRegistry:
    """All users by name, and the devices behind each flow. The disk has the same, but for guests."""

    def __init__(self) -> None:
        self._users: dict[UserName, UserRecord] = {}
        self._flows: dict[Flow, tuple[tuple[UserName, DeviceKey], ...]] = {}

    def __len__(self) -> int:
        return len(self._users)

    @property
    def flows(self) -> int:
        """How many flows have bindings, lapsed ones that nobody cleared included."""
        return len(self._flows)

    def get(self, name: UserName) -> UserRecord | None:
        """Find a user."""
        return self._users.get(name)

    def names(self) -> list[UserName]:
        """All names, sorted."""
        return sorted(self._users)

    def load(self, user: User) -> UserRecord:
        """Put a user as the disk has him; replaces what memory had. Guests with live bindings stay."""
        old = self._users.get(user.account.name)
        record = UserRecord(user.account, user.devices)
        if old is not None:
            for device in old.devices.values():
                self._unindex(user.account.name, device)
                if device.key.startswith(GUEST):
                    record.devices[device.key] = device
        self._users[user.account.name] = record
        for device in record.devices.values():
            self._index(user.account.name, device)
        return record

    def put_account(self, account: Account) -> None:
        """Create a user or change his credentials."""
        record = self._users.get(account.name)
        if record is None:
            self._users[account.name] = UserRecord(account)
        else:
            record.account = account

    def put_device(self, name: UserName, device: Device) -> None:
        """Create or change a device of a known user."""
        record = self._users[name]
        old = record.devices.get(device.key)
        if old is None or old.bindings is not device.bindings:
            if old is not None:
                self._unindex(name, old)
            self._index(name, device)
        record.devices[device.key] = device

    def drop_device(self, name: UserName, key: DeviceKey) -> None:
        """Forget a device."""
        record = self._users.get(name)
        device = record.devices.pop(key, None) if record else None
        if device is not None:
            self._unindex(name, device)

    def remove(self, name: UserName) -> None:
        """Forget a user and his devices."""
        record = self._users.pop(name, None)
        if record is not None:
            for device in record.devices.values():
                self._unindex(name, device)

    def on_flow(self, flow: Flow) -> tuple[tuple[UserName, DeviceKey], ...]:
        """Name the devices that registered over a flow."""
        return self._flows.get(flow, ())

    def is_bound(self, name: UserName, flow: Flow) -> bool:
        """Tell whether this user registered over this flow: then it is he who speaks on it."""
        return any(user == name for user, _ in self._flows.get(flow, ()))

    def _index(self, name: UserName, device: Device) -> None:
        for binding in device.bindings:
            owners = self._flows.get(binding.flow, ())
            if (name, device.key) not in owners:
                self._flows[binding.flow] = (*owners, (name, device.key))

    def _unindex(self, name: UserName, device: Device) -> None:
        for binding in device.bindings:
            owners = self._flows.get(binding.flow, ())
            left = tuple(owner for owner in owners if owner != (name, device.key))
            if left:
                self._flows[binding.flow] = left
            else:
                self._flows.pop(binding.flow, None)
