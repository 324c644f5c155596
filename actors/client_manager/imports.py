"""Many accounts in one commit, as an operator imports them: each new name is looked for at other nodes first."""

from __future__ import annotations

from collections.abc import Callable, Collection

from actors.client_manager.core import Core, Question
from actors.messages.client_manager import AddUsers, CommandDone
from actors.messages.router import FindNames, Found, NameAnswer, NamesFound
from actors.model import POSTMASTER, UserName

AT_ONCE = 32
"""Names in one question: about what the Router searches for at once, so that a question ends with its searches."""
ASKING_SECONDS = 40.0
"""For all names of one command; those that are still to be asked about then are looked for later, as claims."""
NAMED = 20
"""Names in one answer at most."""

Create = Callable[[AddUsers, Collection[UserName]], None]


class Imports:
    """Looks for the names of `AddUsers` elsewhere (PROTOCOL 23); `create` makes the accounts, all of them, with the
    names of which it is not sure that nobody has them."""

    def __init__(self, core: Core, create: Create) -> None:
        self._core = core
        self._create = create

    def add(self, command: AddUsers) -> None:
        """Create or replace these accounts, or none: whoever is in the way is named."""
        core = self._core
        if self._refused(command):
            return
        new = [name for name, _, _ in command.items if core.registry.get(name) is None and name != POSTMASTER]
        if new and core.settings.federated:
            _Asking(self, core, command, new).go_on()
        else:
            self._create(command, ())

    def _refused(self, command: AddUsers) -> bool:
        in_the_way = [text for name, _, _ in command.items if (text := self._in_the_way(name))]
        if in_the_way:
            command.reply_to.tell(CommandDone(request=command.request, error="refused", detail=_listed(in_the_way)))
        return bool(in_the_way)

    def _in_the_way(self, name: UserName) -> str:
        core = self._core
        known, absent = core.registry.get(name), core.registry.absent(name)
        if name in core.removing:
            return f"{name} is just being removed (try again)"
        if name in core.moving or (known is not None and known.account.coming_from):
            return f"{name} is just moving (try again)"
        return f"{name} lives at {absent.home or absent.coming_from}" if absent is not None else ""

    def asked(self, command: AddUsers, elsewhere: Collection[NameAnswer], unsure: Collection[UserName]) -> None:
        """What the others said."""
        if elsewhere:
            names = _listed([f"{answer.name} (at {answer.home})" for answer in elsewhere])
            detail = f"nobody was imported, for other servers have users of these names: {names}"
            command.reply_to.tell(CommandDone(request=command.request, error="exists", detail=detail))
        elif not self._refused(command):
            self._create(command, unsure)


class _Asking:
    """One command whose names are asked about, some at a time."""

    def __init__(self, imports: Imports, core: Core, command: AddUsers, names: list[UserName]) -> None:
        self._imports, self._core, self._command = imports, core, command
        self._left = names
        self._elsewhere: list[NameAnswer] = []
        self._unsure: list[UserName] = []
        self._until = core.now() + ASKING_SECONDS

    def go_on(self) -> None:
        """Ask about the next names; the end of all is told."""
        core, names = self._core, tuple(self._left[:AT_ONCE])
        if not names or core.now() >= self._until:
            self._imports.asked(self._command, self._elsewhere, (*self._unsure, *self._left))
            return
        del self._left[:AT_ONCE]
        number = core.expect(Question(self._found, self._failed))
        core.refs.router.tell(FindNames(core.refs.me, number, names, search=True, elsewhere=True))

    def _found(self, answer: NamesFound) -> None:
        unsure = [found.name for found in answer.answers if found.found is Found.INCOMPLETE]
        self._unsure += unsure
        self._elsewhere += [found for found in answer.answers if found.found is Found.ELSEWHERE]
        if len(unsure) == len(answer.answers):
            self._until = 0.0  # somebody is silent, and each further question would wait for him
        self.go_on()

    def _failed(self, reason: str) -> None:
        done = CommandDone(request=self._command.request, error=f"the router failed: {reason}")
        self._command.reply_to.tell(done)


def _listed(items: list[str]) -> str:
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f", and {more} more" if more > 0 else "")
