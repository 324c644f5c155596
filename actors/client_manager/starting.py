"""The start of ClientManager: what outlived the last run is read, then it serves."""

from __future__ import annotations

from typing import NamedTuple

from actors.client_manager import listing
from actors.client_manager.core import Core
from actors.client_manager.registrations import Registrations
from actors.messages.client_manager import ListUsers
from actors.messages.storage import OpenStore, ReadUsers, StoreOpened, UsersRead
from actors.state.admission import Admission, Rules
from actors.state.delivery import Deliveries
from actors.state.digest import NonceBook
from actors.state.flow_tokens import FlowTokens
from actors.state.ids import IdMint


class Opening(NamedTuple):
    """The store is asked what a node must know before it serves."""


class Loading(NamedTuple):
    """All users are being read."""


class Starting:
    """Opens the store, reads all users, then answers who asked meanwhile."""

    def __init__(self, core: Core, registrations: Registrations) -> None:
        self._core = core
        self._registrations = registrations
        self.loaded = False
        """Everybody is known: from now on time counts."""
        self._loading = 0
        self._deferred: list[ListUsers] = []

    def open(self) -> None:
        """Ask the store for what outlived the last run."""
        core = self._core
        core.refs.storage.tell(OpenStore(reply_to=core.refs.me, request=core.expect(Opening())))

    def opened(self, store: StoreOpened) -> None:
        """Make what needs keys and node time, and read the users."""
        core = self._core
        core.node_offset = store.node_offset
        core.node_key = store.node_key
        core.realm = store.realm
        rules = Rules(
            realm=store.realm,
            open_mode=core.settings.open_mode,
            algorithms=core.settings.algorithms,
            life=core.settings.message_life,
        )
        nonces = NonceBook(core.random.getrandbits(256).to_bytes(32, "big"))
        mint = IdMint(core.random.getrandbits(40).to_bytes(5, "big"))
        core.tokens = FlowTokens(store.node_key, core.random.getrandbits(64).to_bytes(8, "big"))
        core.admission = Admission(core.registry, rules, nonces, mint)
        core.deliveries = Deliveries(
            core.registry,
            core.outbox,
            core.random,
            node_key=store.node_key,
            offset=store.node_offset,
            prove_addresses=core.settings.open_mode,
        )
        self.load()

    def load(self) -> None:
        """Read all users, from the first one on."""
        core = self._core
        self._loading = core.expect(Loading())
        core.refs.storage.tell(ReadUsers(reply_to=core.refs.me, request=self._loading))

    def loading_failed(self) -> None:
        """What is still to come of this stream does not count: it has a gap."""
        self._loading = 0

    def users_read(self, message: UsersRead) -> None:
        """Some users; with the last of them the node serves."""
        core = self._core
        if message.request != self._loading or self.loaded:
            return
        for user in message.users:
            self._registrations.loaded(user)
        core.claim([user.account for user in message.users])
        if message.last:
            core.answered(message.request)
            self.loaded = True
            deferred, self._deferred = self._deferred, []
            for question in deferred:
                listing.answer(self._core, question)

    def list(self, question: ListUsers) -> None:
        """Answer once everybody is loaded: the composition waits for this before it opens the network."""
        if self.loaded:
            listing.answer(self._core, question)
        else:
            self._deferred.append(question)
