"""Counting who can be reached."""

from __future__ import annotations

import pytest

from actors.model import Account, Binding, Device, DeviceKey, Flow, Seq, User, UserName
from actors.state import presence
from actors.state.client_registry import ClientRegistry
from actors.state.presence import OnlineCount


def user(name: str, expires: float) -> User:
    binding = Binding(b"sip:x@h", Flow("udp", 0, name, 1), expires, b"c", 1, "h")
    device = Device(DeviceKey("d"), Seq(0), Seq(0), 0.0, bindings=(binding,))
    return User(Account(UserName(name)), (device,))


def test_only_live_bindings_count() -> None:
    registry, count = ClientRegistry(), OnlineCount()
    for item in (user("alice", 10.0), user("bob", 30.0)):
        registry.load(item)
    registry.put_account(Account(UserName("carol")))
    count.step(registry, 5.0)
    assert count.users == 2
    count.step(registry, 20.0)
    assert count.users == 1


def test_many_users_are_counted_in_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "AT_ONCE", 2)
    registry, count = ClientRegistry(), OnlineCount()
    for name in "abcde":
        registry.load(user(name, 10.0))
    seen = []
    for _ in range(6):
        count.step(registry, 0.0)
        seen.append(count.users)
    assert seen == [None, None, 5, 5, 5, 5]
