"""First messages in networks of whole nodes: all actors, codec and links, under the seeded scheduler.

Users are made beforehand and their phones registered; then one message after the other is sent, and the requests
between servers are counted by the nodes themselves until it has arrived.
"""

from __future__ import annotations

import statistics
from random import Random

import msgspec

from actors.messages.monitor import MonitorRead, ReadMonitor
from actors.routers.first_unvisited import FirstUnvisited
from actors.routers.flood import Flood
from apps.node.wiring import Actors
from apps.simulated.network import Network
from apps.simulated.phone import Phone
from apps.simulated.shapes import Pair, names_of

KINDS = ("carry", "search", "searched")
SETTLE = 30.0
"""Virtual seconds for ways, summaries and the search for names that others might have as well."""
PATIENCE = 60.0
"""Virtual seconds for one message to arrive."""

ROUTERS = {
    "ladder": Actors(),
    "original design": Actors(router=FirstUnvisited),
    "flood": Actors(router=Flood),
}


class Measured(msgspec.Struct, frozen=True):
    """Means over some messages."""

    first: float
    later: float
    found: float
    broken_promises: int


def measure(links: tuple[Pair, ...], method: str, count: int, seed: int) -> Measured:
    """Let so many users at random nodes get a message from a node that never heard of them, and then another."""
    random = Random(f"actors {seed}")
    nodes = names_of(links)
    with Network(seed, links=links, actors=ROUTERS[method]) as network:
        network.start()
        pairs = [random.sample(nodes, 2) for _ in range(count)]
        phones: list[tuple[Phone, Phone, str]] = []
        for number, (here, there) in enumerate(pairs):
            name = f"bob{number}"
            network.user(name, there, "secret")
            network.user(f"alice{number}", here, "secret")
            receiver = network.phone(name, there, password="secret")
            phones.append((network.phone(f"alice{number}", here, password="secret"), receiver, name))
        network.run_for(SETTLE)
        first = [_send(network, *phone) for phone in phones]
        later = [_send(network, *phone) for phone in phones]
        verdict = network.judge()
    return Measured(
        first=statistics.mean(packets for packets, _ in first),
        later=statistics.mean(packets for packets, _ in later),
        found=statistics.mean(arrived for _, arrived in first),
        broken_promises=len(verdict),
    )


def _send(network: Network, sender: Phone, receiver: Phone, name: str) -> tuple[float, bool]:
    """Send one message; gives the requests between servers that it took, and whether it has arrived."""
    before = _requests(network)
    body = sender.send(name)
    clock = network.simulation.clock
    late = clock.monotonic() + PATIENCE
    network.simulation.run_until(lambda: body in receiver.mailbox or clock.monotonic() > late)
    network.run_for(1.0)
    return _requests(network) - before, body in receiver.mailbox


def _requests(network: Network) -> float:
    total = 0.0
    for site in network.sites.values():
        read = site.ask(lambda node, reply: node.monitor.tell(ReadMonitor(reply, 1, 0)))
        assert isinstance(read, MonitorRead)
        total += sum(read.counters.get(f'link_requests_total{{kind="{kind}"}}', 0.0) for kind in KINDS)
    return total
