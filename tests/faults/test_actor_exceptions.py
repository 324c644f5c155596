"""An exception in every actor at every message kind, once, in a busy node: it costs one request, no mail (A1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from loguru import logger

from actors.messages.client_manager import (
    AddUser,
    AddUsers,
    AskStates,
    ClaimConflicts,
    DeliveriesEnded,
    DeregisterContacts,
    FlowsClosed,
    FlowsSeen,
    ForgetDevice,
    ListUsers,
    MailStored,
    MoveUser,
    RegisterContact,
    RegisterContacts,
    RelaysArrived,
    RemoveUser,
    SubmitMessages,
)
from actors.messages.lifecycle import ActorFailed, CommandFailed, Wake
from actors.messages.monitor import (
    ClearAlarm,
    Level,
    RaiseAlarm,
    ReadJourney,
    ReadMonitor,
    ReportEvent,
    Subscribe,
    Unsubscribe,
)
from actors.messages.requests import ContactItem, StateQuestion, Submission
from actors.messages.router import (
    FindNames,
    MessagesRouted,
    NamesAreGone,
    NamesAreOurs,
    NamesFound,
    NamesLiveAt,
    NeighbourSaid,
    NeighbourUp,
    RouteMessages,
    RouterCommand,
)
from actors.messages.server_manager import (
    AnswerRelays,
    AskFar,
    FarAnswered,
    LinkAnswers,
    LinkRequests,
    RelayDeliveries,
    ServerManagerCommand,
    TellNeighbours,
)
from actors.messages.sip_adapter import (
    AnswerLinkRequests,
    AnswerRequests,
    CloseFlow,
    CloseLink,
    OpenLink,
    SendLinkRequests,
    SendRequests,
)
from actors.messages.storage import (
    AccountSaved,
    DropMessages,
    EndMessages,
    FindExpired,
    ForgetNeighbour,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MoveMessages,
    OpenStore,
    QueueRead,
    ReadMailboxes,
    ReadMessageState,
    ReadNeighbours,
    ReadQueue,
    ReadStoreStats,
    ReadUser,
    ReadUsers,
    RegistrationSaved,
    SaveAccounts,
    SaveNeighbour,
    SaveRegistration,
    SettleMove,
    StoreMessages,
    StoreOpened,
    UserRead,
    UsersRead,
)
from actors.model import Flow, MessageId, TransactionKey, UserName
from actors.state.digest import ha1
from actors.testing import Probe
from apps.node.wiring import Actors
from apps.simulated.phone import Phone
from apps.simulated.site import REALM
from apps.simulated.world import World
from sip_adapter.endpoint import SipEndpoint
from tests.actors.bench import digest
from tests.faults.exceptions import Fault, Faults, Planted, kinds, name_of
from tests.faults.federated import FederatedStory
from tests.faults.merging import MergingStory

WHILE_STARTING = {OpenStore, ReadUsers, StoreOpened, UsersRead}
IN_A_NETWORK: dict[str, set[type[Any]]] = {
    "client_manager": {MailStored, RelaysArrived, FarAnswered, NamesFound, ClaimConflicts, MoveUser, MessagesMoved},
    "server_manager": set(get_args(ServerManagerCommand)),
    "router": set(get_args(RouterCommand)) - {RouteMessages, NamesAreOurs, NamesAreGone},
    "storage": {
        MoveMessages,
        DropMessages,
        SettleMove,
        SaveNeighbour,
        ForgetNeighbour,
        ReadNeighbours,
    },
    "sip_adapter": {OpenLink, CloseLink, SendLinkRequests, AnswerLinkRequests},
}
"""What one node alone never hears."""
ALSO_IN_A_NETWORK: dict[str, set[type[Any]]] = {
    "client_manager": {
        SubmitMessages,
        RegisterContacts,
        DeliveriesEnded,
        MessagesRouted,
        MessagesStored,
        MessagesAcknowledged,
        QueueRead,
        RegistrationSaved,
        AccountSaved,
        UserRead,
    },
    "router": {RouteMessages, NamesAreOurs, NamesAreGone},
    "storage": {
        StoreMessages,
        EndMessages,
        ReadQueue,
        FindExpired,
        SaveRegistration,
        SaveAccounts,
        ReadUser,
        OpenStore,
    },
    "sip_adapter": {SendRequests, AnswerRequests, Wake},
}
"""What others ask there, or what more hangs on."""
IN_A_MERGE: dict[str, set[type[Any]]] = {
    "client_manager": {
        ClaimConflicts,
        RelaysArrived,
        FarAnswered,
        NamesFound,
        UserRead,
        AccountSaved,
        RegistrationSaved,
        MessagesStored,
        MessagesAcknowledged,
        QueueRead,
        RegisterContacts,
        Wake,
    },
    "server_manager": {LinkRequests, LinkAnswers, AskFar, AnswerRelays, RelayDeliveries, TellNeighbours},
    "router": {FindNames, NamesAreOurs, NamesAreGone, NamesLiveAt, NeighbourUp, NeighbourSaid, Wake},
    "storage": {SaveAccounts, SaveRegistration, StoreMessages, DropMessages, ReadQueue, SettleMove},
    "sip_adapter": {OpenLink, SendLinkRequests, AnswerLinkRequests},
}
"""What hangs on it that of two homes of one name one stays."""
NEEDS: dict[Fault, Fault] = {
    ("client_manager", CommandFailed): ("storage", StoreMessages),
    ("client_manager", UserRead): ("client_manager", DeliveriesEnded),
}
"""Some messages come only after another fault."""
NEEDS_IN_A_NETWORK: dict[Fault, Fault] = {("server_manager", CommandFailed): ("router", RouteMessages)}
ANSWERED_500 = {
    ("client_manager", SubmitMessages),
    ("client_manager", MessagesRouted),
    ("client_manager", CommandFailed),
    ("router", RouteMessages),
    ("storage", StoreMessages),
}


class Story:
    """A day of a node: phones come and go, one refuses, an operator works."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = Faults(*faults)
        self.world = World(7, slowness=0.0, actors=Actors(**self.faults.parts))
        if any(kind in WHILE_STARTING for _, kind in faults):
            self.faults.arm()
        self.world.start_node()
        world = self.world
        self.alice = world.add_phone("alice")
        self.bob, self.desk = world.add_phone("bob"), world.add_phone("bob", instance=False)
        self.carol = world.add_phone("carol", refuses=lambda body: True)

    def tell(self) -> None:
        """Let it happen, in the order of a usual day."""
        run = self.world.simulation.run_for
        self.switch_on(self.alice, self.bob, self.carol)
        self.faults.arm()
        self.switch_on(self.desk)
        for _ in range(3):
            self.alice.send("bob")
            self.bob.send("alice")
            run(2)
        self.alice.send("carol")
        self.bob.switch_off()
        for _ in range(2):
            self.alice.send("bob")
            run(1)
        self.alice.send("bob", life=20)
        self.operate()
        run(120)
        self.bob.switch_on()
        run(60)
        self.next_is_served()
        self.world.come_to_rest()

    def switch_on(self, *phones: Phone) -> None:
        for phone in phones:
            phone.switch_on()
        self.world.simulation.run_for(12)
        assert all(phone.registered for phone in phones)

    def operate(self) -> None:
        """Everything that an operator may ask; he asks again where it failed."""
        node = self.world.node
        assert node is not None
        name, frank = UserName("erin"), (UserName("frank"), ha1("MD5", "frank", REALM, "secret"), "")
        self.ask(node.client_manager, AddUser, name=name, ha1_md5="", ha1_sha256="")
        self.ask(node.client_manager, AddUsers, items=((name, "", ""), frank))
        self.ask(node.client_manager, ListUsers)
        there = ContactItem(b"sip:hugo@10.9.9.9", "hugo", "10.9.9.9", None, 3600, 1.0, "", 0, ())
        hugo, phone = UserName("hugo"), Flow("udp", 0, "10.9.9.9", 5060)
        self.ask(node.client_manager, RegisterContact, user=hugo, contact=there, flow=phone, aor_host="a")
        self.ask(node.client_manager, DeregisterContacts, user=hugo, contact=there.uri)
        self.ask(node.client_manager, ForgetDevice, user=UserName("carol"), device=self.carol.device_key)
        self.alice.send("erin")
        self.world.simulation.run_for(2)
        self.ask(node.client_manager, RemoveUser, name=name)
        self.ask(node.storage, ReadMessageState, id=MessageId("x"))
        self.ask(node.storage, ReadStoreStats)
        self.ask(node.storage, ReadMailboxes)
        self.ask(node.storage, ReadUser, name=name)
        self.ask(node.monitor, ReadMonitor)
        self.ask(node.monitor, ReadJourney, id=MessageId("x"))
        node.monitor.tell(Subscribe(subscriber=Probe()))
        node.monitor.tell(Unsubscribe(subscriber=Probe()))
        self.rare_things(node)

    def rare_things(self, node: Any) -> None:
        """What no phone of this day causes; one sends with a nonce that is not ours."""
        stream = Flow("tcp", 0, "10.9.9.9", 1, 77)
        key, alice, frank = TransactionKey(b"q"), UserName("alice"), UserName("frank")
        question = StateQuestion(transaction=key, flow=stream, user=alice, id=MessageId("x"))
        stale = Submission(
            transaction=key,
            flow=stream,
            sender=frank,
            sender_is_ours=True,
            recipient=alice,
            call_id=b"stale",
            from_tag=b"t",
            cseq=1,
            headers=(),
            body=b"stale",
            arrived=self.world.simulation.clock.monotonic(),
            credentials=digest("frank", "secret", "not-ours", "MESSAGE"),
        )
        for message in (
            FlowsSeen(flows=(stream,)),
            FlowsClosed(flows=(stream,)),
            AskStates(items=(question,)),
            SubmitMessages(items=(stale,)),
        ):
            node.client_manager.tell(message)
        node.sip_adapter.tell(CloseFlow(flow=stream))
        for report in (
            ReportEvent(at=0.0, level=Level.INFO, kind="test", text=""),
            RaiseAlarm("test", "", ""),
            ClearAlarm("test"),
            ActorFailed(actor="test", command="", error="", trace=""),
        ):
            node.monitor.tell(report)
        self.world.simulation.run_for(2)
        self.world.disk.fill()
        big = msgspec.structs.replace(
            stale, call_id=b"big", body=b"x" * 60_000, credentials=None, sender=UserName("gus")
        )
        node.client_manager.tell(SubmitMessages(items=(big,)))
        self.world.simulation.run_for(5)
        self.world.disk.empty()
        self.world.simulation.run_for(5)

    def ask(self, actor: Any, kind: type[Any], **fields: Any) -> None:
        for _ in range(3):
            reply = Probe("operator")
            actor.tell(kind(reply_to=reply, request=1, **fields))
            self.world.simulation.run_for(1)
            assert reply.messages, f"nobody answered {kind.__name__}"
            if not isinstance(reply.messages[0], CommandFailed):
                return
        raise AssertionError(f"{kind.__name__} fails and fails")

    def next_is_served(self) -> None:
        """What comes after the fault is served as if nothing had been."""
        body = self.alice.send("bob")
        self.world.simulation.run_for(3)
        assert self.world.oracle.sent[body].status == 202

    def verdict(self) -> list[str]:
        """Broken promises, without the planted fault."""
        return [violation for violation in self.world.judge() if "Planted" not in violation]


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """The traces are wanted, not read."""
    logger.disable("actors")
    yield
    logger.enable("actors")


