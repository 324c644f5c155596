"""A message's journey over all nodes that had to do with it: asked for node by node, at once where that can be.

The walk begins here. Who is named by what is told is asked next. Where nobody asked so far knows the message, their
neighbours are asked too. Nobody is asked twice, at most `BUDGET` nodes are, and after `SECONDS` what is known counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple

from msgspec.structs import replace

from actors.messages.links import AskJourney, ToldJourney, ToldStep
from actors.messages.server_manager import AskFar, FarAnswered
from actors.model import UNROUTED, End, MessageId, NodeName, QueueName, Step, UserName, queue_node, queue_user
from actors.ref import Ref
from actors.state.trail import UNKNOWN, WAITING, forwarded_to, sent_to
from apps.common.journey import Journey, SilentNode, TracedStep
from apps.node.asking import AskError, ask_async

BUDGET = 64
"""Nodes that are asked for one journey."""
SECONDS = 5.0
MOST_STEPS = 64
"""Steps that one node may tell, as many as ours tell."""
LONGEST = 300
"""Characters of a text that one node may tell."""
SAME_MOMENT = 0.02
"""Seconds within which the order of one node's notes says nothing."""
TAKING = (Step.ACCEPTED, Step.STORED)
LATEST = 253_402_300_799.0
"""Unix seconds of the end of the year 9999: later no calendar goes."""


class Answered(NamedTuple):
    """What a node said, or why it did not."""

    node: NodeName
    """Who answered; as it was asked for, where nobody did."""
    told: ToldJourney | None
    reason: str = ""


Ask = Callable[[NodeName, UserName, float], Awaitable[Answered]]
"""Asks a node, or the home of a user, for so many seconds; raises nothing."""


def asker(server_manager: Ref[Any], message: MessageId) -> Ask:
    """Ask over the links."""

    async def ask(node: NodeName, user: UserName, seconds: float) -> Answered:
        def command(reply_to: Ref[Any], number: int) -> AskFar:
            return AskFar(reply_to, number, AskJourney(message), to=node, user=user, seconds=seconds)

        try:
            answer = await ask_async(server_manager, command, FarAnswered, seconds + 0.5)
        except AskError as error:
            return Answered(node, None, error.reason)
        told = answer.reply.journey
        if not answer.answered or told is None:
            return Answered(node, None, answer.reason or f"it answered {answer.status}")
        # A node asked by name speaks for itself, whatever name it gives.
        return Answered(node or answer.reply.home, told)

    return ask


class Walk:
    """Who has been asked and what was told; pure but for the questions, which `ask` asks."""

    def __init__(self, message: MessageId, here: NodeName) -> None:
        self._message = message
        self._here = here
        self._asked: set[NodeName] = set()
        self._named: set[NodeName] = {here}
        """Whom somebody named who knows the message."""
        self._near: list[NodeName] = []
        """Neighbours of those that were asked: they may know it."""
        self.told: dict[NodeName, ToldJourney] = {}
        self.silent: dict[NodeName, str] = {}
        self._homes: set[UserName] = set()

    def next(self) -> list[NodeName]:
        """Whom to ask now, within the budget: those who were named, and while nobody knows it, those who are near."""
        named = sorted(self._named - self._asked)
        near = [] if any(map(knows, self.told.values())) else [node for node in self._near if node not in self._named]
        wanted = [node for node in dict.fromkeys([*named, *near]) if node not in self._asked]
        wanted = wanted[: BUDGET - len(self._asked)]
        self._asked.update(wanted)
        return wanted

    def home_wanted(self) -> UserName | None:
        """Whose home is to be asked, once: a recipient's, while nobody has told what became of the message there."""
        if any(told.end or queue_user(QueueName(told.queue)) is not None for told in self.told.values()):
            return None
        for told in self.told.values():
            if told.recipient and told.recipient not in self._homes:
                self._homes.add(told.recipient)
                return told.recipient
        return None

    def heard(self, answer: Answered, *, home: bool = False) -> None:
        """Take an answer in. `home`: nobody was asked by name, so that silence is nobody's."""
        node, told = answer.node, answer.told
        if told is None:
            if not home:
                self.silent[node] = answer.reason[:LONGEST]
            return
        self._asked.add(node)
        told = bounded(told)
        self.silent.pop(node, None)
        self.told[node] = told
        if knows(told):
            self._named.update(named(told))
        self._near += [near for near in told.neighbours if near not in self._near]

    def journey(self) -> Journey:
        """Put together what was told."""
        known = {node: told for node, told in self.told.items() if knows(told)}
        silent = {node: why for node, why in self.silent.items() if not known or node in self._named}
        left = self._named - set(self.told) - set(silent)
        silent |= dict.fromkeys(sorted(left)[:BUDGET], "there was no time left, or too many to ask")
        return merge(self._message, known, silent)


