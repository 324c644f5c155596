"""All mail between nodes, for the actor: what goes to neighbours, what comes from them, what has no way yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from actors.messages.server_manager import LinkRequested, QueuedMessage
from actors.messages.storage import QueueSize
from actors.model import NodeName, Seq, UserName, queue_node
from actors.server_manager.arrivals import Arrivals
from actors.server_manager.core import Core
from actors.server_manager.custody import Custody
from actors.server_manager.endings import Endings
from actors.server_manager.forwarding import Forwarding
from actors.server_manager.links import Links
from actors.server_manager.rerouting import Rerouting
from actors.server_manager.unrouted import Unrouted


class MailSizes(NamedTuple):
    """What an operator sees of the mail between this node and a neighbour."""

    waiting: int = 0
    in_flight: int = 0
    in_doubt: int = 0
    oldest: float = 0.0
    """Seconds since acceptance of the oldest message that waits; 0: none does."""
    sent: int = 0
    received: int = 0


class Mail:
    """The parts that deal with mail, put together. `flush` hands on what they gathered."""

    def __init__(self, core: Core, links: Links) -> None:
        self._core = core
        self.custody = Custody(core, links.up)
        self.endings = Endings(core, self.custody)
        rerouting = Rerouting(core, self.custody, self.endings)
        self.forwarding = Forwarding(core, links, self.custody, rerouting)
        self.unrouted = Unrouted(core, self.custody, rerouting)
        self.arrivals = Arrivals(core, links, self.custody)

    def start(self, last_seq: Seq, queues: Sequence[QueueSize]) -> None:
        """Begin, given `StoreOpened.last_seq` and `NeighboursRead.queues`; before this nothing is sent."""
        self.custody.start(last_seq, queues)
        self.forwarding.start()
        self.unrouted.start()
        self.endings.start()

    def queued(self, items: Sequence[QueuedMessage]) -> None:
        """ClientManager has stored these; also before `start`."""
        for item in items:
            self.custody.placed(item.queue, item.message)

    def missed(self, items: Sequence[QueuedMessage]) -> None:
        """They were announced, and it is not known what became of that: the disk has them."""
        for queue in dict.fromkeys(item.queue for item in items):
            node = queue_node(queue)
            (self.custody.unrouted if node is None else self.custody.link(node)).read_anew()

    def carry(self, node: NodeName, request: LinkRequested) -> None:
        """A neighbour's `Carry`, authenticated; answered through `Links.answer` once it is on disk."""
        self.arrivals.carry(node, request)

    def neighbour_added(self) -> None:
        """The Router hears of a neighbour."""
        self.unrouted.neighbour_added()

    def link_up(self, node: NodeName) -> None:
        """A neighbour can be sent to."""
        self.forwarding.link_up(node)

    def link_down(self, node: NodeName) -> None:
        """It cannot any more; every request to it has had its end."""
        self.forwarding.link_down(node)

    def remove(self, node: NodeName) -> None:
        """The operator has removed this neighbour: what waits for it goes elsewhere (PROTOCOL 18).

        Also for a node that is no neighbour, but has a queue on disk.
        """
        self.forwarding.remove(node)

    def route_again(self, names: Sequence[UserName]) -> None:
        """The Router may know more of these names than when it was asked last; none given: of all."""
        self.unrouted.route_again(names)
        self.forwarding.route_again(names)

    def sizes(self, node: NodeName) -> MailSizes:
        """Say how it stands with one neighbour."""
        received = self.arrivals.received.get(node, 0)
        queue = self.custody.links.get(node)
        if queue is None:
            return MailSizes(received=received)
        accepted = queue.oldest
        oldest = max(0.0, self._core.clock.wall() - accepted) if accepted else 0.0
        return MailSizes(queue.waiting, queue.in_flight, queue.in_doubt, oldest, queue.sent, received)

    def queued_nodes(self) -> tuple[NodeName, ...]:
        """Nodes that mail waits for, neighbours or not."""
        return tuple(sorted(node for node, queue in self.custody.links.items() if queue.waiting))

    def unrouted_size(self) -> int:
        """How many messages have no way yet."""
        return self.custody.unrouted.waiting

    def flush(self) -> None:
        """Hand on what was gathered: one message to Router and Storage for each kind of question."""
        self.arrivals.flush()
        self.forwarding.flush()
        self.unrouted.flush()
        self.endings.flush()
