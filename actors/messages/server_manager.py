"""What ServerManager hears: of neighbours and links, of mail that goes elsewhere, of relays between far ends."""

from __future__ import annotations

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.links import Frame, LinkAnswer, LinkContent, RelayContent, Reply, RouterContent
from actors.messages.monitor import JourneyRead
from actors.messages.requests import OutboundRequest
from actors.messages.router import MessagesRouted, NamesFound
from actors.messages.storage import (
    ExpiredFound,
    MessagesAcknowledged,
    MessagesMoved,
    MessagesStored,
    MessageStateRead,
    NeighbourSaved,
    NeighboursRead,
    QueueRead,
    StoreOpened,
)
from actors.model import Flow, FormerHome, NodeName, QueueName, StoredMessage, TransactionKey, UserName, Value
from actors.ref import Ref

# From the SIP border.


class LinkOpened(Value, frozen=True, gc=False):
    """The way to this neighbour's address is open: a connection stands, or datagrams can be sent."""

    node: NodeName


class LinkClosed(Value, frozen=True, gc=False):
    """It could not be opened, or is gone; requests under way over it end with `LinkAnswered`, not answered."""

    node: NodeName
    reason: str


class LinkRequested(Value, frozen=True, gc=False):
    """A request of another server, well-formed, not yet believed; wants one `LinkReply`."""

    transaction: TransactionKey
    flow: Flow
    frame: Frame
    content: LinkContent
    arrived: float
    """Monotonic seconds."""


class LinkRequests(Value, frozen=True, gc=False):
    """Requests of other servers that arrived in one wake-up."""

    items: tuple[LinkRequested, ...]


class LinkAnswered(Value, frozen=True, gc=False):
    """How a request to a neighbour ended."""

    number: int
    """Of the `LinkRequest`."""
    status: int
    """408: no answer in time; 503: the transport failed, both with `answered` False."""
    answered: bool
    reason: str = ""
    frame: Frame = Frame()
    content: LinkAnswer | None = None
    retry_after: int = 0


class LinkAnswers(Value, frozen=True, gc=False):
    """Ends of requests to neighbours."""

    items: tuple[LinkAnswered, ...]


# From whoever puts the node together.


class NetworkOpen(Value, frozen=True, gc=False):
    """The border listens: links may be opened from now on, not before; neighbours reach this node at `address`
    (`tcp://HOST:PORT`; empty: not at all), which goes into each `Hello` instead of the setting."""

    address: str


# From ClientManager.


class QueuedMessage(Value, frozen=True, gc=False):
    """On disk here, to go elsewhere."""

    queue: QueueName
    """A neighbour's, or `UNROUTED`."""
    message: StoredMessage


class MessagesQueued(Value, frozen=True, gc=False):
    """ClientManager has stored these for other nodes: they are ServerManager's now."""

    items: tuple[QueuedMessage, ...]


class RelayDeliveries(Value, frozen=True, gc=False):
    """Requests to phones at other nodes: `route` names the nodes to the edge and, last, its token for the flow.

    Each ends in one `client_manager.DeliveryResult`, as those that SipAdapter sends.
    """

    items: tuple[OutboundRequest, ...]


class AskFar(Value, frozen=True, gc=False):
    """Ask a far end, and tell its answer: `FarAnswered`."""

    reply_to: Ref[FarAnswered | CommandFailed]
    request: int
    content: RelayContent
    to: NodeName = NodeName("")
    """This node; or else the home of:"""
    user: UserName = UserName("")
    seconds: float = 8.0


class FarAnswered(Value, frozen=True, gc=False):
    """A far end's answer; 408 or 503 with `answered` False: it could not be reached, or did not answer."""

    request: int
    status: int
    reason: str
    answered: bool
    reply: Reply = Reply()
    retry_after: int = 0


