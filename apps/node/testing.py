"""A whole node inside a test or a script: one line starts it on free loopback ports, the end of the block stops it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from apps.common.config import NodeConfig
from apps.common.values import Listen, Transport
from apps.node.process import Threads, make_store, start
from apps.node.wiring import Node

ANYWHERE = (Listen(Transport.UDP, "127.0.0.1", 0), Listen(Transport.TCP, "127.0.0.1", 0))


@contextmanager
def running_node(**settings: Any) -> Iterator[Node]:
    """Run a node with these settings of `NodeConfig`; without any it is open and keeps its mail in memory.

    `Node.addresses` has the ports that were free: `udp://127.0.0.1:40001`, ...
    """
    usual: dict[str, Any] = {"listen": ANYWHERE, "open": True, "store": "memory", "watchdog": 0.0}
    config = NodeConfig(**(usual | settings))
    world = Threads()
    try:
        store = make_store(config, world.clock, config.realm)
        try:
            node = start(config, world, store)
            try:
                yield node
            finally:
                node.stop()
        finally:
            store.close()
    finally:
        world.timers.stop()
