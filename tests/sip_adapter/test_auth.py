"""Challenges as phones take them, credentials as phones send them."""

from __future__ import annotations

import pytest

from actors.messages.requests import Challenge, DigestResponse
from sip_adapter.auth import challenge_headers, credentials
from sip_adapter.codec import Request, parse
from sip_adapter.errors import SipError
from sip_adapter.headers import parse_auth
from tests.sip_adapter.packets import register


def found(*more: str, realm: str = "angarium") -> DigestResponse | None:
    request = parse(register(*more))
    assert isinstance(request, Request)
    return credentials(request, realm)


def test_one_md5_challenge_as_all_phones_take_it() -> None:
    headers = challenge_headers(Challenge(realm="angarium", nonce="n0nce"), 401)
    assert headers == ((b"WWW-Authenticate", b'Digest realm="angarium", nonce="n0nce", algorithm=MD5, qop="auth"'),)


def test_several_algorithms_in_the_order_given() -> None:
    challenge = Challenge(realm='a"b\\c', nonce="n", stale=True, algorithms=("SHA-256", "MD5"), opaque="o")
    headers = challenge_headers(challenge, 407)
    assert [name for name, _ in headers] == [b"Proxy-Authenticate"] * 2
    read = [parse_auth(value) for _, value in headers]
    assert [params["algorithm"] for _, params in read] == ["SHA-256", "MD5"]
    for scheme, params in read:
        assert scheme == "digest"
        assert (params["realm"], params["stale"], params["opaque"]) == ('a"b\\c', "true", "o")


def test_credentials_with_all_parameters() -> None:
    response = found(
        'Authorization: Digest  username="bob",  realm="angarium",nonce="n", uri="sip:angarium", response="ABCDEF",'
        " algorithm=md5, qop=auth, nc=00000001, cnonce=c, opaque=o"
    )
    assert response == DigestResponse(
        username="bob",
        realm="angarium",
        nonce="n",
        uri="sip:angarium",
        response="abcdef",
        method="REGISTER",
        algorithm="MD5",
        qop="auth",
        nc="00000001",
        cnonce="c",
        opaque="o",
    )


def test_no_algorithm_means_md5() -> None:
    response = found('Proxy-Authorization: Digest username="bob", realm="angarium", nonce="n", response="r"')
    assert response is not None
    assert response.algorithm == "MD5"
    assert response.qop == ""


def test_the_credentials_of_our_realm_count() -> None:
    response = found(
        'Authorization: Digest username="x", realm="elsewhere"',
        'Authorization: Digest username="bob", realm="angarium"',
    )
    assert response is not None
    assert response.username == "bob"
    other = found('Authorization: Digest username="x", realm="elsewhere"')
    assert other is not None
    assert other.realm == "elsewhere"


def test_other_schemes_are_no_credentials() -> None:
    assert found("Authorization: Basic Ym9iOnNlY3JldA==") is None
    assert found() is None


@pytest.mark.parametrize(
    "value",
    ["Digest username=", 'Digest username="a', 'Digest username="a", username="b"', 'Digest username="\udcff"'],
)
def test_malformed_credentials_are_400(value: str) -> None:
    data = register("Authorization: X").replace(b"X", value.encode("utf-8", "surrogateescape"))
    request = parse(data)
    assert isinstance(request, Request)
    if value == "Digest username=":
        assert credentials(request, "angarium") is not None
        return
    with pytest.raises(SipError) as caught:
        credentials(request, "angarium")
    assert caught.value.status == 400
