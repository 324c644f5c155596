"""Ids, ingress keys, tokens and Call-IDs: what is equal, and what is never."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actors.model import Envelope, MessageId, Proof, UserName
from actors.state.ids import (
    CallIdMemory,
    IdMint,
    base32,
    client_id_key,
    delivery_token,
    ingress_key,
    is_about,
    notice_id,
)

ALICE, BOB, ID = UserName("alice"), UserName("bob"), MessageId("m1")


@given(st.integers(0, 1 << 80))
def test_base32_keeps_the_order_at_equal_width(number: int) -> None:
    assert base32(number, 17) < base32(number + 1, 17)
    assert len(base32(number, 17)) == 17


def test_ids_sort_by_time_of_making() -> None:
    mint = IdMint(b"\0" * 5)
    early, late = mint.mint(1_700_000_000.9), mint.mint(1_700_000_001.0)
    assert early < late


def test_an_ingress_key_tells_its_parts_apart() -> None:
    usual = ("alice", "bob", b"call", b"tag", 1, b"body")
    others = [
        ("alic", "ebob", b"call", b"tag", 1, b"body"),
        ("alice", "bob", b"cal", b"ltag", 1, b"body"),
        ("alice", "bob", b"call", b"ta", 1, b"gbody"),
        ("alice", "bob", b"call", b"tag", 2, b"body"),
        ("alice", "bob", b"call", b"tag", 1, b"bodx"),
    ]
    keys = {ingress_key(*parts) for parts in (usual, *others)}
    assert len(keys) == 6
    assert ingress_key(*usual) == ingress_key(*usual)
    assert len(ingress_key(*usual)) == 16


def test_a_clients_id_is_no_ingress_key() -> None:
    assert client_id_key(ALICE, BOB, "x") != client_id_key(BOB, ALICE, "x")
    assert client_id_key(ALICE, BOB, "x") == client_id_key(ALICE, BOB, "x")


def test_a_token_is_a_function_of_key_message_device_and_attempt() -> None:
    usual = delivery_token(b"key", ID, "d", 0)
    assert usual == delivery_token(b"key", ID, "d", 0)
    others = {
        delivery_token(b"kez", ID, "d", 0),
        delivery_token(b"key", MessageId("m2"), "d", 0),
        delivery_token(b"key", ID, "e", 0),
        delivery_token(b"key", ID, "d", 1),
    }
    assert len(others | {usual}) == 5
    assert len(usual) == 32


def test_a_notice_has_one_id() -> None:
    assert notice_id(ID) == notice_id(ID) != notice_id(MessageId("m2"))


def test_a_call_id_used_again_is_suffixed_for_that_recipient_only() -> None:
    memory = CallIdMemory()
    assert memory.outgoing(ALICE, BOB, b"c", ID) == b"c"
    assert memory.outgoing(ALICE, BOB, b"c", MessageId("m2")) == b"c-m2"
    assert memory.outgoing(ALICE, UserName("carol"), b"c", ID) == b"c"


def test_the_memory_of_call_ids_is_bounded() -> None:
    memory = CallIdMemory()
    for number in range(150_000):
        memory.outgoing(ALICE, BOB, b"%d" % number, ID)
    assert len(memory._young) + len(memory._old) <= 100_000
    assert memory.outgoing(ALICE, BOB, b"149999", ID) == b"149999-m1"


def test_content_types_have_no_case() -> None:
    envelope = Envelope(ID, ALICE, BOB, b"c", ((b"Content-Type", b"Message/IMDN+xml"),), b"", 0.0, Proof.OPEN)
    assert is_about(envelope, b"message/imdn")
    assert not is_about(envelope, b"text/plain")
