"""A simulated SIP phone: registers, sends and receives through transactions of its own, may be off, and is strict."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import md5
from random import Random

import msgspec

from actors.ports import Clock, Scheduler
from apps.simulated.air import CALL, Air, Place
from apps.simulated.oracle import Oracle
from sip_adapter.codec import parse, request, response
from sip_adapter.errors import Header, SipError
from sip_adapter.headers import parse_auth
from sip_adapter.message import Request, Response
from sip_adapter.timers import TIMER_F, TIMER_J

EXPIRES = 600
T1 = 0.5
T2 = 4.0
REGISTER_AGAIN = 5.0
"""Seconds until a REGISTER that failed is tried again."""

Done = Callable[[Response | None], None]


class PhoneSettings(msgspec.Struct, frozen=True):
    """Who a phone belongs to, where it is, and what it does to messages."""

    user: str
    device: str
    """Names the phone; unique in a world."""
    place: Place
    password: str = ""
    instance: bool = True
    """It registers with `+sip.instance`; otherwise its contact names the device."""
    refuses: Callable[[bytes], bool] = lambda body: False
    """Bodies it answers 415 to."""


class _Call(msgspec.Struct):
    """A request of the phone that waits for its final response."""

    packet: bytes
    started: float
    done: Done
    interval: float = T1


class Phone:
    """One phone on one UDP port. Its memory of transactions is gone when it is switched off, its mailbox is not."""

    def __init__(
        self,
        settings: PhoneSettings,
        node: str,
        server: Place,
        *,
        air: Air,
        clock: Clock,
        scheduler: Scheduler,
        oracle: Oracle,
        seed: str,
    ) -> None:
        self.settings = settings
        self.node, self.server = node, server
        """The node it registers at and sends to, and where that is."""
        self.on = False
        self.registered = False
        self.mailbox: list[bytes] = []
        """Bodies of what it got, each message once, in order; outlives being switched off."""
        self._air = air
        self._clock = clock
        self._scheduler = scheduler
        self._oracle = oracle
        self._random = Random(f"{seed} {settings.device}")
        self._ids: set[bytes] = set()
        self._run = 0
        self._cseq = 0
        self._open: dict[bytes, _Call] = {}
        self._served: dict[tuple[bytes, bytes], tuple[float, bytes]] = {}
        self._dialogs: dict[tuple[bytes, int, bytes], tuple[float, bytes]] = {}
        self._register_call_id = b""

    @property
    def device_key(self) -> str:
        """What a node calls this device."""
        host, port = self.settings.place
        if self.settings.instance:
            return f"instance:{self._urn}"
        return f"contact:{self.settings.user}@{host}:{port}"

    @property
    def busy(self) -> bool:
        """Whether a request of its own waits for an answer."""
        return bool(self._open)

    def switch_on(self) -> None:
        """Start, and register."""
        if not self.on:
            self.on = True
            self._run += 1
            self._register_call_id = b"r%d-%b" % (self._run, self._token())
            self._air.attach(self.settings.place, self._hear)
            self.register()

    def switch_off(self) -> None:
        """Lose power: without a word, and without memory of transactions."""
        self.on = self.registered = False
        self._air.detach(self.settings.place)
        self._open.clear()
        self._served.clear()
        self._dialogs.clear()

    def go_to(self, node: str, server: Place) -> None:
        """Go to another node, and register there; what was under way at the old one is forgotten, as by a restart."""
        was_on = self.on
        self.switch_off()
        self.node, self.server = node, server
        if was_on:
            self.switch_on()

    def register(self, expires: int = EXPIRES) -> None:
        """Register for so many seconds (0: end the binding), and again before they are over."""
        host, port = self.settings.place
        contact = b"<sip:%b@%b:%d>" % (self.settings.user.encode(), host.encode(), port)
        if self.settings.instance:
            contact += b';+sip.instance="<%b>";reg-id=1' % self._urn.encode()
        headers = ((b"Contact", contact), (b"Expires", b"%d" % expires))
        done = partial(self._register_done, self._run, expires)
        self._request("REGISTER", self._uri(""), self.settings.user, self._register_call_id, headers, b"", done)

    def unregister(self) -> None:
        """End the binding, and register again a little later."""
        if self.on:
            self._run += 1
            self.registered = False
            self.register(expires=0)

    def send(self, recipient: str, life: int | None = None) -> bytes:
        """Send a message that may wait `life` seconds; gives its body. The oracle hears how it ended."""
        now = self._clock.monotonic()
        lasting = life is None
        body = self._oracle.sending(self.settings.user, recipient, self.device_key, self.node, now, lasting=lasting)
        headers: tuple[Header, ...] = ((b"Content-Type", b"text/plain"),)
        if life is not None:
            headers = (*headers, (b"Expires", b"%d" % life))
        call_id = b"m-" + self._token()
        done = partial(self._send_done, body)
        self._request("MESSAGE", self._uri(recipient), recipient, call_id, headers, body, done)
        return body

    # Requests of the phone.

    def _request(
        self,
        method: str,
        uri: bytes,
        to: str,
        call_id: bytes,
        extra: tuple[Header, ...],
        body: bytes,
        done: Done,
        authorization: bytes = b"",
        tag: bytes = b"",
    ) -> None:
        self._cseq += 1
        branch = b"z9hG4bK" + self._token()
        host, port = self.settings.place
        tag = tag or self._token()
        headers: list[Header] = [
            (b"Via", b"SIP/2.0/UDP %b:%d;branch=%b;rport" % (host.encode(), port, branch)),
            (b"Max-Forwards", b"70"),
            (b"From", b"<%b>;tag=%b" % (self._uri(self.settings.user), tag)),
            (b"To", b"<%b>" % self._uri(to)),
            (b"Call-ID", call_id),
            (b"CSeq", b"%d %b" % (self._cseq, method.encode())),
            *extra,
        ]
        if authorization:
            headers.append((b"Authorization", authorization))
        again = partial(self._answer_challenge, method, uri, to, call_id, extra, body, done, tag)
        packet = request(method, uri, headers, body)
        ended = done if authorization else again
        self._open[branch] = _Call(packet=packet, started=self._clock.monotonic(), done=ended)
        self._transmit(packet)
        self._scheduler.after(T1, CALL, partial(self._retransmit, branch))

    def _answer_challenge(
        self,
        method: str,
        uri: bytes,
        to: str,
        call_id: bytes,
        extra: tuple[Header, ...],
        body: bytes,
        done: Done,
        tag: bytes,
        answer: Response | None,
    ) -> None:
        challenge = None if answer is None or answer.status != 401 else answer.get(b"www-authenticate")
        if challenge is None or not self.settings.password:
            done(answer)
            return
        authorization = digest(self.settings.user, self.settings.password, method, uri, challenge)
        self._request(method, uri, to, call_id, extra, body, done, authorization, tag)

    def _retransmit(self, branch: bytes) -> None:
        call = self._open.get(branch)
        if call is None:
            return
        if self._clock.monotonic() - call.started >= TIMER_F:
            del self._open[branch]
            call.done(None)
            return
        self._transmit(call.packet)
        call.interval = min(2 * call.interval, T2)
        self._scheduler.after(call.interval, CALL, partial(self._retransmit, branch))

    def _register_done(self, run: int, expires: int, answer: Response | None) -> None:
        if run != self._run or not self.on:
            return
        self.registered = answer is not None and answer.status == 200 and expires > 0
        wait = expires * 0.8 if self.registered else REGISTER_AGAIN
        if expires or not self.registered:
            self._scheduler.after(wait, CALL, partial(self._register_again, run))

    def _register_again(self, run: int) -> None:
        if self.on and run == self._run:
            self.register()

    def _send_done(self, body: bytes, answer: Response | None) -> None:
        status = 0 if answer is None else answer.status
        message = b"" if answer is None else answer.get(b"angarium-id") or b""
        reason = "" if answer is None else answer.reason
        self._oracle.answered(body, status, message.decode(), self._clock.monotonic(), reason)

    # What arrives.

    def _hear(self, data: bytes, source: Place) -> None:
        try:
            message = parse(data)
        except SipError as error:
            self._oracle.complain(f"{self.settings.device} heard a malformed packet: {error}")
            return
        if isinstance(message, Response):
            self._hear_response(message)
        else:
            self._serve(message, source)

    def _hear_response(self, answer: Response) -> None:
        if answer.status < 200:
            return
        call = self._open.pop(answer.via.branch or b"", None)
        if call is not None:
            call.done(answer)

    def _serve(self, message: Request, source: Place) -> None:
        """Answer a request once and its repeats alike (RFC 3261 17.2.2); refuse one that merges (8.2.2.2)."""
        now = self._clock.monotonic()
        branch = message.via.branch or b""
        key = (branch, message.call_id)
        served = self._served.get(key)
        if served is not None and now - served[0] < TIMER_J:
            self._transmit(served[1], source)
            return
        dialog = (message.call_id, message.cseq[0], message.from_tag or b"")
        merged = self._dialogs.get(dialog)
        if merged is not None and now - merged[0] < TIMER_J and merged[1] != branch:
            status, reason = 482, "Loop Detected"
        else:
            status, reason = self._take(message)
        answer = response(message, status, reason, to_tag=self._token())
        self._served[key] = (now, answer)
        self._dialogs[dialog] = (now, branch)
        self._transmit(answer, source)

    def _take(self, message: Request) -> tuple[int, str]:
        if message.method == "OPTIONS":
            return 200, "OK"
        if message.method != "MESSAGE":
            return 405, "Method Not Allowed"
        if self.settings.refuses(message.body):
            return 415, "Unsupported Media Type"
        identity = message.get(b"angarium-id") or b""
        if identity not in self._ids:
            self._ids.add(identity)
            self.mailbox.append(message.body)
        now = self._clock.monotonic()
        self._oracle.received(self.settings.user, self.device_key, identity.decode(), message.body, now)
        return 200, "OK"

    # Small things.

    @property
    def _urn(self) -> str:
        return f"urn:uuid:{md5(self.settings.device.encode(), usedforsecurity=False).hexdigest()}"

    def _uri(self, user: str) -> bytes:
        host, port = self.server
        head = f"{user}@" if user else ""
        return f"sip:{head}{host}:{port}".encode()

    def _token(self) -> bytes:
        return b"%016x" % self._random.getrandbits(64)

    def _transmit(self, packet: bytes, target: Place | None = None) -> None:
        """Send to the server, or back to where a request came from (RFC 3581 4)."""
        self._air.send(self.settings.place, target or self.server, packet)


def digest(user: str, password: str, method: str, uri: bytes, challenge: bytes) -> bytes:
    """Answer a digest challenge with MD5 and `qop=auth` (RFC 7616 3.4.1)."""
    _, fields = parse_auth(challenge)
    realm, nonce = fields["realm"], fields["nonce"]
    where = uri.decode()

    def h(text: str) -> str:
        return md5(text.encode(), usedforsecurity=False).hexdigest()

    cnonce, count = h(nonce)[:8], "00000001"
    secret = h(f"{user}:{realm}:{password}")
    answer = h(f"{secret}:{nonce}:{count}:{cnonce}:auth:" + h(f"{method}:{where}"))
    return (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{where}", response="{answer}", '
        f'algorithm=MD5, qop=auth, nc={count}, cnonce="{cnonce}"'
    ).encode()
