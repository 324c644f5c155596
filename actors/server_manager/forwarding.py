"""Mail to neighbours: nothing is sent that is not on disk, nothing dropped that the neighbour has not on its own."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from actors.messages.links import Carry
from actors.messages.router import RouteFailed
from actors.messages.server_manager import LinkAnswered
from actors.messages.storage import DropMessages
from actors.model import NodeName, Seq, Step, StoredMessage, UserName, queue_node
from actors.server_manager.core import Core, Timer
from actors.server_manager.custody import Custody
from actors.server_manager.links import Links
from actors.server_manager.rerouting import Rerouting
from actors.state.link_queue import LinkQueue, Way
from actors.state.vouch import vouched

REFUSALS = frozenset({403, 404, 482, 483, 513})
"""Definite: the neighbour does not have the message, and will not take it."""
CUT_AFTER = 2.0
"""Seconds a neighbour is down until what it cannot have is routed anew."""
DROP_AGAIN = 0.5


class Forwarding:
    """Sends what waits for neighbours, and makes of each answer what it means (PROTOCOL 17, 18, 19)."""

    def __init__(self, core: Core, links: Links, custody: Custody, rerouting: Rerouting) -> None:
        self._core = core
        self._links = links
        self._custody = custody
        self._rerouting = rerouting
        self._over: list[Seq] = []
        """Rows that neighbours have: to be dropped at the next flush."""
        self._timer: Timer | None = None

    def start(self) -> None:
        """The queues are known: those of neighbours that are up may send."""
        for node, queue in self._custody.links.items():
            if self._links.up(node):
                queue.set_way(Way.UP)

    # Links.

    def link_up(self, node: NodeName) -> None:
        """Send what waits; first what is in doubt, for it is the oldest."""
        queue = self._custody.links.get(node)
        if queue is not None:
            queue.set_way(Way.UP)

    def link_down(self, node: NodeName) -> None:
        """Wait a little for it to come back, then look for other ways."""
        queue = self._custody.links.get(node)
        if queue is not None and queue.way is not Way.REMOVED:
            self._wait_for(node, queue)

    def _wait_for(self, node: NodeName, queue: LinkQueue) -> None:
        queue.set_way(Way.DOWN)
        self._core.after(CUT_AFTER, partial(self._cut, node, queue))

    def _cut(self, node: NodeName, queue: LinkQueue) -> None:
        """It is not back: what it cannot have looks for another way (a link that flaps is cut a little early)."""
        if queue.way is Way.DOWN and not self._links.up(node):
            queue.set_way(Way.CUT)

    def remove(self, node: NodeName) -> None:
        """The operator frees all that is bound to it."""
        queue = self._custody.links.get(node)
        if queue is not None:
            queue.set_way(Way.REMOVED)

    def route_again(self, names: Iterable[UserName]) -> None:
        """What found no other way while its link is down may find one now."""
        for queue in self._custody.links.values():
            queue.route_again(names)

    # Sending.

    def flush(self) -> None:
        """Send, read on, route anew, drop; one message to each receiver where there can be one."""
        custody, now = self._custody, self._core.now()
        fresh, custody.fresh = custody.fresh, []
        for queue in fresh:
            node = queue_node(queue.queue)
            assert node is not None
            if self._links.up(node):
                queue.set_way(Way.UP)
            elif queue.way is Way.DOWN:
                self._wait_for(node, queue)
        for node, queue in custody.links.items():
            queue.wake(now)
            self._send(node, queue, now)
            self._rerouting.serve(queue)
        self._drop()
        self._schedule(now)

    def _send(self, node: NodeName, queue: LinkQueue, now: float) -> None:
        core = self._core
        node_time = core.node_time()
        for message in queue.take(now, node_time):
            carry = Carry(
                envelope=vouched(core.node_key, core.node, message.envelope),
                life=max(0.0, message.expires - node_time),
                incarnation=core.incarnation,
                row=message.seq,
                floor=queue.floor,
            )
            done = partial(self._answered, node, queue, message)
            self._links.send(node, carry, done, core.settings.carry_seconds)

    def _answered(self, node: NodeName, queue: LinkQueue, message: StoredMessage, answer: LinkAnswered) -> None:
        core, seq, now = self._core, message.seq, self._core.now()
        refused = answer.status in REFUSALS and (answer.answered or _never_went_out(queue, seq, answer))
        if not answer.answered and not refused:
            queue.unanswered(seq, now, answer.retry_after)
            core.step(Step.WAITING, message.envelope.id, f"{node} did not answer: it may have it or not")
        elif answer.status // 100 == 2:
            queue.accepted(seq)
            self._over.append(seq)
            core.step(Step.FORWARDED, message.envelope.id, node)
            core.count("messages_forwarded_total")
        elif refused and message.expires <= core.node_time():
            queue.outlived(seq, now)
        elif refused:
            self._tell_router(node, message, answer)
            queue.refused(seq)
        else:
            queue.later(seq, now, answer.retry_after, doubt=answer.status != 503)
            core.step(Step.WAITING, message.envelope.id, f"{node} answered {answer.status} {answer.reason}")

    def _tell_router(self, node: NodeName, message: StoredMessage, answer: LinkAnswered) -> None:
        core, envelope = self._core, message.envelope
        home = NodeName(envelope.routing.home if envelope.routing is not None else "")
        core.refs.router.tell(RouteFailed(node, envelope.recipient, home, answer.status, envelope.sender, envelope.id))
        core.step(Step.WAITING, envelope.id, f"{node} answered {answer.status} {answer.reason}")
        core.count(f'messages_turned_back_total{{status="{answer.status}"}}')

    # Dropping.

    def _drop(self) -> None:
        if self._over:
            seqs, self._over = tuple(self._over), []
            self._tell_drop(seqs)

    def _tell_drop(self, seqs: tuple[Seq, ...]) -> None:
        core = self._core
        request = core.expect(
            lambda _: self._dropped(seqs),
            lambda _: self._drop_failed(seqs),
            lambda _: self._dropped(seqs),
        )
        core.refs.storage.tell(DropMessages(core.refs.me, request, seqs))

    def _dropped(self, seqs: tuple[Seq, ...]) -> None:
        for queue in self._custody.links.values():
            for seq in seqs:
                if queue.holds(seq):
                    queue.gone(seq)

    def _drop_failed(self, seqs: tuple[Seq, ...]) -> None:
        """Each for itself, so that a bad one is alone; until it is dropped it is not sent again in this run."""
        for seq in seqs:
            self._core.after(DROP_AGAIN, partial(self._tell_drop, (seq,)))

    # Time.

    def _schedule(self, now: float) -> None:
        due = min((at for queue in self._custody.queues() if (at := queue.rests.next()) is not None), default=None)
        if due is None:
            return
        if self._timer is not None and self._timer.call is not None and now < self._timer.due <= due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._core.after(due - now, _look)


def _never_went_out(queue: LinkQueue, seq: Seq, answer: LinkAnswered) -> bool:
    """Tell whether a message was too large for the link: as good as a refusal, if it never went another way."""
    return answer.status == 513 and not queue.doubts(seq)


def _look() -> None:
    """The flush that follows a timer looks for what is due."""
