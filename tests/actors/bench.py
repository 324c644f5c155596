"""ClientManager with a real Router, Storage and MemoryStore in virtual time; the border and the monitor are probes."""

from __future__ import annotations

import itertools
from types import TracebackType
from typing import Any, Self

from actors.base import ActorBase, Context, start_actor
from actors.client_manager.actor import ClientManager
from actors.client_manager.core import ClientSettings
from actors.messages.client_manager import (
    AddUser,
    CommandDone,
    DeliveriesEnded,
    DeliveryResult,
    FlowsClosed,
    FlowsSeen,
    ListUsers,
    RegisterContacts,
    RemoveUser,
    SubmitMessages,
    UserInfo,
    UsersListed,
)
from actors.messages.lifecycle import ActorFailed
from actors.messages.requests import Answer, ContactItem, DigestResponse, OutboundRequest, Registration, Submission
from actors.messages.sip_adapter import AnswerRequests, SendRequests
from actors.messages.storage import ReadStoreStats, StoreStatsRead
from actors.model import Flow, Header, Seconds, TransactionKey, UserName
from actors.ref import ActorRef, DeadLetters
from actors.router import Router
from actors.simulation import Simulation
from actors.state.digest import expected_response, ha1
from actors.storage import Storage
from actors.stores.memory import Disk, MemoryStore
from actors.stores.port import Store
from actors.testing import Probe

REALM = "angarium"
HOST = "angarium"
TEXT: tuple[Header, ...] = ((b"Content-Type", b"text/plain"),)


def flow(number: int = 1, *, transport: str = "udp", connection: int = 0) -> Flow:
    """A way of its own for each number."""
    return Flow(transport, 0, "127.0.0.1", 40_000 + number, connection)


def contact(
    user: str, host: str = "10.0.0.9", *, instance: str = "", port: int | None = 5060, expires: int | None = None
) -> ContactItem:
    """One Contact of a REGISTER."""
    uri = f"sip:{user}@{host}" + (f":{port}" if port else "")
    params: tuple[Header, ...] = ((b"+sip.instance", f"<{instance}>".encode()),) if instance else ()
    return ContactItem(
        uri=uri.encode(),
        user=user,
        host=host,
        port=port,
        expires=expires,
        q=1.0,
        instance=instance,
        reg_id=0,
        params=params,
    )