def of(*places: dict[str, set[type[Any]]]) -> list[Fault]:
    """These faults, in order."""
    return [fault for fault in kinds() if any(fault[1] in place.get(fault[0], ()) for place in places)]


def alone() -> list[Fault]:
    """What one node hears."""
    return [fault for fault in kinds() if fault[1] not in IN_A_NETWORK.get(fault[0], ())]


@pytest.mark.parametrize("fault", alone(), ids=name_of)
def test_nothing_is_lost_and_the_next_is_served(fault: Fault) -> None:
    story = Story(*{fault, NEEDS.get(fault, fault)})
    try:
        story.tell()
        assert story.verdict() == []
        assert story.faults.unspent() == set()
        failed = [sent for sent in story.world.oracle.sent.values() if sent.status == 500]
        assert bool(failed) == (fault in ANSWERED_500)
        assert all(sent.status != 0 for sent in story.world.oracle.sent.values())
    finally:
        story.world.close()


@pytest.mark.parametrize("fault", of(IN_A_NETWORK, ALSO_IN_A_NETWORK), ids=name_of)
def test_nothing_is_lost_between_nodes(fault: Fault) -> None:
    story = FederatedStory(*{fault, NEEDS_IN_A_NETWORK.get(fault, fault)})
    with story.net:
        story.tell()
        assert story.verdict() == []
        assert story.faults.unspent() == set()
        assert all(sent.status for sent in story.net.oracle.sent.values()), "somebody was never answered"


@pytest.mark.parametrize("fault", of(IN_A_MERGE), ids=name_of)
def test_of_two_homes_one_stays(fault: Fault) -> None:
    story = MergingStory(fault)
    with story.net:
        story.tell()
        assert story.verdict() == []
        assert story.faults.unspent() == set()


def test_a_datagram_that_raises_is_answered_500(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, left = SipEndpoint.datagram, [b"MESSAGE"]

    def datagram(self: SipEndpoint, data: bytes, flow: Flow, now: float) -> None:
        if left and data.startswith(left[0]):
            raise Planted(left.pop())
        serve(self, data, flow, now)

    monkeypatch.setattr(SipEndpoint, "datagram", datagram)
    story = Story()
    try:
        story.tell()
        assert story.verdict() == []
        assert [sent.status for sent in story.world.oracle.sent.values()].count(500) == 1
    finally:
        story.world.close()
