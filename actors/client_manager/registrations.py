"""The way of a REGISTER: prove the user, plan, store, answer with all bindings (RFC 3261 10.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec

from actors.client_manager.core import Core
from actors.client_manager.edge import Edge
from actors.messages.requests import Answer, Registration
from actors.messages.router import GrantOrigin, NamesAreGone
from actors.messages.server_manager import TrustFormers
from actors.messages.storage import ReadUser, SaveProgress, SaveRegistration
from actors.model import POSTMASTER, Account, Device, DeviceKey, Flow, NodeName, TransactionKey, User, UserName
from actors.state.client_registry import GUEST, UserRecord
from actors.state.digest import NonceVerdict
from actors.state.grants import living
from actors.state.registrar import PATH, UNSAVED, Plan, Refusal, contact_lines, plan, without_flow


class Saving(NamedTuple):
    """A registration on its way to the disk."""

    request: Registration
    changed: tuple[DeviceKey, ...]
    new: bool
    """It creates the user."""
    was_online: bool
    """He could be reached before it."""


class SavingDevices(NamedTuple):
    """Changes of devices that no phone waits for."""

    user: UserName


class Rereading(NamedTuple):
    """A user is read again from the disk after a failure."""

    user: UserName


class Registrations:
    """Bindings of devices, by REGISTER and by what is learned of flows."""

    def __init__(self, core: Core, edge: Edge) -> None:
        self._core = core
        self._edge = edge
        self._kept_alive: set[Flow] = set()
        """Stream connections that have shown keep-alives: their bindings may live long."""
        self._to_read: dict[UserName, None] = {}
        """Users to read again at the next flush, behind the acknowledgements that go with it."""
        self._reading: dict[UserName, int] = {}
        """Users being read again, with the number of the question whose answer counts; 0: not asked yet."""
        self._deferred: dict[UserName, list[Registration]] = {}
        self.elsewhere: Callable[[User], None] = _nobody
        """Told of each user read from the disk who does not live here (any more, or yet)."""

    def register(self, request: Registration) -> None:
        """Serve one REGISTER of a phone that is here: its user may live elsewhere."""
        if self._edge.concerns(request.user):
            self._edge.register(request, self, keeps_alive=request.flow in self._kept_alive)
        else:
            self.here(request)

    def here(self, request: Registration) -> None:
        """Judge one REGISTER by what is known here."""
        core, now = self._core, self._core.now()
        if request.user == POSTMASTER:
            core.answer(request.transaction, 403, "This name is reserved")
            return
        token = request.path[-1] if request.flow.transport == PATH else b""
        proof = core.admission.authenticate(request.user, request.credentials, request.flow, now, token)
        if isinstance(proof, tuple) and proof[0] != 401:
            core.answer(request.transaction, *proof)
            core.warn("refused", f"REGISTER from {request.flow.host}: {proof[0]} {proof[1]}", request.user)
        elif isinstance(proof, tuple):
            challenge = core.admission.challenge(request.transaction, request.flow, now, stale=False)
            core.outbox.answers.append(challenge)
        elif isinstance(proof, NonceVerdict) or not core.admission.spend(request.credentials, now):
            challenge = core.admission.challenge(request.transaction, request.flow, now, stale=True)
            core.outbox.answers.append(challenge)
        else:
            self.apply(request)

    def apply(self, request: Registration) -> None:
        """Do what a proved REGISTER asks."""
        core = self._core
        if request.user in core.removing:
            core.answer(request.transaction, 503, "This user is just being removed")
            return
        if request.user in core.frozen or core.registry.absent(request.user) is not None:
            core.answer(request.transaction, 503, "This user is just coming or going")
            return
        if request.user in self._reading:
            self._deferred.setdefault(request.user, []).append(request)
            return
        record = core.registry.get(request.user)
        if record is None and not request.contacts:
            core.answer(request.transaction, 404, "No such user")
            return
        try:
            changes = plan(
                record,
                request,
                core.node_time(),
                keeps_alive=request.flow in self._kept_alive,
                device_life=core.settings.device_life,
            )
        except Refusal as refusal:
            core.outbox.answers.append(
                Answer(
                    transaction=request.transaction,
                    status=refusal.status,
                    reason=refusal.reason,
                    min_expires=refusal.min_expires,
                )
            )
            return
        if record is None and not changes.changed:
            core.answer(request.transaction, 404, "No such user")
        elif changes.changed or changes.forgotten:
            self._save(request, changes, new=record is None)
        else:
            self._confirm(request.transaction, record)

    def _save(self, request: Registration, changes: Plan, *, new: bool) -> None:
        """Put the plan into memory, so that the next REGISTER sees it, and onto the disk; the 200 follows."""
        core, was_online = self._core, self._is_online(request.user)
        if new:
            core.registry.put_account(Account(name=request.user, created=core.clock.wall()))
        for key in changes.forgotten:
            core.registry.drop_device(request.user, key)
            core.deliveries.drop(request.user, key)
        for device in changes.changed:
            core.registry.put_device(request.user, device)
        lasting = tuple(device for device in changes.changed if not device.key.startswith(GUEST))
        forgotten = tuple(key for key in changes.forgotten if not key.startswith(GUEST))
        changed = tuple(device.key for device in changes.changed)
        number = core.expect(Saving(request, changed, new, was_online))
        core.refs.storage.tell(
            SaveRegistration(
                reply_to=core.refs.me,
                request=number,
                user=request.user,
                devices=lasting,
                create=new,
                forget=forgotten,
            )
        )

    def saved(self, what: Saving, stored: Iterable[Device]) -> None:
        """On disk: answer 200, and deliver what waited."""
        core, user = self._core, what.request.user
        record = core.registry.get(user)
        if record is None:  # removed meanwhile
            core.answer(what.request.transaction, 404, "No such user")
            return
        since = {device.key: device.since for device in stored}
        if any(key not in since and not key.startswith(GUEST) for key in what.changed):
            self.save_failed(what)  # another REGISTER was to create the user, and failed
            return
        if what.new:
            core.claim((record.account,), fresh=core.settings.federated)
        fresh = set()
        for key in what.changed:
            device = record.devices.get(key)
            if device is not None and device.since == UNSAVED and key in since:
                core.registry.put_device(user, msgspec.structs.replace(device, since=since[key]))
                fresh.add(key)
        self._confirm(what.request.transaction, record)
        core.outbox.count("registrations_total")
        self._tell_presence(what, user)
        self._deliver(record, what.changed, fresh)

    def _tell_presence(self, what: Saving, user: UserName) -> None:
        online, flow = self._is_online(user), what.request.flow
        if online and not what.was_online:
            self._core.tell("registered", f"{user} is here, at {flow.transport} {flow.host}:{flow.port}", user)
        elif what.was_online and not online:
            self._core.tell("deregistered", f"{user} has deregistered", user)

    def _is_online(self, user: UserName) -> bool:
        record = self._core.registry.get(user)
        return record is not None and any(True for _ in record.bindings(self._core.node_time()))

    def _deliver(self, record: UserRecord, changed: Iterable[DeviceKey], fresh: set[DeviceKey]) -> None:
        core, now = self._core, self._core.now()
        for key in changed:
            device = record.devices.get(key)
            if device is None or not device.bindings:
                continue
            if key in fresh or key.startswith(GUEST):
                core.deliveries.resume(record, device, now)
            core.deliveries.alive(record, device, now)

    def _confirm(self, transaction: TransactionKey, record: UserRecord | None) -> None:
        core = self._core
        lines = contact_lines(record, core.node_time())
        core.outbox.answers.append(Answer(transaction=transaction, status=200, contacts=lines))

    def save_failed(self, what: Saving) -> None:
        """The store failed: answer 500, and believe the disk again."""
        self._core.fail(what.request.transaction)
        self.reread(what.request.user)

    # Flows.

    def seen(self, flow: Flow) -> None:
        """A keep-alive or OPTIONS on a flow."""
        if flow.transport != "udp":
            self._kept_alive.add(flow)
        self._core.deliveries.seen(flow, self._core.now())

    def closed(self, flow: Flow) -> None:
        """A stream connection is gone, and with it the bindings over it; the devices stay."""
        core = self._core
        self._kept_alive.discard(flow)
        for user, key in core.registry.on_flow(flow):
            record = core.registry.get(user)
            device = record.devices.get(key) if record else None
            if device is None:
                continue
            device = without_flow(device, flow)
            if key.startswith(GUEST) and not device.bindings:
                core.registry.drop_device(user, key)
                core.deliveries.drop(user, key)
            else:
                core.registry.put_device(user, device)
                core.outbox.bindings.append((user, key))
            if not self._is_online(user):
                core.tell("connection-closed", f"{user} is away: his connection has ended", user)

    # Writing what no phone waits for.

    def flush(self) -> None:
        """Write devices whose bindings or place in the mailbox changed by themselves."""
        core, outbox = self._core, self._core.outbox
        if self._to_read:
            self._ask()
        if outbox.bindings:
            changed, outbox.bindings = dict.fromkeys(outbox.bindings), []
            for user, key in changed:
                device = self._lasting(user, key)
                if device is not None:
                    number = core.expect(SavingDevices(user))
                    core.refs.storage.tell(
                        SaveRegistration(reply_to=core.refs.me, request=number, user=user, devices=(device,))
                    )
        if outbox.progress:
            moved, outbox.progress = dict.fromkeys(outbox.progress), []
            for user, key in moved:
                device = self._lasting(user, key)
                if device is not None:
                    number = core.expect(SavingDevices(user))
                    core.refs.storage.tell(
                        SaveProgress(reply_to=core.refs.me, request=number, user=user, device=device)
                    )

    def _lasting(self, user: UserName, key: DeviceKey) -> Device | None:
        record = self._core.registry.get(user)
        device = record.devices.get(key) if record and not key.startswith(GUEST) else None
        return device if device is not None and device.since != UNSAVED else None

    # Reading a user again.

    def reread(self, user: UserName) -> None:
        """Read a user again from the disk: what memory has of him may be wrong. Until then nothing is sent to him."""
        self._core.deliveries.pause(user)
        self._to_read[user] = None
        self._reading[user] = 0

    def _ask(self) -> None:
        core = self._core
        users, self._to_read = self._to_read, {}
        for user in users:
            number = self._reading[user] = core.expect(Rereading(user))
            core.refs.storage.tell(ReadUser(reply_to=core.refs.me, request=number, name=user))

    def read(self, number: int, name: UserName, user: User | None) -> None:
        """The disk's word on a user, unless a newer one is asked for."""
        core = self._core
        if self._reading.get(name) != number:
            return
        del self._reading[name]
        if name not in core.moving:
            core.deliveries.release(name)
        core.deliveries.go_on(name)
        if user is None or name in core.removing:
            core.deliveries.drop(name)
            if core.registry.get(name) is not None:
                core.refs.router.tell(NamesAreGone(names=(name,)))
            core.registry.remove(name)
        else:
            if not user.account.is_here and core.registry.get(name) is not None:
                core.refs.router.tell(NamesAreGone(names=(name,)))
            self.loaded(user)
            core.claim((user.account,))
        for request in self._deferred.pop(name, ()):
            self.apply(request)

    def read_failed(self, what: Rereading) -> None:
        """The store failed on this too: who waits for it is told, and it is asked again."""
        for request in self._deferred.pop(what.user, ()):
            self._core.fail(request.transaction)
        self._core.repeat.append(what)

    def loaded(self, user: User) -> None:
        """A user was read from the disk: put him into memory, and look at what waits for him."""
        core, account = self._core, user.account
        if not account.is_here:
            core.deliveries.drop(account.name)
            core.registry.put_absent(account)
            self.elsewhere(user)
            return
        if account.coming_from:
            core.deliveries.hold(account.name)
        record = core.registry.load(user)
        self._grant(record)
        if user.waiting:
            for device in list(record.devices.values()):
                core.deliveries.resume(record, device, core.now())

    def _grant(self, record: UserRecord) -> None:
        """What he sent through other nodes before a restart may still be on its way (PROTOCOL 25)."""
        core = self._core
        ends: dict[NodeName, float] = {}
        for device in record.devices.values():
            for binding in device.bindings:
                if binding.flow.transport == PATH:
                    edge = NodeName(binding.flow.host)
                    ends[edge] = max(ends.get(edge, 0.0), binding.expires)
        life = core.settings.message_life
        if formers := living(record.account.formers, core.node_time()):
            core.refs.server_manager.tell(TrustFormers(record.account.name, formers))
        for former in formers:
            ends[former.node] = max(ends.get(former.node, 0.0), former.until - life)
        for edge, expires in ends.items():
            seconds = expires + life - core.node_time()
            if seconds > 0:
                core.refs.router.tell(GrantOrigin(name=record.account.name, node=edge, seconds=seconds))


def _nobody(user: User) -> None:
    """Nobody cares."""
