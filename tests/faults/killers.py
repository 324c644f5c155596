"""Replacement actors and store that kill their own process at a named step, loaded by the node's own flags.

`ANGARIUM_KILL_STEP` names the step, `ANGARIUM_KILL_AFTER` how many times it is passed before. The node loads this
file once for each part, so each part counts its own steps.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from actors.client_manager.actor import ClientManager
from actors.messages.client_manager import ClientManagerCommand, DeliveriesEnded, SubmitMessages
from actors.messages.sip_adapter import AnswerRequests, SendRequests, SipAdapterCommand
from actors.messages.storage import AcknowledgeMessages, MessagesAcknowledged, StoreMessages
from actors.ports import Clock
from actors.stores.connection import Sqlite3Connection
from actors.stores.port import Result, Write
from actors.stores.sqlite import SqliteStore
from sip_adapter.adapter import SipAdapter

STEPS = ("parsed", "inserted", "committed", "answered", "sent", "received", "marked", "deleted")
"""In the order in which a message passes them."""

_step = os.environ.get("ANGARIUM_KILL_STEP", "")
_left = int(os.environ.get("ANGARIUM_KILL_AFTER", "0"))


def passed(step: str) -> None:
    """Count a step; the last count kills the process."""
    global _left
    if step != _step:
        return
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    _left -= 1


class KillingClients(ClientManager):
    """Steps `parsed` (a message came from the border), `received` (a device's 200), `deleted` (its row is gone)."""

    def handle(self, message: ClientManagerCommand) -> None:
        if isinstance(message, SubmitMessages):
            passed("parsed")
        elif isinstance(message, DeliveriesEnded) and any(item.status == 200 for item in message.items):
            passed("received")
        elif isinstance(message, MessagesAcknowledged):
            passed("deleted")
        super().handle(message)


class KillingAdapter(SipAdapter):
    """Steps `answered` (the 202 is on the wire) and `sent` (the message is on the wire to a device)."""

    _passing: tuple[str, ...] = ()

    def handle(self, message: SipAdapterCommand) -> None:
        if isinstance(message, AnswerRequests) and any(item.status == 202 for item in message.items):
            self._passing += ("answered",)
        elif isinstance(message, SendRequests):
            self._passing += ("sent",)
        super().handle(message)

    def flush(self) -> None:
        super().flush()
        steps, self._passing = self._passing, ()
        for step in steps:
            passed(step)


class _KillingConnection(Sqlite3Connection):
    """Step `inserted`: the rows of new messages are written, not committed."""

    storing = False

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        if sql.startswith("COMMIT") and _KillingConnection.storing:
            passed("inserted")
        return super().execute(sql, values)


class KillingStore(SqliteStore):
    """Steps `inserted`, `committed` (nobody was told yet) and `marked` (an acknowledgement is on disk)."""

    def __init__(self, *, data_dir: Path, realm: str | None, clock: Clock) -> None:
        super().__init__(data_dir=data_dir, realm=realm, clock=clock, connect=_KillingConnection)

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        storing = any(isinstance(command, StoreMessages) for command in commands)
        _KillingConnection.storing = storing
        results = super().commit(commands)
        if storing:
            passed("committed")
        if any(isinstance(command, AcknowledgeMessages) for command in commands):
            passed("marked")
        return results


class NoLedger(KillingStore):
    """A planted fault: forgets under which key a message came, so that a repeat after a kill is a second message."""

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        return super().commit([_without_keys(command) for command in commands])


def _without_keys(command: Write) -> Write:
    if not isinstance(command, StoreMessages):
        return command
    items = tuple(msgspec.structs.replace(item, key=b"") for item in command.items)
    return msgspec.structs.replace(command, items=items)
