"""URIs are read as RFC 3261 section 19.1 has them, and as a foreign library reads them."""

from __future__ import annotations

import pytest
import sipmessage
from hypothesis import given
from hypothesis import strategies as st

from sip_adapter.errors import SipError
from sip_adapter.uri import Uri, parse_uri, quote_user


@pytest.mark.parametrize(
    ("raw", "uri"),
    [
        (b"sip:alice@Example.COM", Uri("sip", "alice", host="example.com")),
        (b"SIPS:example.com:5061", Uri("sips", host="example.com", port=5061)),
        (b"sip:a%6cice:s%20ecret@h", Uri("sip", "alice", "s ecret", "h")),
        (b"sip:alice@[2001:DB8::1]:5060;LR", Uri("sip", "alice", None, "2001:db8::1", 5060, {"lr": ""})),
        (b"sip:+12;context=x@h;user=phone", Uri("sip", "+12;context=x", host="h", params={"user": "phone"})),
        (b"sip:a@h;x=%41?Subject=hi&b=c", Uri("sip", "a", host="h", params={"x": "A"}, headers=b"Subject=hi&b=c")),
        (b"sip:@h", None),
        (b"sip:a@h_st", Uri("sip", "a", host="h_st")),
        (b"tel:+358-555", Uri("tel", opaque=b"+358-555")),
        (b"Mailto:a@b", Uri("mailto", opaque=b"a@b")),
    ],
)  # fmt: skip
def test_reads(raw: bytes, uri: Uri | None) -> None:
    if uri is None:
        with pytest.raises(SipError):
            parse_uri(raw)
    else:
        assert parse_uri(raw) == uri


@pytest.mark.parametrize(
    "raw",
    [b"", b"sip", b"sip:", b"sip:a@", b"sip:a b@h", b"sip:a@h:99999", b"sip:a@h:x", b"sip:a@h;", b"sip:a@[::g]",
     b"sip:a@[1::2::3]", b"sip:2001:db8::10", b"sip:a%4@h", b"sip:a@b@c", b"sip:a@h;lr;LR", b"sip:a@h\r\n",
     b"sip:\xc3\xa9@h", b"<sip:a@h>", b":x", b"1a:x", b"tel:", b"sip:a@h;x=\"y\"", b"sip:a@-h"],
)  # fmt: skip
def test_refuses(raw: bytes) -> None:
    with pytest.raises(SipError) as caught:
        parse_uri(raw)
    assert caught.value.status == 400


def test_a_long_uri_is_read_too() -> None:
    assert parse_uri(b"sip:" + b"a" * 1000 + b"@h").user == "a" * 1000


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_quoted_user_comes_back(user: str) -> None:
    assert parse_uri(b"sip:%b@h" % quote_user(user)).user == user


@given(st.binary(min_size=1, max_size=20))
def test_bytes_that_are_no_text_come_back(raw: bytes) -> None:
    user = raw.decode("utf-8", "surrogateescape")
    assert parse_uri(b"sip:%b@h" % quote_user(user)).user == user


TOKENS = st.text("abcXYZ019-_.", min_size=1, max_size=8)
HOSTS = st.one_of(st.from_regex(r"([a-z0-9]{1,5}\.){1,2}[a-z]{2,5}", fullmatch=True),
                  st.ip_addresses(v=4).map(str))  # fmt: skip


@given(
    st.sampled_from(["sip", "sips"]),
    st.none() | TOKENS,
    HOSTS,
    st.none() | st.integers(1, 65535),
    st.dictionaries(TOKENS.map(str.lower), st.none() | TOKENS, max_size=3),
)
def test_reads_as_a_foreign_library_does(
    scheme: str, user: str | None, host: str, port: int | None, params: dict[str, str | None]
) -> None:
    text = f"{scheme}:{'' if user is None else user + '@'}{host}{'' if port is None else f':{port}'}"
    text += "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params.items())
    theirs, ours = sipmessage.URI.parse(text), parse_uri(text.encode())
    assert (ours.scheme, ours.user, ours.host, ours.port) == (theirs.scheme, theirs.user, theirs.host, theirs.port)
    assert ours.params == {name: value or "" for name, value in params.items()}


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda raw: b"sip:" + raw))
def test_anything_else_is_a_sip_error(raw: bytes) -> None:
    try:
        uri = parse_uri(raw)
    except SipError as error:
        assert error.status == 400  # noqa: PT017
    else:
        assert uri.opaque if uri.scheme not in ("sip", "sips") else uri.host
