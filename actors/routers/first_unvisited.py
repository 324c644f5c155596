"""The original design of this network: the message itself walks, always to the first neighbour not yet visited."""

from __future__ import annotations

from actors.messages.router import Destination, Unknown
from actors.model import Envelope, NodeName, Routing
from actors.routers.plain import PlainRouter


class FirstUnvisited(PlainRouter):
    """Sends a message to the first neighbour that it has not visited, and back along its path where it is stuck.

    It learns nothing and asks nobody, so a first message costs as much as each later one: at 1,000 nodes some 540
    hand-overs on average. The visited list grows with them, and `MAX_STEPS` bounds both: it is for small networks and
    for comparison. A step back begins a new leg, in which only the node that it leads to may be visited again.
    Stuck at its origin a message waits if a neighbour is down there, else it ends: nodes that were down elsewhere are
    not known, so "unknown" may be wrong (the default Router's search is never).
    """

    def choose(self, envelope: Envelope, routing: Routing) -> Destination:
        """Say where a message goes whose recipient is not here."""
        ahead = self.open(envelope.recipient, (*routing.visited, self.me))
        if ahead:
            return self.send(ahead[0], envelope, routing)
        behind = parent(routing.path, self.me)
        if behind is not None and not self.neighbours.get(behind):
            return self.waits()
        if behind is None or behind not in self.open(envelope.recipient):
            # The end of the walk: here, or there, where it was refused and so has stayed here.
            return Unknown() if all(self.neighbours.values()) else self.waits()
        visited = tuple(node for node in routing.visited if node != behind)
        return self.send(behind, envelope, routing, visited=visited, leg=routing.leg + 1)


def parent(path: tuple[str, ...], me: NodeName) -> NodeName | None:
    """Give the node from which a message first came to this one, None at its origin.

    A path with steps back, a b c b d, is a walk over a tree: coming to a node again means that all behind it is done.
    """
    stack: list[str] = []
    for node in (*path, me):
        if node in stack:
            del stack[stack.index(node) + 1 :]
        else:
            stack.append(node)
    return NodeName(stack[-2]) if len(stack) > 1 else None
