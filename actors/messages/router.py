"""What Router hears and how it answers.

The contract of a Router, held by `tests/actors/contract/test_router_contract.py`: every `RouteMessages` is answered by
one `MessagesRouted`, every `FindNames` by one `NamesFound`. A name told as ours is routed to the mailbox. No message
goes to a node of its `visited` list, nor to one that is down. After `Searching` the Router sees to it that the name is
looked for, and tells ServerManager `RouteAgain` when asking again makes sense. It never waits.
"""

from __future__ import annotations

from enum import StrEnum

from actors.messages.lifecycle import CommandFailed, Ping, Wake
from actors.messages.links import RouterContent
from actors.model import Envelope, MessageId, NodeName, UserName, Value
from actors.ref import Ref


class ToMailbox(Value, frozen=True, gc=False):
    """The recipient's home is here."""


class ToNeighbour(Value, frozen=True, gc=False):
    """The next server; `envelope` carries the routing state it shall travel with."""

    node: NodeName
    envelope: Envelope


class Searching(Value, frozen=True, gc=False):
    """Nobody known has him, or the way is cut: keep it in the queue of the unrouted; `RouteAgain` will follow."""


class Unknown(Value, frozen=True, gc=False):
    """Proved unknown: answer 404, or end the message with a notice."""

    reason: str = "No such user"


class Refused(Value, frozen=True, gc=False):
    """A message from a neighbour that must not be taken: it has been here in this leg (482), has come too far (483),
    or claims to be from a user of ours (403). A definite answer: it stays the neighbour's."""

    status: int
    reason: str


Destination = ToMailbox | ToNeighbour | Searching | Unknown | Refused


class RouteMessages(Value, frozen=True, gc=False):
    """Say for each of these messages where it goes; answered by one `MessagesRouted` with the same number."""

    reply_to: Ref[MessagesRouted | CommandFailed]
    request: int
    envelopes: tuple[Envelope, ...]
    arrived_from: NodeName = NodeName("")
    """The neighbour they came from; empty for messages accepted, written or kept here. Only of messages from a
    neighbour the visited list is checked for this node, and only they can be `Refused`."""
    kept: bool = False
    """They stand in the queue of the unrouted here: new messages to the same recipients go behind them."""


class MailKept(Value, frozen=True, gc=False):
    """The queue of the unrouted has mail of which the Router does not know: a name for each message that the last run
    left there, or that was to go where the Router said and could not be moved.

    New messages go behind those; while there is `more` to be found, all that would go elsewhere do.
    """

    names: tuple[UserName, ...]
    more: bool


class NotKept(Value, frozen=True, gc=False):
    """Messages that were answered `Searching` and then not stored (no room, too late, known already), or whose lives
    ended in the queue of the unrouted: a name for each. Nothing has to queue up behind them."""

    names: tuple[UserName, ...]


class MessagesRouted(Value, frozen=True, gc=False):
    """One destination for each envelope, in the order asked."""

    request: int
    destinations: tuple[Destination, ...]


class Claim(Value, frozen=True, gc=False):
    """Somebody is the home of a name (PROTOCOL 23): of two claims the higher epoch wins, then the smaller node name."""

    name: UserName
    home: NodeName
    epoch: int


class Found(StrEnum):
    """What is known of a name."""

    HERE = "here"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"
    """Proved: every edge answered."""
    INCOMPLETE = "incomplete"
    """Not found, but somebody did not answer, or the budget was spent."""


class NameAnswer(Value, frozen=True, gc=False):
    """Where one name lives."""

    name: UserName
    found: Found
    home: NodeName = NodeName("")
    next_hop: NodeName = NodeName("")
    """The neighbour on the way there; empty: none is up, or none is known."""
    epoch: int = 0
    """0: not by a claim of its home, but as a summary has it."""


