"""Names that another node has, too: of accounts without a password one gives way, else an operator decides
(PROTOCOL 23)."""

from __future__ import annotations

from collections.abc import Callable

from actors.client_manager.accounts import double_name
from actors.client_manager.core import Core
from actors.messages.monitor import Level, RaiseAlarm
from actors.messages.router import Claim
from actors.model import Account, NodeName, UserName
from actors.state.moving import gives_way
from actors.state.timers import Deadlines

WAIT = 20.0
"""Seconds, doubled with each try, until a claim that this node gave way to in vain is looked at again."""
TRIES = 6


class Claims:
    """Judges claims of others.

    `give_way` begins to move the user of an account to a node, with the epoch that he will have there.
    """

    def __init__(self, core: Core, give_way: Callable[[Account, NodeName, int], None]) -> None:
        self._core = core
        self._give_way = give_way
        self._again: dict[UserName, tuple[Claim, int]] = {}
        """Claims to look at again, and how often that was."""
        self._due: Deadlines[UserName] = Deadlines()

    def conflict(self, claim: Claim) -> None:
        """Another node has a name of ours."""
        core, me = self._core, self._core.settings.node
        record = core.registry.get(claim.name)
        if record is None or claim.home in ("", me) or claim.name in core.moving or claim.name in core.removing:
            return
        account = record.account
        if account.coming_from == claim.home:
            return  # he does not know yet that his user has gone
        if account.has_password or not core.settings.open_mode:
            if claim.epoch >= account.epoch:  # else he has moved here from there, and there it will be known soon
                self.raise_alarm(claim.name, claim.home)
        elif account.coming_from:
            self.later(claim)
        elif gives_way(account.epoch, me, claim.epoch, claim.home):
            text = f"{claim.home} is the home of {claim.name} too: he moves there"
            core.outbox.event(Level.WARNING, "double-name", text, claim.name)
            self._give_way(account, claim.home, max(account.epoch, claim.epoch) + 1)

    def refused(self, name: UserName, home: NodeName, epoch: int, wanted: int) -> None:
        """The other node does not take him: its claim has become newer than `wanted`, or it wants a password."""
        if epoch >= wanted:
            self.later(Claim(name, home, epoch))
        else:
            self.raise_alarm(name, home)

    def raise_alarm(self, name: UserName, home: NodeName) -> None:
        """Nothing moves by itself; an operator must decide."""
        core = self._core
        core.doubled.add(name)
        alarm = RaiseAlarm(
            double_name(name),
            f"{name} has an account at {home} and one here: each of them gets a part of his mail.",
            f"Decide which one stays, and remove the other: angarium user remove {name}.",
        )
        core.refs.monitor.tell(alarm)

    def later(self, claim: Claim) -> None:
        """Look at it again; after some tries only when the Router meets the other claim again."""
        _, tries = self._again.get(claim.name, (claim, 0))
        if tries >= TRIES:
            self.settled(claim.name)
            return
        self._again[claim.name] = (claim, tries + 1)
        wait = WAIT * 2.0**tries * (0.5 + self._core.random.random())
        self._due.set(claim.name, self._core.now() + wait)

    def settled(self, name: UserName) -> None:
        """He has moved."""
        self._again.pop(name, None)
        self._due.drop(name)

    def wake(self, now: float) -> None:
        """Look at what is due."""
        for name in list(self._due.due(now)):
            claim, _ = self._again[name]
            self.conflict(claim)

    def next(self) -> float | None:
        """Tell when to wake next."""
        return self._due.next()
