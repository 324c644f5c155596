"""Grants: by what a home knows that it has proved a user to the node that accepted his message (PROTOCOL 25).

A grant is the last day on which it counts, and a MAC over user, node and day under a key of its own for each user. So
nothing has to be remembered; and when he moves, his key goes to his new home, which then knows them too for as long as
messages that bear them live. Days are days of the granting home's node time: a wrong wall clock ends none.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable

import msgspec

from actors.model import Account, Envelope, FormerHome, NodeName, Routing, UserName
from actors.state.link_auth import seal, unseal

DAY = 86_400.0
MAC_BYTES = 16
MAX_GRANT = 64
"""Characters of a grant that is passed on."""
MOST = 8
"""Former homes of a user that are kept: of more, the last."""
LONGEST = 366 * DAY

_KEY = re.compile(r"[0-9a-f]{64}")
_GRANT = re.compile(r"([0-9a-f]{8})([0-9a-f]{32})")


def grant_key(node_key: bytes, user: UserName) -> bytes:
    """Make the key of the grants that a node gives for a user of its own; it tells nothing of other users' keys."""
    return hmac.digest(node_key, b"grants\0" + user.encode(), hashlib.sha256)


def grant_for(key: bytes, user: UserName, edge: str, until: float) -> str:
    """Make the hex grant that says: this user has proved himself through that node. `until`: node time; it counts to
    the end of that day."""
    day = max(0, int(until // DAY))
    return f"{day:08x}{_mac(key, user, edge, day)}"


def _mac(key: bytes, user: UserName, edge: str, day: int) -> str:
    digest = hmac.new(key, b"%d" % day, hashlib.sha256)
    for text in (user, edge):
        part = text.encode("utf-8", "replace")
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:MAC_BYTES].hex()


def granted(node: str, grant: str, envelope: Envelope) -> Envelope:
    """The envelope of a message that `node` accepts from a user of another one, with the grant of his home."""
    if not 0 < len(grant) <= MAX_GRANT:
        return envelope
    return msgspec.structs.replace(envelope, routing=Routing(origin=node, grant=grant))


class GrantBook:
    """What a home needs to know its own grants, and those of the former homes of its users. `now`: node time."""

    def __init__(self) -> None:
        self._formers: dict[UserName, tuple[FormerHome, ...]] = {}

    def __len__(self) -> int:
        return len(self._formers)

    def trust(self, user: UserName, formers: tuple[FormerHome, ...]) -> None:
        """All former homes of a user whose grants count still."""
        if formers:
            self._formers[user] = formers
        else:
            self._formers.pop(user, None)

    def lapse(self, user: UserName, now: float) -> None:
        """Forget what counts no more."""
        self.trust(user, living(self._formers.get(user, ()), now))

    def first_end(self, user: UserName) -> float | None:
        """When the first of what he is believed by ends, in node time; None: there is nothing."""
        return min((former.until for former in self._formers.get(user, ())), default=None)

    def holds(self, node_key: bytes, envelope: Envelope, now: float) -> bool:
        """Tell whether a message bears a live grant for its sender at its origin, of this node or a former home."""
        routing = envelope.routing
        found = None if routing is None else _GRANT.fullmatch(routing.grant)
        if routing is None or found is None:
            return False
        sender, day, mac = envelope.sender, int(found[1], 16), found[2]
        keys = [(grant_key(node_key, sender), 0.0)]
        keys += [(bytes.fromhex(f.key), f.offset) for f in self._formers.get(sender, ()) if f.key and f.until > now]
        return any(
            (day + 1) * DAY + offset > now and hmac.compare_digest(mac, _mac(key, sender, routing.origin, day))
            for key, offset in keys
        )


# Former homes, as they travel with their user.


def living(formers: Iterable[FormerHome], now: float) -> tuple[FormerHome, ...]:
    """Those of which something may still be on its way."""
    return tuple(former for former in formers if former.until > now)


def joined(*lists: Iterable[FormerHome], me: NodeName) -> tuple[FormerHome, ...]:
    """One entry a node, the one that counts longest, this node left out; the last `MOST`."""
    best: dict[NodeName, FormerHome] = {}
    for former in (former for formers in lists for former in formers):
        known = best.get(former.node)
        if former.node != me and (known is None or known.until < former.until):
            best[former.node] = former
    return tuple(sorted(best.values(), key=lambda former: former.until)[-MOST:])


def seal_formers(
    root: bytes, nonce: str, account: Account, node_key: bytes, me: NodeName, life: float, now: float
) -> str:
    """What the next home must know of this one and of those before it, hidden from all who do not know the network's
    secret. Times become seconds from now; `offset` the granting home's node time. `life`: of messages."""
    own = FormerHome(me, grant_key(node_key, account.name).hex(), now, life + DAY)
    before = tuple(
        FormerHome(former.node, former.key, now - former.offset, former.until - now)
        for former in living(account.formers, now)
        if former.node != me
    )
    return seal(root, _nonce(nonce), account.name, msgspec.json.encode((*before, own)).decode())


def unseal_formers(
    root: bytes, nonce: str, user: UserName, sealed: str, me: NodeName, now: float
) -> tuple[FormerHome, ...] | None:
    """The former homes as the new one, `me`, keeps them; None: sealed with another secret, or not as they should be."""
    text = unseal(root, _nonce(nonce), user, sealed)
    try:
        told = None if text is None else msgspec.json.decode(text, type=tuple[FormerHome, ...])
    except msgspec.DecodeError:
        return None
    if told is None or any(former.key and not _KEY.fullmatch(former.key) for former in told):
        return None
    return joined(
        (FormerHome(f.node, f.key, now - f.offset, now + min(max(0.0, f.until), LONGEST)) for f in told), me=me
    )


def _nonce(nonce: str) -> str:
    """Not the one that the hashes of the same request are sealed with."""
    return f"{nonce} grants"
