"""A node with phones in a hundred seeded worlds; and that the oracle sees faults which were planted.

With ANGARIUM_FAULTS=full there are ten times as many.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from loguru import logger

from actors.base import Context
from actors.messages.client_manager import DeliveriesEnded, DeliveryResult
from actors.messages.sip_adapter import SendRequests, SipAdapterCommand
from actors.messages.storage import MessagesStored, StoreMessages, StoreOutcome, StoreResult
from actors.model import Seq
from actors.storage import Command, Storage
from actors.stores.port import Result, Write
from actors.testing import Probe
from apps.node.wiring import Actors
from apps.simulated.air import CALL
from apps.simulated.site import WatchedStore
from apps.simulated.story import Outcome, tell
from sip_adapter.adapter import SipAdapter

SEEDS = 1_000 if os.environ.get("ANGARIUM_FAULTS") == "full" else 100
FAULTY_SEEDS = 30
"""Worlds within which a planted fault must be seen."""


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Hundreds of nodes say little worth reading."""
    logger.disable("actors")
    yield
    logger.enable("actors")


@pytest.mark.parametrize("tens", range(0, SEEDS, 10))
def test_a_hundred_worlds_keep_the_promises(tens: int) -> None:
    outcomes = [tell(seed) for seed in range(tens, tens + 10)]
    broken = {outcome.seed: outcome.violations for outcome in outcomes if outcome.violations}
    assert not broken
    assert sum(outcome.crashes for outcome in outcomes) >= 10
    assert sum(outcome.accepted for outcome in outcomes) >= 100


def test_a_seed_is_the_same_world_step_by_step() -> None:
    first = tell(3, record=True)
    assert first == tell(3, record=True)
    assert len(first.trace) > 1_000
    assert first.trace != tell(4, record=True).trace


class Forgetful(WatchedStore):
    """The first planted fault: it keeps no ledger of what was accepted."""

    def write(self, commands: Sequence[Write]) -> list[Result]:
        return super().write([_without_keys(command) for command in commands])


def _without_keys(command: Write) -> Write:
    if not isinstance(command, StoreMessages):
        return command
    items = tuple(msgspec.structs.replace(item, key=b"") for item in command.items)
    return msgspec.structs.replace(command, items=items)


class Hasty(Storage):
    """The second planted fault: it says "stored" at once and commits a little later."""

    def __init__(self, *, context: Context, **arguments: Any) -> None:
        super().__init__(context=context, **arguments)
        self._seq = 0

    def on_start(self) -> None:
        super().on_start()
        self._seq = self._store.open().last_seq

    def handle(self, message: Command) -> None:
        if isinstance(message, StoreMessages) and not isinstance(message.reply_to, Probe):
            first, self._seq = self._seq + 1, self._seq + len(message.items)
            results = tuple(
                StoreResult(StoreOutcome.STORED, Seq(first + at), item.envelope.id, 1e12)
                for at, item in enumerate(message.items)
            )
            message.reply_to.tell(MessagesStored(message.request, results))
            later = msgspec.structs.replace(message, reply_to=Probe("nobody"))
            self.context.scheduler.after(0.1, CALL, lambda: self.ref.tell(later))
        else:
            super().handle(message)


class Trusting(SipAdapter):
    """The third planted fault: what was sent counts as acknowledged, so it is deleted before the 200."""

    def handle(self, message: SipAdapterCommand) -> None:
        super().handle(message)
        if isinstance(message, SendRequests):
            results = tuple(DeliveryResult(item.delivery, 200, answered=True) for item in message.items)
            self._client_manager.tell(DeliveriesEnded(items=results))


def first_violation(**faults: Any) -> Outcome:
    """Tell stories until the oracle objects."""
    for seed in range(FAULTY_SEEDS):
        outcome = tell(seed, **faults)
        if outcome.violations:
            return outcome
    pytest.fail(f"the oracle saw nothing in {FAULTY_SEEDS} worlds")


def test_the_oracle_sees_a_missing_ledger() -> None:
    outcome = first_violation(store=Forgetful)
    assert any("twice, as" in violation for violation in outcome.violations), outcome.violations


def test_the_oracle_sees_an_answer_before_the_commit() -> None:
    outcome = first_violation(actors=Actors(storage=Hasty))
    assert any("not on disk" in violation for violation in outcome.violations), outcome.violations


def test_the_oracle_sees_a_row_deleted_before_the_answer() -> None:
    outcome = first_violation(actors=Actors(sip_adapter=Trusting))
    assert any("is gone" in violation for violation in outcome.violations), outcome.violations
