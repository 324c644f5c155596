"""Digest authentication: the arithmetic of RFC 7616 and the book of nonces that were given out."""

from __future__ import annotations

import hmac
import itertools
from enum import StrEnum
from hashlib import md5, sha256

from actors.messages.requests import DigestResponse

ALGORITHMS = ("MD5", "SHA-256")


def _hash(algorithm: str, text: str) -> str:
    data = text.encode("utf-8", "surrogateescape")
    if algorithm == "SHA-256":
        return sha256(data).hexdigest()
    return md5(data, usedforsecurity=False).hexdigest()


def ha1(algorithm: str, user: str, realm: str, password: str) -> str:
    """Hash what a server keeps instead of a password (RFC 7616 3.4.2); `algorithm` is MD5 or SHA-256."""
    return _hash(algorithm, f"{user}:{realm}:{password}")


def expected_response(credentials: DigestResponse, secret: str) -> str:
    """Compute the response that proves knowledge of `secret`, an HA1 (RFC 7616 3.4.1; without qop: RFC 2069)."""
    ha2 = _hash(credentials.algorithm, f"{credentials.method}:{credentials.uri}")
    if not credentials.qop:
        return _hash(credentials.algorithm, f"{secret}:{credentials.nonce}:{ha2}")
    middle = f"{credentials.nonce}:{credentials.nc}:{credentials.cnonce}:{credentials.qop}"
    return _hash(credentials.algorithm, f"{secret}:{middle}:{ha2}")


def proves(credentials: DigestResponse, secret: str) -> bool:
    """Tell whether the response was made with this HA1, in constant time."""
    given = credentials.response.lower().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(expected_response(credentials, secret).encode(), given)


class NonceVerdict(StrEnum):
    """What a nonce is worth."""

    FRESH = "fresh"
    STALE = "stale"
    """Ours once, or made up: too old, of another run or source, or its count was used before."""


class NonceBook:
    """Makes nonces and judges them: time, source address and an HMAC key drawn at each start (PROTOCOL 6).

    A nonce carries its own proof, so nothing is kept for one that nobody answers. What is kept for an answered one
    is a bitmap of the last 64 counts, and only while it could still be used: two generations of `LIFE` seconds.
    """

    LIFE = 300.0

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._young: dict[str, tuple[int, int]] = {}
        self._old: dict[str, tuple[int, int]] = {}
        self._turned = 0.0
        self._numbers = itertools.count(1)

    def make(self, source: str, now: float) -> str:
        """Make a nonce for a source host, another each time: two phones behind one address would spend each other's
        counts. `now` in monotonic seconds.
        """
        stamp = f"{int(now * 1000):x}-{next(self._numbers):x}"
        return f"{stamp}.{self._mac(stamp, source)}"

    def judge(self, nonce: str, source: str, now: float) -> NonceVerdict:
        """Judge its making and age, not its count."""
        stamp, _, mac = nonce.partition(".")
        expected = self._mac(stamp, source).encode()
        if not hmac.compare_digest(expected, mac.encode("utf-8", "surrogateescape")):
            return NonceVerdict.STALE
        age = now - int(stamp.partition("-")[0], 16) / 1000
        return NonceVerdict.FRESH if age <= self.LIFE else NonceVerdict.STALE

    def use(self, nonce: str, count: str, now: float) -> NonceVerdict:
        """Use up one count of a nonce judged fresh; a count used before, or far behind, is stale."""
        self._turn(now)
        try:
            number = int(count, 16) if count else 1
        except ValueError:
            return NonceVerdict.STALE
        highest, bits = self._young.get(nonce) or self._old.get(nonce) or (0, 0)
        if number > highest:
            self._young[nonce] = (number, (bits << min(number - highest, 64) | 1) & (1 << 64) - 1)
            return NonceVerdict.FRESH
        bit = 1 << highest - number
        if number < 1 or highest - number >= 64 or bits & bit:
            return NonceVerdict.STALE
        self._young[nonce] = (highest, bits | bit)
        return NonceVerdict.FRESH

    def _mac(self, stamp: str, source: str) -> str:
        return hmac.digest(self._key, f"{stamp}|{source}".encode(), "sha256")[:16].hex()

    def _turn(self, now: float) -> None:
        if now - self._turned > self.LIFE:
            self._old, self._young = self._young, {}
            self._turned = now
