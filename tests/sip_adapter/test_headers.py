"""Header values are read as RFC 3261 section 25 has them, as phones write them, and as a foreign library reads them."""

from __future__ import annotations

import pytest
import sipmessage
from hypothesis import given
from hypothesis import strategies as st

from sip_adapter.errors import SipError
from sip_adapter.headers import (
    MAX_DELTA,
    NameAddr,
    delta_seconds,
    parse_auth,
    parse_name_addr,
    parse_params,
    parse_via,
    split_commas,
)

TOKENS = st.text("abcXYZ019-.!%*_+`'~", min_size=1, max_size=10)


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (b"<sip:a@b>", NameAddr("", b"sip:a@b", {})),
        (b'"A \\"B\\" <x>" <sip:a@b;lr>;tag=1', NameAddr('A "B" <x>', b"sip:a@b;lr", {b"tag": b"1"})),
        (b'"A"<sip:a@b>;tag=1', NameAddr("A", b"sip:a@b", {b"tag": b"1"})),
        (b"Alice  Smith <sip:a@b> ; TAG = 1", NameAddr("Alice  Smith", b"sip:a@b", {b"tag": b"1"})),
        (b"sip:a@b;tag=1", NameAddr("", b"sip:a@b", {b"tag": b"1"})),
        (b'<sip:a@b>;+sip.x="<u:1>";q=0.5', NameAddr("", b"sip:a@b", {b"+sip.x": b"<u:1>", b"q": b"0.5"})),
        (b'"\xc3\xa9" <sip:a@b>', NameAddr("\xe9", b"sip:a@b", {})),
        (b"\xff <sip:a@b>", NameAddr("\udcff", b"sip:a@b", {})),
        (b"<sip:a@b>;tag=a=b==", NameAddr("", b"sip:a@b", {b"tag": b"a=b=="})),
    ],
)  # fmt: skip
def test_reads_an_address(raw: bytes, address: NameAddr) -> None:
    assert parse_name_addr(raw) == address


@pytest.mark.parametrize(
    "raw",
    [b"", b"a", b"<>", b"<sip:a@b", b"sip:a@b>", b'"x <sip:a@b>', b"<sip:a@b>;", b"<sip:a@b>;;a", b"<sip:a@b> x",
     b"<sip:a@b>;tag=1;tag=2", b"a, b <sip:a@b>", b"sip:a@b?c=d", b"<sip:a@b>,<sip:c@d>", b"< sip:a@b>",
     b'"a" "b" <sip:a@b>', b"<sip:a@b>" + b";a" * 10],
)  # fmt: skip
def test_refuses_an_address(raw: bytes) -> None:
    with pytest.raises(SipError) as caught:
        parse_name_addr(raw, "From")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "raw",
    [b"SIP/2.0/UDP host:5060;branch=z9hG4bKx;rport", b"SIP/2.0/UDP host:5060;rport;branch=z9hG4bKx",
     b"sip / 2.0 / udp  HOST : 5060 ; rport ;Branch = z9hG4bKx"],
)  # fmt: skip
def test_reads_a_via(raw: bytes) -> None:
    via = parse_via(raw)
    assert (via.transport, via.host, via.port, via.branch) == ("UDP", "host", 5060, b"z9hG4bKx")
    assert via.rport_requested
    assert (via.rport, via.received, via.maddr, via.ttl) == (None, None, None, None)
    assert via.raw == raw


def test_reads_only_the_top_via() -> None:
    via = parse_via(b'SIP/2.0/TLS [::1]:5061;branch=a;rport=77;received=[::2];maddr=m;ttl=16;x="a,b", SIP/2.0/UDP c')
    assert (via.transport, via.host, via.rport, via.received) == ("TLS", "::1", 77, "::2")
    assert (via.maddr, via.ttl, via.rport_requested) == ("m", 16, False)
    assert via.params[b"x"] == b"a,b"
    assert via.raw.endswith(b'x="a,b"')


@pytest.mark.parametrize(
    "raw",
    [b"", b"SIP/2.0/UDP", b"SIP/3.0/UDP h", b"SIP/2.0/UDP h:99999", b"SIP/2.0/UDP h;branch=a;branch=b",
     b"SIP/2.0/UDP h;rport;branch=a;rport", b"SIP/2.0/UDP h;;a", b"SIP/2.0/UDP h x", b"SIP/2.0/UDP h;a=\"b"],
)  # fmt: skip
def test_refuses_a_via(raw: bytes) -> None:
    with pytest.raises(SipError) as caught:
        parse_via(raw)
    assert caught.value.status == 400


@pytest.mark.parametrize("rport", [b"x", b"99999", b"123456"])
def test_refuses_an_rport_that_is_no_port(rport: bytes) -> None:
    with pytest.raises(SipError):
        _ = parse_via(b"SIP/2.0/UDP h;rport=" + rport).rport


@pytest.mark.parametrize(
    ("raw", "items"),
    [
        (b"a", [b"a"]),
        (b"a, b ,c", [b"a", b"b", b"c"]),
        (b'"a,b" <x,y>, c', [b'"a,b" <x,y>', b"c"]),
        (b'"\\",", <a>', [b'"\\","', b"<a>"]),
    ],
)
def test_splits_at_commas(raw: bytes, items: list[bytes]) -> None:
    assert split_commas(raw) == items


