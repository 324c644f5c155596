"""A Router of your own: `angarium node --open --router examples/custom_router.py:QuietRouter` refuses the boss."""

from __future__ import annotations

from actors.messages.router import Destination, Unknown
from actors.model import Envelope, NodeName, Routing
from actors.routers.plain import PlainRouter


class QuietRouter(PlainRouter):
    """Nobody is here for the boss. Other messages go round: to the next neighbour by name that has not had them."""

    def place(self, envelope: Envelope, arrived_from: NodeName) -> Destination:
        """Say where one message goes: names that are here are the base's affair."""
        if envelope.sender == "boss":
            return Unknown("Nobody is here for you")
        return super().place(envelope, arrived_from)

    def choose(self, envelope: Envelope, routing: Routing) -> Destination:
        """Say where a message goes whose recipient is not here."""
        ahead = sorted(self.open(envelope.recipient, routing.visited), key=lambda node: (node < self.me, node))
        if ahead:
            return self.send(ahead[0], envelope, routing)
        return Unknown() if all(self.neighbours.values()) else self.waits()
