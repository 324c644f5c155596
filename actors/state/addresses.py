"""Addresses of users as they stand in From and To (RFC 3261 19.1)."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

_USER_SAFE = "-_.!~*'()&=+$,;?/"
"""Unescaped in a user part: `unreserved` and `user-unreserved` of RFC 3261 25.1."""


@lru_cache(maxsize=8192)
def aor(user: str, host: str) -> bytes:
    """Write the address of record of a user as seen by a phone that calls the network `host`."""
    return f"sip:{quote(user, safe=_USER_SAFE, errors='surrogateescape')}@{host}".encode("utf-8", "surrogateescape")
