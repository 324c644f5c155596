"""The bounds of one SIP adapter: whoever sends, its memory stays within them."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much an adapter takes on before it refuses."""

    max_pending: int = 1000
    """MESSAGE requests that the actors have not answered yet; more get 503."""
    max_pending_registers: int = 4000
    """REGISTER requests likewise: they are shed last, for without them nobody is reached."""
    max_body: int = 65536
    """Bytes of a body; more get 413."""
    max_head: int = 65536
    """Bytes of start line and header fields on streams; more get 513 and the connection is closed."""
    max_connections: int = 4096
    """Stream connections at a time."""
    max_unsent: int = 1_000_000
    """Bytes that wait for a slow reader of a stream; more closes it."""
    datagram_size: int = 1300
    """Bytes; a larger request goes over TCP where the phone takes it (RFC 3261 18.1.1)."""
    max_dialled: int = 256
    """Connections that this side opened at a time, for large requests."""
    max_pending_links: int = 4096
    """Requests of other servers that the actors have not answered yet; more get 503."""
    max_link_unsent: int = 16_000_000
    """Bytes that wait for a slow reader at a neighbour: a link has many messages under way."""

    @property
    def max_link_body(self) -> int:
        """Bytes of a body between servers: room for the largest message in base64, with what goes beside it."""
        return 2 * self.max_body + 65536
