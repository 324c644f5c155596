"""Where an answer goes, and the part of it that its request decides (RFC 3261 8.2.6.2, 18.2; RFC 3581 4)."""

from __future__ import annotations

from actors.model import Flow, TransactionKey
from sip_adapter.codec import response
from sip_adapter.errors import SipError
from sip_adapter.message import Request


def to_tag(key: TransactionKey) -> bytes:
    """Return the tag that answers of this transaction add to To."""
    return key[:8].hex().encode()


def reply_head(request: Request, key: TransactionKey, flow: Flow) -> bytes:
    """Return the header lines that every answer to this request has (RFC 3261 8.2.6.2)."""
    whole = response(request, 200, "", to_tag=to_tag(key), received=(flow.host, flow.port))
    return whole[whole.index(b"\n") + 1 : whole.rindex(b"Content-Length: ")]


def way_back(request: Request, flow: Flow) -> Flow:
    """Return over the connection, or to the source address: its port with rport, else Via's (RFC 3581 4)."""
    if flow.connection:
        return flow
    try:
        via = request.via
    except SipError:
        return flow
    return flow if b"rport" in via.params else by_port(via.port or 5060, flow)


def by_port(port: int, flow: Flow) -> Flow:
    """Return the same host at another port."""
    return flow if port == flow.port else Flow(flow.transport, flow.listener, flow.host, port)
