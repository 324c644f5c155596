"""Users who move here: kept ready, served once their old home has decided, delivered to once their mail is in.

A user who is prepared is not served (`serving` is False): his old home may still give up. From its decision on he
lives here, `coming_from` there: new mail waits aside, and nothing is sent to his devices until `FinishMove`, so that
what he had at his old home comes first (PROTOCOL 24). Where two nodes had the same name, the one that gives way moves
its user to the other in the same way (PROTOCOL 23).

One step a user at a time. Answers: 200 done, however often it is asked for; 403 and 409 no; 410 he has been here and
has moved on; 503 later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from actors.client_manager import formers
from actors.client_manager.core import Core, Question
from actors.client_manager.moving import GONE, UNPREPARED, Moving
from actors.client_manager.registrations import Registrations
from actors.messages.client_manager import RelayArrived
from actors.messages.links import DecideMove, FinishMove, MoveMail, PrepareMove, Reply
from actors.messages.monitor import Level
from actors.messages.server_manager import AnswerRelay
from actors.messages.storage import (
    MessagesStored,
    ReadUser,
    SaveAccounts,
    SaveRegistration,
    SettleMove,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    UserRead,
)
from actors.model import (
    POSTMASTER,
    Account,
    Device,
    DeviceKey,
    FormerHome,
    NodeName,
    Seconds,
    Step,
    User,
    UserName,
    mailbox_queue,
)
from actors.state.client_registry import GUEST
from actors.state.link_auth import root_key
from actors.state.moving import arrived, joined, unseal_hashes
from actors.state.timers import Deadlines

PREPARED_LIFE = 600.0
"""Seconds until a user who was only prepared is forgotten; a decision that comes later has him prepared again."""
DRAIN_LIFE = 60.0
"""Seconds for which a user's deliveries are held back before his other home's mail comes."""
JUST_BUSY = "A step of this move is under way"
MOVED_ON = "He has moved on"


class Merging(NamedTuple):
    """What the home that gives way has said of a user who is here, too."""

    origin: NodeName
    epoch: int
    devices: tuple[Device, ...]
    formers: tuple[FormerHome, ...]


class Arriving:
    """The new home's side of moves."""

    def __init__(self, core: Core, registrations: Registrations, moving: Moving) -> None:
        self._core = core
        self._registrations = registrations
        self._moving = moving
        self._busy: set[UserName] = set()
        self._guests: dict[UserName, tuple[Device, ...]] = {}
        """Devices without a lasting name: in memory only, as always."""
        self._merging: dict[UserName, Merging] = {}
        self._forget_due: Deadlines[UserName] = Deadlines()
        self._drained: Deadlines[UserName] = Deadlines()

    def serve(self, item: RelayArrived) -> None:
        """Serve one step."""
        core, content = self._core, item.content
        user = content.account.name if isinstance(content, PrepareMove) else getattr(content, "user", UserName(""))
        if user in self._busy or user in core.removing or self._moving.is_undecided(user):
            self._answer(item, 503, JUST_BUSY)
        elif self._has_moved_on(content):
            self._answer(item, GONE, MOVED_ON)
        elif isinstance(content, PrepareMove):
            self._prepare(item, content)
        elif isinstance(content, DecideMove):
            self._decide(item, content)
        elif isinstance(content, MoveMail):
            self._take(item, content)
        elif isinstance(content, FinishMove):
            self._finish(item, content)

    def _has_moved_on(self, content: Any) -> bool:
        name, epoch = (
            (content.account.name, content.account.epoch)
            if isinstance(content, PrepareMove)
            else (content.user, content.epoch)
        )
        absent = self._core.registry.absent(name)
        return absent is not None and absent.epoch > epoch

    # Prepare.

    def _prepare(self, item: RelayArrived, content: PrepareMove) -> None:
        core, told = self._core, content.account
        name, epoch = told.name, told.epoch
        root = root_key(core.settings.secret, core.realm)
        hashes = unseal_hashes(root, content.nonce, name, content.sealed)
        record, absent = core.registry.get(name), core.registry.absent(name)
        before = formers.told(core, item, content)
        if hashes is None or before is None:
            self._answer(item, 403, "It is sealed with another secret")
        elif name == POSTMASTER or not name:
            self._answer(item, 403, "This name is reserved")
        elif record is not None:
            self._prepare_known(item, content, record.account, before, has_password=any(hashes))
        elif absent is not None and absent.epoch == epoch and absent.home:
            self._answer(item, UNPREPARED, f"He lives at {absent.home}")
        elif absent is not None and absent.epoch == epoch and absent.coming_from != item.origin:
            self._answer(item, 503, f"He is about to come from {absent.coming_from}")
        else:
            account = Account(
                name,
                *hashes,
                created=told.created,
                epoch=epoch,
                coming_from=item.origin,
                serving=False,
                formers=before,
            )
            self._keep_ready(item, account, self._devices(item, content))

    def _prepare_known(
        self,
        item: RelayArrived,
        content: PrepareMove,
        mine: Account,
        before: tuple[FormerHome, ...],
        *,
        has_password: bool,
    ) -> None:
        """He lives here already."""
        name, epoch = mine.name, content.account.epoch
        if mine.epoch == epoch and mine.coming_from in ("", item.origin) and not self._gave_way(content, mine):
            self._answer(item, 200)  # this was done before
        elif not content.merge:
            self._answer(item, UNPREPARED, f"{name} exists here")
        elif has_password or mine.has_password:
            self._answer(item, UNPREPARED, f"{name} exists here, and passwords are not merged")
        elif mine.coming_from not in ("", item.origin):
            self._answer(item, 503, f"He is still on his way from {mine.coming_from}")
        elif mine.epoch >= epoch:
            self._answer(item, UNPREPARED, "This claim is newer")
        else:
            before = formers.both(self._core, mine, before)
            self._merging[name] = Merging(item.origin, epoch, self._devices(item, content), before)
            formers.trust(self._core, name, before)
            self._drained.set(name, self._core.now() + PREPARED_LIFE)
            self._answer(item, 200)

    def _gave_way(self, content: PrepareMove, mine: Account) -> bool:
        """Tell whether this node has raised its epoch meanwhile, for yet another home of the same name."""
        return content.merge and not mine.coming_from and mine.name not in self._merging

    def _devices(self, item: RelayArrived, content: PrepareMove) -> tuple[Device, ...]:
        core = self._core
        way = tuple(reversed(item.path)) or (item.origin,)
        return arrived(content.devices, core.settings.node, way, core.tokens.flow, core.node_time())

    def _keep_ready(self, item: RelayArrived, account: Account, devices: tuple[Device, ...]) -> None:
        core, name = self._core, account.name
        self._moving.came_back(name)

        def read(answer: UserRead) -> None:
            known = () if answer.user is None else answer.user.devices
            self._guests[name] = tuple(device for device in devices if device.key.startswith(GUEST))
            lasting = tuple(device for device in devices if not device.key.startswith(GUEST))
            keys = {device.key for device in lasting}
            gone = tuple(device.key for device in known if device.key not in keys)

            def saved(answer: object) -> None:
                number = self._expect(item, name, ready)
                core.refs.storage.tell(SaveRegistration(core.refs.me, number, name, lasting, forget=gone))

            number = self._expect(item, name, saved)
            core.refs.storage.tell(SaveAccounts(core.refs.me, number, (account,)))

        def ready(answer: object) -> None:
            core.registry.put_absent(account)
            self.prepared(account)
            self._end(item, name, 200)

        self._read_user(item, name, read)

    def prepared(self, account: Account) -> None:
        """A user is kept ready; forget him after a while. What his homes have granted is known before he is here."""
        formers.trust(self._core, account.name, account.formers)
        self._forget_due.set(account.name, self._core.now() + PREPARED_LIFE)

    # Decide.

    def _decide(self, item: RelayArrived, content: DecideMove) -> None:
        core, name = self._core, content.user
        record, absent = core.registry.get(name), core.registry.absent(name)
        merging = self._merging.get(name)
        if record is not None and merging is not None and merging[:2] == (item.origin, content.epoch):
            self._merge(item, record.account, merging)
        elif record is not None and record.account.epoch >= content.epoch:
            if record.account.coming_from in ("", item.origin):
                self._answer(item, 200)
            else:
                self._answer(item, 503, f"He is still on his way from {record.account.coming_from}")
        elif absent is not None and not absent.home and _claim(absent) == (item.origin, content.epoch):
            self._forget_due.drop(name)
            self._admit(item, msgspec.structs.replace(absent, serving=True))
        else:
            self._answer(item, UNPREPARED, "He is not prepared here")

    def _merge(self, item: RelayArrived, mine: Account, merging: Merging) -> None:
        """From now on new mail waits aside: first what is under way to his devices here comes to its end."""
        core, name = self._core, mine.name
        if mine.coming_from not in ("", item.origin):
            self._answer(item, 503, f"He is still on his way from {mine.coming_from}")
            return
        core.deliveries.drain(name)
        self._drained.set(name, core.now() + DRAIN_LIFE)
        if not core.deliveries.is_idle(name) or core.ending or core.outbox.endings or name in core.moving:
            self._answer(item, 503, "Messages are under way to him", retry_after=1)
            return
        own = core.registry.get(name)
        known = {device.key: device for device in own.devices.values()} if own is not None else {}
        devices = tuple(
            joined(known[device.key], device) if device.key in known else device for device in merging.devices
        )
        self._guests[name] = tuple(device for device in devices if device.key.startswith(GUEST))
        lasting = tuple(device for device in devices if not device.key.startswith(GUEST))

        def read(answer: UserRead) -> None:
            account = answer.user.account if answer.user is not None else mine
            epoch = max(merging.epoch, account.epoch)
            self._drained.drop(name)
            before = formers.both(core, account, merging.formers)
            admitted = msgspec.structs.replace(account, epoch=epoch, coming_from=item.origin, formers=before)
            number = self._expect(item, name, lambda saved: self._admit(item, admitted))
            core.refs.storage.tell(SaveRegistration(core.refs.me, number, name, lasting))

        core.moving.add(name)
        self._read_user(item, name, read)

    def _admit(self, item: RelayArrived, account: Account) -> None:
        """He lives here, once it is on disk."""
        core, name = self._core, account.name

        def saved(answer: object) -> None:
            self._read_user(item, name, load)

        def load(answer: UserRead) -> None:
            assert answer.user is not None
            self._merging.pop(name, None)
            core.moving.discard(name)
            self._load(answer.user)
            core.outbox.event(Level.INFO, "moved", f"{name} moves here from {item.origin}", name)
            self._end(item, name, 200)

        number = self._expect(item, name, saved)
        core.refs.storage.tell(SaveAccounts(core.refs.me, number, (account,)))

    def _load(self, user: User) -> None:
        core, name = self._core, user.account.name
        self._registrations.loaded(user)
        for guest in self._guests.pop(name, ()):
            core.registry.put_device(name, guest)
        core.claim((user.account,))

    # Mail.

    def _take(self, item: RelayArrived, content: MoveMail) -> None:
        core, name = self._core, content.user
        account = self._account_for(item, content)
        if account is None:
            return
        if any(moved.envelope.recipient != name or not moved.envelope.id for moved in content.messages):
            self._answer(item, 403, "That is somebody else's mail")
            return
        new = self._new_devices(name, content.devices)

        def stored(answer: MessagesStored) -> None:
            outcomes = [result.outcome for result in answer.results]
            taken = [m.envelope.id for m, o in zip(content.messages, outcomes, strict=True) if o is StoreOutcome.STORED]
            core.outbox.steps_of(Step.STORED, taken, [f"from {item.origin}, with its recipient"] * len(taken))
            if taken and not account.coming_from:
                self._registrations.reread(name)
            if all(outcome in (StoreOutcome.STORED, StoreOutcome.KNOWN) for outcome in outcomes):
                self._end(item, name, 200)
            else:
                self._end(item, name, 503, "No room to store it")

        items = tuple(
            StoreItem(
                key=b"",
                queue=mailbox_queue(name),
                envelope=moved.envelope,
                life=Seconds(max(0.0, moved.life)),
                once=True,
                moved=True,
                anyone=moved.anyone,
                done=moved.done if moved.anyone else tuple(dict.fromkeys((*moved.done, *new))),
            )
            for moved in content.messages
        )
        number = self._expect(item, name, stored)
        core.refs.storage.tell(StoreMessages(core.refs.me, number, items))

    def _new_devices(self, name: UserName, known: tuple[DeviceKey, ...]) -> tuple[DeviceKey, ...]:
        """Devices that have registered here since the move: to them only what is open to anyone goes."""
        record = self._core.registry.get(name)
        if record is None or not known:
            return ()
        keys = (device.key for device in record.devices.values())
        return tuple(key for key in keys if key not in known and not key.startswith(GUEST))

    def _account_for(self, item: RelayArrived, content: MoveMail | FinishMove) -> Account | None:
        """The account of a user who lives here, coming from where it is said; else this is answered."""
        record = self._core.registry.get(content.user)
        if record is None or record.account.epoch < content.epoch:
            self._answer(item, UNPREPARED, "He is not prepared here")
        elif record.account.coming_from not in ("", item.origin):
            self._answer(item, 503, f"He is still on his way from {record.account.coming_from}")
        else:
            return record.account
        return None

    # Finish.

    def _finish(self, item: RelayArrived, content: FinishMove) -> None:
        core, name = self._core, content.user
        account = self._account_for(item, content)
        if account is None:
            return
        if not account.coming_from:
            self._answer(item, 200)
            return

        def read(answer: UserRead) -> None:
            stored = account if answer.user is None else answer.user.account
            number = self._expect(item, name, settled)
            whole = msgspec.structs.replace(stored, coming_from=NodeName(""))
            core.refs.storage.tell(SettleMove(core.refs.me, number, whole))

        def settled(answer: object) -> None:
            self._read_user(item, name, deliver)

        def deliver(answer: UserRead) -> None:
            assert answer.user is not None
            core.deliveries.release(name)
            core.deliveries.go_on(name)
            self._registrations.loaded(answer.user)
            self._wake_devices(name)
            core.outbox.event(Level.INFO, "moved", f"{name} has moved here from {item.origin}", name)
            core.outbox.count("users_arrived_total")
            self._end(item, name, 200)

        self._read_user(item, name, read)

    def _wake_devices(self, name: UserName) -> None:
        """What a device skipped on the way here stands aside for it, and would wait there until it registers."""
        core = self._core
        record = core.registry.get(name)
        if record is not None:
            for device in record.devices.values():
                core.deliveries.alive(record, device, core.now())

    # What was prepared in vain.

    def wake(self, now: float) -> None:
        """Forget users whose old home did not decide; give back those whose other home did not come."""
        for name in list(self._forget_due.due(now)):
            account = self._core.registry.absent(name)
            if account is not None and not account.serving and name not in self._busy:
                self._forget(account)
        for name in list(self._drained.due(now)):
            if name in self._busy:
                self._drained.set(name, now + DRAIN_LIFE)
            elif self._merging.pop(name, None) is not None:
                self._trust_no_more(name)
                self._registrations.reread(name)

    def _trust_no_more(self, name: UserName) -> None:
        """A merge ended, or was never decided: only the homes in his account count."""
        record = self._core.registry.get(name)
        formers.trust(self._core, name, () if record is None else record.account.formers)

    def _forget(self, account: Account) -> None:
        """Only the way to his home is kept."""
        core, name = self._core, account.name
        pointer = Account(name, created=account.created, epoch=max(1, account.epoch - 1), home=account.coming_from)

        def read(answer: UserRead) -> None:
            keys = () if answer.user is None else tuple(device.key for device in answer.user.devices)
            number = self._expect(None, name, devices_gone)
            core.refs.storage.tell(SaveRegistration(core.refs.me, number, name, (), forget=keys))

        def devices_gone(answer: object) -> None:
            number = self._expect(None, name, saved)
            core.refs.storage.tell(SaveAccounts(core.refs.me, number, (pointer,)))

        def saved(answer: object) -> None:
            self._busy.discard(name)
            self._guests.pop(name, None)
            core.registry.put_absent(pointer)
            core.claim((pointer,))
            core.stray.add(name)
            # Whoever spoke of a move that was never decided is to vouch for nobody who comes to live here later.
            formers.trust(core, name, ())

        self._read_user(None, name, read)

    def next(self) -> float | None:
        """Tell when to wake next."""
        times = [time for time in (self._forget_due.next(), self._drained.next()) if time is not None]
        return min(times, default=None)

    # Asking the store, and answering.

    def _read_user(self, item: RelayArrived | None, name: UserName, then: Callable[[UserRead], None]) -> None:
        number = self._expect(item, name, then)
        self._core.refs.storage.tell(ReadUser(self._core.refs.me, number, name))

    def _expect(self, item: RelayArrived | None, name: UserName, then: Callable[[Any], None]) -> int:
        """The next answer of the store about a step; until the step ends, no other begins for this user."""

        def failed(reason: str) -> None:
            self._core.moving.discard(name)
            if item is not None:
                self._end(item, name, 503, f"Failed: {reason}")
            else:
                self._busy.discard(name)
                self._forget_due.set(name, self._core.now() + PREPARED_LIFE)

        self._busy.add(name)
        return self._core.expect(Question(then, failed))

    def _end(self, item: RelayArrived, name: UserName, status: int, reason: str = "") -> None:
        self._busy.discard(name)
        self._answer(item, status, reason)

    def _answer(self, item: RelayArrived, status: int, reason: str = "", *, retry_after: int = 0) -> None:
        core, content = self._core, item.content
        name = content.account.name if isinstance(content, PrepareMove) else getattr(content, "user", UserName(""))
        record = core.registry.get(name)
        reply = Reply(home=core.settings.node, epoch=record.account.epoch if record is not None else 0)
        core.outbox.relays.append(AnswerRelay(item.relay, status, reason, reply, retry_after))


def _claim(account: Account) -> tuple[NodeName, int]:
    return account.coming_from, account.epoch
