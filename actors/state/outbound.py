"""Requests to devices, as they are handed to the border."""

from __future__ import annotations

from actors.messages.requests import OutboundRequest
from actors.model import Binding, Envelope, UserName
from actors.state.addresses import aor


def message_request(
    number: int, user: UserName, binding: Binding, envelope: Envelope, token: str, attempt: int
) -> OutboundRequest:
    """Make the MESSAGE that carries an envelope to a user's device; a function of its arguments (PROTOCOL 10)."""
    host = binding.aor_host
    return OutboundRequest(  # by position: this is the hot path, and names cost as much as the rest
        number,
        binding.flow,
        "MESSAGE",
        binding.contact,
        token,
        aor(envelope.sender, host),
        aor(user, host),
        envelope.call_id,
        1 + attempt,
        envelope.display,
        envelope.headers,
        envelope.body,
        envelope.id,
        binding.path,
    )


def options_request(number: int, user: UserName, binding: Binding, token: str) -> OutboundRequest:
    """Make the OPTIONS that asks whether somebody is there."""
    address = aor(user, binding.aor_host)
    return OutboundRequest(
        delivery=number,
        flow=binding.flow,
        method="OPTIONS",
        target=binding.contact,
        token=token,
        from_uri=address,
        to_uri=address,
        call_id=token[16:].encode(),
        cseq=1,
    )
