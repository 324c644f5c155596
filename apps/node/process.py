"""A node as a process: settings in, a serving node on threads and sockets out, until it is told to stop."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from loguru import logger

from actors.base import ActorBase
from actors.client_manager.core import ClientSettings
from actors.messages.storage import SavedNeighbour
from actors.model import NodeName
from actors.ports import Clock, Runtime, Scheduler
from actors.ref import ActorRef
from actors.runtime import LoopRuntime, SystemClock, ThreadRuntime, ThreadScheduler
from actors.server_manager.core import LinkSettings
from actors.state.debug_lines import DebugLog
from actors.state.routing.settings import RouterSettings
from actors.stores.port import Store, StoreError
from apps.common.config import DigestAlgorithm, NodeConfig
from apps.common.exits import Exit, Failure
from apps.common.process import DUMP_SIGNAL, new_loop
from apps.node.asking import ReplyRef
from apps.node.plugins import load_class, told, unfit
from apps.node.wiring import Actors, Node, NodeFailed, NodePlan, Reply, start_node, stop_actors
from sip_adapter.limits import Limits
from sip_adapter.transport.base import Network
from sip_adapter.transport.sockets import AsyncioNetwork

THREADS_FILE = "angarium-threads.txt"
"""What SIGUSR1 asks for."""
MIN_SECRET = 16
"""Bytes."""
ALGORITHMS = {
    DigestAlgorithm.MD5: ("MD5",),
    DigestAlgorithm.SHA_256: ("SHA-256",),
    DigestAlgorithm.BOTH: ("SHA-256", "MD5"),
}
SHIPPED_STORES = {"sqlite": "actors.stores.sqlite:SqliteStore", "memory": "actors.stores.memory:MemoryStore"}
STORE_METHODS = tuple(name for name, part in vars(Store).items() if callable(part) and not name.startswith("_"))
REPLACEABLE = ("monitor", "router", "storage", "client_manager", "server_manager", "sip_adapter")


class Threads:
    """The real world: threads, sockets, the machine's clocks."""

    def __init__(self) -> None:
        self.clock: Clock = SystemClock()
        self.timers = ThreadScheduler()
        self.scheduler: Scheduler = self.timers
        self.runtime: Runtime = ThreadRuntime()
        self.network_runtime: Runtime = LoopRuntime(new_loop)
        self.network: Network = AsyncioNetwork()
        self.random: Random | None = None

    def answer(self, ask: Callable[[Reply], None], timeout: float) -> Any:
        """Wait for the answer to a question."""
        reply = ReplyRef()
        ask(reply)
        try:
            return reply.future.result(timeout)
        except TimeoutError:
            raise TimeoutError(f"an actor did not answer within {timeout:g} s while starting") from None

    def stop(self, refs: Iterable[ActorRef[Any]]) -> None:
        """End these actors; raises NodeHangs."""
        stop_actors(refs)


def make_store(config: NodeConfig, clock: Clock, realm: str | None) -> Store:
    """Make and open the store that the settings name; Failure (78) if its folder is somebody else's.

    `realm` None: whatever the folder has, and the default in a new one.
    """
    if config.store in SHIPPED_STORES:  # known without a look at what is installed, which takes its time
        kind = load_class("store", SHIPPED_STORES[config.store])
    else:
        kind = load_class("store", config.store)
    if missing := sorted(name for name in STORE_METHODS if not callable(getattr(kind, name, None))):
        raise unfit("store", config.store, f"it lacks {', '.join(missing)}")
    try:
        store: Store = kind(data_dir=config.data, realm=realm, clock=clock)
    except TypeError as error:
        raise unfit("store", config.store, told(error)) from error
    try:
        config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        store.open()
    except StoreError as error:
        raise Failure(f"cannot open {config.data}", why=str(error), code=Exit.CONFIG) from error
    except OSError as error:
        raise Failure(
            f"cannot open {config.data}", why=error.strerror or str(error), do="choose another --data", code=Exit.CONFIG
        ) from error
    return store


