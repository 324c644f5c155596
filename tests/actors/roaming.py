"""Two ClientManagers and what lies between them: the home of some users, and a node where their phones are.

ServerManager is played by the test: it carries relays from one to the other, through the bytes they travel in.
"""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any, Self

import msgspec

from actors.base import ActorBase, Context
from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import (
    DeliveriesEnded,
    DeliveryResult,
    RegisterContacts,
    RelayArrived,
    RelaysArrived,
    SubmitMessages,
)
from actors.messages.links import RelayContent, RelayedDelivery, encode_content
from actors.messages.router import (
    Destination,
    FindNames,
    Found,
    GrantOrigin,
    MessagesRouted,
    NameAnswer,
    NamesAreGone,
    NamesAreOurs,
    NamesFound,
    RouteMessages,
    RouterCommand,
    ToMailbox,
    ToNeighbour,
    Unknown,
)
from actors.messages.server_manager import AnswerRelays, AskFar, FarAnswered, RelayDeliveries
from actors.model import POSTMASTER, Envelope, NodeName, Routing, UserName
from actors.ref import Ref
from tests.actors.bench import Bench, contact, digest

HOME, EDGE, MIDDLE = NodeName("h"), NodeName("e"), NodeName("m")
_decode: msgspec.msgpack.Decoder[RelayContent] = msgspec.msgpack.Decoder(RelayContent)


class Roads:
    """What a node's Router is made to know."""

    def __init__(self) -> None:
        self.homes: dict[str, NodeName] = {}
        """Who lives at other nodes."""
        self.others = Found.UNKNOWN
        """The answer for all others who are not here."""
        self.heard: list[RouterCommand] = []

    def of(self, kind: type[Any]) -> list[Any]:
        """What it heard of one type."""
        return [message for message in self.heard if isinstance(message, kind)]


def router_knowing(roads: Roads) -> type[ActorBase[RouterCommand]]:
    """A Router class that knows what it was told of names here, and what the test says of others."""

    class Knowing(ActorBase[RouterCommand]):
        """Answers at once."""

        name = "router"

        def __init__(self, *, context: Context, monitor: Ref[Any]) -> None:
            super().__init__(context=context)
            self._here = {POSTMASTER}

        def handle(self, message: RouterCommand) -> None:
            """Serve one command."""
            roads.heard.append(message)
            match message:
                case NamesAreOurs():
                    self._here.update(message.names)
                case NamesAreGone():
                    self._here.difference_update(message.names)
                case FindNames():
                    answers = tuple(self._find(name) for name in message.names)
                    message.reply_to.tell(NamesFound(message.request, answers))
                case RouteMessages():
                    routes = tuple(self._route(envelope) for envelope in message.envelopes)
                    message.reply_to.tell(MessagesRouted(message.request, routes))
                case _:
                    pass

        def _find(self, name: UserName) -> NameAnswer:
            home = roads.homes.get(name)
            if name in self._here:
                return NameAnswer(name, Found.HERE)
            return NameAnswer(name, Found.ELSEWHERE, home, MIDDLE, 1) if home else NameAnswer(name, roads.others)

        def _route(self, envelope: Envelope) -> Destination:
            if envelope.recipient in self._here:
                return ToMailbox()
            if envelope.recipient in roads.homes:
                routing = envelope.routing or Routing("here")
                return ToNeighbour(MIDDLE, msgspec.structs.replace(envelope, routing=routing))
            return Unknown()

    return Knowing


class Node(Bench):
    """One node, whose Router knows what `roads` says."""

    def __init__(self, name: NodeName, *, open_mode: bool = False, federated: bool = True, **more: Any) -> None:
        self.roads = Roads()
        settings = ClientSettings(open_mode=open_mode, federated=federated, node=name)
        super().__init__(settings=settings, router=router_knowing(self.roads), **more)
        self.name = name

    def asked(self) -> list[AskFar]:
        """What far ends are asked, taken."""
        return [message for message in self.server_manager.take_all() if isinstance(message, AskFar)]


