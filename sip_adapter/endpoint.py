"""The heart of the SIP border, sans-IO: bytes and typed messages in and out; no socket, no clock.

What comes out gathers in `out`, in lists, until the adapter takes it: one hand-over per receiver and wake-up.
Requests are checked, absorbed if repeated, refused early under overload (RFC 3261 8.2, 17.2.2; PROTOCOL 5, 7).
Responses end our own requests, counted only from where those went (PROTOCOL 13).
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

from actors.messages.client_manager import DeliveryResult
from actors.messages.requests import Answer, OutboundRequest, Registration, StateQuestion, Submission
from actors.model import Flow, TransactionKey
from sip_adapter.codec import parse, response_branch
from sip_adapter.domains import Domains
from sip_adapter.errors import FramingError, SipError
from sip_adapter.framer import Event, KeepAlive
from sip_adapter.large import Dial, LargeRequests
from sip_adapter.limits import Limits
from sip_adapter.link_endpoint import LinkEndpoint
from sip_adapter.message import LINK, Request, Response
from sip_adapter.overload import PendingLimit
from sip_adapter.policy import OPTIONS_HEADERS, check
from sip_adapter.quick import QuickReader, glance
from sip_adapter.replies import by_port, reply_head, to_tag, way_back
from sip_adapter.transaction import (
    Answered,
    ClientTransactions,
    Final,
    Outgoing,
    Pending,
    ServerTransactions,
    digest,
    key_text,
    transaction_key,
)
from sip_adapter.translate import (
    answer_headers,
    outbound_request,
    reason_of,
    registration,
    retry_after,
    state_question,
    submission,
)
from sip_adapter.uri import Uri

PONG = b"\r\n"
"""Answer to a keep-alive on a stream (RFC 5626 4.4.1)."""
PADDING = b"\r\n\0 "
"""Bytes that keep-alives over datagrams consist of."""
SIGN_MAX = 4
"""Bytes: a datagram this short is a keep-alive, whatever stands in it."""
SEEN_AGAIN = 1.0
"""Seconds for which a flow's sign of life is not told again."""
MAX_SEEN = 4096
"""Signs of life told in that time at most."""
BUSY = tuple(Final(503, "Busy, try again later", ((b"Retry-After", b"%d" % seconds),)) for seconds in range(1, 6))
"""Refusals under overload; which of them, the transaction's key decides, so a repeat gets the same."""


LINK_LINE = b"\r\nAngarium-Link: "
"""As servers write it."""
WHERE = b"angarium-where"
"""A sender or recipient asks what became of a message."""
TRYING = Final(100, "Trying")
ALIVE = Final(200, "OK", OPTIONS_HEADERS)
FAILED = Final(500, "Server Internal Error")
ACCEPTED = b"SIP/2.0 202 Accepted\r\n%bAngarium-Id: %b\r\nContent-Length: 0\r\n\r\n"


class Outputs:
    """What the endpoint wants done since it was last taken."""

    __slots__ = ("closes", "dials", "packets", "questions", "registrations", "results", "seen", "submissions")

    def __init__(self) -> None:
        self.packets: list[tuple[Flow, bytes]] = []
        self.submissions: list[Submission] = []
        self.registrations: list[Registration] = []
        self.questions: list[StateQuestion] = []
        self.results: list[DeliveryResult] = []
        self.seen: list[Flow] = []
        self.closes: list[Flow] = []
        self.dials: list[Dial] = []


