"""The queues of mail that goes elsewhere, and where a message goes once it is on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from actors.messages.storage import QueueSize
from actors.model import (
    UNROUTED,
    NodeName,
    QueueName,
    Seq,
    Step,
    StoredMessage,
    neighbour_queue,
    queue_node,
    queue_user,
)
from actors.server_manager.core import Core
from actors.state.link_queue import LinkQueue
from actors.state.mail_queue import MailQueue


class Custody:
    """All queues but mailboxes, as memory knows them."""

    def __init__(self, core: Core, up: Callable[[NodeName], bool]) -> None:
        """`up` tells whether a neighbour can be sent to."""
        self._core = core
        self._up = up
        self._early: list[tuple[QueueName, StoredMessage]] = []
        self.ending: set[Seq] = set()
        """Rows that are being ended, wherever they stand."""
        self.links: dict[NodeName, LinkQueue] = {}
        self.unrouted = MailQueue(UNROUTED, core.random, self.ending, start=Seq(0))
        self.started = False
        self.last_seq = Seq(0)
        """The newest row when this run began."""
        self.fresh: list[LinkQueue] = []
        """Queues made since `Forwarding` looked last."""

    def start(self, last_seq: Seq, queues: Sequence[QueueSize]) -> None:
        """Take over what the disk has; what was announced before is put behind it."""
        self.started = True
        self.last_seq = last_seq
        sizes = {queue.queue: queue.messages for queue in queues}
        self.unrouted = MailQueue(UNROUTED, self._core.random, self.ending, start=last_seq, size=sizes.pop(UNROUTED, 0))
        for name, size in sizes.items():
            node = queue_node(name)
            if node is not None:
                self._open(node, size)
        early, self._early = self._early, []
        for queue, message in early:
            self.placed(queue, message)

    def placed(self, queue: QueueName, message: StoredMessage) -> None:
        """A message has been committed to this queue; of a mailbox ClientManager hears from Storage."""
        node = queue_node(queue)
        if queue_user(queue) is not None:
            return
        if not self.started:
            self._early.append((queue, message))
        elif queue == UNROUTED:
            self.unrouted.add(message)
            self._core.step(Step.WAITING, message.envelope.id, "for a way to its recipient")
        elif node is not None:
            self.link(node).add(message)
            if not self._up(node):
                self._core.step(Step.WAITING, message.envelope.id, f"for server {node}")

    def link(self, node: NodeName) -> LinkQueue:
        """The queue of a neighbour, made if need be."""
        return self.links.get(node) or self._open(node, 0)

    def _open(self, node: NodeName, size: int) -> LinkQueue:
        queue = LinkQueue(neighbour_queue(node), self._core.random, self.ending, start=self.last_seq, size=size)
        self.links[node] = queue
        self.fresh.append(queue)
        return queue

    def queues(self) -> Iterator[MailQueue]:
        """All of them."""
        yield from self.links.values()
        yield self.unrouted

    def holder(self, seq: Seq) -> MailQueue | None:
        """The queue that has this row in memory."""
        return next((queue for queue in self.queues() if queue.holds(seq)), None)
