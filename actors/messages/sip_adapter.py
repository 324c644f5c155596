"""What a SipAdapter hears: the outbound port of the actors."""

from __future__ import annotations

from actors.messages.lifecycle import Ping, Wake
from actors.messages.requests import Answer, OutboundRequest
from actors.model import Flow, Value


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


SipAdapterCommand = AnswerRequests | SendRequests | CloseFlow | ReportBacklog | Wake | Ping