async def walk(message: MessageId, here: NodeName, ask: Ask, *, seconds: float = SECONDS) -> Journey:
    """Ask all who had to do with a message, many at a time; gives what is known when the time is over."""
    found = Walk(message, here)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    under_way: dict[asyncio.Task[Answered], bool] = {}

    def go_on() -> None:
        left = deadline - loop.time()
        for node in found.next():
            under_way[asyncio.create_task(_asked(ask, node, UserName(""), left))] = False
        if not under_way and (user := found.home_wanted()) is not None:
            under_way[asyncio.create_task(_asked(ask, NodeName(""), user, left))] = True

    try:
        go_on()
        while under_way and (left := deadline - loop.time()) > 0:
            done, _ = await asyncio.wait(under_way, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                found.heard(task.result(), home=under_way.pop(task))
            go_on()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
    return found.journey()


async def alone(message: MessageId, here: NodeName, ask: Ask) -> Journey:
    """Ask this node only."""
    answer = await ask(here, UserName(""), SECONDS)
    known = {here: answer.told} if answer.told is not None and knows(answer.told) else {}
    return merge(message, known, {here: answer.reason} if answer.told is None else {})


async def _asked(ask: Ask, node: NodeName, user: UserName, seconds: float) -> Answered:
    try:
        return await asyncio.wait_for(ask(node, user, seconds), seconds)
    except TimeoutError:
        return Answered(node, None, f"no answer within {seconds:.1f} s")


# What answers mean.


def bounded(told: ToldJourney) -> ToldJourney:
    """What a node tells as one that is right could tell it: not more, no longer texts, times that a calendar has."""
    steps = [step for step in told.steps if 0.0 <= step.at <= LATEST][:MOST_STEPS]
    return replace(
        told,
        sender=UserName(told.sender[:LONGEST]),
        recipient=UserName(told.recipient[:LONGEST]),
        accepted=min(max(0.0, told.accepted), LATEST),
        ended=min(max(0.0, told.ended), LATEST),
        end=told.end[:LONGEST],
        reason=told.reason[:LONGEST],
        queue=told.queue[:LONGEST],
        path=told.path[:BUDGET],
        steps=tuple(replace(step, step=step.step[:LONGEST], detail=step.detail[:LONGEST]) for step in steps),
        neighbours=told.neighbours[:BUDGET],
    )


def knows(told: ToldJourney) -> bool:
    """Tell whether a node knows anything of the message."""
    return bool(told.steps or told.queue or told.end)


def named(told: ToldJourney) -> set[NodeName]:
    """Name the nodes that one who knows the message names: where it came from, went to, waits for, or passed."""
    nodes = set(told.path)
    waits_for = queue_node(QueueName(told.queue))
    nodes |= {waits_for} if waits_for else set()
    for step in told.steps:
        if step.step == Step.FORWARDED:
            nodes.add(NodeName(went_to(step)))
        elif step.step == Step.SENT:
            nodes.add(sent_to(step.detail)[1])
        elif step.step == Step.STORED and step.detail.startswith("from "):
            nodes.add(NodeName(step.detail.removeprefix("from ").partition(",")[0]))
    return nodes - {NodeName("")}


def went_to(step: ToldStep) -> str:
    """Tell which node or device a step is about besides its own node; empty: none."""
    detail = step.detail
    match step.step:
        case Step.FORWARDED:
            return forwarded_to(detail)
        case Step.SENT:
            return sent_to(detail)[0]
        case Step.ACKNOWLEDGED | Step.RELAYED:
            return detail
        case Step.ANSWERED | Step.WAITING | Step.STEPPED_ASIDE:
            for verb in (" answered ", " refused with ", " did not answer", " never answered it"):
                who, found, _ = detail.partition(verb)
                if found:
                    return who
        case Step.SEARCHED if " by way of " in detail:
            return detail.partition(" by way of ")[2]
    return ""


def merge(message: MessageId, known: dict[NodeName, ToldJourney], silent: dict[NodeName, str]) -> Journey:
    """Make one journey of what nodes told; of two who say different things the one nearer to its end is right."""
    verdicts = [_verdict(told, known) for told in known.values()]
    _, state, reason, at = max(verdicts, default=(0, UNKNOWN, "", 0.0), key=lambda verdict: verdict[0])
    steps = [
        TracedStep(step.at, node, step.step, step.detail, went_to(step))
        for node, told in known.items()
        for step in told.steps
    ]
    noted = [step.at for step in steps if step.step == Step.ACCEPTED]
    accepted = noted or [told.accepted for told in known.values() if told.accepted]
    return Journey(
        id=message,
        sender=next((told.sender for told in known.values() if told.sender), ""),
        recipient=next((told.recipient for told in known.values() if told.recipient), ""),
        state=state,
        accepted_at=min(accepted, default=None),
        ended_at=at or None,
        reason=reason,
        steps=ordered(_completed(steps, known)),
        nodes=tuple(known),
        silent=tuple(SilentNode(node, reason) for node, reason in sorted(silent.items())),
    )


def ordered(steps: list[TracedStep]) -> tuple[TracedStep, ...]:
    """Sort steps by time, but not by less than a node's own clock tells: its actors note theirs one after the other.

    What a node took in stands before what it did with it, and the end behind all else.
    """
    times: dict[str, list[float]] = {}
    for step in steps:
        times.setdefault(step.node, []).append(step.at)

    def key(step: TracedStep) -> tuple[float, int]:
        near = [at for at in times[step.node] if abs(at - step.at) <= SAME_MOMENT]
        if step.step in TAKING:
            return min(near), TAKING.index(step.step) - len(TAKING)
        return (max(near), 1) if step.step == Step.ENDED else (step.at, 0)

    return tuple(sorted(steps, key=key))


def _verdict(told: ToldJourney, known: Collection[NodeName]) -> tuple[int, str, str, float]:
    """Rank what one node says: (how much it counts, state, reason, when it ended)."""
    if told.end:
        return (7 if told.end == End.DELIVERED else 6), told.end, told.reason, told.ended
    queue = QueueName(told.queue)
    if told.queue and queue_user(queue) is not None:
        if told.anyone:
            return 5, WAITING, f"for a device of {told.recipient}", 0.0
        return 7, str(End.DELIVERED), "kept for more of its recipient's devices", 0.0
    if told.queue:
        return 4, WAITING, _waits_for(queue), 0.0
    passed = [step for step in told.steps if step.step in (Step.FORWARDED, Step.RELAYED)]
    if not passed:
        return 0, UNKNOWN, "", 0.0
    to = went_to(passed[-1])
    if passed[-1].step == Step.RELAYED:
        return 3, passed[-1].step, f"to {to}", 0.0
    return (1 if to in known else 2), passed[-1].step, f"to {to}", 0.0  # the last one of them knows best


def _waits_for(queue: QueueName) -> str:
    if queue == UNROUTED:
        return "for a way to its recipient"
    node = queue_node(queue)
    return "for its recipient to have moved" if node is None else f"for server {node}"


def _completed(steps: list[TracedStep], known: dict[NodeName, ToldJourney]) -> list[TracedStep]:
    """Add the ends that only the disk remembers: Monitor forgets at a restart."""
    more = [
        TracedStep(told.ended, node, str(Step.ENDED), ": ".join(part for part in (told.end, told.reason) if part))
        for node, told in known.items()
        if told.end and not any(step.node == node and step.step == Step.ENDED for step in steps)
    ]
    return [*steps, *more]
