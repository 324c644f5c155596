"""Bindings that an operator makes and takes away, for phones that do not register themselves (RFC 3261 10.1).

They become a REGISTER without a phone, so that the same rules hold; its answer goes to the operator.
"""

from __future__ import annotations

from actors.client_manager.core import Core, Question
from actors.client_manager.registrations import Registrations
from actors.messages.client_manager import CommandDone, DeregisterContacts, RegisterContact
from actors.messages.requests import Answer, ContactItem, Registration
from actors.messages.router import FindNames, Found, NamesFound
from actors.model import POSTMASTER, Flow, TransactionKey

PREFIX = b"operator:"
"""Begins the transactions of such REGISTERs; a SipAdapter never sees them."""
NOBODY = Flow("udp", 0, "", 0)

Command = RegisterContact | DeregisterContacts


class OperatorBindings:
    """Serves the commands."""

    def __init__(self, core: Core, registrations: Registrations) -> None:
        self._core = core
        self._registrations = registrations
        self._open: dict[TransactionKey, Command] = {}
        self._number = 0

    def register(self, command: RegisterContact) -> None:
        """Bind a contact; a new user only in open mode, and if no other node has him."""
        core = self._core
        if self._refused(command):
            return
        if core.registry.get(command.user) is not None:
            self._bind(command)
        elif not core.settings.open_mode:
            self._done(command, "unknown", f"{command.user} does not exist")
        elif core.settings.federated:
            self._look_elsewhere(command)
        else:
            self._bind(command)

    def deregister(self, command: DeregisterContacts) -> None:
        """End one binding of a user, or all."""
        core = self._core
        if self._refused(command):
            return
        record = core.registry.get(command.user)
        if record is None:
            self._done(command, "unknown", f"{command.user} does not exist")
        elif not command.contact:
            self._apply(command, NOBODY, (), star=True)
        elif all(binding.contact != command.contact for _, binding in record.bindings(core.node_time())):
            self._done(command, "unknown", f"{command.user} has no such contact")
        else:
            item = ContactItem(command.contact, "", "", None, 0, 1.0, "", 0, ())
            self._apply(command, NOBODY, (item,), star=False)

    def _refused(self, command: Command) -> bool:
        absent = self._core.registry.absent(command.user)
        if command.user == POSTMASTER:
            self._done(command, "refused", "postmaster is the name that notices come from")
        elif absent is not None:
            self._done(command, "refused", f"{command.user} lives at {absent.home or absent.coming_from}: ask there")
        else:
            return False
        return True

    def _look_elsewhere(self, command: RegisterContact) -> None:
        core = self._core

        def found(answer: NamesFound) -> None:
            (where,) = answer.answers
            if where.found is Found.ELSEWHERE:
                self._done(command, "refused", f"{command.user} lives at {where.home}: ask there")
            elif not self._refused(command):
                self._bind(command)

        number = core.expect(Question(found, lambda reason: self._done(command, f"the router failed: {reason}")))
        names = (command.user,)
        core.refs.router.tell(
            FindNames(reply_to=core.refs.me, request=number, names=names, search=True, elsewhere=True)
        )

    def _bind(self, command: RegisterContact) -> None:
        self._apply(command, command.flow, (command.contact,), star=False, aor_host=command.aor_host)

    def _apply(
        self, command: Command, flow: Flow, contacts: tuple[ContactItem, ...], *, star: bool, aor_host: str = ""
    ) -> None:
        self._number += 1
        transaction = TransactionKey(PREFIX + self._number.to_bytes(8, "big"))
        self._open[transaction] = command
        self._registrations.apply(
            Registration(
                transaction=transaction,
                flow=flow,
                user=command.user,
                aor_host=aor_host,
                from_user=command.user,
                # One of its own, so that no clock and no earlier run decides whether it comes in order.
                call_id=b"operator-%032x" % self._core.random.getrandbits(128),
                cseq=1,
                contacts=contacts,
                star=star,
                expires=0 if star else None,
            )
        )

    def take(self, answers: list[Answer]) -> list[Answer]:
        """Take out the answers that go to operators."""
        if not self._open:
            return answers
        others: list[Answer] = []
        for answer in answers:
            command = self._open.pop(answer.transaction, None)
            if command is None:
                others.append(answer)
            elif answer.status == 200:
                self._done(command)
            else:
                error = "unknown" if answer.status == 404 else f"{answer.status}"
                self._done(command, error, answer.reason or f"the registrar answered {answer.status}")
        return others

    def _done(self, command: Command, error: str = "", detail: str = "") -> None:
        command.reply_to.tell(CommandDone(request=command.request, error=error, detail=detail))
