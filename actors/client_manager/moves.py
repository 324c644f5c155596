"""All that has to do with users who move, for the actor: away from here, to here, and mail that came too late."""

from __future__ import annotations

from actors.client_manager.arriving import Arriving
from actors.client_manager.core import Core
from actors.client_manager.moving import Moving
from actors.client_manager.registrations import Registrations
from actors.client_manager.strays import Strays
from actors.messages.client_manager import MoveUser, RelayArrived
from actors.messages.router import Claim
from actors.model import User


class Moves:
    """The parts put together. `flush` goes on with what has become possible, `wake` with what is due."""

    def __init__(self, core: Core, registrations: Registrations) -> None:
        self._core = core
        self._moving = Moving(core, registrations)
        self._arriving = Arriving(core, registrations, self._moving)
        self._strays = Strays(core)
        registrations.elsewhere = self.found

    def move(self, command: MoveUser) -> None:
        """An operator moves a user away."""
        self._moving.move(command)

    def conflict(self, claim: Claim) -> None:
        """Another node claims a name of ours."""
        self._moving.claims.conflict(claim)

    def serve(self, item: RelayArrived) -> None:
        """Another node says something about a user who moves here."""
        self._arriving.serve(item)

    def found(self, user: User) -> None:
        """The disk has the account of a user who does not live here (any more, or yet)."""
        account = user.account
        if account.leaving:
            self._moving.resume(user)
        elif not account.home:
            self._arriving.prepared(account)
        elif user.waiting:
            self._core.stray.add(account.name)

    def flush(self) -> None:
        """Go on where nothing is in the way any more."""
        self._moving.flush()
        if self._core.stray:
            strays, self._core.stray = self._core.stray, set()
            for user in sorted(strays):
                if not self._moving.has(user):  # else it travels with the rest
                    self._strays.look(user)

    def wake(self, now: float) -> None:
        """Do what is due."""
        self._moving.wake(now)
        self._arriving.wake(now)
        self._strays.wake(now)

    def next(self) -> float | None:
        """Tell when to wake next."""
        times = (self._moving.next(), self._arriving.next(), self._strays.next())
        return min((time for time in times if time is not None), default=None)
