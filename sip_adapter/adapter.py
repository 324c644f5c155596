"""The actor at the network's border: owns the sockets, feeds the endpoint, hands on what comes out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import assert_never

from actors.base import ActorBase, Context
from actors.messages.client_manager import (
    AskStates,
    ClientManagerCommand,
    DeliveriesEnded,
    DeliveryResult,
    FlowsClosed,
    FlowsSeen,
    RegisterContacts,
    SubmitMessages,
)
from actors.messages.lifecycle import ListenFailed, Listening, Ping, Wake
from actors.messages.monitor import CountFacts, MonitorCommand, SetGauges
from actors.messages.requests import Answer, OutboundRequest
from actors.messages.server_manager import LinkAnswered, LinkAnswers, LinkRequests, ServerManagerCommand
from actors.messages.sip_adapter import (
    AnswerLinkRequests,
    AnswerRequests,
    CloseFlow,
    CloseLink,
    LinkReply,
    LinkRequest,
    OpenLink,
    ReportBacklog,
    SendLinkRequests,
    SendRequests,
    SipAdapterCommand,
)
from actors.model import Flow
from actors.ref import Ref
from sip_adapter import debug_lines
from sip_adapter.domains import Domains
from sip_adapter.endpoint import SipEndpoint
from sip_adapter.errors import SipError
from sip_adapter.framer import Event
from sip_adapter.limits import Limits
from sip_adapter.link_endpoint import LinkOutputs
from sip_adapter.transport.base import Network, parse_address

TICK = 0.1
"""Seconds: timers of transactions are at most this late, so that a wake-up serves many of them."""
REPORT = 1.0
"""Seconds between two accounts to the monitor."""
MAX_REPORTS = 10
"""Contained exceptions reported in that time; more are only counted."""


class SipAdapter(ActorBase[SipAdapterCommand]):
    """Sockets, transactions and codec; implements the actors' outbound port."""

    name = "sip_adapter"

    def __init__(
        self,
        *,
        context: Context,
        network: Network,
        client_manager: Ref[ClientManagerCommand],
        server_manager: Ref[ServerManagerCommand] | None = None,
        monitor: Ref[MonitorCommand],
        domains: Domains,
        realm: str,
        listen: Sequence[str],
        ready: Ref[Listening | ListenFailed],
        limits: Limits | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Store what it is given; `ready` is told once whether the addresses of `listen` could be bound.

        Without a `server_manager` there are no links: requests of other servers get 501.
        """
        super().__init__(context=context)
        self._network = network
        self._client_manager = client_manager
        self._server_manager = server_manager
        self._monitor = monitor
        self._domains = domains
        self._listen = tuple(listen)
        self._ready = ready
        self._limits = limits or Limits()
        self._endpoint = SipEndpoint(
            domains=domains,
            realm=realm,
            limits=self._limits,
            secret=random_bytes(32),
            via=network.via,
            links=server_manager is not None,
            random_bytes=random_bytes,
        )
        self._links = self._endpoint.links
        self._closed: list[Flow] = []
        self._wake = 0
        self._wake_due: float | None = None
        self._report_due = 0.0
        self._reports = 0

    def on_start(self) -> None:
        """Open the sockets; if one cannot be had, say so and stop."""
        try:
            addresses = [parse_address(url) for url in self._listen]
            bound = self._network.open(addresses, self, self._limits)
        except (OSError, ValueError) as error:
            self._ready.tell(ListenFailed(address=", ".join(self._listen), reason=str(error)))
            self.stop()
            return
        for address in bound:
            self._domains.add_listener(address.host)
        self._ready.tell(Listening(addresses=tuple(str(address) for address in bound)))

    def release(self) -> None:
        """Close the sockets."""
        self._network.close()

    # What the actors want.

    def handle(self, message: SipAdapterCommand) -> None:
        """Serve one command; packets go out in `flush`."""
        match message:
            case SendRequests():
                self.each(message.items, self._send_one, self._unsent)
            case AnswerRequests():
                self._endpoint.answer(message.items, self.clock.monotonic(), self.clock.wall())
            case ReportBacklog():
                self._endpoint.backlog(message.messages)
            case CloseFlow():
                self._network.close_flow(message.flow)
            case SendLinkRequests():
                self.each(message.items, self._send_to_server, self._unsent_to_server)
            case AnswerLinkRequests():
                self.each(message.items, self._answer_server, self._answer_server_500)
            case OpenLink():
                self._links.open(message.node, message.address)
            case CloseLink():
                self._links.close(message.node)
            case Wake():
                self._tick(message.id)
            case Ping():
                pass  # answered by the frame
            case _:
                assert_never(message)

    def recover(self, message: SipAdapterCommand, error: Exception) -> None:
        """Of a command that raised, each answer is tried by itself, each send has ended, and time goes on."""
        match message:
            case SendRequests():
                for item in message.items:
                    self._unsent(item, error)
            case SendLinkRequests():
                for request in message.items:
                    self._unsent_to_server(request, error)
            case AnswerRequests():
                self.each(message.items, self._answer_one, self._answer_500)
            case Wake():
                self._wake_due = None
            case _:
                super().recover(message, error)

    def _send_one(self, item: OutboundRequest) -> None:
        self._endpoint.send((item,), self.clock.monotonic())

    def _unsent(self, item: OutboundRequest, error: Exception) -> None:
        """Its listener may be none of this run: that costs no other request its way."""
        self._endpoint.out.results.append(DeliveryResult(item.delivery, 503, False))

    def _answer_one(self, item: Answer) -> None:
        self._endpoint.answer((item,), self.clock.monotonic(), self.clock.wall())

    def _answer_500(self, item: Answer, error: Exception) -> None:
        self._answer_one(Answer(transaction=item.transaction, status=500))

    def _send_to_server(self, item: LinkRequest) -> None:
        self._links.send(item, self.clock.monotonic())

    def _unsent_to_server(self, item: LinkRequest, error: Exception) -> None:
        self._links.out.events.append(LinkAnswered(item.number, 503, False, "Could not be written"))

    def _answer_server(self, item: LinkReply) -> None:
        self._links.answer(item, self.clock.monotonic())

    def _answer_server_500(self, item: LinkReply, error: Exception) -> None:
        self._answer_server(LinkReply(transaction=item.transaction, status=500))

    def _tick(self, wake: int) -> None:
        if wake == self._wake:
            self._wake_due = None
            self._endpoint.tick(self.clock.monotonic())

    # What the network brings (NetworkEvents): the read loop, where nothing may raise.

    def datagrams(self, batch: Sequence[tuple[bytes, Flow]]) -> None:
        """Serve a batch of datagrams and hand on what came of it."""
        now = self.clock.monotonic()
        serve = self._endpoint.datagram
        self._endpoint.counts["sip_datagrams_received_total"] += len(batch)
        if self.debug.on:
            self._tell_packets("from", [(flow, data) for data, flow in batch])
        for data, flow in batch:
            try:
                serve(data, flow, now)
            except Exception as error:  # noqa: BLE001 - the read loop's containment: costs this datagram only
                self._contain_packet("datagram", error)
                self._answer_broken(data, flow)
        self._flush_contained()

    def stream_events(self, flow: Flow, events: Sequence[Event]) -> None:
        """Serve what bytes of a stream completed."""
        now = self.clock.monotonic()
        if self.debug.on:
            for event in events:
                self._tell_line(f"from {debug_lines.where(flow)}", debug_lines.of_event(event))
        for event in events:
            try:
                self._endpoint.event(event, flow, now)
            except Exception as error:  # noqa: BLE001 - as above
                self._contain_packet("stream event", error)
        self._flush_contained()

    def stream_closed(self, flow: Flow) -> None:
        """Fail what waits on this connection, and tell that its bindings are gone."""
        self._closed.append(flow)
        try:
            self._endpoint.closed(flow, self.clock.monotonic())
        except Exception as error:  # noqa: BLE001 - as above
            self._contain_packet("closed stream", error)
        self._flush_contained()

    def dialled(self, number: int, flow: Flow | None) -> None:
        """Send what waited for this connection."""
        try:
            self._endpoint.dialled(number, flow, self.clock.monotonic())
        except Exception as error:  # noqa: BLE001 - as above
            self._contain_packet("dialled connection", error)
        self._flush_contained()

    def link_dialled(self, number: int, flow: Flow | None, reason: str) -> None:
        """Tell that a link is open, or could not be opened."""
        try:
            self._links.dialled(number, flow, reason)
        except Exception as error:  # noqa: BLE001 - as above
            self._contain_packet("dialled link", error)
        self._flush_contained()

    def _tell_packets(self, way: str, packets: Sequence[tuple[Flow, bytes]]) -> None:
        for flow, data in packets:
            self._tell_line(f"{way} {debug_lines.where(flow)}", debug_lines.of_packet(data))

    def _tell_line(self, where: str, line: tuple[str, str]) -> None:
        text, message_id = line
        self.debug.write(self.name, f"{where} {text}", message_id)

    def _contain_packet(self, what: str, error: Exception) -> None:
        self._endpoint.counts["sip_packets_failed_total"] += 1
        self._reports += 1
        if self._reports <= MAX_REPORTS:
            self.report(what, error)

    def _answer_broken(self, data: bytes, flow: Flow) -> None:
        try:
            self._endpoint.broke(data, flow)
        except SipError:
            pass  # unreadable at all: nobody to answer
        except Exception as error:  # noqa: BLE001 - the same fault again: counted, its client repeats or gives up
            self._contain_packet("answer 500", error)

    # What goes out.

    def flush(self) -> None:
        """Hand everything on: one message per receiver, all packets in one go."""
        out = self._endpoint.take()
        counts = self._endpoint.counts
        if out.submissions:
            counts["sip_messages_received_total"] += len(out.submissions)
            self._client_manager.tell(SubmitMessages(items=tuple(out.submissions)))
        if out.registrations:
            counts["sip_registers_received_total"] += len(out.registrations)
            self._client_manager.tell(RegisterContacts(items=tuple(out.registrations)))
        if out.questions:
            self._client_manager.tell(AskStates(items=tuple(out.questions)))
        if out.results:
            self._client_manager.tell(DeliveriesEnded(items=tuple(out.results)))
        if out.seen:
            self._client_manager.tell(FlowsSeen(flows=tuple(out.seen)))
        if self._closed:
            closed, self._closed = tuple(self._closed), []
            self._client_manager.tell(FlowsClosed(flows=closed))
        self._flush_links(out.packets)
        for dial in out.dials:
            self._network.dial(dial)
        for flow in out.closes:
            self._network.close_flow(flow)
        self._set_timer()

    def _flush_links(self, packets: list[tuple[Flow, bytes]]) -> None:
        """Send all packets, then tell ServerManager what it is to know."""
        packets += self._links.take_packets()
        if packets:
            self._send(packets)
        out = self._links.take()
        if out is None:
            return
        for dial in out.dials:
            self._network.dial_link(dial)
        for flow in out.closes:
            self._network.close_flow(flow)
        if self._server_manager is not None:
            self._tell_links(self._server_manager, out)

    def _tell_links(self, server_manager: Ref[ServerManagerCommand], out: LinkOutputs) -> None:
        answers: list[LinkAnswered] = []
        for event in out.events:
            if isinstance(event, LinkAnswered):
                answers.append(event)
                continue
            if answers:
                server_manager.tell(LinkAnswers(items=tuple(answers)))
                answers = []
            server_manager.tell(event)
        if answers:
            server_manager.tell(LinkAnswers(items=tuple(answers)))
        if out.requests:
            self._endpoint.counts["sip_link_requests_received_total"] += len(out.requests)
            server_manager.tell(LinkRequests(items=tuple(out.requests)))

    def _send(self, packets: Sequence[tuple[Flow, bytes]]) -> None:
        if self.debug.on:
            self._tell_packets("to", packets)
        failed = self._network.send(packets)
        self._endpoint.counts["sip_packets_sent_total"] += len(packets)
        if failed:
            self._endpoint.counts["sip_packets_unsent_total"] += len(failed)
            self._endpoint.failed(failed, self.clock.monotonic())
            results, self._endpoint.out.results = self._endpoint.out.results, []
            if results:
                self._client_manager.tell(DeliveriesEnded(items=tuple(results)))

    def _set_timer(self) -> None:
        now = self.clock.monotonic()
        if now >= self._report_due:
            self._account(now)
        due = self._endpoint.deadline()
        if self._endpoint.counts:
            due = self._report_due if due is None else min(due, self._report_due)
        if due is None:
            return
        due = max(due, now + TICK)
        if self._wake_due is None or due < self._wake_due - TICK:
            self._wake_due = due
            self._wake += 1
            self.context.scheduler.after(due - now, self.ref, Wake(id=self._wake))

    def _account(self, now: float) -> None:
        self._report_due = now + REPORT
        self._reports = 0
        counts = self._endpoint.take_counts()
        for name, amount in self._network.counts().items():
            counts[name] += amount
        facts = tuple((name, float(amount)) for name, amount in counts.items() if amount)
        if facts:
            self._monitor.tell(CountFacts(counts=facts))
            gauges = (
                ("sip_requests_pending", float(self._endpoint.pending)),
                ("sip_requests_in_flight", float(self._endpoint.in_flight)),
            )
            self._monitor.tell(SetGauges(gauges=gauges))
