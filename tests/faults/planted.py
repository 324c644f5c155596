"""Faults planted by replacement, which the oracle must see: it would be worth nothing otherwise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.messages.client_manager import DeliveriesEnded, DeliveryResult
from actors.messages.sip_adapter import SendRequests, SipAdapterCommand
from actors.messages.storage import StoreMessages
from actors.ports import Clock
from actors.stores.connection import Sqlite3Connection
from actors.stores.port import Result, Write
from actors.stores.sqlite import SqliteStore
from sip_adapter.adapter import SipAdapter

LAZINESS = 0.3
"""Seconds between two real commits."""


class _LazyConnection(Sqlite3Connection):
    """Says COMMIT is done and does it now and then."""

    lazy = False
    _open = False
    _done = 0.0

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        if sql.startswith("BEGIN"):
            if self._open:
                return 0
            self._open = True
        elif sql.startswith("COMMIT"):
            if self.lazy and time.monotonic() < self._done + LAZINESS:
                return 0
            self._open, self._done = False, time.monotonic()
        return super().execute(sql, values)


class EarlyAnswers(SqliteStore):
    """202 before the commit."""

    def __init__(self, *, data_dir: Path, realm: str | None, clock: Clock) -> None:
        super().__init__(data_dir=data_dir, realm=realm, clock=clock, connect=_LazyConnection)

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        _LazyConnection.lazy = any(isinstance(command, StoreMessages) for command in commands)
        return super().commit(commands)

    def tend(self) -> None:
        """No housekeeping: it cannot run inside a transaction."""


class HastyAdapter(SipAdapter):
    """Has a message deleted when it is sent, before the device's 200."""

    def handle(self, message: SipAdapterCommand) -> None:
        super().handle(message)
        if isinstance(message, SendRequests):
            results = tuple(DeliveryResult(item.delivery, 200, True) for item in message.items)
            self._client_manager.tell(DeliveriesEnded(items=results))
