"""What proves requests and answers between servers (PROTOCOL 26), and seals hashes that travel. All pure.

Everything is HMAC-SHA-256 (RFC 2104), each use under a label of its own, so that what proves one thing never proves
another. A link needs no encryption for this; what it carries can be read on the way, but not changed, made or repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from actors.messages.links import Hello, LinkAnswer, LinkContent, encode_content
from actors.model import NodeName, UserName

MAC_SIZE = 16
"""Bytes of a MAC that travel."""


def root_key(secret: bytes, realm: str) -> bytes:
    """Make the key that greetings are proved with; without a secret it proves the realm only: for loopback."""
    if secret:
        return _digest(secret, b"link root", b"")
    return _digest(realm.encode(), b"open link root", b"")


def greeting_mac(root: bytes, hello: Hello) -> str:
    """Prove a greeting: there is no session yet, the key is the root itself."""
    return _mac(root, b"hello", encode_content(hello))


def session_key(root: bytes, caller: NodeName, callee: NodeName, caller_nonce: str, callee_nonce: str) -> bytes:
    """Make the key of one session: of one direction, and of both sides' chance."""
    return _digest(root, b"session", encode_content((caller, callee, caller_nonce, callee_nonce)))


def request_mac(key: bytes, session: str, number: int, content: LinkContent) -> str:
    """Prove a request of a session."""
    return _mac(key, b"request", f"{session} {number} ".encode() + encode_content(content))


def answer_mac(key: bytes, session: str, number: int, status: int, content: LinkAnswer | None) -> str:
    """Prove the final answer to the request of that number."""
    text = f"{session} {number} {status} ".encode()
    return _mac(key, b"answer", text + (b"" if content is None else encode_content(content)))


def same(one: str, other: str) -> bool:
    """Compare MACs in constant time."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))


def is_loopback(host: str) -> bool:
    """Tell whether a host, as text, cannot be anywhere but on this machine (RFC 1122 3.2.1.3, RFC 4291 2.5.3)."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


# Password hashes that move with their user (PROTOCOL 24).


def seal(root: bytes, nonce: str, user: UserName, text: str) -> str:
    """Hide a text from all who do not know the root, and prove it to those who do; `nonce` is used once. Hex."""
    plain = text.encode()
    hidden = _hide(root, nonce, user, plain)
    return (hidden + _seal_mac(root, nonce, user, hidden)).hex()


def unseal(root: bytes, nonce: str, user: UserName, sealed: str) -> str | None:
    """Read what was sealed; None: it was not, or not with this root, nonce and user."""
    try:
        raw = bytes.fromhex(sealed)
    except ValueError:
        return None
    hidden, mac = raw[:-MAC_SIZE], raw[-MAC_SIZE:]
    if not hmac.compare_digest(mac, _seal_mac(root, nonce, user, hidden)):
        return None
    return _hide(root, nonce, user, hidden).decode()


def _hide(root: bytes, nonce: str, user: UserName, text: bytes) -> bytes:
    stream = bytearray()
    while len(stream) < len(text):
        stream += _digest(root, b"seal", encode_content((nonce, user, len(stream))))
    return bytes(one ^ other for one, other in zip(text, stream, strict=False))


def _seal_mac(root: bytes, nonce: str, user: UserName, hidden: bytes) -> bytes:
    return _digest(root, b"sealed", encode_content((nonce, user, hidden)))[:MAC_SIZE]


def _digest(key: bytes, label: bytes, text: bytes) -> bytes:
    return hmac.digest(key, b"angarium " + label + b"\0" + text, hashlib.sha256)


def _mac(key: bytes, label: bytes, text: bytes) -> str:
    return _digest(key, label, text)[:MAC_SIZE].hex()