class AnswerRelay(Value, frozen=True, gc=False):
    """ClientManager's answer to a `RelayArrived`."""

    relay: int
    status: int
    reason: str = ""
    reply: Reply = Reply()
    """With `home`, this node's name: an answer without it counts as one of a node between, which has no say but 404."""
    retry_after: int = 0


class AnswerRelays(Value, frozen=True, gc=False):
    """Answers to relays."""

    items: tuple[AnswerRelay, ...]


class TrustFormers(Value, frozen=True, gc=False):
    """All former homes of a user of ours, or of one who is about to be: their grants count too (PROTOCOL 25)."""

    user: UserName
    formers: tuple[FormerHome, ...]


# From Router.


class RouteAgain(Value, frozen=True, gc=False):
    """For the unrouted messages to these names it makes sense to ask again; none given: for all of them."""

    names: tuple[UserName, ...] = ()


class NodeWays(Value, frozen=True, gc=False):
    """The neighbour on the way to each of these nodes; empty: there is none any more."""

    ways: tuple[tuple[NodeName, NodeName], ...]


class TellNeighbours(Value, frozen=True, gc=False):
    """Bring these to the Routers of neighbours; each is told once, what fails comes back as `NeighbourSilent`."""

    items: tuple[tuple[NodeName, RouterContent], ...]


# From operators.


class AddNeighbour(Value, frozen=True, gc=False):
    """Register a neighbour, remembered across restarts; one of that name gets the new address."""

    reply_to: Ref[NeighbourDone | CommandFailed]
    request: int
    node: NodeName
    address: str
    """`tcp://HOST:PORT` or `udp://HOST:PORT`."""


class RemoveNeighbour(Value, frozen=True, gc=False):
    """Deregister a neighbour; what waits for it is routed anew, even in doubt: the operator frees it (PROTOCOL 18)."""

    reply_to: Ref[NeighbourDone | CommandFailed]
    request: int
    node: NodeName


class NeighbourDone(Value, frozen=True, gc=False):
    """`error` is empty, or a sentence."""

    request: int
    error: str = ""


class ListNeighbours(Value, frozen=True, gc=False):
    """Who are the neighbours, and how are they?"""

    reply_to: Ref[NeighboursListed | CommandFailed]
    request: int


class NeighbourInfo(Value, frozen=True, gc=False):
    """What an operator sees of a neighbour."""

    node: NodeName
    address: str
    origin: str
    """`setting`, `command`, or `greeting`: it introduced itself."""
    up: bool
    """We can send to it."""
    hears_us: bool
    """It has an open session towards us."""
    since: float
    """Wall-clock seconds of the last change of `up`."""
    reason: str
    """Why it is down; empty while up."""
    waiting: int
    """Messages in its queue."""
    in_flight: int
    in_doubt: int
    oldest: float
    """Seconds since acceptance of the oldest message that waits for it; 0: none does."""
    sent: int
    """Messages handed over in this run."""
    received: int
    """Messages taken over in this run."""


class NeighboursListed(Value, frozen=True, gc=False):
    """All neighbours by name, and the unrouted."""

    request: int
    neighbours: tuple[NeighbourInfo, ...]
    unrouted: int
    node: NodeName
    """This one's own name."""


ServerManagerCommand = (
    LinkOpened
    | LinkClosed
    | LinkRequests
    | LinkAnswers
    | NetworkOpen
    | MessagesQueued
    | RelayDeliveries
    | AskFar
    | AnswerRelays
    | TrustFormers
    | RouteAgain
    | NodeWays
    | TellNeighbours
    | AddNeighbour
    | RemoveNeighbour
    | ListNeighbours
    | MessagesRouted
    | NamesFound
    | MessagesStored
    | MessagesMoved
    | MessagesAcknowledged
    | QueueRead
    | ExpiredFound
    | NeighbourSaved
    | NeighboursRead
    | MessageStateRead
    | JourneyRead
    | StoreOpened
    | CommandFailed
    | Wake
    | Ping
)
