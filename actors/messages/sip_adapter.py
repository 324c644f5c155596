"""What a SipAdapter hears: the outbound port of the actors."""

from __future__ import annotations

from actors.messages.lifecycle import Ping, Wake
from actors.messages.links import Frame, LinkAnswer, LinkContent
from actors.messages.requests import Answer, OutboundRequest
from actors.model import Flow, NodeName, TransactionKey, Value


class AnswerRequests(Value, frozen=True, gc=False):
    """Answer these server transactions. Repeats are absorbed, unknown transactions ignored."""

    items: tuple[Answer, ...]


class SendRequests(Value, frozen=True, gc=False):
    """Send these requests; each ends in exactly one `DeliveryResult`."""

    items: tuple[OutboundRequest, ...]


class CloseFlow(Value, frozen=True, gc=False):
    """Close a stream connection; a datagram flow is forgotten."""

    flow: Flow


class ReportBacklog(Value, frozen=True, gc=False):
    """So many messages wait in memory for devices that do answer: the border lets fewer in (PROTOCOL 5)."""

    messages: int


class OpenLink(Value, frozen=True, gc=False):
    """Open the way to a neighbour's address and keep it: `LinkOpened`, or `LinkClosed` with the reason, tells how it
    went; an open link closes the one this neighbour had before."""

    node: NodeName
    address: str
    """`tcp://HOST:PORT` or `udp://HOST:PORT`."""


class CloseLink(Value, frozen=True, gc=False):
    """Close the way to a neighbour. `LinkClosed` follows."""

    node: NodeName


class LinkRequest(Value, frozen=True, gc=False):
    """A request to a neighbour over its open link."""

    number: int
    """Comes back in `LinkAnswered`; unique in this run."""
    node: NodeName
    frame: Frame
    content: LinkContent
    seconds: float
    """How long its answer is waited for."""


class SendLinkRequests(Value, frozen=True, gc=False):
    """Send these requests to neighbours; each ends in exactly one `LinkAnswered`."""

    items: tuple[LinkRequest, ...]


class LinkReply(Value, frozen=True, gc=False):
    """A final answer to another server."""

    transaction: TransactionKey
    status: int
    reason: str = ""
    frame: Frame = Frame()
    content: LinkAnswer | None = None
    retry_after: int = 0


class AnswerLinkRequests(Value, frozen=True, gc=False):
    """Answer these requests of other servers."""

    items: tuple[LinkReply, ...]


SipAdapterCommand = (
    AnswerRequests
    | SendRequests
    | CloseFlow
    | ReportBacklog
    | OpenLink
    | CloseLink
    | SendLinkRequests
    | AnswerLinkRequests
    | Wake
    | Ping
)
