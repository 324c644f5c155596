"""What this node knows of a message, told to other nodes and to its own interface: no user may ask so.

The store says where the message is or how it ended, Monitor what happened to it. A Monitor that does not answer costs
the steps only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from actors.messages.links import AskJourney, ToldJourney, ToldStep
from actors.messages.monitor import JourneyRead, JourneyStep, ReadJourney
from actors.messages.storage import MessageStateRead, ReadMessageState
from actors.model import NodeName
from actors.server_manager.core import Core

MONITOR_SECONDS = 1.0
"""How long Monitor's answer is waited for."""
FIRST_STEPS, LAST_STEPS = 16, 48
"""Steps that are told of a message with more."""
LONGEST_DETAIL = 200
"""Characters."""

Tell = Callable[[ToldJourney | None], None]
"""Given what is known; None: the store failed."""


class Journeys:
    """Asks Storage and Monitor about a message, and tells both answers as one."""

    def __init__(self, core: Core, neighbours: Callable[[], tuple[NodeName, ...]]) -> None:
        """`neighbours` names those that can be asked now."""
        self._core = core
        self._neighbours = neighbours

    def ask(self, question: AskJourney, tell: Tell) -> None:
        """Find out what is known; `tell` is called once."""
        core = self._core
        number = core.expect(partial(self._found, question, tell), lambda _: tell(None))
        core.refs.storage.tell(ReadMessageState(reply_to=core.refs.me, request=number, id=question.id))

    def _found(self, question: AskJourney, tell: Tell, state: MessageStateRead) -> None:
        core = self._core

        def told(steps: tuple[JourneyStep, ...]) -> None:
            if timer.call is not None:
                timer.cancel()
                tell(journey(state, steps, self._neighbours()))

        number = core.expect(lambda read: told(_steps(read)), lambda _: told(()))

        def silent() -> None:
            core.answered(number)
            tell(journey(state, (), self._neighbours()))

        timer = core.after(MONITOR_SECONDS, silent)
        core.refs.monitor.tell(ReadJourney(reply_to=core.refs.me, request=number, id=question.id))


def _steps(read: JourneyRead) -> tuple[JourneyStep, ...]:
    return read.steps


def journey(
    state: MessageStateRead, steps: tuple[JourneyStep, ...], neighbours: tuple[NodeName, ...] = ()
) -> ToldJourney:
    """Put together what the store and Monitor know."""
    told = _bounded(steps)
    if (ended := state.ended) is not None:
        return ToldJourney(
            sender=ended.sender,
            recipient=ended.recipient,
            accepted=ended.accepted,
            ended=ended.ended,
            end=str(ended.end),
            reason=ended.reason,
            steps=told,
            neighbours=neighbours,
        )
    if state.stored is None:
        return ToldJourney(steps=told, neighbours=neighbours)
    envelope = state.stored.envelope
    return ToldJourney(
        sender=envelope.sender,
        recipient=envelope.recipient,
        accepted=envelope.accepted,
        queue=state.queue or "",
        anyone=state.stored.anyone,
        path=() if envelope.routing is None else tuple(NodeName(node) for node in envelope.routing.path),
        steps=told,
        neighbours=neighbours,
    )


def _bounded(steps: tuple[JourneyStep, ...]) -> tuple[ToldStep, ...]:
    if len(steps) > FIRST_STEPS + LAST_STEPS:
        steps = steps[:FIRST_STEPS] + steps[-LAST_STEPS:]
    return tuple(ToldStep(step.at, str(step.step), _sendable(step.detail)) for step in steps)


def _sendable(detail: str) -> str:
    """Cut a detail, and write what was no UTF-8 as U+FFFD: JSON has no other text."""
    return detail[:LONGEST_DETAIL].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
