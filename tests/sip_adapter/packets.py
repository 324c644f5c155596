"""Packets that tests send, and an endpoint to send them to."""

from __future__ import annotations

from actors.messages.requests import OutboundRequest
from actors.model import Flow, MessageId
from sip_adapter.codec import Response, parse
from sip_adapter.domains import Domains
from sip_adapter.endpoint import Outputs, SipEndpoint
from sip_adapter.limits import Limits

REALM = "angarium"
PHONE = Flow("udp", 0, "192.0.2.7", 40000)
STREAM = Flow("tcp", 1, "192.0.2.8", 40001, 5)
TOKEN = "0123456789abcdef" * 2


def packet(
    method: str = "MESSAGE",
    uri: str = "sip:bob@angarium",
    *,
    via: str = "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKone;rport",
    from_: str = "<sip:alice@angarium>;tag=a1",
    to: str = "<sip:bob@angarium>",
    call_id: str = "call-1",
    cseq: int = 1,
    more: tuple[str, ...] = ("Content-Type: text/plain",),
    body: bytes = b"hello",
) -> bytes:
    """Return a request with these values; `more` are whole header lines."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: {via}",
        "Max-Forwards: 70",
        f"From: {from_}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        *more,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def register(*more: str, **values: str) -> bytes:
    """Return a REGISTER of bob with these header lines."""
    fields: dict[str, str] = {"uri": "sip:angarium", "from_": "<sip:bob@angarium>;tag=b", **values}
    return packet("REGISTER", more=more, body=b"", **fields)  # type: ignore[arg-type]  # only str values


def outbound(delivery: int = 1, *, token: str = TOKEN, flow: Flow = PHONE, body: bytes = b"hi") -> OutboundRequest:
    """Return a MESSAGE to a device."""
    return OutboundRequest(
        delivery=delivery,
        flow=flow,
        method="MESSAGE",
        target=b"sip:bob@192.0.2.7:5060",
        token=token,
        from_uri=b"sip:alice@angarium",
        to_uri=b"sip:bob@angarium",
        call_id=b"call-1",
        cseq=1,
        headers=((b"Content-Type", b"text/plain"),),
        body=body,
        message_id=MessageId("id-1"),
    )


def domains() -> Domains:
    """Return the domains of a node that listens on 10.0.0.1."""
    known = Domains(REALM)
    known.add_listener("10.0.0.1")
    return known


def endpoint(*, links: bool = False, **limits: int) -> SipEndpoint:
    """Return an endpoint without a network."""

    def via(flow: Flow) -> bytes:
        return flow.transport.upper().encode() + b" 10.0.0.1:5060"

    bounds = Limits(**limits)
    return SipEndpoint(domains=domains(), realm=REALM, limits=bounds, secret=b"s" * 32, via=via, links=links)


def answers(out: Outputs) -> list[Response]:
    """Return the responses among the packets."""
    return [message for _, data in out.packets if isinstance(message := parse(data), Response)]


def statuses(out: Outputs) -> list[int]:
    """Return the statuses of the responses among the packets; they may echo what cannot be parsed."""
    return [int(data[8:11]) for _, data in out.packets if data.startswith(b"SIP/2.0 ")]
