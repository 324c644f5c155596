"""How devices, mail and hashes travel between two homes of a user."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model import (
    Account,
    Binding,
    Device,
    DeviceKey,
    Envelope,
    Flow,
    MessageId,
    NodeName,
    Proof,
    Seq,
    StoredMessage,
    UserName,
)
from actors.state.client_registry import NEVER
from actors.state.moving import (
    MAIL,
    arrived,
    departing,
    done_with,
    gives_way,
    joined,
    load,
    seal_hashes,
    unseal_hashes,
    without_circles,
)
from actors.state.registrar import UNSAVED

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
UDP = Flow("udp", 0, "10.0.0.1", 5060)
STREAM = Flow("tcp", 0, "10.0.0.1", 5061, 7)
AFAR = Flow("path", 0, "c", 0, 0)
KEY = DeviceKey("instance:x")


def binding(
    flow: Flow = UDP, *, expires: float = 150.0, contact: bytes = b"sip:x", path: tuple[bytes, ...] = ()
) -> Binding:
    return Binding(contact, flow, expires, b"c", 1, "angarium", path=path)


def device(
    *bindings: Binding, key: DeviceKey = KEY, cursor: int = 0, since: int = 0, aside: tuple[int, ...] = ()
) -> Device:
    seqs = tuple(Seq(seq) for seq in aside)
    return Device(key, Seq(since), Seq(cursor), 90.0, aside=seqs, bindings=bindings)


def message(seq: int, *, anyone: bool = True, body: bytes = b"x", expires: float = 200.0) -> StoredMessage:
    envelope = Envelope(MessageId(f"m{seq}"), UserName("x"), UserName("bob"), b"c", (), body, 1.0, Proof.DIGEST)
    return StoredMessage(Seq(seq), envelope, anyone, expires)


def token(flow: Flow) -> str:
    return f"{flow.transport}-{flow.port}"


def flow(text: str) -> Flow | None:
    return {"udp-5060": UDP}.get(text)


# Devices.


def test_bindings_leave_as_paths_and_times_as_what_is_left() -> None:
    (gone,) = departing([device(binding(), binding(AFAR, path=(b"b", b"c", b"t")))], A, token, (), 100.0)
    near, far = gone.bindings
    assert (near.flow, near.path, near.expires) == (Flow("path", 0, "a", 0, 0), (b"udp-5060",), 50.0)
    assert (far.flow, far.path, far.expires) == (AFAR, (b"b", b"c", b"t"), 50.0)
    assert (gone.seen, gone.cursor) == (-10.0, 0)


def test_dead_streams_and_lapsed_bindings_stay_behind() -> None:
    bindings = (binding(STREAM), binding(expires=100.0))
    assert departing([device(*bindings)], A, token, (), 100.0)[0].bindings == ()
    assert len(departing([device(*bindings)], A, token, {STREAM}, 100.0)[0].bindings) == 1


def test_a_key_that_no_json_can_hold_stays_behind() -> None:
    assert departing([device(key=DeviceKey("guest:\udcff"))], A, token, (), 100.0) == ()


@pytest.mark.parametrize(
    ("way", "path", "expected"),
    [
        ((A,), (), ("a",)),
        ((B, A), (b"b", b"c"), ("b", "c")),
        ((B, A), (b"c",), ("b", "a", "c")),
        ((C, A), (b"b", b"c"), ("c",)),
    ],
)
def test_a_path_goes_on_from_the_new_home(
    way: tuple[NodeName, ...], path: tuple[bytes, ...], expected: tuple[str]
) -> None:
    (here,) = arrived([device(binding(AFAR, path=(*path, b"t"), expires=50.0))], NodeName("d"), way, flow, 1000.0)
    (made,) = here.bindings
    assert [part.decode() for part in made.path] == [*expected, "t"]
    assert (made.flow.host, made.expires, here.since) == (expected[-1], 1050.0, UNSAVED)


def test_a_phone_at_the_new_home_is_reached_directly() -> None:
    moved = [device(binding(AFAR, path=(b"b", b"d", b"udp-5060")), binding(AFAR, path=(b"d", b"gone")))]
    (here,) = arrived(moved, NodeName("d"), (B, A), flow, 0.0)
    assert [(made.flow, made.path) for made in here.bindings] == [(UDP, ())]


def test_a_guest_never_gets_copies_of_his_own() -> None:
    (here,) = arrived([device(key=DeviceKey("guest:x"))], B, (A,), flow, 0.0)
    assert here.since == NEVER


@given(st.lists(st.sampled_from("abcdef")))
def test_no_node_is_passed_twice(way: list[str]) -> None:
    route = without_circles(NodeName("m"), [NodeName(node) for node in way])
    assert len(set(route)) == len(route)
    assert not way or route[-1] == way[-1]
    steps = set(zip(["m", *way], way, strict=False))
    assert all(step in steps for step in zip(["m", *route], route, strict=False))


def test_a_device_of_both_homes_keeps_its_own_bindings() -> None:
    own, coming = device(binding(contact=b"1")), device(binding(AFAR, contact=b"1"), binding(AFAR, contact=b"2"))
    assert [(b.contact, b.flow) for b in joined(own, coming).bindings] == [(b"2", AFAR), (b"1", UDP)]


# Mail.


@pytest.mark.parametrize(
    ("cursor", "since", "aside", "seq", "anyone", "done"),
    [
        (5, 0, (), 5, True, True),
        (5, 0, (), 6, True, False),
        (5, 0, (3,), 3, True, False),
        (0, 5, (), 5, True, False),
        (0, 5, (), 5, False, True),
        (0, 5, (), 6, False, False),
    ],
)
def test_what_a_device_is_done_with(
    cursor: int, since: int, aside: tuple[int, ...], seq: int, anyone: bool, done: bool
) -> None:
    assert done_with(device(cursor=cursor, since=since, aside=aside), message(seq, anyone=anyone)) is done


def test_a_load_is_cut_by_number_and_by_size_but_never_empty() -> None:
    assert len(load([message(n) for n in range(50)], [], 0.0)) == MAIL
    assert len(load([message(n, body=b"x" * 20_000) for n in range(9)], [], 0.0)) == 3
    assert len(load([message(1, body=b"x" * 200_000)], [], 0.0)) == 1
    assert len(load([message(n) for n in range(9)], [], 0.0, room=1)) == 1


def test_what_is_left_of_a_life_is_a_float_and_never_negative() -> None:
    late, early = load([message(1, expires=100), message(2, expires=300)], [], 200.0)
    assert (late.life, early.life) == (0.0, 100.0)
    assert msgspec.msgpack.encode(late.life) == msgspec.msgpack.encode(0.0)


# Hashes and claims.


def test_hashes_are_read_only_with_the_secret_the_nonce_and_the_name() -> None:
    account = Account(UserName("bob"), "1" * 32, "2" * 64)
    sealed = seal_hashes(b"root", "nonce", account)
    assert unseal_hashes(b"root", "nonce", account.name, sealed) == (account.ha1_md5, account.ha1_sha256)
    assert "1" * 32 not in sealed
    for root, nonce, name in ((b"r", "nonce", "bob"), (b"root", "n", "bob"), (b"root", "nonce", "eve")):
        assert unseal_hashes(root, nonce, UserName(name), sealed) is None
    nobody = Account(UserName("bob"))
    assert unseal_hashes(b"root", "n", nobody.name, seal_hashes(b"root", "n", nobody)) == ("", "")


def test_of_two_claims_exactly_one_gives_way() -> None:
    assert gives_way(1, A, 2, B)
    assert gives_way(1, B, 1, A)
    for mine, other in ((1, 1), (1, 2), (2, 1)):
        assert gives_way(mine, A, other, B) is not gives_way(other, B, mine, A)
