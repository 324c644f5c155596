"""Users who move between nodes: how devices, mail and hashes travel, and which of two claims gives way. All pure
(PROTOCOL 23, 24)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from actors.messages.links import MovedMail
from actors.model import Account, Binding, Device, DeviceKey, Flow, NodeName, Seq, StoredMessage, UserName
from actors.state.client_registry import GUEST, NEVER
from actors.state.link_auth import seal, unseal
from actors.state.registrar import PATH, UNSAVED
from actors.state.routing.learned import wins

MAIL = 20
"""Messages in one `MoveMail` at most."""
MAIL_BYTES = 90_000
"""Bytes of them as JSON, but for a single one: what a request between servers holds, and some."""

_json = msgspec.json.Encoder()


# Devices.


def departing(
    devices: Iterable[Device], me: NodeName, token: Callable[[Flow], str], live: Collection[Flow], now: float
) -> tuple[Device, ...]:
    """Devices as they leave their old home `me`: each binding as a path from there, times as seconds from `now`.

    `live`: the stream connections that stand; bindings over others are left out. `now` in node time.
    """
    return tuple(
        Device(
            key=device.key,
            since=Seq(0),
            cursor=Seq(0),
            seen=float(device.seen - now),
            bindings=tuple(
                _departing(binding, me, token, now)
                for binding in device.bindings
                if binding.expires > now and (not binding.flow.connection or binding.flow in live)
            ),
        )
        for device in devices
        if _travels(device.key)
    )


def _departing(binding: Binding, me: NodeName, token: Callable[[Flow], str], now: float) -> Binding:
    left = float(binding.expires - now)
    if binding.flow.transport == PATH:
        return msgspec.structs.replace(binding, expires=left)
    edge = Flow(PATH, 0, me, 0, 0)
    return msgspec.structs.replace(binding, flow=edge, path=(token(binding.flow).encode(),), expires=left)


def _travels(key: DeviceKey) -> bool:
    """Tell whether a key can stand in JSON: guests are named by bytes that need not be text."""
    return not any("\ud800" <= character <= "\udfff" for character in key)


def arrived(
    devices: Iterable[Device], me: NodeName, way: Sequence[NodeName], flow: Callable[[str], Flow | None], now: float
) -> tuple[Device, ...]:
    """Devices as their new home `me` keeps them. `way`: the nodes from here to the old home, which is the last of them.

    Phones that are at this very node are reached directly, unless the flow that `flow` reads from a token is gone.
    """
    return tuple(
        Device(
            key=device.key,
            since=NEVER if device.key.startswith(GUEST) else UNSAVED,
            cursor=Seq(0),
            seen=device.seen + now,
            bindings=tuple(made for b in device.bindings if (made := _arrived(b, me, way, flow, now)) is not None),
        )
        for device in devices
    )


def _arrived(
    binding: Binding, me: NodeName, way: Sequence[NodeName], flow: Callable[[str], Flow | None], now: float
) -> Binding | None:
    *nodes, token = (part.decode("utf-8", "replace") for part in binding.path or (b"",))
    route = without_circles(me, [*way, *(NodeName(node) for node in nodes)])
    expires = binding.expires + now
    if route:
        path = (*(node.encode() for node in route), token.encode())
        return msgspec.structs.replace(binding, flow=Flow(PATH, 0, route[-1], 0, 0), path=path, expires=expires)
    here = flow(token)
    return None if here is None else msgspec.structs.replace(binding, flow=here, path=(), expires=expires)


def without_circles(me: NodeName, way: Iterable[NodeName]) -> list[NodeName]:
    """A way from this node that passes no node twice, and so may be shorter; empty: it ends here."""
    route = [me]
    for node in way:
        route = route[: route.index(node) + 1] if node in route else [*route, node]
    return route[1:]


def joined(own: Device, coming: Device) -> Device:
    """A device that registered at both nodes: its own bindings here, and the other ones over there."""
    known = {binding.contact for binding in own.bindings}
    more = tuple(binding for binding in coming.bindings if binding.contact not in known)
    return msgspec.structs.replace(coming, bindings=(*more, *own.bindings))


# Mail.


def done_with(device: Device, message: StoredMessage) -> bool:
    """Tell whether a device, as the disk has it, needs no copy of a message any more."""
    seq = message.seq
    if seq <= device.cursor:
        return seq not in device.aside
    return seq <= device.since and not message.anyone


def load(
    messages: Iterable[StoredMessage], devices: Sequence[Device], now: float, room: int = MAIL_BYTES
) -> tuple[MovedMail, ...]:
    """As many of these messages, in order, as fit one request of `room` bytes; one at least. `now` in node time."""
    loaded: list[MovedMail] = []
    for message in messages:
        done = tuple(device.key for device in devices if done_with(device, message))
        life = max(0.0, float(message.expires - now))
        moved = MovedMail(message.envelope, life, message.anyone, done)
        room -= len(_json.encode(moved))
        if loaded and (room < 0 or len(loaded) >= MAIL):
            break
        loaded.append(moved)
    return tuple(loaded)


# Hashes.


def seal_hashes(root: bytes, nonce: str, account: Account) -> str:
    """The password hashes of an account, hidden from all who do not know the network's secret."""
    return seal(root, nonce, account.name, f"{account.ha1_md5}:{account.ha1_sha256}")


def unseal_hashes(root: bytes, nonce: str, user: UserName, sealed: str) -> tuple[str, str] | None:
    """Both hashes; None: they were sealed with another secret."""
    text = unseal(root, nonce, user, sealed)
    if text is None or text.count(":") != 1:
        return None
    md5, sha256 = text.split(":")
    return md5, sha256


# Claims.


def gives_way(mine: int, me: NodeName, other: int, home: NodeName) -> bool:
    """Tell whether this node's claim, of epoch `mine`, gives way to the other's."""
    return wins(other, home, mine, me)
