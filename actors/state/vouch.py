"""By what a node knows its own word again when it comes back over others (PROTOCOL 25).

A vouch says that a message began here; a grant, that a user of ours proved himself through another node. Nothing of
either has to be remembered.
"""

from __future__ import annotations

import hashlib
import hmac

import msgspec

from actors.model import Envelope, Routing, UserName

BYTES = 16
MAX_GRANT = 64
"""Characters of a grant that is passed on."""


def vouch_for(node_key: bytes, envelope: Envelope) -> str:
    """Make the hex MAC over what must not change on the way: id, sender, recipient and body."""
    texts = (envelope.id, envelope.sender, envelope.recipient)
    return _mac(node_key, b"vouch", *(text.encode() for text in texts), envelope.body)


def grant_for(node_key: bytes, user: UserName, edge: str) -> str:
    """Make the hex MAC that says: this user of ours has proved himself through that node."""
    return _mac(node_key, b"grant", user.encode(), edge.encode())


def grants(node_key: bytes, envelope: Envelope) -> bool:
    """Tell whether a message bears the grant that this node gave to its sender at its origin."""
    routing = envelope.routing
    if routing is None or not routing.grant:
        return False
    right = grant_for(node_key, envelope.sender, routing.origin)
    return hmac.compare_digest(routing.grant.encode("utf-8", "replace"), right.encode())


def granted(node: str, grant: str, envelope: Envelope) -> Envelope:
    """The envelope of a message that `node` accepts from a user of another one, with the grant of his home."""
    if not 0 < len(grant) <= MAX_GRANT:
        return envelope
    return msgspec.structs.replace(envelope, routing=Routing(origin=node, grant=grant))


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
