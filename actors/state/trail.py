"""Following one message from node to node, by what each tells of it, to where it was delivered or waits."""

from __future__ import annotations

from typing import NamedTuple

from actors.messages.links import ToldJourney
from actors.model import End, NodeName, QueueName, Step, UserName, queue_node, queue_user

AT_SERVER = " at server "
"""In the detail of a `sent` step, between the device and the server that it is at, if that is another one."""
HOPS = 12
"""Nodes that are asked at most."""
WAITING = "waiting"
UNKNOWN = "unknown"


class Next(NamedTuple):
    """Whom to ask next: a node, or else the home of a user."""

    node: NodeName
    user: UserName = UserName("")


class Trail:
    """One question about a message: begins at a node, and has an end (`state`)."""

    def __init__(self, user: UserName, start: NodeName, state: str = UNKNOWN) -> None:
        """`user` asks; he is told of messages from or to him only. `state` is what is known before."""
        self._user = user
        self._asked: set[NodeName | UserName] = set()
        self._next: list[Next] = [Next(start)]
        self.state = state
        """What is to be told at the end."""

    def next(self) -> Next | None:
        """Name whom to ask now; None: that was all, or enough."""
        while self._next and len(self._asked) < HOPS:
            one = self._next.pop(0)
            if (one.user or one.node) not in self._asked:
                self._asked.add(one.user or one.node)
                return one
        return None

    def heard(self, told: ToldJourney) -> None:
        """Take in what one told."""
        mine = self._user in (told.sender, told.recipient)
        at_home = queue_user(QueueName(told.queue)) is not None
        if told.end or at_home:
            self._next = []
            self.state = self._at_its_end(told) if mine else UNKNOWN
            return
        if told.queue and mine:
            self.state = WAITING
        onward = [forwarded_to(step.detail) for step in told.steps if step.step == Step.FORWARDED]
        waits_for = queue_node(QueueName(told.queue))
        nodes = [*onward[-1:], *([waits_for] if waits_for else [])]
        home = [Next(NodeName(""), told.recipient)] if told.recipient else []
        self._next = [*(Next(node) for node in nodes), *home, *self._next]

    @staticmethod
    def _at_its_end(told: ToldJourney) -> str:
        if told.end:
            return told.end if told.end in tuple(End) else UNKNOWN  # it becomes a header
        return WAITING if told.anyone else str(End.DELIVERED)


def forwarded_to(detail: str) -> NodeName:
    """Read the node in the detail of a `forwarded` step."""
    return NodeName(detail.removeprefix("to ").partition(",")[0])


def sent_to(detail: str) -> tuple[str, NodeName]:
    """Read device and server in the detail of a `sent` step; no server: the device is at the node that tells it."""
    device, found, node = detail.rpartition(AT_SERVER)
    return (device, NodeName(node)) if found else (detail, NodeName(""))
