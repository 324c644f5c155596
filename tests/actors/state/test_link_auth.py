"""What proves requests and answers between servers: each MAC proves one thing only."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.links import Alive, Hello, Reply, Welcome
from actors.model import NodeName, UserName
from actors.state.link_auth import (
    answer_mac,
    greeting_mac,
    is_loopback,
    request_mac,
    root_key,
    same,
    seal,
    session_key,
    unseal,
)

A, B = NodeName("a"), NodeName("b")
ROOT = root_key(b"secret", "angarium")
HELLO = Hello(node=A, to=B, realm="angarium", nonce="0" * 32, address="tcp://127.0.0.1:5070", incarnation="i")


def test_without_a_secret_the_key_is_the_realms() -> None:
    assert root_key(b"", "one") != root_key(b"", "two")
    assert root_key(b"one", "one") != root_key(b"", "one")


def test_a_greeting_is_proved_as_a_whole() -> None:
    mac = greeting_mac(ROOT, HELLO)
    assert len(mac) == 32
    for change in ({"node": NodeName("c")}, {"to": NodeName("c")}, {"nonce": "1" * 32}, {"address": ""}):
        assert greeting_mac(ROOT, msgspec.structs.replace(HELLO, **change)) != mac
    assert greeting_mac(root_key(b"other", "angarium"), HELLO) != mac


def test_the_two_directions_have_different_keys() -> None:
    assert session_key(ROOT, A, B, "1", "2") != session_key(ROOT, B, A, "2", "1")


def test_a_mac_proves_one_thing_only() -> None:
    key = session_key(ROOT, A, B, "1", "2")
    macs = {
        request_mac(key, "s", 1, Alive()),
        request_mac(key, "s", 2, Alive()),
        request_mac(key, "t", 1, Alive()),
        answer_mac(key, "s", 1, 200, None),
        answer_mac(key, "s", 1, 202, None),
        answer_mac(key, "s", 2, 200, None),
        answer_mac(key, "s", 1, 200, Reply()),
        answer_mac(key, "s", 1, 200, Welcome(node=B, session="s", nonce="n")),
        request_mac(session_key(ROOT, A, B, "1", "3"), "s", 1, Alive()),
    }
    assert len(macs) == 9


def test_macs_are_compared_whatever_they_are_made_of() -> None:
    assert same("ab", "ab")
    assert not same("ab", "a\udc80")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "10.0.0.1", "127.0.0.1.example.org", "::2", "localhost.example.org", "0.0.0.0"])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@given(st.text(alphabet="0123456789abcdef ", max_size=200))
def test_what_is_sealed_is_read_again(text: str) -> None:
    sealed = seal(ROOT, "nonce", UserName("alice"), text)
    assert unseal(ROOT, "nonce", UserName("alice"), sealed) == text


def test_a_seal_is_for_one_user_nonce_and_network() -> None:
    alice = UserName("alice")
    sealed = seal(ROOT, "nonce", alice, "0123456789abcdef" * 4)
    assert b"0123456789abcdef".hex() not in sealed
    assert unseal(ROOT, "other", alice, sealed) is None
    assert unseal(ROOT, "nonce", UserName("bob"), sealed) is None
    assert unseal(root_key(b"other", "angarium"), "nonce", alice, sealed) is None
    assert unseal(ROOT, "nonce", alice, ("0" if sealed[0] != "0" else "1") + sealed[1:]) is None
    assert unseal(ROOT, "nonce", alice, "no hex") is None
    assert unseal(ROOT, "nonce", alice, "") is None
