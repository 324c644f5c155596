"""Faults planted by replacement, which the oracle must see: it would be worth nothing otherwise."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from actors.messages.client_manager import DeliveriesEnded, DeliveryResult
from actors.messages.sip_adapter import SendRequests, SipAdapterCommand
from actors.messages.storage import SaveRegistration
from actors.ports import Clock
from actors.stores.connection import Sqlite3Connection
from actors.stores.port import Result, Write
from actors.stores.sqlite import SqliteStore
from sip_adapter.adapter import SipAdapter

LAZINESS = 0.3
"""Seconds that a transaction stays open."""


class _LazyConnection(Sqlite3Connection):
    """Says that COMMIT is done, and does it later."""

    lazy = False
    _open = False
    _since = 0.0

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        if sql.startswith("BEGIN"):
            if self._open:
                return 0
            self._open, self._since = True, time.monotonic()
        elif sql.startswith("COMMIT"):
            if self.lazy and time.monotonic() < self._since + LAZINESS:
                return 0
            self._open = False
        elif sql.startswith("ROLLBACK"):
            self._open = False
        return super().execute(sql, values)


class EarlyAnswers(SqliteStore):
    """202 before the commit, which comes with a later one; a registration alone is on disk at once."""

    def __init__(self, *, data_dir: Path, realm: str | None, clock: Clock) -> None:
        super().__init__(data_dir=data_dir, realm=realm, clock=clock, connect=_LazyConnection)

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        _LazyConnection.lazy = not any(isinstance(command, SaveRegistration) for command in commands)
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
