"""Users who move away: their mail, devices and account go to another node, and a pointer stays (PROTOCOL 23, 24).

1. Nothing new is sent to the user's devices; what is under way comes to its end.
2. He can register nowhere for a moment. `PrepareMove` has the new home keep him ready.
3. One commit here decides: the account becomes a pointer, of a higher epoch, that is still `leaving`.
4. `DecideMove` tells the new home. From its yes on he can register, through this node or any other.
5. `MoveMail` takes the mailbox over, message by message in order; what the other side has on its disk is dropped here.
   Mail that was on its way here goes with it: this node takes it in until the new home has known for `LINGER` seconds.
6. `FinishMove`: the new home delivers. What the pointer still knew of him is forgotten.

Before 3 a failure leaves everything as it was. After it all goes on until it is done, from 4 on after each failure and
each restart: every step may be done any number of times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from actors.client_manager import formers
from actors.client_manager.claims import Claims
from actors.client_manager.core import Core, Question
from actors.client_manager.departure import Departure, Phase
from actors.client_manager.registrations import Registrations
from actors.messages.client_manager import CommandDone, MoveUser
from actors.messages.links import DecideMove, FinishMove, MoveMail, PrepareMove, RelayContent
from actors.messages.monitor import Level
from actors.messages.router import Claim, FindNames, NamesAreGone
from actors.messages.server_manager import AskFar, FarAnswered
from actors.messages.storage import (
    DropMessages,
    QueueRead,
    ReadQueue,
    ReadUser,
    SaveAccounts,
    SaveRegistration,
    UserRead,
)
from actors.model import POSTMASTER, Account, NodeName, Seq, Step, User, UserName, mailbox_queue
from actors.state.client_registry import GUEST
from actors.state.link_auth import root_key
from actors.state.moving import MAIL, MAIL_BYTES, departing, load, seal_hashes
from actors.state.timers import Deadlines

STEP_SECONDS = 8.0
"""How long the new home may take for one step."""
PREPARE_SECONDS = 4.0
"""The same while the user can register nowhere."""
TRIES = 3
"""Steps in a row without an answer until a move that is not decided is given up, and of one that is, who waits for it
is told."""
PATIENCE = 3
LINGER = 1.0
"""Seconds for which mail is taken in here after the new home takes it, too: what was sent before goes first, then."""
LONGEST_WAIT = 15.0
"""Seconds between two tries of a decided move at most; a cut link does not tell this actor that it is whole again."""
GONE = 410
"""The new home's word that the user has been there, and has moved on."""
UNPREPARED = 409
TOO_LARGE = 513
REFUSED = frozenset({403, 409})
LATER = frozenset({408, 429, 500, 501, 502, 503, 504, 404})
"""Answers that say nothing for good; 404 is a node's between that has lost its way."""


