"""By what a node knows its own word again when it comes back over others (PROTOCOL 25).

A vouch says that a message began here; nothing has to be remembered for it. What a user of ours sends through another
node has a grant instead: `state.grants`.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from actors.model import Envelope

BYTES = 16


def vouch_for(node_key: bytes, envelope: Envelope) -> str:
    """Make the hex MAC over what must not change on the way: id, sender, recipient and body."""
    texts = (envelope.id, envelope.sender, envelope.recipient)
    return _mac(node_key, b"vouch", *(text.encode() for text in texts), envelope.body)


def _mac(node_key: bytes, what: bytes, *parts: bytes) -> str:
    digest = hmac.new(node_key, what, hashlib.sha256)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:BYTES].hex()


def vouches(node_key: bytes, envelope: Envelope) -> bool:
    """Tell whether a message bears the MAC that this node gave it."""
    given = envelope.routing.vouch if envelope.routing is not None else ""
    return hmac.compare_digest(given.encode("utf-8", "replace"), vouch_for(node_key, envelope).encode())


def vouched(node_key: bytes, node: str, envelope: Envelope) -> Envelope:
    """The envelope as it travels: what began here says so."""
    routing = envelope.routing
    if routing is None or routing.origin != node:
        return envelope
    return msgspec.structs.replace(
        envelope, routing=msgspec.structs.replace(routing, vouch=vouch_for(node_key, envelope))
    )