class FindNames(Value, frozen=True, gc=False):
    """Where do these names live? Answered at once from what is known; with `search`, after a search if need be."""

    reply_to: Ref[NamesFound | CommandFailed]
    request: int
    names: tuple[UserName, ...]
    search: bool = False
    """Wait for the end of a search (at most the search's own deadline, some 10 s) for names not known at once."""
    elsewhere: bool = False
    """Do not take our own claim for an answer: does anybody else have it? (`user add`, confirmations.)"""
    visited: tuple[NodeName, ...] = ()
    """Nodes not to be named as `next_hop`."""


class NamesFound(Value, frozen=True, gc=False):
    """One answer for each name, in the order asked."""

    request: int
    answers: tuple[NameAnswer, ...]


class NamesAreOurs(Value, frozen=True, gc=False):
    """These users have their home at this node."""

    names: tuple[UserName, ...]
    epochs: tuple[int, ...] = ()
    """Of their claims, in the same order; empty: 1 each."""
    fresh: bool = False
    """Just made in open mode: look whether another node has them too, and tell `ClaimConflicts` if so."""


class NamesAreGone(Value, frozen=True, gc=False):
    """These users have their home here no longer."""

    names: tuple[UserName, ...]


class NamesLiveAt(Value, frozen=True, gc=False):
    """Claims that are certain: pointers left by users who moved away, answers of their homes."""

    claims: tuple[Claim, ...]


class GrantOrigin(Value, frozen=True, gc=False):
    """This user of ours has proved himself through that node: messages that it accepted from him are his, for so many
    seconds (PROTOCOL 25)."""

    name: UserName
    node: NodeName
    seconds: float


class NeighbourUp(Value, frozen=True, gc=False):
    """A link to this neighbour stands."""

    node: NodeName


class NeighbourDown(Value, frozen=True, gc=False):
    """There is no way to this neighbour now; `removed`: it is no neighbour any more.

    Told too when a neighbour is registered, before its link stands for the first time: while the Router has heard of no
    neighbour, it takes everybody who is not here for unknown.
    """

    node: NodeName
    removed: bool = False


class NeighbourSaid(Value, frozen=True, gc=False):
    """What the Router of a neighbour tells, authenticated."""

    node: NodeName
    items: tuple[RouterContent, ...]


class NeighbourSilent(Value, frozen=True, gc=False):
    """These did not reach the neighbour (or perhaps did: its answer did not come)."""

    node: NodeName
    items: tuple[RouterContent, ...]


class RouteFailed(Value, frozen=True, gc=False):
    """A neighbour refused a message for this recipient for good: the route taken was wrong. The message is routed anew
    right behind this."""

    node: NodeName
    name: UserName
    home: NodeName
    status: int
    sender: UserName = UserName("")
    """Of the message: a 403 says that his home did not believe it to be his (PROTOCOL 25)."""
    message: MessageId = MessageId("")
    """A 513 is about this one alone: it goes another way, or ends."""


class ReadRoutes(Value, frozen=True, gc=False):
    """What does the Router know? For operators; answered by `RoutesRead`."""

    reply_to: Ref[RoutesRead | CommandFailed]
    request: int
    limit: int = 1000


class RouteInfo(Value, frozen=True, gc=False):
    """One learned route, or the way to one node (`name` empty)."""

    name: str
    home: str
    next_hop: str
    epoch: int
    hops: int
    """Hand-overs to the home; 0: not known."""


class RoutesRead(Value, frozen=True, gc=False):
    """Routes, at most `limit`, and how much the whole table takes on a wire or disk."""

    request: int
    routes: tuple[RouteInfo, ...]
    names_here: int
    learned: int
    nodes: int
    searches: int
    state_bytes: int
    """Encoded size of all that was learned from others."""


RouterCommand = (
    RouteMessages
    | MailKept
    | NotKept
    | FindNames
    | NamesAreOurs
    | NamesAreGone
    | NamesLiveAt
    | GrantOrigin
    | NeighbourUp
    | NeighbourDown
    | NeighbourSaid
    | NeighbourSilent
    | RouteFailed
    | ReadRoutes
    | CommandFailed
    | Wake
    | Ping
)