class SipEndpoint:
    """One SIP element: server transactions for what comes, client transactions for what goes."""

    def __init__(
        self,
        *,
        domains: Domains,
        realm: str,
        limits: Limits,
        secret: bytes,
        via: Callable[[Flow], bytes],
        links: bool = False,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`secret` keys transactions and To tags; `via` gives transport and sent-by for a flow; `links`: other servers
        may ask; `random_bytes` makes the branches of requests to them."""
        self._domains = domains
        self._realm = realm
        self._limits = limits
        self._secret = secret
        self._via = via
        self._server = ServerTransactions()
        self._client = ClientTransactions()
        self._reader = QuickReader(domains, realm, limits.max_body)
        self._entry = PendingLimit(limits.max_pending)
        self._large = LargeRequests(limits.max_dialled)
        self._seen: set[Flow] = set()
        self._seen_until = 0.0
        self.out = Outputs()
        self.counts: defaultdict[str, int] = defaultdict(int)
        """Facts for the monitor."""
        self.links = LinkEndpoint(
            serves=links, realm=realm, limits=limits, via=via, random_bytes=random_bytes, counts=self.counts
        )
        """What has to do with other servers."""

    def take(self) -> Outputs:
        """Return what gathered, and begin anew."""
        out, self.out = self.out, Outputs()
        return out

    def take_counts(self) -> defaultdict[str, int]:
        """Return the counts, and begin anew."""
        counts = self.counts
        self.counts = self.links.counts = defaultdict(int)
        return counts

    # What comes from the network.

    def datagram(self, data: bytes, flow: Flow, now: float) -> None:
        """Serve one datagram."""
        if len(data) <= SIGN_MAX or (data[0] in PADDING and not data.strip(PADDING)):
            self._sign_of_life(flow, now)
        elif data.startswith(b"SIP/2.0 "):
            self._datagram_response(data, flow, now)
        elif not (data.startswith(b"MESSAGE ") and (self._shed(data, flow, now) or self._quick(data, flow, now))):
            try:
                message = parse(data, self._limits.max_body)
            except SipError as error:
                self._refuse_broken(error, flow)
                return
            self._message(message, flow, now)

    def event(self, event: Event, flow: Flow, now: float) -> None:
        """Serve one event of a stream's framer."""
        if isinstance(event, KeepAlive):
            self.out.packets.append((flow, PONG))
            self._sign_of_life(flow, now)
        elif isinstance(event, SipError):
            self._refuse_broken(event, flow)
            if isinstance(event, FramingError):
                self.out.closes.append(flow)
        else:
            self._message(event, flow, now)

    def closed(self, flow: Flow, now: float) -> None:
        """A connection is gone: what waits for an answer over it fails."""
        self.failed((flow,), now)
        self.links.closed(flow)

    def failed(self, flows: Collection[Flow], now: float) -> None:
        """Sending over these flows failed: 503 for what went over them (RFC 3261 8.1.3.1)."""
        for flow in flows:
            self._large.failed(flow, now)
        self._unanswered(self._client.fail(flows), 503)
        self.links.failed(flows)

    def dialled(self, number: int, flow: Flow | None, now: float) -> None:
        """A connection for large requests is there, or not to be had: then they go as datagrams."""
        for item in self._large.dialled(number, flow, now):
            self._dispatch(item, flow or item.flow, now)

    def broke(self, data: bytes, flow: Flow) -> None:
        """Serving this datagram raised: answer its request 500 as far as that can be done (PROTOCOL 7)."""
        message = parse(data)
        if isinstance(message, Request) and message.method != "ACK":
            key = self._key(message)
            self._server.end(key)
            self.links.forget(key)
            self._reply(reply_head(message, key, flow), way_back(message, flow), FAILED)

    # What comes from the actors.

    def answer(self, items: Iterable[Answer], now: float, wall: float) -> None:
        """Answer requests in progress; `wall` is seconds since 1970."""
        newest = float("-inf")
        for item in items:
            pending = self._server.end(item.transaction)
            if pending is None:
                self.counts["sip_answers_too_late_total"] += 1
                continue
            answer = _remembered(item, wall)
            if not pending.reliable and item.status not in (401, 407):
                # A challenge is made anew for a repeat (RFC 3261 8.2.7): strangers cost no memory.
                self._server.remember(item.transaction, answer, now)
            self._reply(pending.head, pending.back, answer)
            if item.status == 202 and pending.arrived > newest:
                newest = pending.arrived
        if newest != float("-inf"):
            self._entry.answered(now - newest, now)

    def backlog(self, messages: int) -> None:
        """So many messages wait behind the actors for devices that answer."""
        self._entry.backlog = messages

    def send(self, items: Iterable[OutboundRequest], now: float) -> None:
        """Send requests to devices."""
        for item in items:
            self._dispatch(item, item.flow, now)

    # Time.

    def tick(self, now: float) -> None:
        """Do what is due."""
        for pending in self._server.overdue(now):
            self._reply(pending.head, pending.back, TRYING)
        resend, late = self._client.due(now)
        for outgoing in resend:
            self.counts["sip_retransmissions_sent_total"] += 1
            self.out.packets.append((outgoing.flow, outgoing.packet))
        for outgoing in late:
            self._large.failed(outgoing.flow, now)
        self._unanswered(late, 408)
        self.links.tick(now)
        self.out.closes += self._large.idle(now)

    def deadline(self) -> float | None:
        """When `tick` has something to do next, None if never."""
        dues = (self._server.deadline(), self._client.deadline(), self._large.deadline, self.links.deadline())
        return min((due for due in dues if due is not None), default=None)

    @property
    def pending(self) -> int:
        """Requests that the actors have not answered yet."""
        return self._server.messages + self._server.registers + self.links.pending

    @property
    def in_flight(self) -> int:
        """Requests of ours without a final answer."""
        return len(self._client) + self.links.in_flight

    # Requests of others.

    def _message(self, message: Request | Response, flow: Flow, now: float) -> None:
        if isinstance(message, Request):
            self._request(message, flow, now)
        else:
            branch = message.via.branch
            if branch is not None and not self._response(message.status, branch, message, flow):
                self.links.response(message, branch, flow)

    def _shed(self, data: bytes, flow: Flow, now: float) -> bool:
        """While no more may enter, look at a MESSAGE only as far as a refusal needs; False: not dealt with."""
        if self._server.messages < self._entry.limit:
            return False
        message = glance(data)
        if message is None or LINK_LINE in data:
            return False
        text = key_text(
            message.branch, message.host, message.port, message.values[b"Call-ID"], message.number, b"MESSAGE"
        )
        key = digest(text, self._secret)
        back = flow if message.rport else by_port(int(message.port or b"5060"), flow)
        return self._absorbed(key, message.reply_head(to_tag(key), flow), back, flow, now, is_message=True)

    def _quick(self, data: bytes, flow: Flow, now: float) -> bool:
        """Serve an ordinary MESSAGE without the codec; False: not served."""
        message = self._reader.read(data)
        if message is None:
            return False
        text = key_text(
            message.branch, message.host, message.port, message.values[b"Call-ID"], message.number, b"MESSAGE"
        )
        key = digest(text, self._secret)
        head = message.reply_head(to_tag(key), flow)
        back = flow if message.rport else by_port(int(message.port or b"5060"), flow)
        if not self._absorbed(key, head, back, flow, now, is_message=True):
            try:
                item = self._reader.submission(message, flow, key, now)
            except SipError as error:
                self._refuse(error, head, back)
                return True
            self._server.begin(key, Pending(head, back, now, True, False))
            self.out.submissions.append(item)
        return True

    def _request(self, request: Request, flow: Flow, now: float) -> None:
        if request.method == "ACK":
            return
        key = self._key(request)
        head = reply_head(request, key, flow)
        back = way_back(request, flow)
        try:
            if request.get(LINK) is not None:
                self.links.request(request, key, head, back, flow, now)
                return
            target = check(request, self._domains)
            if request.method == "OPTIONS" and request.get(WHERE) is None:
                self.counts["sip_options_received_total"] += 1
                self._sign_of_life(flow, now)
                self._reply(head, back, ALIVE)
            elif not self._absorbed(key, head, back, flow, now, is_message=request.method == "MESSAGE"):
                self._submit(request, target, key, head, back, flow, now)
        except SipError as error:
            self._refuse(error, head, back)

    def _key(self, request: Request) -> TransactionKey:
        """Name the transaction; a request of another server is named by all its bytes: see `link_endpoint`."""
        if request.get(LINK) is None:
            return transaction_key(request, self._secret)
        return digest(request.encode(), self._secret)

    def _absorbed(
        self, key: TransactionKey, head: bytes, back: Flow, flow: Flow, now: float, *, is_message: bool
    ) -> bool:
        """Deal with a repeat, or with one request more than the actors can take."""
        server = self._server
        pending = server.in_progress(key)
        if pending is not None:
            self.counts["sip_retransmissions_received_total"] += 1
            if pending.tried:
                self._reply(head, back, TRYING)
            return True
        answer = server.answered(key)
        if answer is not None:
            self.counts["sip_retransmissions_received_total"] += 1
            self._reply(head, back, answer)
            return True
        if is_message:
            if server.messages < self._entry.limit:
                return False
        elif server.registers < self._limits.max_pending_registers:
            return False
        self.counts["sip_requests_shed_total"] += 1
        busy = BUSY[key[0] % len(BUSY)]
        if flow.connection == 0 and server.keeps_refusals():
            server.remember(key, busy, now)
        self._reply(head, back, busy)
        return True

    def _submit(
        self, request: Request, target: Uri, key: TransactionKey, head: bytes, back: Flow, flow: Flow, now: float
    ) -> None:
        is_message = request.method == "MESSAGE"
        if is_message:
            item = submission(request, target, flow, key, now, self._domains, self._realm)
            self.out.submissions.append(item)
        elif request.method == "OPTIONS":
            wanted = request.get(WHERE) or b""
            self.out.questions.append(state_question(request, wanted, flow, key, self._realm))
        else:
            bound = registration(request, flow, key, self._domains, self._realm)
            self.out.registrations.append(bound)
        pending = Pending(head, back, now, is_message, flow.connection != 0)
        self._server.begin(key, pending)

    def _refuse(self, error: SipError, head: bytes, back: Flow) -> None:
        self.counts["sip_requests_refused_total"] += 1
        self._reply(head, back, Final(error.status, error.reason, error.headers))

    def _refuse_broken(self, error: SipError, flow: Flow) -> None:
        """Answer what could be read of a broken request; of the rest nobody can be told (RFC 4475 3.1.2)."""
        self.counts["sip_malformed_total"] += 1
        request = error.request
        if request is None or request.method == "ACK":
            return
        parts = (request.get(name) or b"" for name in (b"via", b"from", b"call-id", b"cseq"))
        key = digest(b"\n".join(parts), self._secret)
        answer = Final(error.status, error.reason, error.headers)
        self._reply(reply_head(request, key, flow), way_back(request, flow), answer)

    def _reply(self, head: bytes, back: Flow, answer: Answered) -> None:
        if isinstance(answer, str):
            packet = ACCEPTED % (head, answer.encode())
        else:
            packet = answer.packet(head)
        self.out.packets.append((back, packet))

    def _sign_of_life(self, flow: Flow, now: float) -> None:
        if now >= self._seen_until:
            self._seen.clear()
            self._seen_until = now + SEEN_AGAIN
        if flow not in self._seen and len(self._seen) < MAX_SEEN:
            self._seen.add(flow)
            self.out.seen.append(flow)

    # Requests of ours.

    def _dispatch(self, item: OutboundRequest, flow: Flow, now: float) -> None:
        packet = outbound_request(item, self._via(flow))
        if len(packet) > self._limits.datagram_size and flow.connection == 0 and flow == item.flow:
            way = self._large.way(item, now)
            if isinstance(way, Dial):
                self.out.dials.append(way)
            if way is None or isinstance(way, Dial):
                return
            if way != flow:
                flow, packet = way, outbound_request(item, self._via(way))
        outgoing = Outgoing(item.delivery, item.token.encode(), flow, packet, now)
        replaced = self._client.begin(outgoing)
        if replaced is not None and replaced.delivery != item.delivery:
            self._unanswered((replaced,), 503)
        self.out.packets.append((flow, packet))

    def _datagram_response(self, data: bytes, flow: Flow, now: float) -> None:
        quick = response_branch(data)
        if quick is not None and quick[0] < 300:
            status, branch = quick
            if self._response(status, branch, None, flow):
                return
            if not self.links.awaits(branch):
                self.counts["sip_responses_ignored_total"] += status >= 200
                return
        try:
            message = parse(data)
        except SipError:
            self.counts["sip_malformed_total"] += 1
            return
        self._message(message, flow, now)

    def _response(self, status: int, branch: bytes, message: Response | None, flow: Flow) -> bool:
        """End a request to a device; False: this response ends none."""
        outgoing = self._client.respond(branch, status, flow)
        if outgoing is None:
            return False
        wait = 0 if message is None else retry_after(message.get(b"retry-after"))
        self.out.results.append(DeliveryResult(outgoing.delivery, status, True, wait))
        return True

    def _unanswered(self, lost: Iterable[Outgoing], status: int) -> None:
        self.out.results += [DeliveryResult(outgoing.delivery, status, False) for outgoing in lost]


def _remembered(item: Answer, wall: float) -> Answered:
    if item.status == 202 and item.message_id and not (item.reason or item.headers or item.retry_after):
        return item.message_id
    return Final(item.status, item.reason or reason_of(item.status), answer_headers(item, wall))
