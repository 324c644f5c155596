"""What two servers say to each other over a link: the content of requests and answers, whatever carries them.

The SIP border gives each kind its form on the wire (docs/protocol.md); each is authenticated (PROTOCOL 26).
"""

from __future__ import annotations

import msgspec

from actors.messages.requests import Challenge, ContactLine, DigestResponse, OutboundRequest, Registration
from actors.model import Account, Device, DeviceKey, Envelope, MessageId, NodeName, Seq, UserName, Value

# Greeting and life of a link.


class Hello(Value, frozen=True, gc=False, tag="hello"):
    """The first request on a link: who calls whom. Its frame has no session yet; the MAC is under the secret itself."""

    node: NodeName
    to: NodeName
    realm: str
    nonce: str
    """16 random bytes, hex."""
    address: str
    """Where the caller listens for links, `tcp://HOST:PORT`; empty: nowhere, it cannot be called back."""
    incarnation: str
    """Names the caller's data folder as of its last restore: hex."""
    version: int = 1
    """Of this protocol."""


class Welcome(Value, frozen=True, gc=False, tag="welcome"):
    """Answer to `Hello` (200): the session's key is made of both nonces, both names and the secret."""

    node: NodeName
    session: str
    """Names the session at the one who was called: 16 random bytes, hex."""
    nonce: str


class Alive(Value, frozen=True, gc=False, tag="alive"):
    """Are you there? Sent when a link has been silent for a while."""


# Custody.


class Carry(Value, frozen=True, gc=False, tag="carry"):
    """A message to take over. 202: taken, and on disk; 503: later; 403, 404, 482, 483, 513: for good, it stays here."""

    envelope: Envelope
    """With `routing`."""
    life: float
    """Remaining, in seconds."""
    incarnation: str
    row: Seq
    """Number of its row at the sender: with `incarnation` it names this hand-over, across restarts (PROTOCOL 17)."""
    floor: Seq
    """All hand-overs on this link with lower rows are over: the receiver may forget them."""


# Routers among themselves.


class SearchStep(Value, frozen=True, gc=False, tag="search"):
    """A search comes to the next node (PROTOCOL 22)."""

    search: str
    """Names the search: its origin, and a number of its own."""
    name: UserName
    origin: NodeName
    budget: int
    """Requests that it may still cost."""
    seconds: float
    """Until it is given up."""
    hops: int = 0
    """How deep it is."""
    seen: bytes = b""
    """A Bloom filter, salted by `search`, of nodes that were probably asked: tried last."""


class SearchAnswer(Value, frozen=True, gc=False, tag="searched"):
    """The search steps back: this branch is done."""

    search: str
    name: UserName
    found: str
    """`found`, `unknown` (every edge behind answered) or `incomplete`."""
    budget: int
    """What is left of it."""
    home: NodeName = NodeName("")
    epoch: int = 0
    hops: int = 0
    """From the answering node to the home."""
    seen: bytes = b""


class NodeRoute(Value, frozen=True, gc=False, array_like=True):
    """The sender knows a way to a node."""

    node: NodeName
    number: int
    """Drawn by the node itself, rising: a higher one replaces all that was said with lower ones."""
    metric: int
    """Hand-overs from the sender; 255: no way any more."""
    version: int
    """Of the node's summary of names that the sender has; 0: none."""


class Routes(Value, frozen=True, gc=False, tag="routes"):
    """Ways to nodes that changed (or all of them, when a link comes up)."""

    items: tuple[NodeRoute, ...]


class Summary(Value, frozen=True, gc=False, tag="summary"):
    """Which names have their home at a node: 24-bit hashes, three bytes each, sorted; as a whole or as a change."""

    node: NodeName
    version: int
    """What it brings one to."""
    base: int
    """The version that it changes; 0: it is the whole, or a part of it."""
    added: bytes
    removed: bytes = b""
    more: bool = False
    """Further parts of the same version follow."""
    part: int = 0
    """Which part it is, from 0."""


class SummaryWanted(Value, frozen=True, gc=False, tag="summary-wanted"):
    """Send me the summary of that node; I have this version of it."""

    node: NodeName
    have: int


RouterContent = SearchStep | SearchAnswer | Routes | Summary | SummaryWanted


class Talk(Value, frozen=True, gc=False, tag="talk"):
    """Several things that a Router has for its neighbour, in order, in one request."""

    items: tuple[RouterContent, ...]


# From end to end: between an edge and a home, or two homes. Nodes between hand on, and hand the answer back.


class RelayedRegister(Value, frozen=True, gc=False, tag="register"):
    """A REGISTER from an edge, to the user's home (PROTOCOL 21). Answered with `Reply`."""

    registration: Registration
    """Its transaction and flow mean nothing to the home."""
    token: str
    """The edge's own name for the phone's flow; comes back with each delivery."""


class RelayedProof(Value, frozen=True, gc=False, tag="prove"):
    """May this user send through this edge? 200: yes; 401 with a challenge, 403: no. Answered with `Reply`."""

    user: UserName
    credentials: DigestResponse | None
    token: str
    """Of the flow that the request came over."""


class RelayedDelivery(Value, frozen=True, gc=False, tag="deliver"):
    """A message of the home for a phone at the edge. 430: that flow is gone (RFC 5626). The edge stores nothing."""

    request: OutboundRequest
    """Its flow and delivery number mean nothing to the edge."""
    token: str


