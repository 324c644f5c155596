"""The registrar's decisions: what a REGISTER changes (RFC 3261 10.3) and which devices come of it (PROTOCOL 8, 13)."""

from __future__ import annotations

import msgspec

from actors.messages.requests import ContactItem, ContactLine, Registration
from actors.model import Binding, Device, DeviceKey, Flow, Seq, TransactionKey
from actors.state.client_registry import GUEST, MAX_DEVICES, NEVER, UserRecord
from actors.state.lean import lean_binding

DEFAULT_EXPIRES = 3600
MIN_EXPIRES = 60
MAX_EXPIRES = 7200
MAX_BINDINGS = 10
"""Of one device; the newest stay."""
STREAM_EXPIRES = 120
"""The longest life of a binding on a stream without keep-alives: its phone would else be deaf for an hour after a
restart of the node, since it does not notice that the connection is gone (PROTOCOL 13)."""
PATH = "path"
"""The transport of flows over other servers. Their edge cuts the lives of bindings on streams."""
INSTANCE = "instance:"
"""Device keys of phones that say `+sip.instance`."""
UNSAVED = Seq(-1)
"""`since` of a device that is on its way to the disk, which fills it in."""


class Refusal(Exception):
    """A REGISTER that changes nothing: the status and reason to answer with."""

    def __init__(self, status: int, reason: str, min_expires: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.min_expires = min_expires


class Plan(msgspec.Struct, frozen=True):
    """What a REGISTER changes: devices as they are to be, and those to forget."""

    changed: tuple[Device, ...] = ()
    forgotten: tuple[DeviceKey, ...] = ()


def plan(
    record: UserRecord | None, request: Registration, now: float, *, keeps_alive: bool, device_life: float
) -> Plan:
    """Decide what changes; raises `Refusal`. `now` in node time; `keeps_alive`: the flow has shown keep-alives."""
    devices = {device.key: device for device in record.devices.values()} if record else {}
    before = dict(devices)
    if request.star:
        _remove_all(devices, request)
    for item in request.contacts:
        _apply(devices, request, item, now, keeps_alive)
    _lapse(devices, now, device_life)
    changed = tuple(device for key, device in devices.items() if before.get(key) is not device)
    return Plan(changed=changed, forgotten=tuple(key for key in before if key not in devices))


def contact_lines(record: UserRecord | None, now: float) -> tuple[ContactLine, ...]:
    """List all live bindings as the 200 shows them."""
    if record is None:
        return ()
    return tuple(
        ContactLine(uri=b.contact, expires=max(1, round(b.expires - now)), q=b.q, params=b.params)
        for _, b in record.bindings(now)
    )


def device_key(item: ContactItem) -> DeviceKey:
    """Name the device behind a contact: its instance, else contact user, host and port, else a guest's contact."""
    if item.instance:
        return DeviceKey(INSTANCE + item.instance)
    if item.host.endswith(".invalid"):
        return DeviceKey(GUEST + item.uri.decode("utf-8", "surrogateescape"))
    port = "" if item.port is None else f":{item.port}"
    return DeviceKey(f"contact:{item.user}@{item.host}{port}")


def for_home(request: Registration, *, keeps_alive: bool) -> Registration:
    """A REGISTER as the user's home is to see it, which knows nothing of the phone's flow: lives are cut here."""
    blank = Flow(PATH, 0, "", 0, 0)
    cut = msgspec.structs.replace(request, transaction=TransactionKey(b""), flow=blank, path=())
    if request.flow.transport == "udp" or keeps_alive:
        return cut
    contacts = tuple(
        msgspec.structs.replace(item, expires=min(_asked(request, item), STREAM_EXPIRES)) for item in request.contacts
    )
    return msgspec.structs.replace(cut, contacts=contacts)


def _asked(request: Registration, item: ContactItem) -> int:
    asked = item.expires if item.expires is not None else request.expires
    return DEFAULT_EXPIRES if asked is None else asked


def _granted(request: Registration, item: ContactItem, keeps_alive: bool) -> int:
    asked = _asked(request, item)
    if 0 < asked < MIN_EXPIRES:
        raise Refusal(423, "Interval Too Brief", MIN_EXPIRES)
    if request.flow.transport not in ("udp", PATH) and not keeps_alive:
        return min(asked, STREAM_EXPIRES)
    return min(asked, MAX_EXPIRES)


def _in_order(binding: Binding, request: Registration) -> None:
    """RFC 3261 10.3 step 7: within one Call-ID, only a higher CSeq may change a binding.

    An equal one over the same flow is let through: it is the same REGISTER again, whose 200 was lost in a restart.
    """
    if binding.call_id != request.call_id or request.cseq > binding.cseq:
        return
    if request.cseq < binding.cseq or not _same_way(binding, request):
        raise Refusal(500, "CSeq is not higher than that of an earlier REGISTER with this Call-ID")


def _same_way(binding: Binding, request: Registration) -> bool:
    """Tell whether a binding leads back the way that a REGISTER came."""
    return binding.flow == request.flow and binding.path[-1:] == _path(request)[-1:]


def _path(request: Registration) -> tuple[bytes, ...]:
    """Only servers make a path: what a phone writes itself does not count."""
    return request.path if request.flow.transport == PATH else ()


def _remove_all(devices: dict[DeviceKey, Device], request: Registration) -> None:
    for key, device in list(devices.items()):
        for binding in device.bindings:
            _in_order(binding, request)
        _put(devices, key, msgspec.structs.replace(device, bindings=()))


def _apply(
    devices: dict[DeviceKey, Device], request: Registration, item: ContactItem, now: float, keeps_alive: bool
) -> None:
    expires = _granted(request, item, keeps_alive)
    key = device_key(item)
    for other_key, other in list(devices.items()):
        kept = tuple(b for b in other.bindings if not _replaces(request, item, key, other_key, b))
        if len(kept) != len(other.bindings):
            for binding in other.bindings:
                if binding not in kept:
                    _in_order(binding, request)
            _put(devices, other_key, msgspec.structs.replace(other, bindings=kept))
    if expires == 0:
        return
    device = devices.get(key)
    if device is None:
        guest = key.startswith(GUEST)
        device = Device(key=key, since=NEVER if guest else UNSAVED, cursor=Seq(0), seen=now)
    binding = Binding(
        contact=item.uri,
        flow=request.flow,
        expires=now + expires,
        call_id=request.call_id,
        cseq=request.cseq,
        aor_host=request.aor_host,
        q=item.q,
        params=item.params,
        path=_path(request),
    )
    devices[key] = msgspec.structs.replace(device, seen=now, bindings=(*device.bindings, lean_binding(binding)))


def _replaces(request: Registration, item: ContactItem, key: DeviceKey, other_key: DeviceKey, binding: Binding) -> bool:
    """Tell whether a new contact takes a binding's place: the same URI, or the same instance and reg-id (RFC 5626).

    Two phones in two homes may both call themselves 192.168.1.2:5060; their instances and flows tell them apart.
    """
    if binding.contact == item.uri:
        two_phones = bool(item.instance) and other_key != key and other_key.startswith(INSTANCE)
        return not (two_phones and not _same_way(binding, request))
    return other_key == key and bool(item.instance) and _reg_id(binding) == item.reg_id


def _reg_id(binding: Binding) -> int:
    for name, value in binding.params:
        if name.lower() == b"reg-id" and value.isdigit():
            return int(value)
    return 0


def _put(devices: dict[DeviceKey, Device], key: DeviceKey, device: Device) -> None:
    """Keep a device that lost a binding; a guest without one is gone."""
    if key.startswith(GUEST) and not device.bindings:
        del devices[key]
    else:
        devices[key] = device


def _lapse(devices: dict[DeviceKey, Device], now: float, device_life: float) -> None:
    """Forget lapsed bindings, guests without one, devices unseen for too long, and the longest unseen of too many."""
    for key, device in list(devices.items()):
        live = tuple(binding for binding in device.bindings if binding.expires > now)[-MAX_BINDINGS:]
        if len(live) != len(device.bindings):
            _put(devices, key, msgspec.structs.replace(device, bindings=live))
    guests = sorted((d for d in devices.values() if d.key.startswith(GUEST)), key=lambda d: -d.seen)
    for device in guests[MAX_DEVICES:]:
        del devices[device.key]
    lasting = sorted((d for d in devices.values() if not d.key.startswith(GUEST)), key=lambda d: -d.seen)
    for place, device in enumerate(lasting):
        if place >= MAX_DEVICES or now - device.seen > device_life:
            del devices[device.key]


def without_flow(device: Device, flow: Flow) -> Device:
    """The device without its bindings over a flow that is gone."""
    return msgspec.structs.replace(device, bindings=tuple(b for b in device.bindings if b.flow != flow))


def without_contact(device: Device, contact: bytes) -> Device:
    """The device without a binding that leads nowhere."""
    return msgspec.structs.replace(device, bindings=tuple(b for b in device.bindings if b.contact != contact))
