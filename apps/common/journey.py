"""A message's journey over all nodes, as `/v1/journeys/ID` tells it, and the rungs of its ladder diagram."""

from __future__ import annotations

import re
from typing import NamedTuple

from actors.model import POSTMASTER, Step, Value

_STATUS = re.compile(r" (?:answered|refused with) ([1-6][0-9]{2})\b")
_FROM = "from "


class TracedStep(Value, frozen=True):
    """One step, where it was taken."""

    at: float
    """Unix seconds by the clock of that node."""
    node: str
    step: str
    """See `actors.model.Step`."""
    detail: str = ""
    to: str = ""
    """The node or device that the message went to, or that answered."""


class SilentNode(Value, frozen=True):
    """A node that may know more, and did not say it."""

    node: str
    reason: str


class Journey(Value, frozen=True):
    """What all nodes that could be asked know of one message."""

    id: str
    sender: str = ""
    recipient: str = ""
    state: str = "unknown"
    """As `angarium where` says it; the recipient's home knows best."""
    accepted_at: float | None = None
    """Unix seconds."""
    ended_at: float | None = None
    reason: str = ""
    """What it waits for, why it ended, or where to."""
    steps: tuple[TracedStep, ...] = ()
    """By time."""
    nodes: tuple[str, ...] = ()
    """Those that told something, in the order in which they were found."""
    silent: tuple[SilentNode, ...] = ()


class Party(NamedTuple):
    """A vertical line of the diagram."""

    kind: str
    """`user` (who sent it), `node` or `device`."""
    name: str


class Rung(NamedTuple):
    """An arrow between two lines, or a note at one."""

    at: float
    kind: str
    """`request`, `answer` or `note`."""
    source: Party
    target: Party
    """The source itself for a note."""
    text: str
    status: int = 0
    """Of an answer."""


def parties(rungs: list[Rung]) -> list[Party]:
    """Return the lines from left to right: who sent it, nodes as it came to them, devices."""
    seen = dict.fromkeys(party for rung in rungs for party in (rung.source, rung.target))
    return [party for kind in ("user", "node", "device") for party in seen if party.kind == kind]


def rungs(journey: Journey) -> list[Rung]:
    """Draw a journey: what the steps say went between whom.

    A node notes a hand-over when it was answered, the next one when it has the message on disk: together they are a
    request and its answer. A step of which only one side is known stands for both.
    """
    taken = {(step.detail[len(_FROM) :].partition(",")[0], step.node) for step in journey.steps if _is_taking(step)}
    edges = _edges(journey)
    drawn: list[Rung] = []
    for number, step in enumerate(journey.steps):
        drawn += _drawn(journey, number, step, taken, edges)
    return drawn


def _is_taking(step: TracedStep) -> bool:
    return step.step == Step.STORED and step.detail.startswith(_FROM)


def _edges(journey: Journey) -> dict[int, tuple[str, str]]:
    """For each step that sends to a phone at another node, and for that node's own: (that node, the device)."""
    found: dict[int, tuple[str, str]] = {}
    sent: int | None = None
    for number, step in enumerate(journey.steps):
        if step.step == Step.SENT:
            sent = number
        elif step.step == Step.RELAYED:
            device = step.to if sent is None else journey.steps[sent].to
            found[number] = (step.node, device)
            if sent is not None:
                found[sent] = (step.node, device)
    return found


def _drawn(
    journey: Journey, number: int, step: TracedStep, taken: set[tuple[str, str]], edges: dict[int, tuple[str, str]]
) -> list[Rung]:
    here, there = Party("node", step.node), Party("node", step.to)
    match step.step:
        case Step.ACCEPTED if journey.sender and journey.sender != POSTMASTER:
            sender = Party("user", journey.sender)
            return [
                Rung(step.at, "request", sender, here, "MESSAGE"),
                Rung(step.at, "answer", here, sender, "202 accepted", 202),
            ]
        case Step.STORED if _is_taking(step):
            before = Party("node", step.detail[len(_FROM) :].partition(",")[0])
            return [Rung(step.at, "request", before, here, "MESSAGE")]
        case Step.FORWARDED if step.to:
            answer = Rung(step.at, "answer", there, here, "202 taken over", 202)
            if (step.node, step.to) in taken:
                return [answer]
            return [Rung(step.at, "request", here, there, "MESSAGE"), answer]
        case Step.SENT if step.to:
            target = Party("node", edges[number][0]) if number in edges else Party("device", step.to)
            return [Rung(step.at, "request", here, target, "MESSAGE")]
        case Step.RELAYED:
            return [Rung(step.at, "request", here, Party("device", edges[number][1] or step.to), "MESSAGE")]
        case Step.ACKNOWLEDGED if step.to:
            return _answered(journey, number, step, edges, 200, "200 acknowledged")
        case Step.ANSWERED | Step.WAITING if step.to and (status := _STATUS.search(step.detail)):
            return _answered(journey, number, step, edges, int(status[1]), step.detail.partition(f"{step.to} ")[2])
    return [Rung(step.at, "note", here, here, f"{step.step}: {step.detail}" if step.detail else step.step)]


def _answered(
    journey: Journey, number: int, step: TracedStep, edges: dict[int, tuple[str, str]], status: int, text: str
) -> list[Rung]:
    """Draw an answer, over the node at which the phone is if it came that way."""
    here, who = Party("node", step.node), Party("device", step.to)
    earlier = [other for other, one in enumerate(journey.steps[:number]) if one.to == step.to and one.step == Step.SENT]
    if not earlier and step.step == Step.WAITING:
        who = Party("node", step.to)
    if earlier and earlier[-1] in edges:
        edge = Party("node", edges[earlier[-1]][0])
        return [
            Rung(step.at, "answer", who, edge, text, status),
            Rung(step.at, "answer", edge, here, text, status),
        ]
    return [Rung(step.at, "answer", who, here, text, status)]
