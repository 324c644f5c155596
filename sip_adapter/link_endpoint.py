"""The part of the SIP border that other servers are at, sans-IO: links out, requests over them, and theirs to us.

Nothing here is believed: whether a request or an answer is genuine, ServerManager finds by its MAC. What is done here
must therefore do no harm for a forged packet: no answer is kept for one that was not authenticated, and a server
transaction is known by all bytes of its request, so that a changed copy does not take the place of the true one.
(RFC 3261 17.2.3 knows it by branch, sent-by and method; a repeat of an honest server is the same bytes.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import msgspec

from actors.messages.server_manager import LinkAnswered, LinkClosed, LinkOpened, LinkRequested
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.model import Flow, NodeName, TransactionKey
from sip_adapter.limits import Limits
from sip_adapter.link_calls import LinkCall, LinkCalls
from sip_adapter.links import decode_answer, decode_request, encode_reply, encode_request
from sip_adapter.message import Request, Response
from sip_adapter.transaction import Final, Pending, ServerTransactions
from sip_adapter.transport.base import LinkDial, parse_address

MAX_DATAGRAM = 65_000
"""Bytes of a request that can go as a datagram."""
BUSY = Final(503, "Too many requests of servers", ((b"Retry-After", b"1"),))
TRYING = Final(100, "Trying")
UNSERVED = Final(501, "This node has no links")

LinkEvent = LinkOpened | LinkClosed | LinkAnswered


class LinkOutputs:
    """What shall be done for links since it was last taken."""

    __slots__ = ("closes", "dials", "events", "packets", "requests")

    def __init__(self) -> None:
        self.packets: list[tuple[Flow, bytes]] = []
        self.requests: list[LinkRequested] = []
        self.events: list[LinkEvent] = []
        """In the order in which they happened."""
        self.dials: list[LinkDial] = []
        self.closes: list[Flow] = []


class Link(msgspec.Struct):
    """The way to one neighbour."""

    node: NodeName
    number: int
    """Of its LinkDial."""
    flow: Flow | None = None
    """None while it is dialled."""


class LinkEndpoint:
    """Links to neighbours, and server transactions for what other servers ask."""

    def __init__(
        self,
        *,
        serves: bool,
        realm: str,
        limits: Limits,
        via: Callable[[Flow], bytes],
        random_bytes: Callable[[int], bytes],
        counts: defaultdict[str, int],
    ) -> None:
        """`serves` False: there is no ServerManager, requests of servers get 501."""
        self._serves = serves
        self._realm = realm
        self._limits = limits
        self._via = via
        self._random_bytes = random_bytes
        self._server = ServerTransactions()
        self._calls = LinkCalls()
        self._links: dict[NodeName, Link] = {}
        self._dialled: dict[int, Link] = {}
        self._streams: dict[Flow, Link] = {}
        self._last = 0
        self.out = LinkOutputs()
        self.counts = counts
        """Facts for the monitor."""

    def take_packets(self) -> Sequence[tuple[Flow, bytes]]:
        """Return the packets alone: what fails at sending them is still to be told."""
        packets = self.out.packets
        if packets:
            self.out.packets = []
        return packets

    def take(self) -> LinkOutputs | None:
        """Return what gathered, if anything, and begin anew."""
        out = self.out
        if not (out.packets or out.requests or out.events or out.dials or out.closes):
            return None
        self.out = LinkOutputs()
        return out

    # Links.

    def open(self, node: NodeName, address: str) -> None:
        """Open a link; one that this neighbour had before is closed without a word."""
        self._drop(node)
        try:
            target = parse_address(address)
        except ValueError as error:
            self.out.events.append(LinkClosed(node, str(error)))
            return
        self._last += 1
        link = self._links[node] = self._dialled[self._last] = Link(node, self._last)
        self.out.dials.append(LinkDial(link.number, target))

    def close(self, node: NodeName) -> None:
        """Close a link."""
        self._drop(node)
        self.out.events.append(LinkClosed(node, "Closed"))

    def dialled(self, number: int, flow: Flow | None, reason: str) -> None:
        """A way was found, or none; the link may be wanted no more."""
        link = self._dialled.pop(number, None)
        if link is None:
            if flow is not None and flow.connection:
                self.out.closes.append(flow)
        elif flow is None:
            del self._links[link.node]
            self.out.events.append(LinkClosed(link.node, reason))
        else:
            link.flow = flow
            if flow.connection:
                self._streams[flow] = link
            self.out.events.append(LinkOpened(link.node))

    def closed(self, flow: Flow) -> None:
        """A connection is gone: perhaps a link's."""
        link = self._streams.pop(flow, None)
        if link is not None:
            self.failed((flow,))
            del self._links[link.node]
            self.out.events.append(LinkClosed(link.node, "Connection lost"))

    def failed(self, flows: Iterable[Flow]) -> None:
        """Sending over these flows failed."""
        self._unanswered(self._calls.fail(flows), 503, "Transport failed")

    def _drop(self, node: NodeName) -> None:
        link = self._links.pop(node, None)
        if link is None:
            return
        self._dialled.pop(link.number, None)
        if link.flow is not None:
            self.failed((link.flow,))
            if link.flow.connection:
                del self._streams[link.flow]
                self.out.closes.append(link.flow)

    # Requests of ours.

    def send(self, item: LinkRequest, now: float) -> None:
        """Send a request to a neighbour. Raises UnicodeEncodeError, and then has done nothing."""
        link = self._links.get(item.node)
        flow = None if link is None else link.flow
        if flow is None:
            self.out.events.append(LinkAnswered(item.number, 503, False, "No link"))
            return
        token = self._random_bytes(16).hex()
        packet = encode_request(item, self._realm, self._via(flow), token)
        if len(packet) > (self._limits.max_link_body if flow.connection else MAX_DATAGRAM):
            self.out.events.append(LinkAnswered(item.number, 513, False, "Too large for this link"))
            return
        self._calls.begin(LinkCall(item.number, token.encode("ascii"), flow, packet, now, now + item.seconds))
        self.out.packets.append((flow, packet))

    def awaits(self, branch: bytes) -> bool:
        """Tell whether this branch is of a request to a neighbour."""
        return self._calls.awaits(branch)

    def response(self, answer: Response, branch: bytes, source: Flow) -> None:
        """Take a response to such a request."""
        call = self._calls.respond(branch, answer.status, source)
        if call is not None:
            self.out.events.append(decode_answer(call.number, answer))
        elif answer.status >= 200:
            self.counts["sip_responses_ignored_total"] += 1

    def _unanswered(self, calls: Iterable[LinkCall], status: int, reason: str) -> None:
        self.out.events += [LinkAnswered(call.number, status, False, reason) for call in calls]

    # Requests of other servers. `head` has the header lines of any answer, `back` is where that goes.

    def request(self, request: Request, key: TransactionKey, head: bytes, back: Flow, flow: Flow, now: float) -> None:
        """Hand on a request, unless it is a repeat or too many; raises SipError 400."""
        if not self._serves:
            self._reply(head, back, UNSERVED)
            return
        pending = self._server.in_progress(key)
        answer = None if pending is not None else self._server.answered(key)
        if pending is not None or answer is not None:
            self.counts["sip_retransmissions_received_total"] += 1
            if isinstance(answer, Final):
                self._reply(head, back, answer)
            elif pending is not None and pending.tried:
                self._reply(head, back, TRYING)
        elif self._server.messages >= self._limits.max_pending_links:
            self.counts["sip_requests_shed_total"] += 1
            self._reply(head, back, BUSY)
        else:
            frame, content = decode_request(request)
            self._server.begin(key, Pending(head, back, now, True, flow.connection != 0))
            self.out.requests.append(LinkRequested(key, flow, frame, content, now))

    def answer(self, item: LinkReply, now: float) -> None:
        """Answer a request of another server; over datagrams the answer is kept for its repeats, if it was proved."""
        final = encode_reply(item)
        pending = self._server.end(item.transaction)
        if pending is None:
            self.counts["sip_answers_too_late_total"] += 1
            return
        if item.frame.mac and not pending.reliable:
            self._server.remember(item.transaction, final, now)
        self._reply(pending.head, pending.back, final)

    def forget(self, key: TransactionKey) -> None:
        """Serving this request raised."""
        self._server.end(key)

    def _reply(self, head: bytes, back: Flow, answer: Final) -> None:
        self.out.packets.append((back, answer.packet(head)))

    # Time.

    def tick(self, now: float) -> None:
        """Do what is due."""
        for pending in self._server.overdue(now):
            self._reply(pending.head, pending.back, TRYING)
        resend, late = self._calls.due(now)
        if resend:
            self.counts["sip_retransmissions_sent_total"] += len(resend)
        self.out.packets += [(call.flow, call.packet) for call in resend]
        self._unanswered(late, 408, "No answer")

    def deadline(self) -> float | None:
        """When `tick` has something to do next."""
        server, calls = self._server.deadline(), self._calls.deadline()
        return server if calls is None else calls if server is None else min(server, calls)

    @property
    def pending(self) -> int:
        """Requests of other servers that the actors have not answered yet."""
        return self._server.messages

    @property
    def in_flight(self) -> int:
        """Requests of ours without a final answer."""
        return len(self._calls)
