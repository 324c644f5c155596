"""A stopped node, asked all the same: its actors run for a moment, without a network, under the data folder's lock.

So a command has the same outcome whether the node runs or not: it asks the same interface on the same socket.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from actors.base import ActorBase, Context
from actors.messages.lifecycle import Listening
from actors.ref import Ref
from actors.server_manager.core import LinkSettings
from actors.stores.port import LockedError, Store, StoreError
from apps.client import admin_client
from apps.client.admin_client import AdminClient, NodeDown
from apps.common.exits import Exit, Failure

PATIENCE = 10.0
"""Seconds to wait for a node that is just starting or stopping: it holds the lock, but does not answer."""
PAUSE = 0.1


class NoNetwork(ActorBase[Any]):
    """Stands in for SipAdapter: listens nowhere, sends nothing."""

    name = "sip_adapter"

    def __init__(self, *, context: Context, ready: Ref[Listening], **_settings: Any) -> None:
        super().__init__(context=context)
        self._ready = ready

    def on_start(self) -> None:
        """Tell that all addresses, none, are open."""
        self._ready.tell(Listening(addresses=()))

    def handle(self, message: Any) -> None:
        """Drop it: a request that is never answered changes nothing on disk."""


@contextmanager
def node(data: Path | None, admin: str | None, *, create: bool, realm: str | None = None) -> Iterator[AdminClient]:
    """Yield a client of the running node, or of the stopped one's folder; `create` makes the folder if it is missing.

    A Failure: 66 no such folder, 69 the node neither answers nor lets go of its folder, 78 another realm.
    """
    client = admin_client.chosen(data, admin)
    if admin is not None:
        yield client
        return
    folder = admin_client.data_folder(data)
    with ExitStack() as stack:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                client.get("status")
                break
            except NodeDown as down:
                if not create and not folder.is_dir():
                    raise Failure(
                        f"there is no data folder {folder}", do="name one with --data", code=Exit.NO_SUCH
                    ) from None
                if _try_open(stack, folder, realm, last=time.monotonic() > deadline, down=down):
                    break
            time.sleep(PAUSE)
        yield client


def _try_open(stack: ExitStack, folder: Path, realm: str | None, *, last: bool, down: NodeDown) -> bool:
    """Take the folder and start; False while somebody else holds it."""
    from apps.node.process import Threads

    world = Threads()
    try:
        store = _store(folder, realm, world)
    except StoreError as error:
        world.timers.stop()
        if isinstance(error, LockedError):
            if last:
                raise down from error
            return False
        raise Failure(f"cannot open {folder}", why=str(error), code=Exit.CONFIG) from error
    stack.callback(world.timers.stop)
    stack.callback(store.close)
    _serve(stack, folder, world, store)
    return True


def _store(folder: Path, realm: str | None, world: Any) -> Store:
    from actors.stores.sqlite import SqliteStore

    store = SqliteStore(data_dir=folder, realm=realm, clock=world.clock)
    store.open()
    return store


def _serve(stack: ExitStack, folder: Path, world: Any, store: Store) -> None:
    from loguru import logger

    from apps.main import version_line
    from apps.node.admin import AdminServer
    from apps.node.admin_api import AdminApi
    from apps.node.admin_facts import NodeFacts, node_actors
    from apps.node.process import end_process
    from apps.node.wiring import Actors, NodePlan, start_node

    logger.remove()  # the log belongs to the node; what goes wrong here is told by the command
    realm = store.open().realm
    plan = NodePlan(
        listen=(),
        realm=realm,
        store=store,
        actors=Actors(sip_adapter=NoNetwork),
        # Some secret: whether the node has one to prove neighbours beyond this machine is seen when it starts.
        links=LinkSettings(realm=realm, secret=os.urandom(32)),
        watchdog=0.0,
        on_fatal=end_process,
    )
    running = start_node(plan, world)
    stack.callback(running.stop)
    facts = NodeFacts(name="(stopped)", realm=realm, version=version_line().split()[-1], addresses=())
    server = AdminServer(AdminApi(facts, node_actors(running)).app, data=folder)
    server.start()
    stack.callback(server.stop)
