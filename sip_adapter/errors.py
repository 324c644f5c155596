"""The one error of the SIP border: what the peer sent is wrong, and the status that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sip_adapter.message import Request

Header = tuple[bytes, bytes]


class SipError(Exception):
    """What the peer sent cannot be used; carries the answer it deserves.

    `status` and `reason` make the status line of the answer, `headers` are extra header fields of it.
    `request` is what could be read of the request, enough to answer it; None means that nobody can be
    answered (a response, an ACK, no Via) and the bytes are dropped.
    """

    def __init__(
        self, status: int, reason: str, headers: tuple[Header, ...] = (), request: Request | None = None
    ) -> None:
        """Keep the four parts of the answer."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers
        self.request = request

    def __str__(self) -> str:
        """Return status and reason as they stand in a status line."""
        return f"{self.status} {self.reason}"


class FramingError(SipError):
    """Where the next message of a stream begins is unknown: answer if possible, then close the stream."""