class Moving:
    """All departures. Each has one question open at a time, or a deadline to try again."""

    def __init__(self, core: Core, registrations: Registrations) -> None:
        self._core = core
        self._registrations = registrations
        self._departures: dict[UserName, Departure] = {}
        self._again: Deadlines[UserName] = Deadlines()
        self.claims = Claims(core, self._give_way)

    # What begins and ends a departure.

    def move(self, command: MoveUser) -> None:
        """Move a user, as an operator asks."""
        core, name = self._core, command.name
        departure = self._departures.get(name)
        if departure is not None and departure.to == command.to:
            departure.waiting.append(command)
            return
        record, absent = core.registry.get(name), core.registry.absent(name)
        if absent is not None and absent.home == command.to and not absent.leaving:
            self._done(command)
        elif name == POSTMASTER:
            self._done(command, "refused", f"{name} is the name that notices come from")
        elif departure is not None or name in core.moving or name in core.removing:
            self._done(command, "refused", f"{name} is just moving, or being removed")
        elif record is None and absent is None:
            self._done(command, "unknown", f"{name} does not exist")
        elif record is None:
            self._done(command, "unknown", f"{name} lives at {absent.home or absent.coming_from}" if absent else "")
        elif record.account.coming_from:
            self._done(command, "refused", f"{name} is still on his way here; try again")
        elif command.to == core.settings.node:
            self._done(command, "refused", f"{name} lives at {command.to} already")
        else:
            self._begin(Departure(record.account, command.to, record.account.epoch + 1), command)

    def _give_way(self, account: Account, home: NodeName, epoch: int) -> None:
        self._begin(Departure(account, home, epoch, merge=True))

    def _begin(self, departure: Departure, command: MoveUser | None = None) -> None:
        core = self._core
        if command is not None:
            departure.waiting.append(command)
        self._departures[departure.user] = departure
        core.moving.add(departure.user)
        core.deliveries.drain(departure.user)

    def resume(self, user: User) -> None:
        """The disk has a user who is on his way out."""
        account = user.account
        if account.name in self._departures:
            return
        # Where nobody needs a password, the other home's own account of that name is no obstacle any more.
        departure = Departure(account, account.home, account.epoch, merge=not account.has_password)
        departure.phase = Phase.DECIDED
        departure.devices = user.devices
        self._departures[account.name] = departure
        self._core.moving.add(account.name)
        self._core.frozen.add(account.name)
        self._confirm(departure)

    def has(self, user: UserName) -> bool:
        """Tell whether a user is on his way out."""
        return user in self._departures

    def is_undecided(self, user: UserName) -> bool:
        """Tell whether a user may move away from here, or may not."""
        departure = self._departures.get(user)
        return departure is not None and departure.phase < Phase.DECIDED

    def came_back(self, user: UserName) -> None:
        """A later home says that he moves here: then everything he left had arrived."""
        departure = self._departures.get(user)
        if departure is not None:
            self._end(departure)

    # 1. What is under way ends.

    def flush(self) -> None:
        """Go on with those to whom nothing is under way any more."""
        core = self._core
        draining = [d for d in self._departures.values() if d.phase is Phase.DRAINING]
        if not draining or core.ending or core.outbox.endings:
            return
        for departure in draining:
            if core.deliveries.is_idle(departure.user):
                self._freeze(departure)

    def _freeze(self, departure: Departure) -> None:
        core = self._core
        record = core.registry.get(departure.user)
        if record is None:
            self._give_up(departure, "unknown", f"{departure.user} does not exist any more")
            return
        departure.phase = Phase.PREPARING
        devices = record.devices.values()
        departure.live = frozenset(b.flow for device in devices for b in device.bindings if b.flow.connection)
        departure.guests = tuple(device for device in devices if device.key.startswith(GUEST))
        core.frozen.add(departure.user)
        core.deliveries.hold(departure.user)
        self._read(departure)

    def _read(self, departure: Departure) -> None:
        """The disk's word counts: all that was told to it before is in its answer."""

        def read(answer: UserRead) -> None:
            user = answer.user
            if user is None or (not user.account.is_here and not user.account.leaving):
                self._give_up(departure, "unknown", f"{departure.user} does not live here any more")
                return
            if user.account.is_here:
                departure.account = user.account
            departure.devices = user.devices
            self._prepare(departure)

        number = self._expect(departure, read)
        self._core.refs.storage.tell(ReadUser(self._core.refs.me, number, departure.user))

    # 2. The new home keeps him ready.

    def _prepare(self, departure: Departure) -> None:
        core, account = self._core, departure.account
        root, nonce = root_key(core.settings.secret, core.realm), f"{core.random.getrandbits(128):032x}"
        named = Account(account.name, created=float(account.created), epoch=departure.epoch)
        devices = departing(
            (*departure.devices, *departure.guests),
            core.settings.node,
            core.tokens.token,
            departure.live,
            core.node_time(),
        )
        content = PrepareMove(
            account=named,
            sealed=seal_hashes(root, nonce, account),
            nonce=nonce,
            devices=devices,
            merge=departure.merge,
            grants=formers.sealed(core, nonce, account),
        )
        self._ask(departure, content, lambda answer: self._prepared(departure, answer), (200,))

    def _prepared(self, departure: Departure, answer: FarAnswered) -> None:
        if departure.phase is Phase.DECIDED:
            self._confirm(departure)
        else:
            self._decide(departure)

    # 3. The decision.

    def _decide(self, departure: Departure) -> None:
        core = self._core
        pointer = msgspec.structs.replace(departure.account, epoch=departure.epoch, home=departure.to, leaving=True)

        def decided(answer: object) -> None:
            departure.phase = Phase.DECIDED
            departure.account = pointer
            core.registry.put_absent(pointer)
            core.outbox.event(Level.INFO, "moved", f"{departure.user} moves to {departure.to}", departure.user)
            self._confirm(departure)

        def failed(reason: str) -> None:
            self._give_up(departure, f"the store failed: {reason}")

        number = self._expect(departure, decided, failed)
        core.refs.storage.tell(SaveAccounts(core.refs.me, number, (pointer,)))

    # 4. The new home's yes.

    def _confirm(self, departure: Departure) -> None:
        content = DecideMove(departure.user, departure.epoch)
        self._ask(departure, content, lambda answer: self._confirmed(departure, answer), (200, UNPREPARED))

    def _confirmed(self, departure: Departure, answer: FarAnswered) -> None:
        core, user = self._core, departure.user
        if answer.status == UNPREPARED:  # it has waited for this for too long
            self._prepare(departure)
            return
        if departure.phase is Phase.DECIDED:
            departure.phase = Phase.LEAVING
            departure.takes_until = core.now() + LINGER
            core.frozen.discard(user)
            core.deliveries.release(user)
            core.deliveries.go_on(user)
        self._mail(departure)

    # 5. The mail.

    def _send_on(self, departure: Departure) -> None:
        """From now on the Router sends his mail there. What it said before it heard this comes before its answer, and
        so to the disk before the mailbox is read again."""
        core, user = self._core, departure.user
        core.moving.discard(user)
        core.refs.router.tell(NamesAreGone(names=(user,)))
        core.claim((departure.account,))
        number = self._expect(departure, lambda found: self._mail(departure))
        core.refs.router.tell(FindNames(core.refs.me, number, (user,)))

    def _mail(self, departure: Departure) -> None:
        core, takes = self._core, departure.user in self._core.moving
        if takes and core.now() >= departure.takes_until:
            self._send_on(departure)
            return

        def read(answer: QueueRead) -> None:
            if answer.messages:
                self._send(departure, answer)
            elif answer.more:
                self._mail(departure)  # damaged rows were put aside
            elif takes:
                self._again.set(departure.user, departure.takes_until)
            else:
                self._finish(departure)

        number = self._expect(departure, read)
        queue = mailbox_queue(departure.user)
        core.refs.storage.tell(ReadQueue(core.refs.me, number, queue, Seq(0), MAIL, MAIL_BYTES))

    def _send(self, departure: Departure, read: QueueRead) -> None:
        mail = load(read.messages, departure.devices, self._core.node_time(), departure.room)
        sent = read.messages[: len(mail)]
        keys = () if departure.merge else tuple(device.key for device in departure.devices)

        def taken(answer: FarAnswered) -> None:
            ids = [message.envelope.id for message in sent]
            self._core.outbox.steps_of(Step.FORWARDED, ids, [f"to {departure.to}, where he moves"] * len(ids))
            self._core.outbox.count("messages_moved_total", len(ids))
            self._drop(departure, tuple(message.seq for message in sent))

        self._ask(departure, MoveMail(departure.user, departure.epoch, mail, keys), taken, (200,))

    def _drop(self, departure: Departure, seqs: tuple[Seq, ...]) -> None:
        number = self._expect(departure, lambda answer: self._mail(departure))
        self._core.refs.storage.tell(DropMessages(self._core.refs.me, number, seqs))

    # 6. The end.

    def _finish(self, departure: Departure) -> None:
        content = FinishMove(departure.user, departure.epoch)
        self._ask(departure, content, lambda answer: self._forget(departure), (200,))

    def _forget(self, departure: Departure) -> None:
        core, user = self._core, departure.user
        pointer = Account(user, created=departure.account.created, epoch=departure.epoch, home=departure.to)

        def forgotten(answer: object) -> None:
            core.registry.put_absent(pointer)
            core.outbox.event(Level.INFO, "moved", f"{user} has moved to {departure.to}", user)
            core.outbox.count("users_moved_total")
            self._end(departure)

        def devices_gone(answer: object) -> None:
            number = self._expect(departure, forgotten)
            core.refs.storage.tell(SaveAccounts(core.refs.me, number, (pointer,)))

        keys = tuple(device.key for device in departure.devices)
        number = self._expect(departure, devices_gone)
        core.refs.storage.tell(SaveRegistration(core.refs.me, number, user, (), forget=keys))

    def _end(self, departure: Departure) -> None:
        core, user = self._core, departure.user
        self._let_go(departure)
        self.claims.settled(user)
        core.deliveries.release(user)
        core.deliveries.go_on(user)
        core.stray.add(user)
        for command in departure.waiting:
            self._done(command)

    def _give_up(self, departure: Departure, error: str, detail: str = "") -> None:
        """It was not decided: all is as it was."""
        core, user = self._core, departure.user
        self._let_go(departure)
        core.deliveries.release(user)
        self._registrations.reread(user)
        for command in departure.waiting:
            self._done(command, error, detail)

    def _let_go(self, departure: Departure) -> None:
        self._departures.pop(departure.user, None)
        self._again.drop(departure.user)
        self._core.moving.discard(departure.user)
        self._core.frozen.discard(departure.user)

    # Asking.

    def _expect(
        self, departure: Departure, then: Callable[[Any], None], failed: Callable[[str], None] | None = None
    ) -> int:
        """Expect an answer about a departure that still goes on then."""

        def answered(answer: Any) -> None:
            if self._departures.get(departure.user) is departure:
                then(answer)

        def not_done(reason: str) -> None:
            if self._departures.get(departure.user) is not departure:
                return
            if failed is not None:
                failed(reason)
            else:
                self._later(departure)

        return self._core.expect(Question(answered, not_done))

    def _ask(
        self,
        departure: Departure,
        content: RelayContent,
        then: Callable[[FarAnswered], None],
        wanted: Collection[int],
    ) -> None:
        """Ask the new home; other answers than those wanted put it off, or end it."""

        def answered(answer: FarAnswered) -> None:
            if answer.answered and answer.status in wanted:
                departure.tries = 0
                then(answer)
            elif answer.answered and answer.status == GONE and departure.phase >= Phase.DECIDED:
                self._forget(departure)  # he could move on only after his last mail was there
            elif answer.answered and answer.status not in LATER and departure.phase is Phase.PREPARING:
                self._refused(departure, answer)
            else:
                self._later(departure, answer)

        core = self._core
        number = self._expect(departure, answered)
        seconds = STEP_SECONDS if departure.phase >= Phase.DECIDED else PREPARE_SECONDS
        asked = AskFar(core.refs.me, number, content, to=departure.to, seconds=seconds)
        core.refs.server_manager.tell(asked)

    def _refused(self, departure: Departure, answer: FarAnswered) -> None:
        """The other node does not take him, for good."""
        name, home = departure.user, departure.to
        self._give_up(departure, "refused", f"{home} does not take {name}: {answer.reason}")
        if departure.merge:
            self.claims.refused(name, home, answer.reply.epoch, departure.epoch)

    def _later(self, departure: Departure, answer: FarAnswered | None = None) -> None:
        """Try again in a while; what is not decided is given up after some tries."""
        core = self._core
        departure.tries += 1
        if departure.phase is Phase.PREPARING and departure.tries >= TRIES:
            reason = f"{departure.to} cannot be reached" if answer is None or not answer.answered else answer.reason
            self._give_up(departure, "unreachable", reason)
            if departure.merge:
                self.claims.later(Claim(departure.user, departure.to, departure.epoch - 1))
            return
        if departure.phase is Phase.DECIDED and answer is not None and answer.answered and answer.status in REFUSED:
            self.claims.raise_alarm(departure.user, departure.to)
        if answer is not None and answer.status == TOO_LARGE:
            departure.room //= 2  # of one message alone, too: then a link of another kind is needed
            text = f"A link on the way to {departure.to} does not hold {departure.user}'s mail: {answer.reason}"
            core.outbox.event(Level.WARNING, "too-large", text, departure.user)
        if departure.tries >= TRIES + PATIENCE:
            waiting, departure.waiting = departure.waiting, []
            for command in waiting:
                detail = f"it is decided, and goes on by itself when {departure.to} can be reached"
                self._done(command, "unreachable", detail)
        wait = core.random.random() * min(LONGEST_WAIT, 0.5 * 2.0 ** min(departure.tries, 10))
        retry_after = answer.retry_after if answer is not None else 0
        self._again.set(departure.user, core.now() + 0.1 + max(wait, min(float(retry_after), 2.0)))

    def wake(self, now: float) -> None:
        """Try again what is due."""
        for user in list(self._again.due(now)):
            departure = self._departures.get(user)
            if departure is None:
                continue
            if departure.phase is Phase.PREPARING:
                self._read(departure)
            elif departure.phase is Phase.LEAVING and not departure.tries:
                self._mail(departure)
            else:
                self._confirm(departure)
        self.claims.wake(now)

    def next(self) -> float | None:
        """Tell when to wake next."""
        times = (self._again.next(), self.claims.next())
        return min((time for time in times if time is not None), default=None)

    def _done(self, command: MoveUser, error: str = "", detail: str = "") -> None:
        command.reply_to.tell(CommandDone(request=command.request, error=error, detail=detail))