def read_secret(config: NodeConfig) -> bytes:
    """Read the secret that servers share, without the white space around it; Failure (78) if it is none."""
    file = config.neighbour_secret_file
    if file is None:
        return b""
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise Failure(
            f"cannot read the neighbours' secret {file}",
            why=error.strerror or str(error),
            do="make one with: angarium neighbour secret FILE",
            code=Exit.CONFIG,
        ) from error
    if len(secret) < MIN_SECRET:
        raise Failure(
            f"the neighbours' secret in {file} has {len(secret)} bytes, at least {MIN_SECRET} are needed",
            do="make one with: angarium neighbour secret FILE",
            code=Exit.CONFIG,
        )
    return secret


def chosen_actors(config: NodeConfig) -> Actors:
    """Load the replacements that the settings name."""
    chosen: dict[str, type[ActorBase[Any]]] = {}
    for role in REPLACEABLE:
        name = getattr(config, role)
        if name is not None:
            chosen[role] = load_actor(role, name)
    return Actors(**chosen)


def load_actor(role: str, name: str) -> type[ActorBase[Any]]:
    """Load the class of an actor; Failure (78) if it cannot be one."""
    found = load_class(role, name)
    if not issubclass(found, ActorBase):
        raise unfit(role, name, "it does not derive from actors.base.ActorBase")
    if missing := sorted(found.__abstractmethods__):
        raise unfit(role, name, f"it lacks {', '.join(missing)}")
    return found


def start(config: NodeConfig, world: Threads, store: Store, debug: DebugLog | None = None) -> Node:
    """Start a node as the settings say; Failure: 78 if it cannot listen or a replacement cannot start, else 70.

    `debug` takes the actors' debug lines.
    """
    realm = store.open().realm
    secret = read_secret(config)
    plan = NodePlan(
        listen=tuple(str(address) for address in config.listen),
        realm=realm,
        store=store,
        actors=chosen_actors(config),
        clients=ClientSettings(
            open_mode=config.open,
            algorithms=ALGORITHMS[config.digest_algorithm],
            message_life=float(config.message_life),
            device_life=float(config.device_life),
            federated=True,  # neighbours may introduce themselves at any time
            node=NodeName(config.name),
            secret=secret,
        ),
        links=LinkSettings(
            node=NodeName(config.name),
            realm=realm,
            secret=secret,
            neighbours=tuple(SavedNeighbour(NodeName(item.name), str(item.address)) for item in config.neighbour),
            address="" if config.link_address is None else str(config.link_address),
        ),
        routing=RouterSettings(
            node=NodeName(config.name), rungs=tuple(config.router_rungs), search_budget=config.search_budget
        ),
        limits=Limits(max_pending=config.max_pending, max_body=config.max_body),
        watchdog=config.watchdog,
        on_fatal=end_process,
        debug=debug or DebugLog(),
    )
    try:
        return start_node(plan, world)
    except NodeFailed as error:
        code = Exit.CONFIG if error.advice else Exit.INTERNAL
        raise Failure("the node cannot start", why=str(error), do=error.advice, code=code) from error


@contextlib.contextmanager
def thread_dumps(directory: Path) -> Iterator[None]:
    """Have SIGUSR1 write where each thread stands to a file of the log folder; the node serves on. Main thread only.

    It works even where Python's own signal handlers do not run any more. OSError if the file cannot be written.
    """
    with (directory / THREADS_FILE).open("a", encoding="utf-8") as file:
        faulthandler.register(DUMP_SIGNAL, file=file, all_threads=True)
        try:
            yield
        finally:
            # Ignored from here on: by default the signal would end the process in the middle of its stop.
            faulthandler.unregister(DUMP_SIGNAL)
            signal.signal(DUMP_SIGNAL, signal.SIG_IGN)


def end_process(reason: str) -> None:
    """End at once with 70: a hanging thread cannot be ended, and start-up is recovery."""
    logger.critical("the node ends: {}", reason)
    for thread in threading.enumerate():
        logger.debug("thread alive: {}", thread.name)
    faulthandler.dump_traceback(file=sys.__stderr__ or sys.stderr, all_threads=True)
    logger.complete()
    os._exit(Exit.INTERNAL)
