"""Proof that a UDP address wants our mail: it answered an OPTIONS of ours (PROTOCOL 13)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from actors.model import Flow

PROOF_LIFE = 600.0
"""Seconds of silence after which an address must answer again."""
MANY = 200_000
"""Proofs kept before those that have lapsed are thrown out."""


class AddressProof:
    """Remembers who has answered. In open mode anybody may register anybody's address; a victim would not answer."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._proved: dict[Flow, float] = {}

    def wanting(self, flow: Flow, now: float) -> bool:
        """Tell whether this flow must answer before it is sent mail; streams and this machine never."""
        if not self._wanted or flow.transport != "udp" or _is_loopback(flow.host):
            return False
        return now - self._proved.get(flow, float("-inf")) > PROOF_LIFE

    def proved(self, flow: Flow, now: float) -> None:
        """It answered."""
        if len(self._proved) >= MANY:
            self._proved = {other: at for other, at in self._proved.items() if now - at <= PROOF_LIFE}
        self._proved[flow] = now

    def seen(self, flow: Flow, now: float) -> None:
        """A sign of life on it: a proof that still holds goes on."""
        if flow in self._proved and not self.wanting(flow, now):
            self._proved[flow] = now


@lru_cache(maxsize=4096)
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