@pytest.mark.parametrize("raw", [b"", b",", b"a,", b",a", b"a,,b", b'"a', b"<a", b"<a>,", b"a," * 300])
def test_refuses_a_list(raw: bytes) -> None:
    with pytest.raises(SipError):
        split_commas(raw)


def test_reads_parameters() -> None:
    assert parse_params(b';A=1; b = "x;\\"y" ;c') == {b"a": b"1", b"b": b'x;"y', b"c": b""}
    for bad in (b"a", b";", b";a;A", b";a=b c", b";a" * 300):
        with pytest.raises(SipError):
            parse_params(bad)


def test_reads_seconds() -> None:
    assert [delta_seconds(raw) for raw in (b"0", b" 3600 ", b"007", b"9" * 5000)] == [0, 3600, 7, MAX_DELTA]
    assert [delta_seconds(raw) for raw in (b"", b"-1", b"1.5", b"x", b"1 2")] == [None] * 5


@pytest.mark.parametrize(
    "raw",
    [b'Digest username="a",realm="r",uri="sip:h",nc=00000001,qop=auth',
     b'Digest  username="a",  realm="r",   uri="sip:h", nc=00000001 , qop=auth',
     b'DIGEST username = "a" , , realm= "r",uri ="sip:h",nc=00000001,qop="auth",',
     b'digest\tUsername="a",\trealm="r",uri="sip:h",nc=00000001,qop=auth'],
)  # fmt: skip
def test_reads_credentials_as_phones_space_them(raw: bytes) -> None:
    assert parse_auth(raw) == (
        "digest",
        {"username": "a", "realm": "r", "uri": "sip:h", "nc": "00000001", "qop": "auth"},
    )


def test_reads_quoted_pairs_and_foreign_schemes() -> None:
    assert parse_auth(b'Digest a="\\"\\\\,b"') == ("digest", {"a": '"\\,b'})
    assert parse_auth(b"NoOneKnowsThisScheme opaque-data=here") == ("nooneknowsthisscheme", {"opaque-data": "here"})
    assert parse_auth(b"Basic dXNlcjpwYXNz")[0] == "basic"


@pytest.mark.parametrize(
    "raw",
    [b"", b"=", b'Digest a="b', b"Digest a", b'Digest a="b" c="d"', b"Digest a=1,A=2", b'Digest a="b"x'],
)
def test_refuses_credentials(raw: bytes) -> None:
    with pytest.raises(SipError):
        parse_auth(raw)


@given(
    st.dictionaries(
        TOKENS.map(str.lower),
        st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126), max_size=12),
        min_size=1,
    )
)
def test_credentials_come_back(params: dict[str, str]) -> None:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in params.items()}
    raw = "Digest " + ", ".join(f'{name}="{value}"' for name, value in quoted.items())
    assert parse_auth(raw.encode()) == ("digest", params)


@given(
    st.sampled_from(["UDP", "TCP", "TLS", "WS", "WSS"]),
    st.from_regex(r"([a-z0-9]{1,5}\.){1,2}[a-z]{2,5}", fullmatch=True) | st.ip_addresses(v=4).map(str),
    st.none() | st.integers(1, 65535),
    st.text("abcXYZ019-.", min_size=1, max_size=8),
)
def test_reads_a_via_as_a_foreign_library_does(transport: str, host: str, port: int | None, branch: str) -> None:
    text = f"SIP/2.0/{transport} {host}{'' if port is None else f':{port}'};branch={branch}"
    theirs, ours = sipmessage.Via.parse(text), parse_via(text.encode())
    assert (ours.transport, ours.host, ours.port) == (theirs.transport, theirs.host, theirs.port)
    assert ours.branch == str(theirs.parameters["branch"]).encode()


@given(
    st.lists(st.text("ab9", min_size=1, max_size=3), max_size=3).map(" ".join),
    st.text("abXY09-", min_size=1, max_size=8),
)
def test_reads_an_address_as_a_foreign_library_does(display: str, tag: str) -> None:
    text = f'"{display}" <sip:a@b.c;lr>;tag={tag}'
    theirs, ours = sipmessage.Address.parse(text), parse_name_addr(text.encode())
    assert (ours.display, ours.uri.decode()) == (theirs.name, str(theirs.uri))
    assert ours.params == {b"tag": tag.encode()}


@given(
    st.dictionaries(
        st.sampled_from(["username", "realm", "nonce", "uri", "response", "cnonce"]),
        st.text("abXY09-:", max_size=8),
        min_size=1,
    )
)
def test_reads_credentials_as_a_foreign_library_does(params: dict[str, str]) -> None:
    text = "Digest " + ", ".join(f'{name}="{value}"' for name, value in params.items())
    theirs = sipmessage.AuthCredentials.parse(text)
    assert parse_auth(text.encode()) == (theirs.scheme.lower(), dict(theirs.parameters or {}))
