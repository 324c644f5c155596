"""Names as they stand in From and To."""

from __future__ import annotations

import pytest

from actors.state.addresses import aor


@pytest.mark.parametrize(
    ("user", "address"),
    [
        ("alice", b"sip:alice@angarium"),
        ("+1-555;ext=2", b"sip:+1-555;ext=2@angarium"),
        ("a b", b"sip:a%20b@angarium"),
        ("müller", b"sip:m%C3%BCller@angarium"),
        ("a%b", b"sip:a%25b@angarium"),
        ("bob@evil.example", b"sip:bob%40evil.example@angarium"),
        ('x"<>\r\n', b"sip:x%22%3C%3E%0D%0A@angarium"),
    ],
)
def test_what_is_no_part_of_a_name_is_escaped(user: str, address: bytes) -> None:
    assert aor(user, "angarium") == address


def test_the_host_is_what_the_phone_calls_the_network() -> None:
    assert aor("bob", "[::1]:5070") == b"sip:bob@[::1]:5070"
