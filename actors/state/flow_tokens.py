"""Names of flows that other servers keep for us: they say the flow itself, under a MAC, so nothing is remembered here.

A token for datagrams outlives a restart of the node; one for a stream does not, since the number of its connection
means another one in the next run (RFC 5626 5.1 has the same idea).
"""

from __future__ import annotations

import hmac
from hashlib import blake2b

from actors.model import Flow

_MAC = 32
"""Hex digits of the MAC, in front of the text."""
_LONGEST = 400


class FlowTokens:
    """Makes tokens and reads them back."""

    def __init__(self, node_key: bytes, run: bytes) -> None:
        """`node_key` lasts as long as the data folder; `run` is drawn at each start."""
        self._node_key = node_key
        self._run = run

    def token(self, flow: Flow) -> str:
        """Name a flow: hex."""
        text = f"{flow.transport}|{flow.listener}|{flow.port}|{flow.connection}|{flow.host}".encode()
        return self._mac(text, flow.connection) + text.hex()

    def flow(self, token: str) -> Flow | None:
        """The flow that a token of ours names; None: it is not ours, or the flow was one of an earlier run."""
        try:
            text = bytes.fromhex(token[_MAC:])
            transport, listener, port, connection, host = text.decode().split("|", 4)
            flow = Flow(transport, int(listener), host, int(port), int(connection))
        except ValueError:
            return None
        given = token[:_MAC].encode("utf-8", "surrogateescape")
        right = len(token) <= _LONGEST and hmac.compare_digest(self._mac(text, flow.connection).encode(), given)
        return flow if right else None

    def _mac(self, text: bytes, connection: int) -> str:
        made = blake2b(text, digest_size=_MAC // 2, key=self._node_key, person=b"flow-token")
        if connection:
            made.update(b"|" + self._run)
        return made.hexdigest()
