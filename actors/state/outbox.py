"""What ClientManager's decisions want done: gathered item by item, handed on as lists once per wake-up."""

from __future__ import annotations

from typing import NamedTuple

from actors.messages.monitor import Level
from actors.messages.requests import Answer, Challenge, OutboundRequest, Submission
from actors.messages.server_manager import AnswerRelay, QueuedMessage
from actors.messages.storage import Acknowledgement, EndItem
from actors.model import DeviceKey, End, Envelope, MessageId, Seq, Step, UserName


class Candidate(NamedTuple):
    """A message on its way into custody."""

    submission: Submission | None
    """None for a notice."""
    key: bytes
    envelope: Envelope
    life: float
    ending: Ending | None = None
    """The end this notice is about: stored in the same commit."""
    challenge: Challenge | None = None
    """Of the sender's home: the answer if it was not accepted before."""
    refusal: tuple[int, str] | None = None
    """Status and reason: the answer if it was not accepted before."""


class Ending(NamedTuple):
    """A message that ends without a 2xx: its sender may have to be told in the same commit."""

    envelope: Envelope
    end: End
    reason: str
    item: Acknowledgement | EndItem


class Read(NamedTuple):
    """A device wants to read on in its mailbox."""

    user: UserName
    device: DeviceKey
    after: Seq
    seqs: tuple[Seq, ...] = ()


class Outbox:
    """Lists of things to hand on; the actor empties them when it flushes."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.sends: list[OutboundRequest] = []
        self.candidates: list[Candidate] = []
        self.lookups: list[Candidate] = []
        """Candidates whose ingress key must be looked up, but which are not to be stored."""
        self.acks: list[Acknowledgement] = []
        self.endings: list[Ending] = []
        self.reads: list[Read] = []
        self.queued: list[QueuedMessage] = []
        """On disk, to go to other servers."""
        self.relays: list[AnswerRelay] = []
        """Answers to what other servers asked."""
        self.progress: list[tuple[UserName, DeviceKey]] = []
        """Devices whose place in the mailbox must be written before they are sent to again."""
        self.bindings: list[tuple[UserName, DeviceKey]] = []
        """Devices whose bindings changed without a REGISTER."""
        self.steps: dict[Step, tuple[list[MessageId], list[str]]] = {}
        self.events: list[tuple[Level, str, str, str, str]] = []
        """(level, kind, text, user, message id)"""
        self.counts: dict[str, float] = {}

    def step(self, step: Step, message: MessageId, detail: str = "") -> None:
        """Note a step of a message's journey."""
        ids, details = self.steps.setdefault(step, ([], []))
        ids.append(message)
        details.append(detail)

    def steps_of(self, step: Step, messages: list[MessageId], details: list[str]) -> None:
        """Note the same step of many messages, with a detail each."""
        if messages:
            ids, noted = self.steps.setdefault(step, ([], []))
            ids += messages
            noted += details

    def event(self, level: Level, kind: str, text: str, user: str = "", message_id: str = "") -> None:
        """Note something for the operator."""
        self.events.append((level, kind, text, user, message_id))

    def count(self, name: str, amount: float = 1) -> None:
        """Add to a counter."""
        self.counts[name] = self.counts.get(name, 0) + amount