class PrepareMove(Value, frozen=True, gc=False, tag="move-prepare"):
    """A user is to move to you (PROTOCOL 24): keep him ready, and serve nothing yet."""

    account: Account
    """With the epoch that he will have; the hashes are `sealed`."""
    sealed: str
    """The hashes under a key made of the network's secret and `nonce`: hex."""
    nonce: str
    devices: tuple[Device, ...]
    """With their bindings, as a path from the old home on; places in the mailbox mean nothing to the new one. Times
    (`seen`, `expires`) are seconds from now."""
    merge: bool = False
    """Not a move but the end of a double claim: the user exists at both, and this one gives way (PROTOCOL 23)."""
    grants: str = ""
    """What makes grants known that his homes have given, this one and those before it: `state.grants.seal_formers`."""


class DecideMove(Value, frozen=True, gc=False, tag="move-decide"):
    """It is on the old home's disk: he is yours. New mail goes behind what still comes."""

    user: UserName
    epoch: int


class MovedMail(Value, frozen=True, gc=False, array_like=True):
    """One message of a moving mailbox."""

    envelope: Envelope
    life: float
    anyone: bool
    done: tuple[DeviceKey, ...]
    """Devices that need no copy of it any more."""


class MoveMail(Value, frozen=True, gc=False, tag="move-mail"):
    """The next messages of the mailbox, in order; each is taken once however often it comes."""

    user: UserName
    epoch: int
    messages: tuple[MovedMail, ...]
    devices: tuple[DeviceKey, ...] = ()
    """All that the old home knew: who came since gets no copy of what somebody has acknowledged (PROTOCOL 8)."""


class FinishMove(Value, frozen=True, gc=False, tag="move-finish"):
    """That was the last of his mail: deliver."""

    user: UserName
    epoch: int


class AskJourney(Value, frozen=True, gc=False, tag="journey"):
    """What do you know of this message? Answered with `Reply.journey`, by the node itself: no user may ask so."""

    id: MessageId


class ToldStep(Value, frozen=True, gc=False, array_like=True):
    """One step of a message at the node that tells it."""

    at: float
    """Wall-clock seconds there."""
    step: str
    """See `model.Step`."""
    detail: str


class ToldJourney(Value, frozen=True, gc=False):
    """What one node knows of a message: where it is, how it ended, what happened to it here. Never its text."""

    sender: UserName = UserName("")
    """Empty where the node has neither the message nor its end any more."""
    recipient: UserName = UserName("")
    accepted: float = 0.0
    """Wall-clock seconds, as the following; 0: not known."""
    ended: float = 0.0
    end: str = ""
    """See `model.End`; empty: it has not ended here."""
    reason: str = ""
    queue: str = ""
    """The queue that it is in, `model.QueueName`; empty: it is not in custody here."""
    anyone: bool = False
    """It is in a mailbox, and no device has acknowledged it."""
    path: tuple[NodeName, ...] = ()
    """Nodes it had passed when it came here, as far as its envelope still tells."""
    steps: tuple[ToldStep, ...] = ()
    """By time; of very many the first and the last."""
    neighbours: tuple[NodeName, ...] = ()
    """Whom one could ask next where nobody knows the message."""


RelayContent = (
    RelayedRegister | RelayedProof | RelayedDelivery | PrepareMove | DecideMove | MoveMail | FinishMove | AskJourney
)


class Reply(Value, frozen=True, gc=False, tag="reply"):
    """The far end's answer to a relay, beside status and reason."""

    challenge: Challenge | None = None
    contacts: tuple[ContactLine, ...] = ()
    min_expires: int = 0
    home: NodeName = NodeName("")
    """Who answered."""
    epoch: int = 0
    """Of the home's claim."""
    proof: str = ""
    """To a `RelayedProof`, with 200: how the user was proved (`model.Proof`)."""
    grant: str = ""
    """To a `RelayedProof`, with 200: what his messages are to bear, `state.grants.grant_for` (PROTOCOL 25)."""
    journey: ToldJourney | None = None
    """To an `AskJourney`, with 200."""


class Relay(Value, frozen=True, gc=False, tag="relay"):
    """Hand this on to somebody who is perhaps no neighbour: by `route` if there is one, else to the node `to`, else to
    the home of `user`, found as for a message."""

    origin: NodeName
    content: RelayContent
    route: tuple[NodeName, ...] = ()
    """Nodes still to pass, the last one being the far end."""
    to: NodeName = NodeName("")
    user: UserName = UserName("")
    path: tuple[NodeName, ...] = ()
    """Nodes passed, the origin first: Path of a REGISTER (RFC 3327)."""
    seconds: float = 32.0
    """Until nobody waits for the answer any more."""
    epoch: int = 0
    """Of the claim by which `to` was found to be the home of `user`: who knows of a newer one goes by that."""


LinkContent = Hello | Alive | Carry | RouterContent | Talk | Relay
LinkAnswer = Welcome | Reply


class Frame(Value, frozen=True, gc=False):
    """What authenticates a request or a final answer on a link (PROTOCOL 26)."""

    session: str = ""
    """Empty: none yet (a greeting)."""
    number: int = 0
    """Rises with each request of a session, so that somebody else's repeat is seen; an answer bears its request's."""
    mac: str = ""
    """Hex of HMAC-SHA-256, cut to 16 bytes, under the session's key: see `state.link_auth`."""


encode_content = msgspec.msgpack.Encoder().encode
"""The canonical form of contents and answers: what the MAC is made of."""
