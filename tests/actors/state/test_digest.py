"""Digest arithmetic by the RFCs' examples, and what a nonce is worth."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.requests import DigestResponse
from actors.state.digest import NonceBook, NonceVerdict, expected_response, ha1, proves

FRESH, STALE = NonceVerdict.FRESH, NonceVerdict.STALE
EXAMPLE = DigestResponse(
    username="Mufasa",
    realm="http-auth@example.org",
    nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    uri="/dir/index.html",
    response="",
    method="GET",
    qop="auth",
    nc="00000001",
    cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_examples_of_rfc_7616_3_9_1(algorithm: str, response: str) -> None:
    secret = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life")
    given_response = msgspec.structs.replace(EXAMPLE, algorithm=algorithm, response=response)
    assert proves(given_response, secret)
    assert proves(msgspec.structs.replace(given_response, response=response.upper()), secret)
    assert not proves(msgspec.structs.replace(given_response, method="POST"), secret)


def test_without_qop_as_in_rfc_2617() -> None:
    old = msgspec.structs.replace(EXAMPLE, qop="", nc="", cnonce="", realm="testrealm@host.com", nonce="dcd98b7102")
    secret = ha1("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")
    assert expected_response(old, secret) == expected_response(msgspec.structs.replace(old, nc="5"), secret)


@given(st.text(), st.text(), st.text())
def test_any_text_is_judged_without_an_exception(nonce: str, response: str, count: str) -> None:
    book = NonceBook(b"key")
    assert book.judge(nonce, "10.0.0.1", 5.0) is STALE
    assert not proves(msgspec.structs.replace(EXAMPLE, response=response), "0" * 32)
    assert book.use(nonce, count, 5.0) in (FRESH, STALE)


def test_a_nonce_is_fresh_for_its_source_its_run_and_its_time() -> None:
    book = NonceBook(b"key")
    nonce = book.make("10.0.0.1", 100.0)
    assert book.judge(nonce, "10.0.0.1", 100.0) is FRESH
    assert book.judge(nonce, "10.0.0.1", 100.0 + NonceBook.LIFE) is FRESH
    assert book.judge(nonce, "10.0.0.1", 100.1 + NonceBook.LIFE) is STALE
    assert book.judge(nonce, "10.0.0.2", 100.0) is STALE
    assert NonceBook(b"other").judge(nonce, "10.0.0.1", 100.0) is STALE
    stamp, _, mac = nonce.partition(".")
    assert book.judge(f"{stamp}0.{mac}", "10.0.0.1", 100.0) is STALE


def test_two_challenges_in_one_millisecond_are_two_nonces() -> None:
    book = NonceBook(b"key")
    assert len({book.make("10.0.0.1", 100.0) for _ in range(100)}) == 100


def test_each_count_is_used_once_in_any_order_within_64() -> None:
    book = NonceBook(b"key")
    nonce = book.make("h", 0.0)
    for count in (1, 3, 2, 10, 9):
        assert book.use(nonce, f"{count:08x}", 0.0) is FRESH
        assert book.use(nonce, f"{count:08x}", 0.0) is STALE
    assert book.use(nonce, f"{100:08x}", 0.0) is FRESH
    assert book.use(nonce, f"{36:08x}", 0.0) is STALE
    assert book.use(nonce, f"{37:08x}", 0.0) is FRESH
    assert book.use(nonce, "ffffffff", 0.0) is FRESH
    assert book.use(nonce, "00000065", 0.0) is STALE


@given(st.lists(st.integers(1, 200), max_size=100))
def test_no_count_is_ever_taken_twice(counts: list[int]) -> None:
    book = NonceBook(b"key")
    nonce = book.make("h", 0.0)
    taken = [count for count in counts if book.use(nonce, format(count, "x"), 0.0) is FRESH]
    assert len(taken) == len(set(taken))


def test_counts_are_remembered_while_the_nonce_lives_and_forgotten_after() -> None:
    book = NonceBook(b"key")
    nonce = book.make("h", 0.0)
    assert book.use(nonce, "1", 0.0) is FRESH
    for number in range(1000):
        book.use(f"n{number}", "1", 0.0)
    assert book.use(nonce, "1", NonceBook.LIFE) is STALE
    for time in (301.0, 602.0, 903.0):
        book.use("other", format(int(time), "x"), time)
    assert len(book._young) + len(book._old) <= 2


@pytest.mark.parametrize("count", ["0", "-1", "x", "1.5"])
def test_odd_counts(count: str) -> None:
    book = NonceBook(b"key")
    assert book.use(book.make("h", 0.0), count, 0.0) is STALE
