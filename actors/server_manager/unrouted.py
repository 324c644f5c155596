"""Mail without a way: it waits, on disk, until the Router knows more of its recipient (PROTOCOL 22)."""

from __future__ import annotations

from collections.abc import Iterable

from actors.messages.router import MailKept
from actors.model import UserName
from actors.server_manager.core import Core
from actors.server_manager.custody import Custody
from actors.server_manager.rerouting import Rerouting

ASK_ALL = 600.0
"""Seconds after which the Router is asked about all of them again, whatever it told: nothing waits for a lost word."""

FEW = 1000
"""Rows that are cheap to read again: then it is seen to that memory knows of all."""


class Unrouted:
    """The queue of the unrouted.

    After a start all of it is routed again. A message stored here while the Router already finds its way could miss
    the word: so each recipient is asked for once more when his first message is here; what the Router promises then
    comes later than its answer. But nothing is asked before the Router has heard of a neighbour in this run: until then
    it takes everybody else for unknown.
    """

    def __init__(self, core: Core, custody: Custody, rerouting: Rerouting) -> None:
        self._core = core
        self._custody = custody
        self._rerouting = rerouting
        self._asks = False

    def neighbour_added(self) -> None:
        """There is a neighbour: from now on the Router can tell "unknown" from "not known yet"."""
        self._asks = True

    def start(self) -> None:
        """The queue is known: all of it is read and routed."""
        if self._custody.unrouted.waiting:
            self._core.refs.router.tell(MailKept((), more=True))
        self._core.after(ASK_ALL, self._ask_all)

    def route_again(self, names: Iterable[UserName]) -> None:
        """For these recipients, or all if none is given, it makes sense to ask again."""
        self._custody.unrouted.route_again(names)

    def flush(self) -> None:
        """Read on, route what may have a way now."""
        if self._asks and self._custody.started:
            self._custody.unrouted.wake(self._core.now())
            self._rerouting.serve(self._custody.unrouted)

    def _ask_all(self) -> None:
        self._core.after(ASK_ALL, self._ask_all)
        for queue in self._custody.queues():
            queue.route_again(())
            if queue.waiting <= FEW:
                queue.read_anew()
