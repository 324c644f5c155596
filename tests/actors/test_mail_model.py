"""A model of the promises against the real actors: accepted = delivered + pending + failed with notice (M1)."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors.client_manager.core import ClientSettings
from actors.messages.monitor import JourneySteps
from actors.messages.requests import OutboundRequest
from actors.messages.storage import MessageStateRead, ReadMessageState
from actors.model import POSTMASTER, End, Flow, MessageId, Step, UserName
from actors.state.ids import notice_id
from tests.actors.bench import Bench, contact, flow

USERS = ("ann", "bea", "cid")
LIFE = 400.0
DeviceName = tuple[str, int]


class Sent(msgspec.Struct):
    """What the model knows of an accepted message."""

    number: int
    sender: str
    recipient: str
    call_id: bytes
    body: bytes
    stored_at: float
    owed: set[DeviceName]
    """Devices that have a copy of their own and have not ended it."""
    taken: set[DeviceName]
    proved: bool
    """The sender was registered over the flow he sent it on: only then he is told of a failure (PROTOCOL 14)."""
    sender_generation: int
    generation: int
    """Of the recipient: a user who was removed and came back is another."""


class Mail(RuleBasedStateMachine):
    """Phones that come and go, answer as they like, and a node that is killed."""

    @initialize()
    def begin(self) -> None:
        # So many failures a minute are no subject of this model.
        self.patch = mock.patch("actors.state.notices.PER_MINUTE", 1_000_000)
        self.patch.start()
        self.bench = Bench(settings=ClientSettings(open_mode=True, message_life=LIFE))
        self.sent: dict[MessageId, Sent] = {}
        self.known: dict[str, set[DeviceName]] = {user: set() for user in USERS}
        self.generation = dict.fromkeys(USERS, 0)
        self.online: set[DeviceName] = set()
        self.under_way: list[OutboundRequest] = []
        self.accepted_order: dict[DeviceName, list[int]] = {}
        self.aside: set[str] = set()
        self.count = 0
        self.at: dict[Flow, DeviceName] = {}
        for number, user in enumerate(USERS):
            self.register(user, 0)
            assert self.flow((user, 0)) == flow(10 * number + 10)

    def flow(self, device: DeviceName) -> Flow:
        made = flow(10 * USERS.index(device[0]) + 10 + device[1])
        self.at[made] = device
        return made

    # What users do.

    @rule(user=st.sampled_from(USERS), device=st.integers(0, 2))
    def register(self, user: str, device: int) -> None:
        name = (user, device)
        answer = self.bench.register(user, contact(user, instance=f"urn:{user}:{device}"), over=self.flow(name))
        assert answer.status == 200
        self.known[user].add(name)
        self.online.add(name)

    @precondition(lambda self: self.online)
    @rule(data=st.data())
    def unregister(self, data: st.DataObject) -> None:
        user, device = data.draw(st.sampled_from(sorted(self.online)))
        item = contact(user, instance=f"urn:{user}:{device}")
        assert self.bench.register(user, item, over=self.flow((user, device)), expires=0).status == 200
        self.online.discard((user, device))

    @rule(sender=st.sampled_from(USERS), recipient=st.sampled_from(USERS))
    def send(self, sender: str, recipient: str) -> None:
        self.count += 1
        self.submit(sender, recipient, b"call-%d" % self.count, b"body %d" % self.count)

    def submit(self, sender: str, recipient: str, call_id: bytes, body: bytes) -> MessageId | None:
        user, over = self.bench.user(sender), self.flow((sender, 0))
        proved = user is not None and any(b.flow == over for device in user.devices for b in device.bindings)
        answer = self.bench.send(sender, recipient, body, call_id=call_id, over=over)
        if not self.known[recipient]:
            assert answer.status == 404
            return None
        assert answer.status == 202
        assert answer.message_id is not None
        if answer.message_id not in self.sent:
            self.sent[answer.message_id] = Sent(
                number=len(self.sent),
                sender=sender,
                recipient=recipient,
                call_id=call_id,
                body=body,
                stored_at=self.bench.clock.monotonic(),
                owed=set(self.known[recipient]),
                taken=set(),
                proved=proved,
                sender_generation=self.generation[sender],
                generation=self.generation[recipient],
            )
        return answer.message_id

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """A retransmission that the transactions did not absorb."""
        message = data.draw(st.sampled_from(sorted(self.sent)))
        sent = self.sent[message]
        if self.known[sent.recipient] and self.bench.clock.monotonic() - sent.stored_at < 500:
            assert self.submit(sent.sender, sent.recipient, sent.call_id, sent.body) == message

    # What phones do.

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), status=st.sampled_from([200, 200, 200, 202, 415, 404, 500, 603]))
    def answer(self, data: st.DataObject, status: int) -> None:
        request = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(request)
        self.take(request, status)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def stay_silent(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(request)
        self.bench.advance(32)
        self.bench.respond(request, 408, answered=False)

    def take(self, request: OutboundRequest, status: int) -> None:
        sent = self.sent.get(request.message_id or MessageId(""))
        device = self.at[request.flow]
        if sent is not None and status < 300 and sent.generation == self.generation[device[0]]:
            assert device not in sent.taken, "a device got a message that it had acknowledged"
            sent.taken.add(device)
            sent.owed.discard(device)
            self.accepted_order.setdefault(device, []).append(sent.number)
        elif sent is not None and status in (415, 603):
            sent.owed.discard(device)
        if status == 404:
            self.online.discard(device)
        self.bench.respond(request, status)

    # What happens to the node.

    @rule(seconds=st.sampled_from([1, 10, 60, 200]))
    def wait(self, seconds: int) -> None:
        self.bench.advance(seconds)

    @rule()
    def kill(self) -> None:
        self.bench.restart()
        self.under_way.clear()

    @rule(user=st.sampled_from(USERS))
    def remove(self, user: str) -> None:
        if self.known[user]:
            assert self.bench.remove_user(user).error == ""
            self.known[user].clear()
            self.online -= {name for name in self.online if name[0] == user}
            self.under_way = [request for request in self.under_way if self.at[request.flow][0] != user]
            self.accepted_order = {name: order for name, order in self.accepted_order.items() if name[0] != user}
            self.generation[user] += 1

    # What must hold.

    @invariant()
    def one_in_flight_for_each_device(self) -> None:
        for steps in self.bench.monitor.of(JourneySteps):
            if steps.step is Step.STEPPED_ASIDE:
                self.aside.update(steps.ids)
        for request in self.bench.sends():
            self.under_way = [r for r in self.under_way if (r.flow, r.token) != (request.flow, request.token)]
            self.under_way.append(request)
        flows = [request.flow for request in self.under_way]
        assert len(flows) == len(set(flows))

    @invariant()
    def order_is_that_of_storing(self) -> None:
        aside = {sent.number for message, sent in self.sent.items() if message in self.aside}
        for device, numbers in self.accepted_order.items():
            usual = [number for number in numbers if number not in aside]
            assert usual == sorted(usual), f"{device} got {usual}"

    @invariant()
    def accepted_is_delivered_or_pending_or_failed_with_notice(self) -> None:
        for message, sent in self.sent.items():
            state = self.state(message)
            if state.stored is not None:
                continue
            assert state.ended is not None, f"{message} is lost"
            if state.ended.end is End.DELIVERED:
                assert sent.taken, f"{message} was not delivered"
            else:
                assert not sent.taken, f"{message} was delivered, yet {state.ended.end}"
                self.check_notice(message, sent)

    def check_notice(self, message: MessageId, sent: Sent) -> None:
        notice = self.state(notice_id(message))
        told = notice.stored is not None or notice.ended is not None
        removed = self.generation[sent.sender] != sent.sender_generation
        assert told or removed or not sent.proved, f"nobody was told of {message}"

    def state(self, message: MessageId) -> MessageStateRead:
        read: Any = self.bench.ask(
            lambda reply: ReadMessageState(reply_to=reply, request=1, id=message), MessageStateRead, self.bench.storage
        )
        assert isinstance(read, MessageStateRead)
        return read

    def teardown(self) -> None:
        """In the end everybody is there and takes all: whoever had a copy has got it, if its life lasted."""
        try:
            for user in USERS:
                for name in sorted(self.known[user]):
                    self.register(*name)
            for _ in range(200):
                self.one_in_flight_for_each_device()
                if not self.under_way:
                    break
                self.take(self.under_way.pop(0), 200)
            self.order_is_that_of_storing()
            self.accepted_is_delivered_or_pending_or_failed_with_notice()
            for message, sent in self.sent.items():
                if sent.generation == self.generation[sent.recipient] and self.state(message).stored is not None:
                    assert not sent.owed, f"{sent.owed} did not get {message}"
            self.bench.settle()
            assert not self.bench.failures, self.bench.failures[0].trace
        finally:
            self.bench.simulation.close()
            self.bench.disk.close()
            self.patch.stop()


assert UserName("postmaster") == POSTMASTER
TestMail = Mail.TestCase
TestMail.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
