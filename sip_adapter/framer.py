"""Where messages begin and end on a stream (RFC 3261 18.3, keep-alives of RFC 5626 3.5.1), sans-IO.

The framer looks for the end of the head only in bytes that it has not looked at, so that bytes fed one by one
cost no more than one block. Any cutting of the same bytes gives the same events.
"""

from __future__ import annotations

from sip_adapter.codec import MAX_BODY, MAX_HEAD, Request, Response, body_length, check, read_head, readable
from sip_adapter.errors import FramingError, SipError
from sip_adapter.message import LINK


class KeepAlive:
    """A ping (CRLF CRLF) of the peer, which waits for one CRLF."""

    __slots__ = ()


Event = Request | Response | KeepAlive | SipError
"""What `feed` returns; FramingError is the SipError that ends the stream, any other ends only its message."""

_PING = KeepAlive()


class StreamFramer:
    """Cuts one stream into events: messages, pings, and errors in place of messages that cannot be used.

    A SipError event stands for one bad message whose end is known: answer it and go on. After a FramingError
    nothing more is read: answer it if it has a request, and close. A single CRLF between messages is a pong
    or padding, and ignored.
    """

    def __init__(self, max_head: int = MAX_HEAD, max_body: int = MAX_BODY, max_link_body: int = 0) -> None:
        """Set the largest head and body in bytes, and the largest body of requests between servers if it is larger;
        what exceeds it is a FramingError (513, 413)."""
        self._max_head = max_head
        self._max_body = max_body
        self._max_link_body = max_link_body
        self._buffer = bytearray()
        self._searched = 0
        self._half_ping = False
        self._message: Request | Response | None = None
        self._length = 0
        self.closed = False
        """True after a FramingError."""

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and return what they complete, in order."""
        events: list[Event] = []
        if self.closed:
            return events
        self._buffer += data
        try:
            while (event := self._next()) is not None:
                events.append(event)
        except FramingError as error:
            self.closed = True
            self._buffer.clear()
            events.append(error)
        return events

    def _next(self) -> Event | None:
        if self._message is None:
            if self._skip_line_ends():
                return _PING
            if not self._read_head():
                return None
        return self._finish()

    def _skip_line_ends(self) -> bool:
        """Take line ends before a start line; return True as soon as two of them make a ping."""
        while self._buffer.startswith(b"\r\n"):
            del self._buffer[:2]
            self._half_ping = not self._half_ping
            if not self._half_ping:
                return True
        return False

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - 3)
        if end > self._max_head or (end < 0 and len(self._buffer) > self._max_head + 3):
            begin = bytes(self._buffer[: self._max_head])
            raise FramingError(513, "Header fields too large", request=readable(begin))
        if end < 0:
            return False
        head = bytes(self._buffer[:end])
        del self._buffer[: end + 4]
        self._searched = 0
        self._half_ping = False
        try:
            message = read_head(head)
            length = body_length(message)
            if length > self._max_body and (length > self._max_link_body or message.get(LINK) is None):
                raise message.error("Body too large", 413)
        except SipError as error:
            raise FramingError(error.status, error.reason, error.headers, error.request) from error
        self._message, self._length = message, length
        return True

    def _finish(self) -> Event | None:
        message = self._message
        if message is None or len(self._buffer) < self._length:
            return None
        message.body = bytes(self._buffer[: self._length])
        del self._buffer[: self._length]
        self._message = None
        try:
            check(message)
        except SipError as error:
            return error
        return message