class Requests:
    """Makes what clients send, each with names of its own."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def now(self) -> float:
        """Monotonic seconds at which a submission arrives."""
        return 1000.0

    def registration(
        self,
        user: str,
        *contacts: ContactItem,
        over: Flow | None = None,
        expires: int | None = 3600,
        star: bool = False,
        call_id: bytes = b"",
        cseq: int | None = None,
        credentials: DigestResponse | None = None,
    ) -> Registration:
        """Make a REGISTER; a fresh CSeq unless one is given."""
        number = next(self._numbers)
        return Registration(
            transaction=TransactionKey(b"r%d" % number),
            flow=over or flow(),
            user=UserName(user),
            aor_host=HOST,
            from_user=UserName(user),
            call_id=call_id or b"reg-" + user.encode(),
            cseq=number if cseq is None else cseq,
            contacts=contacts,
            star=star,
            expires=expires,
            credentials=credentials,
        )

    def submission(
        self,
        sender: str,
        recipient: str,
        body: bytes = b"hello",
        *,
        over: Flow | None = None,
        call_id: bytes = b"",
        cseq: int = 1,
        headers: tuple[Header, ...] = TEXT,
        life: float | None = None,
        ours: bool = True,
        client_id: str = "",
        credentials: DigestResponse | None = None,
        arrived: float | None = None,
    ) -> Submission:
        """Make a MESSAGE; a fresh Call-ID unless one is given."""
        number = next(self._numbers)
        return Submission(
            transaction=TransactionKey(b"m%d" % number),
            flow=over or flow(),
            sender=UserName(sender),
            sender_is_ours=ours,
            recipient=UserName(recipient),
            call_id=call_id or b"call-%d" % number,
            from_tag=b"tag",
            cseq=cseq,
            headers=headers,
            body=body,
            arrived=self.now() if arrived is None else arrived,
            life=None if life is None else Seconds(life),
            client_id=client_id,
            credentials=credentials,
        )


class Bench(Requests):
    """Drive it with `register`, `send`, `respond`, `advance`, `restart`; look at `answers`, `sends` and the store."""

    def __init__(
        self,
        *,
        open_mode: bool = True,
        settings: ClientSettings | None = None,
        client_manager: type[ActorBase[Any]] = ClientManager,
        router: type[ActorBase[Any]] = Router,
        storage: type[ActorBase[Any]] = Storage,
        store: Store | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.simulation = Simulation(seed)
        self.clock = self.simulation.clock
        self.disk = Disk()
        self.settings = settings or ClientSettings(open_mode=open_mode)
        self.failures: list[ActorFailed] = []
        self._parts = (client_manager, router, storage)
        self._store = store
        self._taken = 0
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.simulation.close()
        self.disk.close()
        if kind is None:
            assert not self.failures, self.failures[0].trace

    def now(self) -> float:
        """Now."""
        return self.clock.monotonic()

    # The node.

    def start(self) -> None:
        """Start the actors on the disk as it is."""
        self.sip, self.monitor, self._supervisor = Probe("sip_adapter"), Probe("monitor"), Probe("supervisor")
        self.server_manager = Probe("server_manager")
        self._taken = 0
        self.store = self._store or MemoryStore(realm=REALM, clock=self.clock, disk=self.disk)
        context = Context(
            clock=self.clock,
            scheduler=self.simulation.scheduler,
            supervisor=self._supervisor,
            dead_letters=DeadLetters(),
        )
        runtime = self.simulation.runtime
        client_manager, router, storage = self._parts
        self.router: ActorRef[Any] = start_actor(router, runtime, context, monitor=self.monitor)
        self.storage: ActorRef[Any] = start_actor(storage, runtime, context, store=self.store, monitor=self.monitor)
        self.client_manager: ActorRef[Any] = start_actor(
            client_manager,
            runtime,
            context,
            router=self.router,
            storage=self.storage,
            sip_adapter=self.sip,
            monitor=self.monitor,
            server_manager=self.server_manager,
            settings=self.settings,
            random=self.simulation.random,
        )
        self.ask(lambda reply: ListUsers(reply_to=reply, request=0, limit=0), UsersListed)

    def crash(self) -> None:
        """kill -9: what is not on the disk is gone."""
        self._collect_failures()
        self.simulation.crash((self.client_manager, self.router, self.storage))

    def restart(self) -> None:
        """kill -9 and start again."""
        self.crash()
        self.start()

    def settle(self) -> None:
        """Let everybody serve all they have been told; time stands still."""
        self.simulation.settle()
        self._collect_failures()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.simulation.run_for(seconds)
        self._collect_failures()

    def tell(self, message: object) -> None:
        """Tell ClientManager, and let everybody serve."""
        self.client_manager.tell(message)
        self.settle()

    def ask(self, make: Any, kind: Any, target: ActorRef[Any] | None = None) -> Any:
        """Ask an actor (ClientManager) and return its answer."""
        reply = Probe("reply")
        (target or self.client_manager).tell(make(reply))
        for _ in range(20):
            self.settle()
            if reply.messages:
                break
            self.advance(0.3)  # a repeat is due
        assert reply.messages, "no answer"
        assert isinstance(reply.messages[0], kind), reply.messages[0]
        return reply.messages[0]

    def _collect_failures(self) -> None:
        self.failures += self._supervisor.take_all()

    # What clients and operators do.

    def add_user(self, name: str, password: str = "secret", *, replace: bool = False) -> CommandDone:
        """Make an account."""
        done = self.ask(
            lambda reply: AddUser(
                reply_to=reply,
                request=1,
                name=UserName(name),
                ha1_md5=ha1("MD5", name, REALM, password),
                ha1_sha256=ha1("SHA-256", name, REALM, password),
                replace=replace,
            ),
            CommandDone,
        )
        assert isinstance(done, CommandDone)
        return done

    def remove_user(self, name: str) -> CommandDone:
        """Remove an account."""
        done = self.ask(lambda reply: RemoveUser(reply_to=reply, request=1, name=UserName(name)), CommandDone)
        assert isinstance(done, CommandDone)
        return done

    def user(self, name: str) -> UserInfo | None:
        """What an operator sees of a user."""
        listed = self.ask(lambda reply: ListUsers(reply_to=reply, request=1, name=name), UsersListed)
        return listed.users[0] if listed.users else None

    def waiting(self) -> int:
        """Messages in custody."""
        stats = self.ask(lambda reply: ReadStoreStats(reply_to=reply, request=1), StoreStatsRead, self.storage)
        return int(stats.messages)

    def register(self, user: str, *contacts: ContactItem, **more: Any) -> Answer:
        """REGISTER (the user's usual device, if none is named), and the answer."""
        request = self.registration(user, *(contacts or (contact(user, instance=f"urn:{user}"),)), **more)
        self.tell(RegisterContacts(items=(request,)))
        return self.answer(request)

    def send(self, sender: str, recipient: str, body: bytes = b"hello", **more: Any) -> Answer:
        """MESSAGE, and the answer."""
        request = self.submission(sender, recipient, body, **more)
        self.tell(SubmitMessages(items=(request,)))
        return self.answer(request)

    def prove(self, user: str, password: str, method: str, *, over: Flow | None = None, nc: int = 1) -> DigestResponse:
        """Ask for a challenge and answer it."""
        request = self.registration(user, over=over)
        self.tell(RegisterContacts(items=(request,)))
        challenge = self.answer(request).challenge
        assert challenge is not None
        return digest(user, password, challenge.nonce, method, nc=nc)

    # What goes out.

    def answers(self, request: Submission | Registration) -> list[Answer]:
        """All answers to a request."""
        found = (answer for message in self.sip.of(AnswerRequests) for answer in message.items)
        return [answer for answer in found if answer.transaction == request.transaction]

    def answer(self, request: Submission | Registration) -> Answer:
        """The answer to a request."""
        found = self.answers(request)
        assert found, "no answer"
        return found[0]

    def sends(self) -> list[OutboundRequest]:
        """What was sent to devices since this was last asked."""
        sent = [request for message in self.sip.of(SendRequests) for request in message.items]
        new, self._taken = sent[self._taken :], len(sent)
        return new

    def send_of(self) -> OutboundRequest:
        """The one request that was sent since."""
        (request,) = self.sends()
        return request

    def respond(self, request: OutboundRequest, status: int = 200, *, answered: bool = True, wait: int = 0) -> None:
        """The device answers."""
        result = DeliveryResult(request.delivery, status, answered, wait)
        self.tell(DeliveriesEnded(items=(result,)))

    def time_out(self, request: OutboundRequest) -> None:
        """The device does not answer: Timer F."""
        self.advance(32)
        self.respond(request, 408, answered=False)

    def accept_all(self) -> list[bytes]:
        """All devices answer 200 until nothing more is sent; the bodies in order."""
        bodies: list[bytes] = []
        while sent := self.sends():
            for request in sent:
                bodies.append(request.body)
                self.respond(request)
        return bodies

    def seen(self, *flows: Flow) -> None:
        """Keep-alives."""
        self.tell(FlowsSeen(flows=flows))

    def closed(self, *flows: Flow) -> None:
        """Connections end."""
        self.tell(FlowsClosed(flows=flows))


def digest(
    user: str, password: str, nonce: str, method: str, *, nc: int = 1, algorithm: str = "MD5", realm: str = REALM
) -> DigestResponse:
    """Answer a challenge as a phone does."""
    blank = DigestResponse(
        username=user,
        realm=realm,
        nonce=nonce,
        uri=f"sip:{HOST}",
        response="",
        method=method,
        algorithm=algorithm,
        qop="auth",
        nc=f"{nc:08x}",
        cnonce="c",
    )
    response = expected_response(blank, ha1(algorithm, user, realm, password))
    return DigestResponse(
        username=user,
        realm=realm,
        nonce=nonce,
        uri=blank.uri,
        response=response,
        method=method,
        algorithm=algorithm,
        qop="auth",
        nc=blank.nc,
        cnonce="c",
    )
