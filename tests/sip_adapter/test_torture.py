"""The torture messages of RFC 4475 and RFC 5118 get the RFCs' verdicts, and no mutation of them does harm."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_adapter.codec import Request, Response, parse, response
from sip_adapter.errors import SipError
from sip_adapter.framer import StreamFramer
from sip_adapter.headers import STAR, parse_auth
from sip_adapter.uri import parse_uri
from tests.sip_adapter.torture.table import FOLDER, TABLE, load

VALID = sorted(name for name, case in TABLE.items() if case.valid)
INVALID = sorted(name for name, case in TABLE.items() if not case.valid)


def read_all(message: Request | Response) -> None:
    """Use every accessor, and let only SipError pass."""
    for name in ("via", "call_id", "cseq", "from_", "to", "from_tag", "to_tag", "max_forwards", "contacts",
                 "expires", "content_length", "content_type"):  # fmt: skip
        with suppress(SipError):
            getattr(message, name)
    for value in message.get_all(b"authorization"):
        with suppress(SipError):
            parse_auth(value)


def test_the_table_names_every_message() -> None:
    assert {path.stem for path in FOLDER.glob("*.dat")} == set(TABLE)
    assert sum(case.section.startswith("RFC 4475") for case in TABLE.values()) == 49
    assert sum(case.section.startswith("RFC 5118") for case in TABLE.values()) == 12


@pytest.mark.parametrize("name", VALID)
def test_a_valid_message_parses(name: str) -> None:
    message = parse(load(name))
    read_all(message)
    assert message.via.host
    assert message.call_id
    assert isinstance(message, Request) == bool(TABLE[name].node)
    if isinstance(message, Request):
        parse_uri(message.uri)


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_message_is_refused_with_its_status(name: str) -> None:
    with pytest.raises(SipError) as caught:
        parse(load(name))
    assert caught.value.status == TABLE[name].codec
    if not TABLE[name].node:
        assert caught.value.request is None
        return
    request = caught.value.request
    assert request is not None
    answer = response(request, caught.value.status, caught.value.reason, to_tag=b"t", received=("192.0.2.9", 5))
    assert answer.startswith(b"SIP/2.0 %d " % caught.value.status)
    assert answer.count(b"\r\nVia: ") == len(request.get_all(b"via"))
    assert answer.endswith(b"\r\nContent-Length: 0\r\n\r\n")


def test_facts_of_a_short_tortuous_invite() -> None:
    message = parse(load("wsinv"))
    assert isinstance(message, Request)
    assert message.method == "INVITE"
    assert parse_uri(message.uri).params == {"unknownparam": ""}
    assert message.to.uri == b"sip:vivekg@chair-dnrc.example.com"
    assert message.to_tag == b"1918181833n"
    assert message.from_.display == 'J Rosenberg \\"'
    assert message.from_tag == b"98asjd8"
    assert message.max_forwards == 68
    assert message.cseq == (9, "INVITE")
    assert (message.via.transport, message.via.host, message.via.branch) == ("UDP", "192.0.2.2", b"390skdjuw")
    assert len(message.get_all(b"via")) == 2
    assert message.get(b"subject") == b""
    assert message.get(b"newfangledheader") == b"newfangled value continued newfangled value"
    assert message.get(b"unknownheaderwithunusualvalue") == b";;,,;;,;"
    (route,) = message.name_addrs(b"route")
    assert route.uri == b"sip:services.example.com;lr;unknownwith=value;unknown-no-value"
    assert message.contacts is not STAR
    (contact,) = message.name_addrs(b"contact")
    assert contact.display == 'Quoted string ""'
    assert contact.params == {b"newparam": b"newvalue", b"secondparam": b"", b"q": b"0.33"}
    assert len(message.body) == 150


def test_facts_of_a_wide_range_of_valid_characters() -> None:
    message = parse(load("intmeth"))
    assert isinstance(message, Request)
    assert message.method == "!interesting-Method0123456789_*+`.%indeed'~"
    assert parse_uri(message.uri).host == "example.com"
    assert message.to.display == "BEL:\x07 NUL:\x00 DEL:\x7f"
    assert message.from_.params[b"fromparam''~+*_!.-%"].decode() == "работающий"
    assert message.get(b"extensionheader-!.%*+_`'~") is not None


def test_facts_of_escapes_in_uris() -> None:
    message = parse(load("esc01"))
    assert isinstance(message, Request)
    assert parse_uri(message.uri).user == "sips:user@example.com"
    assert parse_uri(message.to.uri).user == "user"
    assert parse_uri(message.from_.uri).user == "I have spaces"
    (contact,) = message.name_addrs(b"contact")
    assert parse_uri(contact.uri).params == {"lr": "", "name": "value%41"}
    nulls = parse(load("escnull"))
    assert parse_uri(nulls.to.uri).user == "null-\0-null"
    assert [parse_uri(a.uri).user for a in nulls.name_addrs(b"contact")] == ["\0", "\0\0"]
    assert len(parse(load("esc02")).name_addrs(b"contact")) == 2


def test_facts_of_parameters_and_uris_without_brackets() -> None:
    (outside,) = parse(load("cparam01")).name_addrs(b"contact")
    assert (outside.uri, outside.params) == (b"sip:+19725552222@gw1.example.net", {b"unknownparam": b""})
    (inside,) = parse(load("cparam02")).name_addrs(b"contact")
    assert (inside.uri, inside.params) == (b"sip:+19725552222@gw1.example.net;unknownparam", {})
    semicolon = parse(load("semiuri"))
    assert isinstance(semicolon, Request)
    assert parse_uri(semicolon.uri).user == "user;par=u@example.net"
    assert len(semicolon.tokens(b"accept")) == 6


def test_facts_of_bodies_and_reasons() -> None:
    assert parse(load("dblreq")).body == b""
    assert len(parse(load("mpart01")).body) == 553
    unusual, empty = parse(load("unreason")), parse(load("noreason"))
    assert isinstance(unusual, Response)
    assert isinstance(empty, Response)
    assert unusual.reason.startswith("= 2**3 * 5**2 но сто девяносто девять")
    assert (empty.status, empty.reason) == (100, "")


def test_facts_of_ipv6() -> None:
    hosts = {name: parse(load(name)) for name in VALID if TABLE[name].section.startswith("RFC 5118")}
    seen = {name: parse_uri(m.uri) for name, m in hosts.items() if isinstance(m, Request)}
    assert (seen["port-ambiguous"].host, seen["port-ambiguous"].port) == ("2001:db8::10:5070", None)
    assert (seen["port-unambiguous"].host, seen["port-unambiguous"].port) == ("2001:db8::10", 5070)
    assert seen["ipv6-bug-abnf-3-colons"].host == seen["ipv6-correct-abnf-2-colons"].host
    assert hosts["via-received-param-with-delim"].via.received == "2001:db8::9:255"
    assert hosts["via-received-param-no-delim"].via.received == "2001:db8::9:255"
    assert hosts["ipv4-mapped-ipv6"].via.host == "::ffff:192.0.2.10"


@pytest.mark.parametrize("name", [name for name in VALID if name not in ("dblreq", "inv2543", "wsinv")])
def test_a_valid_message_means_the_same_on_a_stream(name: str) -> None:
    whole = parse(load(name))
    first, *_ = StreamFramer().feed(load(name))
    assert isinstance(first, Request | Response)
    assert (first.headers, first.body) == (whole.headers, whole.body)


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A torture message with a few bytes changed, removed, repeated or put elsewhere."""
    data = bytearray(load(draw(st.sampled_from(sorted(TABLE)))))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(0, 40))
        piece = bytes(data[at : at + length])
        what = draw(st.sampled_from(["insert", "replace", "delete", "repeat", "token"]))
        if what == "insert":
            data[at:at] = draw(st.binary(max_size=8))
        elif what == "replace":
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif what == "delete":
            del data[at : at + length]
        elif what == "repeat":
            data[at:at] = piece * draw(st.integers(1, 200))
        else:
            data[at:at] = draw(st.sampled_from([b"\r\n", b'"', b"<", b">", b",", b";", b"\\", b"=", b":", b"%"]))
    return bytes(data)


@given(mutations())
@settings(max_examples=1500, deadline=None)
def test_a_mutated_message_raises_only_sip_errors(data: bytes) -> None:
    try:
        message = parse(data)
    except SipError as error:
        if error.request is not None:
            read_all(error.request)
            response(error.request, error.status, error.reason, to_tag=b"t", received=("127.0.0.1", 1))
    else:
        read_all(message)
        if isinstance(message, Request):
            answer = parse(response(message, 200, "OK", to_tag=b"t", received=("127.0.0.1", 1)))
            assert answer.via.branch == message.via.branch
            assert answer.call_id == message.call_id
    for event in StreamFramer().feed(data):
        if isinstance(event, Request | Response):
            read_all(event)
