"""A switch between servers: what ServerManagers say to each other goes from one to the next as values, without a codec.

It stands in for SipAdapter, network and phones where there are too many nodes for packets. Nothing is lost on it, and
each request and answer takes the same time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil

from actors.messages.client_manager import SubmitMessages
from actors.messages.links import Carry, Talk
from actors.messages.requests import Answer, Submission
from actors.messages.server_manager import (
    LinkAnswered,
    LinkAnswers,
    LinkClosed,
    LinkOpened,
    LinkRequested,
    LinkRequests,
    ServerManagerCommand,
)
from actors.messages.sip_adapter import (
    AnswerLinkRequests,
    AnswerRequests,
    CloseLink,
    LinkReply,
    LinkRequest,
    OpenLink,
    SendLinkRequests,
    SipAdapterCommand,
)
from actors.model import Flow, NodeName, TransactionKey, UserName
from actors.ports import Clock, Scheduler
from actors.ref import Ref
from sip_adapter.links import encode_request, kind_of

DELAY = 0.01
"""Seconds from one server to the next, at least."""
TOGETHER = 0.005
"""Seconds within which what arrives at a node arrives at once."""
HOST = "127.0.0.1"
TOKEN = "0" * 32
VIA = b"TCP 10.100.100.100:5060"


class Traffic:
    """What went over all links: requests by kind (answers are not counted), and what they would be on the wire."""

    def __init__(self, realm: str) -> None:
        self.requests: Counter[str] = Counter()
        """`carry`, `search`, `searched`, `routes`, `summary`, `talk`, `hello`, `alive`, ..."""
        self.contents: Counter[str] = Counter()
        """The same, but each thing within a `talk` by itself."""
        self.bytes: Counter[str] = Counter()
        """The same in bytes, as long as `measuring`."""
        self.largest_extra = 0
        """Bytes of the extra headers of the `carry` that had most of them."""
        self.measuring = False
        self._realm = realm

    def clear(self) -> None:
        """Count from here on."""
        self.requests.clear()
        self.contents.clear()
        self.bytes.clear()
        self.largest_extra = 0

    def add(self, request: LinkRequest) -> None:
        """Count a request."""
        kind = kind_of(request.content)
        self.requests[kind] += 1
        if isinstance(request.content, Talk):
            one_of = {type(item): item for item in request.content.items}
            for found, count in Counter(map(type, request.content.items)).items():
                self.contents[kind_of(one_of[found])] += count
        else:
            self.contents[kind] += 1
        if self.measuring:
            packet = encode_request(request, self._realm, VIA, TOKEN)
            self.bytes[kind] += len(packet)
            if isinstance(request.content, Carry):
                self.largest_extra = max(self.largest_extra, _extra(packet))

    def of(self, *kinds: str) -> int:
        """Contents of these kinds."""
        return sum(self.contents[kind] for kind in kinds)


def _extra(packet: bytes) -> int:
    head, _, _ = packet.partition(b"\r\n\r\n")
    return sum(len(line) + 2 for line in head.split(b"\r\n") if line.startswith(b"Angarium-"))


class Arrivals:
    """What comes to one node at one moment, as a border hands it on: in one message of each kind."""

    __slots__ = ("answers", "requests")

    def __init__(self) -> None:
        self.answers: list[LinkAnswered] = []
        self.requests: list[LinkRequested] = []


class Switch:
    """Knows every node's stand-in by name. As a `Ref` it hears which moment has come."""

    def __init__(self, scheduler: Scheduler, realm: str) -> None:
        self.scheduler = scheduler
        self.traffic = Traffic(realm)
        self.ports: dict[str, Port] = {}
        self.answers: dict[TransactionKey, Answer] = {}
        """What senders were told."""
        self._coming: dict[int, dict[str, Arrivals]] = {}

    def to(self, node: str, now: float) -> Arrivals:
        """What comes to a node about `DELAY` from now: all of it at the same moments."""
        moment = ceil((now + DELAY) / TOGETHER)
        coming = self._coming.get(moment)
        if coming is None:
            coming = self._coming[moment] = {}
            self.scheduler.after(moment * TOGETHER - now, self, moment)
        arrivals = coming.get(node)
        if arrivals is None:
            arrivals = coming[node] = Arrivals()
        return arrivals

    def tell(self, moment: int) -> None:
        """Hand over what comes at this moment."""
        for node, arrivals in self._coming.pop(moment).items():
            server_manager = self.ports[node].server_manager
            if arrivals.answers:
                server_manager.tell(LinkAnswers(tuple(arrivals.answers)))
            if arrivals.requests:
                server_manager.tell(LinkRequests(tuple(arrivals.requests)))

    def open(self, port: Port, node: NodeName) -> None:
        """A node wants a link to another one."""
        if node in self.ports:
            self.scheduler.after(DELAY, port.server_manager, LinkOpened(node))
        else:
            self.scheduler.after(DELAY, port.server_manager, LinkClosed(node, "there is no such node"))


class Port:
    """One node's stand-in for SipAdapter: a `Ref` that does at once what it is told."""

    def __init__(self, switch: Switch, node: NodeName, clock: Clock) -> None:
        self._switch = switch
        self._me = node
        self._clock = clock
        self._flow = Flow("tcp", 0, HOST, 1, 1)
        self._submitted = 0
        switch.ports[node] = self

    def join(self, server_manager: Ref[ServerManagerCommand], client_manager: Ref[SubmitMessages]) -> None:
        """Name the actors behind this port."""
        self.server_manager = server_manager
        self._client_manager = client_manager

    def tell(self, message: SipAdapterCommand) -> None:
        """Serve one command."""
        match message:
            case SendLinkRequests():
                self._send(message.items)
            case AnswerLinkRequests():
                self._answer(message.items)
            case OpenLink():
                self._switch.open(self, message.node)
            case CloseLink():
                self._switch.scheduler.after(0.0, self.server_manager, LinkClosed(message.node, "closed"))
            case AnswerRequests():
                self._switch.answers.update((item.transaction, item) for item in message.items)
            case _:
                pass  # there are no phones

    def submit(self, sender: UserName, recipient: UserName, body: bytes) -> TransactionKey:
        """Be a phone of this node that sends a message; gives the key of its answer in `Switch.answers`."""
        self._submitted += 1
        key = TransactionKey(f"{self._me}-{self._submitted}".encode())
        submission = Submission(
            transaction=key,
            flow=self._flow,
            sender=sender,
            sender_is_ours=True,
            recipient=recipient,
            call_id=key,
            from_tag=b"tag",
            cseq=1,
            headers=((b"Content-Type", b"text/plain"),),
            body=body,
            arrived=self._clock.monotonic(),
        )
        self._client_manager.tell(SubmitMessages(items=(submission,)))
        return key

    def _send(self, items: Sequence[LinkRequest]) -> None:
        switch, now = self._switch, self._clock.monotonic()
        for item in items:
            switch.traffic.add(item)
            key = TransactionKey(b"%d %b" % (item.number, self._me.encode()))
            asked = LinkRequested(key, self._flow, item.frame, item.content, now + DELAY)
            switch.to(item.node, now).requests.append(asked)

    def _answer(self, items: Sequence[LinkReply]) -> None:
        switch, now = self._switch, self._clock.monotonic()
        for item in items:
            number, _, node = item.transaction.partition(b" ")
            answer = LinkAnswered(
                int(number), item.status, True, item.reason, item.frame, item.content, item.retry_after
            )
            switch.to(node.decode(), now).answers.append(answer)