class Roaming:
    """A home `h`, an edge `e`, and a node `m` between them."""

    def __init__(self, *, open_mode: bool = False, **more: Any) -> None:
        self.home = Node(HOME, open_mode=open_mode, **more)
        self.edge = Node(EDGE, open_mode=open_mode, **more)
        self.cut = False
        """Nothing gets through, and both ends are told so."""
        self._numbers = itertools.count(1)
        self._from: dict[tuple[str, int], AskFar | int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in (self.home, self.edge):
            node.__exit__(kind, error, trace)

    def lives_at_home(self, name: str, password: str = "secret") -> None:
        """Make an account at the home; the edge's Router knows of it."""
        if password:
            self.home.add_user(name, password)
        self.edge.roads.homes[name] = HOME

    def pass_on(self) -> None:
        """Carry relays and their answers until nobody has anything to say."""
        while any([self._carry(self.edge, self.home), self._carry(self.home, self.edge)]):
            pass

    def _carry(self, here: Node, there: Node) -> bool:
        messages = here.server_manager.take_all()
        for message in messages:
            match message:
                case AskFar():
                    self._relay(here, there, message.content, message)
                case RelayDeliveries():
                    for item in message.items:
                        *nodes, token = item.route
                        assert [*nodes] == [MIDDLE.encode(), EDGE.encode()]
                        content = RelayedDelivery(msgspec.structs.replace(item, route=()), token.decode())
                        self._relay(here, there, content, item.delivery)
                case AnswerRelays():
                    for answer in message.items:
                        self._answer(there, self._from.pop((here.name, answer.relay)), answer)
                case _:
                    pass
        return bool(messages)

    def _relay(self, here: Node, there: Node, content: RelayContent, asker: AskFar | int) -> None:
        if self.cut:
            self._answer(here, asker, None)
            return
        number = next(self._numbers)
        self._from[there.name, number] = asker
        arrived = RelayArrived(number, here.name, (here.name, MIDDLE), _decode.decode(encode_content(content)))
        there.tell(RelaysArrived(items=(arrived,)))

    def _answer(self, asker: Node, to: AskFar | int, answer: Any) -> None:
        if isinstance(to, int):
            result = DeliveryResult(to, answer.status, True, answer.retry_after) if answer else None
            asker.tell(DeliveriesEnded(items=(result or DeliveryResult(to, 503, False),)))
        elif answer is None:
            to.reply_to.tell(FarAnswered(to.request, 503, "no way", False))
            asker.settle()
        else:
            told = FarAnswered(to.request, answer.status, answer.reason, True, answer.reply, answer.retry_after)
            to.reply_to.tell(told)
            asker.settle()

    # What phones at the edge do.

    def register(self, user: str, *contacts: Any, password: str = "secret", **more: Any) -> Any:
        """REGISTER at the edge, with a digest if the home asks for one; the last answer."""
        answer = self.ask_register(user, *contacts, **more)
        if answer.status == 401 and password:
            credentials = self.credentials(user, password, answer.challenge, "REGISTER")
            answer = self.ask_register(user, *contacts, credentials=credentials, **more)
        return answer

    def ask_register(self, user: str, *contacts: Any, **more: Any) -> Any:
        """One REGISTER at the edge, and its answer."""
        contacts = contacts or (contact(user, instance=f"urn:{user}"),)
        request = self.edge.registration(user, *contacts, call_id=b"edge-" + user.encode(), **more)
        self.edge.tell(RegisterContacts(items=(request,)))
        self.pass_on()
        return self.edge.answer(request)

    def credentials(self, user: str, password: str, challenge: Any, method: str, nc: int = 1) -> Any:
        """Answer a challenge."""
        return digest(user, password, challenge.nonce, method, nc=nc)

    def submit(self, sender: str, recipient: str, body: bytes = b"hello", **more: Any) -> Any:
        """One MESSAGE at the edge, and its answer."""
        request = self.edge.submission(sender, recipient, body, **more)
        self.edge.tell(SubmitMessages(items=(request,)))
        self.pass_on()
        return self.edge.answer(request)

    def send(self, sender: str, recipient: str, body: bytes = b"hello", password: str = "secret", **more: Any) -> Any:
        """MESSAGE at the edge, with a digest if the home asks for one; the last answer."""
        answer = self.submit(sender, recipient, body, **more)
        if answer.status == 401 and password:
            credentials = self.credentials(sender, password, answer.challenge, "MESSAGE")
            answer = self.submit(sender, recipient, body, credentials=credentials, **more)
        return answer

    def grants(self) -> list[GrantOrigin]:
        """What the home's Router was told of users who send through other nodes."""
        return self.home.roads.of(GrantOrigin)
