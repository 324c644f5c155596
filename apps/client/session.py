"""A SIP client of one user at one server: registers, sends, receives (RFC 3261, 3428, 5626, 7616)."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Sequence
from email.utils import formatdate

import msgspec

from apps.client import digest
from apps.client.exchange import Exchange, Timers, new_branch
from apps.client.wire import PING, Connection, Unreachable, connect
from apps.common.values import Listen
from sip_adapter.codec import Request, Response, request, response
from sip_adapter.errors import Header, SipError
from sip_adapter.uri import parse_uri, quote_user

EXPIRES = 600
"""Seconds that `listen` asks for; refreshed after half of them."""
PING_EVERY = 25.0
"""Seconds between keep-alives, below the life of common NAT bindings (RFC 5626 4.4)."""
LONGEST_PAUSE = 8.0
"""Seconds between two tries to come back, at most."""
ALLOW = (b"Allow", b"MESSAGE, OPTIONS")
TEXT = b"text/plain;charset=utf-8"
_REASONS = {
    200: "OK",
    405: "Method Not Allowed",
    480: "Temporarily Unavailable",
    500: "Server Internal Error",
}


class Refused(Exception):
    """The server answered a registration with something else than 2xx."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep status and reason phrase."""
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class Incoming(msgspec.Struct, frozen=True):
    """A message that came for this user."""

    id: str
    """The network's id, the same for each repeat; where a server gives none: Call-ID, From tag and CSeq."""
    sender: str
    recipient: str
    content_type: str
    body: bytes


class Call(msgspec.Struct):
    """What requests that belong together share (RFC 3261 8.1.1): Call-ID, From tag, counted CSeq."""

    call_id: bytes = b""
    tag: bytes = b""
    cseq: int = 0
    doubtful: bool = False
    """The last request ended without an answer: its repeat bears the same CSeq, to count as the same."""

    @staticmethod
    def new() -> Call:
        """Begin with random names."""
        return Call(secrets.token_hex(16).encode(), secrets.token_hex(8).encode())

    def advance(self) -> None:
        """Go on to the next CSeq, unless the last request may have been taken."""
        if not self.doubtful:
            self.cseq += 1
        self.doubtful = False


