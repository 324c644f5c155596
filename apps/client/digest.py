"""The client's half of digest authentication (RFC 7616, RFC 8760): a challenge in, credentials out."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import msgspec

from actors.messages.requests import DigestResponse
from actors.state.digest import ALGORITHMS, expected_response, ha1
from sip_adapter.errors import SipError
from sip_adapter.headers import parse_auth


class Challenge(msgspec.Struct, frozen=True):
    """What a server wants proved, and with which nonce."""

    realm: str
    nonce: str
    algorithm: str
    """MD5 or SHA-256; `as_sent` is what stood there, empty if nothing did."""
    as_sent: str
    opaque: str | None
    qop: bool
    """Whether `auth` was offered; if not, the old form of RFC 2069 is used."""
    stale: bool


def choose(values: Sequence[bytes]) -> Challenge | None:
    """Return the first challenge that we can answer, as RFC 8760 2.4 asks, or None."""
    for value in values:
        try:
            scheme, params = parse_auth(value)
        except SipError:
            continue
        challenge = _read(params) if scheme == "digest" else None
        if challenge is not None:
            return challenge
    return None


def _read(params: dict[str, str]) -> Challenge | None:
    as_sent = params.get("algorithm", "")
    algorithm = as_sent.upper() or "MD5"
    offered = [item.strip().lower() for item in params.get("qop", "").split(",") if item.strip()]
    if algorithm not in ALGORITHMS or "nonce" not in params or (offered and "auth" not in offered):
        return None
    return Challenge(
        realm=params.get("realm", ""),
        nonce=params["nonce"],
        algorithm=algorithm,
        as_sent=as_sent,
        opaque=params.get("opaque"),
        qop=bool(offered),
        stale=params.get("stale", "").lower() == "true",
    )


class Credentials:
    """A user's name and password, and how often each nonce was used."""

    def __init__(self, user: str, password: str) -> None:
        """Keep what the answers are made of."""
        self._user = user
        self._password = password
        self._nonce = ""
        self._count = 0

    def answer(self, challenge: Challenge, method: str, uri: str) -> bytes:
        """Return the value of Authorization for one request; each call uses the nonce's next count."""
        self._count = self._count + 1 if challenge.nonce == self._nonce else 1
        self._nonce = challenge.nonce
        proof = DigestResponse(
            username=self._user,
            realm=challenge.realm,
            nonce=challenge.nonce,
            uri=uri,
            response="",
            method=method,
            algorithm=challenge.algorithm,
            qop="auth" if challenge.qop else "",
            nc=f"{self._count:08x}",
            cnonce=secrets.token_hex(16),
        )
        secret = ha1(challenge.algorithm, self._user, challenge.realm, self._password)
        fields = [
            ("username", _quoted(self._user)),
            ("realm", _quoted(challenge.realm)),
            ("nonce", _quoted(challenge.nonce)),
            ("uri", _quoted(uri)),
            ("response", _quoted(expected_response(proof, secret))),
        ]
        if challenge.as_sent:
            fields.append(("algorithm", challenge.as_sent))
        if challenge.qop:
            fields += [("qop", "auth"), ("nc", proof.nc), ("cnonce", _quoted(proof.cnonce))]
        if challenge.opaque is not None:
            fields.append(("opaque", _quoted(challenge.opaque)))
        text = "Digest " + ", ".join(f"{name}={value}" for name, value in fields)
        return text.encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
