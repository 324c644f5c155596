"""Small in memory: a node holds 100,000 users, and most of what is known of them is the same text again and again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from actors.model import Account, Binding, Device, DeviceKey, Flow

_ONE = 1.0
_NAMES = {name: name for name in (b"+sip.instance", b"reg-id", b"ob", b"+sip.ice", b"methods", b"audio", b"video")}


class Devices:
    """The few devices of one user, by key: a tuple, a third of the size of a dictionary."""

    __slots__ = ("_all",)

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._all = tuple(devices)

    def values(self) -> tuple[Device, ...]:
        """All of them, in the order they came; not changed by what is put later."""
        return self._all

    def get(self, key: DeviceKey) -> Device | None:
        """Find a device."""
        for device in self._all:
            if device.key == key:
                return device
        return None

    def pop(self, key: DeviceKey) -> Device | None:
        """Take a device out."""
        found = self.get(key)
        if found is not None:
            self._all = tuple(device for device in self._all if device is not found)
        return found

    def put(self, device: Device) -> None:
        """Put a device in, in the place of the one with its key."""
        if self.get(device.key) is None:
            self._all = (*self._all, device)
        else:
            self._all = tuple(device if other.key == device.key else other for other in self._all)

    def __contains__(self, key: object) -> bool:
        return any(device.key == key for device in self._all)

    def __iter__(self) -> Iterator[DeviceKey]:
        return (device.key for device in self._all)

    def __len__(self) -> int:
        return len(self._all)


def lean_account(account: Account, algorithms: Sequence[str]) -> Account:
    """Leave out the hashes that nobody asks for here; the disk keeps them."""
    if "SHA-256" in algorithms or not account.ha1_md5:
        return account
    return msgspec.structs.replace(account, ha1_sha256="")


def lean_device(device: Device) -> Device:
    """Share the texts that most devices have in common."""
    if not device.bindings:
        return device
    return msgspec.structs.replace(device, bindings=tuple(lean_binding(binding) for binding in device.bindings))


def lean_binding(binding: Binding) -> Binding:
    """Share what most bindings have in common."""
    flow = binding.flow
    return Binding(
        contact=binding.contact,
        flow=Flow(sys.intern(flow.transport), flow.listener, flow.host, flow.port, flow.connection),
        expires=binding.expires,
        call_id=binding.call_id,
        cseq=binding.cseq,
        aor_host=sys.intern(binding.aor_host),
        q=_ONE if binding.q == 1 else binding.q,
        params=tuple((_NAMES.get(name, name), value) for name, value in binding.params),
        path=binding.path,
    )