class ClientSession:
    """One user at one server, over one UDP socket or TCP connection that is opened again when it breaks."""

    def __init__(
        self,
        user: str,
        via: Listen,
        *,
        password: Callable[[], str | None] = lambda: None,
        instance: str = "",
        on_message: Callable[[Incoming], int] | None = None,
        timers: Timers | None = None,
        local_port: int = 0,
    ) -> None:
        """Take who and where; nothing is opened yet.

        `password` is called when the server asks for one. `instance` is a URN that names this device.
        `on_message` keeps a message and returns the status to answer; without it messages get 480.
        `local_port` is the UDP port of an earlier run: a server's repeats meant for that find us again.
        """
        self.user = user
        self.via = via
        self._password = password
        self._instance = instance
        self._on_message = on_message
        self._timers = timers or Timers()
        self._local_port = local_port
        self._exchange = Exchange(self._timers)
        self._connection: Connection | None = None
        self._broken = asyncio.Event()
        self._registration = Call.new()
        self._credentials: digest.Credentials | None = None
        self._challenge: tuple[bytes, digest.Challenge] | None = None
        self.contact = b""
        """The contact URI that was registered last."""

    async def open(self) -> None:
        """Open the way to the server; raises Unreachable."""
        self.close()
        self._connection = await connect(self.via, self, self._timers.timer_f, self._local_port)
        self._local_port = self._connection.local[1]

    def close(self) -> None:
        """Close it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def local_port(self) -> int:
        """The local port in use, 0 before the first opening."""
        return self._local_port

    # What the connection tells.

    def message(self, message: Request | Response) -> None:
        """Take a message from the server."""
        if isinstance(message, Response):
            self._exchange.response(message)
        elif message.method != "ACK" and self._connection is not None:
            self._answer(message)

    def lost(self, reason: str) -> None:
        """Hear that a connection is gone, or that a datagram found nobody: the socket of those stays."""
        if self._connection is None:
            return
        if self._connection.reliable:
            self._connection = None
        self._broken.set()
        self._exchange.fail(reason)

    # What the user wants.

    async def register(self, expires: int = EXPIRES) -> int:
        """Bind this device to the user; return the seconds granted. Raises Refused, Unreachable."""
        connection = await self._opened()
        self.contact = b"sip:%b@%b;transport=%b" % (
            quote_user(self.user),
            _host_port(connection.local),
            self.via.transport.value.encode(),
        )
        answer = await self._register(self._contact_line(self.contact, expires), expires)
        low = answer.get(b"min-expires") if answer.status == 423 else None
        if low is not None and low.isdigit() and expires < int(low) <= 2**31:
            expires = int(low)
            answer = await self._register(self._contact_line(self.contact, expires), expires)
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, answer.reason)
        return self._granted(answer, expires)

    async def unregister(self, contact: bytes = b"") -> None:
        """End a contact's binding, by default the one registered last. Raises Refused, Unreachable."""
        answer = await self._register(self._contact_line(contact or self.contact, 0), 0)
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, answer.reason)

    async def bindings(self) -> list[bytes]:
        """Return the contact URIs by which the server knows this device. Raises Refused, Unreachable."""
        answer = await self._register(None, None)
        if not 200 <= answer.status < 300:
            raise Refused(answer.status, answer.reason)
        wanted = self._instance.encode()
        return [uri for uri, params in _contacts(answer) if params.get(b"+sip.instance") == b"<%b>" % wanted]

    async def stay_registered(self, granted: int, say: Callable[[str], None]) -> None:
        """Refresh in time, keep the way open, and come back after it broke; runs until it is cancelled."""
        tries = 0
        pause = granted / 2
        while True:
            await self._idle(pause, alert=tries == 0)
            try:
                pause = await self.register() / 2
            except (Unreachable, Refused) as error:
                tries += 1
                if tries == 1:
                    say(f"not registered at {self.via}: {error}; trying again")
                # Full jitter, so that the phones of a restarted server do not come back all at once.
                pause = random.uniform(0.05, min(LONGEST_PAUSE, 0.25 * 2 ** min(tries, 8)))
            else:
                if tries:
                    say(f"registered at {self.via} again")
                tries = 0
            self._broken.clear()

    async def send(self, recipient: str, body: bytes, *, message_id: str, call: Call) -> Response:
        """Send a text; repeats pass the same id and call. Raises Unreachable, TooLarge."""
        connection = await self._opened()
        target = self.uri(recipient, connection)
        extra = [
            (b"Content-Type", TEXT),
            (b"Date", formatdate(usegmt=True).encode()),
            (b"Angarium-Id", message_id.encode()),
        ]
        return await self._request("MESSAGE", target, target, extra, body, call)

    async def state_of(self, message_id: str) -> str | None:
        """Ask what became of a message of this user; None: the server does not tell. Raises Unreachable."""
        connection = await self._opened()
        own = self.uri(self.user, connection)
        target = b"sip:" + _host_port(connection.peer)
        extra = [(b"Angarium-Where", message_id.encode())]
        answer = await self._request("OPTIONS", target, own, extra, b"", Call.new())
        state = answer.get(b"angarium-state")
        return None if state is None else state.decode("ascii", "replace").lower()

    def uri(self, user: str, connection: Connection) -> bytes:
        """Return the address of a user at this server."""
        return b"sip:%b@%b" % (quote_user(user), _host_port(connection.peer))

    # How it is done.

    async def _opened(self) -> Connection:
        if self._connection is None:
            await self.open()
        assert self._connection is not None
        return self._connection

    async def _idle(self, seconds: float, *, alert: bool) -> None:
        """Wait with keep-alives until the time is over or, if `alert`, the way breaks."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            pause = min(left, PING_EVERY)
            if not alert:
                await asyncio.sleep(pause)
                continue
            try:
                await asyncio.wait_for(self._broken.wait(), pause)
                return
            except TimeoutError:
                if self._connection is not None:
                    self._connection.send(PING)

    async def _register(self, contact: Header | None, expires: int | None) -> Response:
        connection = await self._opened()
        extra = [] if contact is None else [contact]
        if expires is not None:
            extra.append((b"Expires", b"%d" % expires))
        extra += [(b"Supported", b"path, outbound"), ALLOW]
        target = b"sip:" + _host_port(connection.peer)
        own = self.uri(self.user, connection)
        return await self._request("REGISTER", target, own, extra, b"", self._registration)

    def _contact_line(self, uri: bytes, expires: int) -> Header:
        line = b"<%b>;expires=%d" % (uri, expires)
        if self._instance:
            line += b';reg-id=1;+sip.instance="<%b>"' % self._instance.encode()
        return b"Contact", line

    def _granted(self, answer: Response, asked: int) -> int:
        for uri, params in _contacts(answer):
            if uri == self.contact and params.get(b"expires", b"").isdigit():
                return max(1, int(params[b"expires"]))
        header = answer.get(b"expires") or b""
        return max(1, int(header)) if header.isdigit() else asked

    async def _request(
        self, method: str, target: bytes, to: bytes, extra: Sequence[Header], body: bytes, call: Call
    ) -> Response:
        """Send a request and answer challenges: once with the password, and again when a nonce was stale."""
        proved = 0
        while True:
            call.advance()
            auth = self._authorization(method, target)
            answer = await self._once(method, target, to, [*auth, *extra], body, call)
            if answer.status not in (401, 407) or proved == 3:
                return answer
            wanted, header = (
                (b"www-authenticate", b"Authorization")
                if answer.status == 401
                else (b"proxy-authenticate", b"Proxy-Authorization")
            )
            challenge = digest.choose(answer.get_all(wanted))
            if challenge is None or (proved and not challenge.stale) or not self._has_credentials():
                return answer
            self._challenge = (header, challenge)
            proved += 1

    def _has_credentials(self) -> bool:
        if self._credentials is None:
            password = self._password()
            if password is not None:
                self._credentials = digest.Credentials(self.user, password)
        return self._credentials is not None

    def _authorization(self, method: str, target: bytes) -> list[Header]:
        if self._challenge is None or self._credentials is None:
            return []
        header, challenge = self._challenge
        return [(header, self._credentials.answer(challenge, method, target.decode()))]

    async def _once(
        self, method: str, target: bytes, to: bytes, extra: Sequence[Header], body: bytes, call: Call
    ) -> Response:
        connection = await self._opened()
        branch = new_branch()
        headers = [
            (
                b"Via",
                b"SIP/2.0/%b %b;branch=%b;rport"
                % (self.via.transport.value.upper().encode(), _host_port(connection.local), branch),
            ),
            (b"Max-Forwards", b"70"),
            (b"From", b"<%b>;tag=%b" % (self.uri(self.user, connection), call.tag)),
            (b"To", b"<%b>" % to),
            (b"Call-ID", call.call_id),
            (b"CSeq", b"%d %b" % (call.cseq, method.encode())),
            (b"User-Agent", b"angarium"),
            *extra,
        ]
        data = request(method, target, headers, body)
        try:
            return await self._exchange.run(connection, branch, method, data)
        except Unreachable:
            call.doubtful = True
            raise

    def _answer(self, asked: Request) -> None:
        assert self._connection is not None
        extra = [] if asked.method == "MESSAGE" else [ALLOW]
        status = {"OPTIONS": 200, "MESSAGE": 480}.get(asked.method, 405)
        if asked.method == "MESSAGE" and self._on_message is not None:
            try:
                status = self._on_message(read_incoming(asked, self.user))
            except SipError as error:
                status = error.status
        reason = _REASONS.get(status, "Not Accepted")
        tag = secrets.token_hex(8).encode()
        self._connection.send(response(asked, status, reason, to_tag=tag, extra=extra))


def read_incoming(asked: Request, user: str) -> Incoming:
    """Read a MESSAGE that the server sent to this user; raises SipError."""
    sender = parse_uri(asked.from_.uri)
    network_id = asked.get(b"angarium-id")
    if network_id is None:
        network_id = b"%b;%b;%d" % (asked.call_id, asked.from_tag or b"", asked.cseq[0])
    return Incoming(
        id=network_id.decode("utf-8", "replace"),
        sender=_text(sender.user if sender.user is not None else asked.from_.uri.decode("utf-8", "replace")),
        recipient=user,
        content_type=(asked.content_type or b"text/plain").decode("utf-8", "replace"),
        body=asked.body,
    )


def _text(value: str) -> str:
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _contacts(answer: Response) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Return URI and parameters of the contacts in an answer; none if they cannot be read."""
    try:
        items = answer.contacts
    except SipError:
        return []
    return [(item.uri, item.params) for item in items] if isinstance(items, list) else []


def _host_port(address: tuple[str, int]) -> bytes:
    host, port = address
    return f"[{host}]:{port}".encode() if ":" in host else f"{host}:{port}".encode()
