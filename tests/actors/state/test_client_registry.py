"""The registry: users by name, devices by flow, and what a user read again brings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.model import Account, Binding, Device, DeviceKey, Flow, Seq, User, UserName
from actors.state.client_registry import GUEST, ClientRegistry

ANN, BEA = UserName("ann"), UserName("bea")


def flow(port: int, connection: int = 0) -> Flow:
    return Flow("tcp" if connection else "udp", 0, "10.0.0.1", port, connection)


def device(key: str, *flows: Flow) -> Device:
    bindings = tuple(Binding(b"sip:x@y", one, 100.0, b"c", 1, "h") for one in flows)
    return Device(DeviceKey(key), Seq(0), Seq(0), 0.0, bindings=bindings)


def test_devices_are_found_by_flow_until_they_leave_it() -> None:
    registry = ClientRegistry()
    registry.put_account(Account(ANN))
    registry.put_account(Account(BEA))
    registry.put_device(ANN, device("a", flow(1)))
    registry.put_device(BEA, device("b", flow(1), flow(2)))
    assert registry.on_flow(flow(1)) == ((ANN, "a"), (BEA, "b"))
    assert registry.is_bound(ANN, flow(1))
    assert not registry.is_bound(ANN, flow(2))
    registry.put_device(ANN, device("a", flow(3)))
    assert registry.on_flow(flow(1)) == ((BEA, "b"),)
    registry.remove(BEA)
    registry.drop_device(ANN, DeviceKey("a"))
    assert [registry.on_flow(flow(number)) for number in (1, 2, 3)] == [(), (), ()]
    assert registry.flows == 0


@given(
    st.lists(st.tuples(st.sampled_from([ANN, BEA]), st.sampled_from("xyz"), st.lists(st.integers(1, 4), max_size=3)))
)
def test_the_index_is_what_the_devices_say(steps: list[tuple[UserName, str, list[int]]]) -> None:
    registry = ClientRegistry()
    for name in (ANN, BEA):
        registry.put_account(Account(name))
    now: dict[tuple[UserName, str], set[int]] = {}
    for name, key, ports in steps:
        registry.put_device(name, device(key, *(flow(port) for port in ports)))
        now[name, key] = set(ports)
    for port in range(1, 5):
        owners = {owner for owner, ports_now in now.items() if port in ports_now}
        assert set(registry.on_flow(flow(port))) == owners
    assert registry.flows == len(set().union(*now.values())) if now else registry.flows == 0


def test_names_come_in_pages() -> None:
    registry = ClientRegistry()
    for name in ("c", "a", "d", "b"):
        registry.put_account(Account(UserName(name)))
    assert registry.names() == ["a", "b", "c", "d"]
    assert registry.names("b", 1) == ["c"]
    assert registry.names("bb", 9) == ["c", "d"]
    assert registry.names(limit=0) == []
    registry.remove(UserName("a"))
    registry.load(User(Account(UserName("e"))))
    assert registry.names() == ["b", "c", "d", "e"]


def test_streams_of_another_run_are_gone_and_those_of_this_one_stay() -> None:
    registry = ClientRegistry()
    stored = device("a", flow(1), flow(2, connection=7))
    record = registry.load(User(Account(ANN), (stored,)))
    assert [b.flow for b in record.devices.values()[0].bindings] == [flow(1)]
    assert registry.on_flow(flow(2, connection=7)) == ()
    registry.put_device(ANN, stored)
    record = registry.load(User(Account(ANN), (stored,)))
    assert [b.flow for b in record.devices.values()[0].bindings] == [flow(1), flow(2, connection=7)]


def test_guests_outlive_a_reading() -> None:
    registry = ClientRegistry()
    registry.put_account(Account(ANN))
    guest = device(GUEST + "x", flow(1))
    registry.put_device(ANN, guest)
    registry.put_device(ANN, device("gone", flow(1)))
    record = registry.load(User(Account(ANN)))
    assert list(record.devices.values()) == [guest]
    assert registry.on_flow(flow(1)) == ((ANN, guest.key),)


def test_many_behind_one_proxy_take_no_square_of_time() -> None:
    registry = ClientRegistry()
    for number in range(50_000):
        name = UserName(f"u{number}")
        registry.put_account(Account(name))
        registry.put_device(name, device("a", flow(1)))
    assert len(registry.on_flow(flow(1))) == 50_000
    assert registry.is_bound(UserName("u49999"), flow(1))
