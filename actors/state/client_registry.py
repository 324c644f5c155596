"""Who the users of this node are, which devices they have, and over which flow each is reached."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from actors.model import Account, Binding, Device, DeviceKey, Flow, Seq, User, UserName
from actors.state.lean import Devices, lean_account, lean_device

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
        self.devices = Devices(devices)

    def bindings(self, now: float) -> Iterator[tuple[Device, Binding]]:
        """List the live bindings of all devices; `now` in node time."""
        for device in self.devices.values():
            for binding in device.bindings:
                if binding.expires > now:
                    yield device, binding


Owner = tuple[UserName, DeviceKey]


class ClientRegistry:
    """All users by name, and the devices behind each flow. The disk has the same, but for guests."""

    def __init__(self, algorithms: Sequence[str] = ("MD5",)) -> None:
        """`algorithms`: the digests asked for here; hashes for others stay on the disk."""
        self._algorithms = algorithms
        self._users: dict[UserName, UserRecord] = {}
        self._absent: dict[UserName, Account] = {}
        """Accounts of users whom this node does not serve: they moved away, or are not here yet."""
        self._sorted: list[UserName] | None = None
        self._flows: dict[Flow, UserName | dict[UserName, None]] = {}
        """One user is the rule and cheap; behind a proxy there are many."""

    def __len__(self) -> int:
        return len(self._users)

    @property
    def flows(self) -> int:
        """How many flows have bindings, lapsed ones that nobody cleared included."""
        return len(self._flows)

    def get(self, name: UserName) -> UserRecord | None:
        """Find a user whose home is here."""
        return self._users.get(name)

    def absent(self, name: UserName) -> Account | None:
        """Find the account of a user who moved away (with `home`), or is prepared to move here (not `serving`)."""
        return self._absent.get(name)

    def put_absent(self, account: Account) -> None:
        """From now on this node does not serve the user, and has none of his devices in memory."""
        self.remove(account.name)
        self._absent[account.name] = account

    def names(self, after: str = "", limit: int = 1 << 60) -> list[UserName]:
        """The first `limit` names behind `after`, in order."""
        if limit <= 0:
            return []
        if self._sorted is None:
            self._sorted = sorted(self._users)
        first = bisect_right(self._sorted, after) if after else 0
        return self._sorted[first : first + limit]

    def load(self, user: User) -> UserRecord:
        """Put a user whose home is here as the disk has him; replaces what memory had. Guests stay.

        A stream that memory does not know of has ended, in the last run of the node at the latest: the disk's bindings
        over it are left out.
        """
        name = user.account.name
        old = self._users.get(name)
        known = {b.flow for d in old.devices.values() for b in d.bindings} if old is not None else frozenset()
        account = lean_account(user.account, self._algorithms)
        record = UserRecord(account, [lean_device(_without_dead(device, known)) for device in user.devices])
        if old is not None:
            for device in old.devices.values():
                self._unindex(name, device)
                if device.key.startswith(GUEST):
                    record.devices.put(device)
        self._put(name, record)
        for device in record.devices.values():
            self._index(name, device)
        return record

    def put_account(self, account: Account) -> None:
        """Create a user or change his credentials."""
        account = lean_account(account, self._algorithms)
        record = self._users.get(account.name)
        if record is None:
            self._put(account.name, UserRecord(account))
        else:
            record.account = account

    def put_device(self, name: UserName, device: Device) -> None:
        """Create or change a device of a known user."""
        record = self._users[name]
        old = record.devices.get(device.key)
        if old is None or old.bindings is not device.bindings:
            if old is not None:
                self._unindex(name, old, record.devices.values())
            self._index(name, device)
        record.devices.put(device)

    def drop_device(self, name: UserName, key: DeviceKey) -> None:
        """Forget a device."""
        record = self._users.get(name)
        device = record.devices.pop(key) if record else None
        if record is not None and device is not None:
            self._unindex(name, device, record.devices.values())

    def remove(self, name: UserName) -> None:
        """Forget a user and his devices."""
        self._absent.pop(name, None)
        record = self._users.pop(name, None)
        if record is not None:
            self._sorted = None
            for device in record.devices.values():
                self._unindex(name, device)

    def on_flow(self, flow: Flow) -> tuple[Owner, ...]:
        """Name the devices that registered over a flow."""
        found = self._flows.get(flow)
        names = () if found is None else (found,) if isinstance(found, str) else tuple(found)
        return tuple(
            (name, device.key)
            for name in names
            for device in self._users[name].devices.values()
            if any(binding.flow == flow for binding in device.bindings)
        )

    def is_bound(self, name: UserName, flow: Flow, token: bytes = b"") -> bool:
        """Tell whether this user registered over this flow: then it is he who speaks on it.

        `token`: the edge's name for the flow, where it is one over other servers.
        """
        record = self._users.get(name)
        if record is None:
            return False
        bindings = [b for d in record.devices.values() for b in d.bindings if b.flow == flow]
        return any(not token or b.path[-1:] == (token,) for b in bindings)

    def _put(self, name: UserName, record: UserRecord) -> None:
        self._absent.pop(name, None)
        if name not in self._users:
            self._sorted = None
        self._users[name] = record

    def _index(self, name: UserName, device: Device) -> None:
        for binding in device.bindings:
            names = self._flows.get(binding.flow)
            if names is None:
                self._flows[binding.flow] = name
            elif isinstance(names, dict):
                names[name] = None
            elif names != name:
                self._flows[binding.flow] = {names: None, name: None}

    def _unindex(self, name: UserName, device: Device, others: Iterable[Device] = ()) -> None:
        """Forget the flows of a device, but for those that `others` of the same user have too."""
        kept = {binding.flow for other in others if other is not device for binding in other.bindings}
        for binding in device.bindings:
            names = self._flows.get(binding.flow)
            if binding.flow in kept:
                continue
            if isinstance(names, dict):
                names.pop(name, None)
                if not names:
                    del self._flows[binding.flow]
            elif names == name:
                del self._flows[binding.flow]


def _without_dead(device: Device, known: AbstractSet[Flow]) -> Device:
    live = tuple(b for b in device.bindings if not b.flow.connection or b.flow in known)
    return device if len(live) == len(device.bindings) else msgspec.structs.replace(device, bindings=live)
