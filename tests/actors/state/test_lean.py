"""What a user costs in memory, and that leanness changes nothing but that."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator

import msgspec
import pytest

from actors.model import Account, Binding, Device, DeviceKey, Flow, Seq, User, UserName
from actors.state.client_registry import ClientRegistry
from actors.state.lean import Devices, lean_account, lean_binding

USERS = 2_000
MOST = 1_300
"""Bytes of a user with password, one device and one binding."""
_decode = msgspec.msgpack.Decoder(User).decode
_encode = msgspec.msgpack.encode


def binding(number: int) -> Binding:
    return Binding(
        contact=b"sip:user%d@10.0.0.9:5060" % number,
        flow=Flow("udp", 0, f"10.1.{number >> 8}.{number & 255}", 5060),
        expires=100.0 + number,
        call_id=b"call-%d@host" % number,
        cseq=1,
        aor_host="sip.example.org",
        params=((b"+sip.instance", b"<urn:uuid:%036d>" % number),),
    )


def user(number: int) -> User:
    device = Device(DeviceKey(f"instance:urn:uuid:{number:036}"), Seq(0), Seq(0), 1.0, bindings=(binding(number),))
    return User(Account(UserName(f"user{number}"), f"{number:032x}", f"{number:064x}", 1.0), (device,))


@pytest.fixture
def traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_a_hundred_thousand_users_are_120_megabytes(traced: None) -> None:
    rows = [_encode(user(number)) for number in range(USERS)]
    before, _ = tracemalloc.get_traced_memory()
    registry = ClientRegistry()
    for row in rows:
        registry.load(_decode(row))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    assert len(registry) == USERS
    assert (after - before) / USERS < MOST


def test_a_lean_binding_is_the_same_binding() -> None:
    usual = binding(7)
    assert lean_binding(usual) == usual
    odd = msgspec.structs.replace(usual, q=0.5, params=((b"x", b"y"), (b"reg-id", b"1")), path=(b"<sip:p>",))
    assert lean_binding(odd) == odd


def test_only_the_hash_that_is_asked_for_stays() -> None:
    account = Account(UserName("a"), "m", "s")
    assert lean_account(account, ("MD5",)).ha1_sha256 == ""
    assert lean_account(account, ("SHA-256", "MD5")) == account
    only = Account(UserName("a"), "", "s")
    assert lean_account(only, ("MD5",)).has_password


def test_devices_are_a_small_dictionary() -> None:
    devices = Devices()
    first, second = (Device(DeviceKey(key), Seq(0), Seq(0), 0.0) for key in "ab")
    devices.put(first)
    devices.put(second)
    newer = msgspec.structs.replace(first, seen=5.0)
    devices.put(newer)
    assert devices.values() == (newer, second)
    assert devices.get(DeviceKey("a")) is newer
    assert DeviceKey("b") in devices
    assert devices.pop(DeviceKey("b")) is second
    assert devices.pop(DeviceKey("b")) is None
    assert list(devices) == ["a"]
    assert len(devices) == 1
