"""SIP and SIPS URIs (RFC 3261 section 19.1), and as much of every other URI as its scheme."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from sip_adapter.errors import SipError

_CACHED_LENGTH = 256
"""Longer URIs are not cached: 8192 of them would hold half a gigabyte."""

_ESCAPED = rb"%[0-9A-Fa-f]{2}"
_URI = re.compile(
    rb"(sips?):"
    rb"(?:((?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]++|" + _ESCAPED + rb")+)"
    rb"(?::((?:[A-Za-z0-9\-_.!~*'()&=+$,]++|" + _ESCAPED + rb")*))?@)?"
    rb"(?:([A-Za-z0-9][A-Za-z0-9.\-_]*+)|\[([0-9A-Fa-f:.]++)\])"
    rb"(?::([0-9]{1,5}))?"
    rb"((?:;(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]++|" + _ESCAPED + rb")+"
    rb"(?:=(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]++|" + _ESCAPED + rb")*)?)*)"
    rb"(?:\?([^\x00-\x20\x7f<>\"]*+))?",
    re.IGNORECASE,
)
_OTHER = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*+):([^\x00-\x20\x7f<>\"]++)")

_USER_SAFE = "-_.!~*'()&=+$,;?/"


class Uri(msgspec.Struct, frozen=True, gc=False):
    """One parsed URI; of schemes other than sip and sips only `scheme` and `opaque` are set."""

    scheme: str
    """Lower case."""
    user: str | None = None
    """Percent-decoded; bytes that are not UTF-8 are kept as surrogates."""
    password: str | None = None
    host: str = ""
    """Lower case, an IPv6 address without brackets."""
    port: int | None = None
    params: dict[str, str] = {}
    """Names in lower case; a parameter without a value has the value ''."""
    headers: bytes = b""
    """What follows the question mark, as received."""
    opaque: bytes = b""
    """All behind the colon for a scheme other than sip and sips, as received."""


def parse_uri(raw: bytes) -> Uri:
    """Read one URI that stands alone (no angle brackets); raises SipError 400 when it is malformed."""
    if len(raw) <= _CACHED_LENGTH:
        return _parse_cached(raw)
    return _parse(raw)


def quote_user(user: str) -> bytes:
    """Return the user part of a SIP URI with all that RFC 3261 does not allow there percent-encoded."""
    return quote_from_bytes(user.encode("utf-8", "surrogateescape"), _USER_SAFE).encode("ascii")


def _parse(raw: bytes) -> Uri:
    match = _URI.fullmatch(raw)
    if match is None:
        return _parse_other(raw)
    scheme, user, password, host, ipv6, port, params, headers = match.groups()
    return Uri(
        "sip" if len(scheme) == 3 else "sips",
        None if user is None else _decode(user),
        None if password is None else _decode(password),
        _ipv6(ipv6) if host is None else host.decode("ascii").lower(),
        None if port is None else port_number(port),
        _params(params) if params else {},
        headers or b"",
    )


_parse_cached = lru_cache(maxsize=8192)(_parse)


def _parse_other(raw: bytes) -> Uri:
    match = _OTHER.fullmatch(raw)
    if match is None:
        raise SipError(400, "Malformed URI")
    scheme = match[1].decode("ascii").lower()
    if scheme in ("sip", "sips"):
        raise SipError(400, "Malformed SIP URI")
    return Uri(scheme, opaque=match[2])


def _decode(raw: bytes) -> str:
    if b"%" in raw:
        raw = unquote_to_bytes(raw)
    return raw.decode("utf-8", "surrogateescape")


def _ipv6(raw: bytes) -> str:
    text = raw.decode("ascii").lower().replace(":::", "::")  # RFC 5118 4.10: a bug of the old grammar
    try:
        IPv6Address(text)
    except AddressValueError:
        raise SipError(400, "Malformed IPv6 address") from None
    return text


def port_number(raw: bytes) -> int:
    """Return the port that stands in at most five digits; raises SipError 400 above 65535."""
    port = int(raw)
    if port > 65535:
        raise SipError(400, "Port out of range")
    return port


def _params(raw: bytes) -> dict[str, str]:
    params: dict[str, str] = {}
    for item in raw[1:].split(b";"):
        name, _, value = item.partition(b"=")
        key = _decode(name).lower()
        if key in params:
            raise SipError(400, "Repeated URI parameter")
        params[key] = _decode(value)
    return params
