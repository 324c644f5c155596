"""User names and passwords as programs take them: checked names in, hashes out."""

from __future__ import annotations

from actors.model import POSTMASTER
from actors.state.digest import ha1

MAX_NAME = 128
"""Characters of a user name."""
MAX_PASSWORD = 256
"""Characters of a password."""


def user_name(text: str) -> str:
    """Return the user name if a new user may bear it; raises ValueError with a reason that does not repeat it.

    Any printable character but space is allowed: SIP URIs carry the others percent-encoded (RFC 3261 25.1).
    """
    if not text:
        raise ValueError("a user needs a name")
    if len(text) > MAX_NAME:
        raise ValueError(f"a user name has at most {MAX_NAME} characters")
    if not text.isprintable() or " " in text:
        raise ValueError("a user name has no spaces and no control characters")
    if text == POSTMASTER:
        raise ValueError(f"{text!r} is reserved for notices")
    return text


def password(text: str) -> str:
    """Return the password if it may be one; raises ValueError with a reason that does not repeat it."""
    if not text:
        raise ValueError("the password is empty")
    if len(text) > MAX_PASSWORD:
        raise ValueError(f"a password has at most {MAX_PASSWORD} characters")
    if not text.isprintable():
        raise ValueError("the password has control characters")
    return text


def hashes(name: str, realm: str, secret: str) -> tuple[str, str]:
    """Return HA1 for MD5 and for SHA-256 (RFC 7616 3.4.2), what a node keeps instead of the password."""
    return ha1("MD5", name, realm, secret), ha1("SHA-256", name, realm, secret)
