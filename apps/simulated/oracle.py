"""The oracle: hears what phones sent and got and what the disk holds, and names every broken promise.

It stands outside the product: phones and disk tell it facts, and it compares them. A message counts as accepted
when its sender's phone saw a 2xx; from then on it must be in a mailbox, in the store, or failed with a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    EndItem,
    EndMessages,
    SaveProgress,
    SaveRegistration,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    StoreResult,
)
from actors.model import Device, End, MessageId, Proof
from actors.state.ids import notice_id
from actors.state.notices import PER_MINUTE
from actors.stores.port import Write

IN_THE_AIR = 1.0
"""Seconds that a datagram takes at most, so that one may arrive although its answer came onto the disk meanwhile."""


class Sent(msgspec.Struct):
    """One message a phone sent, and the answer it saw: 0 for none."""

    body: bytes
    sender: str
    recipient: str
    device: str
    at: float
    boot: int
    """Which run of the node it began in."""
    lasting: bool = True
    """It may wait as long as it likes; else it expires soon."""
    status: int | None = None
    id: str = ""
    last_boot: int = 0
    """Which run of the node its answer came in."""


class Stored(msgspec.Struct):
    """One message that the disk took, and which devices its recipient had by then."""

    id: str
    seq: int
    recipient: str
    body: bytes
    notice: bool
    proof: Proof
    devices: frozenset[str]


class Oracle:
    """All that was seen in a world; `violations` are broken promises, in words."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.sent: dict[bytes, Sent] = {}
        self.stored: dict[str, Stored] = {}
        self.ended: dict[str, End] = {}
        self.mailboxes: dict[str, list[str]] = {}
        """Message ids by device, in the order they first came."""
        self.repeats = 0
        """Messages a phone got again although it answered, because its answer was not on disk: allowed."""
        self.boot = 0
        self._bodies: dict[str, dict[bytes, str]] = {}
        self._newest: dict[str, int] = {}
        self._acknowledged: dict[tuple[str, str], float] = {}
        """When a device's answer to a message came onto the disk."""
        self._aside: dict[str, set[int]] = {}
        self._devices: dict[str, set[str]] = {}

    def complain(self, what: str) -> None:
        """Name a broken promise."""
        self.violations.append(what)

    # What phones tell.

    def sending(self, sender: str, recipient: str, device: str, now: float, *, lasting: bool) -> bytes:
        """A phone is about to send; gives the body to send, the only one of its kind."""
        body = b"message %d from %b" % (len(self.sent) + 1, sender.encode())
        self.sent[body] = Sent(body, sender, recipient, device, now, self.boot, lasting)
        return body

    def answered(self, body: bytes, status: int, message: str, now: float) -> None:
        """A phone saw the final answer to its message; 0: none came in time."""
        sent = self.sent[body]
        sent.status, sent.id, sent.last_boot = status, message, self.boot
        if 200 <= status < 300 and message not in self.stored:
            self.complain(f"{body!r} was answered {status} and is not on disk")

    def received(self, user: str, device: str, message: str, body: bytes, now: float) -> None:
        """A phone took a message that its transactions did not know, and answers 200."""
        mailbox = self.mailboxes.setdefault(device, [])
        stored = self.stored.get(message)
        if stored is None:
            self.complain(f"{device} got {body!r} ({message}), which was never on disk")
            return
        if stored.recipient != user:
            self.complain(f"{device} of {user} got {body!r}, which is for {stored.recipient}")
        if message in mailbox:
            self.repeats += 1
            if now - self._acknowledged.get((device, message), now) > IN_THE_AIR:
                self.complain(f"{device} got {body!r} again at {now:.3f} although its 200 was on disk")
            return
        bodies = self._bodies.setdefault(device, {})
        if body in bodies and body in self.sent:
            self.complain(f"{device} got {body!r} twice, as {bodies[body]} and {message}")
        bodies[body] = message
        newest = self._newest.get(device, 0)
        if stored.seq < newest and stored.seq not in self._aside.get(device, ()):
            self.complain(f"{device} got {body!r} (seq {stored.seq}) after seq {newest}")
        self._newest[device] = max(newest, stored.seq)
        mailbox.append(message)

    # What the disk tells.

    def committed(self, commands: Collection[Write], results: Collection[Any], now: float) -> None:
        """These commands are on disk, with these results."""
        before = {user: frozenset(devices) for user, devices in self._devices.items()}
        for command, result in zip(commands, results, strict=True):
            match command:
                case StoreMessages():
                    for item, outcome in zip(command.items, result, strict=True):
                        self._store(item, outcome, before)
                case AcknowledgeMessages() | EndMessages():
                    self._end(command.items, result, before, now)
                case SaveRegistration():
                    known = self._devices.setdefault(command.user, set())
                    known.update(device.key for device in command.devices)
                    known.difference_update(command.forget)
                    self._note_aside(command.devices)
                case SaveProgress():
                    self._note_aside((command.device,))
                case _:
                    pass

    def _store(self, item: StoreItem, result: StoreResult, devices: dict[str, frozenset[str]]) -> None:
        if result.outcome is not StoreOutcome.STORED:
            return
        envelope = item.envelope
        if envelope.id in self.stored:
            self.complain(f"the id {envelope.id} was stored twice")
        self.stored[envelope.id] = Stored(
            id=envelope.id,
            seq=result.seq,
            recipient=envelope.recipient,
            body=envelope.body,
            notice=envelope.notice,
            proof=envelope.proof,
            devices=devices.get(envelope.recipient, frozenset()),
        )

    def _end(
        self,
        items: Collection[Acknowledgement | EndItem],
        notices: Collection[StoreResult],
        devices: dict[str, frozenset[str]],
        now: float,
    ) -> None:
        results = iter(notices)
        for item in items:
            if isinstance(item, Acknowledgement):
                self._acknowledged.setdefault((item.device, item.id), now)
            if item.end is not None:
                self.ended[item.id] = item.end
            if item.notice is not None:
                self._store(item.notice, next(results), devices)

    def _note_aside(self, devices: Collection[Device]) -> None:
        for device in devices:
            self._aside.setdefault(device.key, set()).update(device.aside)

    # The verdict.

    def accepted(self) -> list[Sent]:
        """Messages whose senders saw a 2xx."""
        return [sent for sent in self.sent.values() if sent.status is not None and 200 <= sent.status < 300]

    def judge(self, waiting: Collection[str], refuses: Callable[[str, bytes], bool]) -> list[str]:
        """Compare everything once the world is quiet; gives all violations.

        `waiting`: ids that are still in the store. `refuses`: whether a device refuses a body for good.
        """
        for message in waiting:
            stored = self.stored.get(message)
            if stored is not None:
                self.complain(f"{stored.body!r} for {stored.recipient} still waits although all is well")
        for sent in self.accepted():
            self._judge_accepted(sent, waiting, refuses)
        for stored in self.stored.values():
            self._judge_stored(stored, waiting)
        for sent in self.sent.values():
            refused = sent.status is not None and sent.status >= 300
            if refused and sent.boot == sent.last_boot and self._takers(sent.body):
                self.complain(f"{sent.body!r} was refused with {sent.status} and delivered")
        return self.violations

    def _judge_accepted(self, sent: Sent, waiting: Collection[str], refuses: Callable[[str, bytes], bool]) -> None:
        stored = self.stored.get(sent.id)
        if stored is None or sent.id in waiting:
            return
        takers = self._takers(sent.body)
        notice = self.stored.get(notice_id(MessageId(sent.id)))
        end = self.ended.get(sent.id)
        if not takers and (end in (None, End.DELIVERED) or (notice is None and self._is_owed(sent, stored))):
            self.complain(f"{sent.body!r} ({sent.id}) was accepted and is lost (end: {end})")
        if notice is not None and any((taker, sent.id) in self._acknowledged for taker in takers):
            self.complain(f"{sent.body!r} was delivered, and its sender told that it was not")
        for device in sorted(stored.devices):
            if sent.lasting and not refuses(device, sent.body) and sent.id not in self.mailboxes.get(device, ()):
                self.complain(f"{device} never got {sent.body!r} ({sent.id}), its copy is gone")

    def _is_owed(self, sent: Sent, stored: Stored) -> bool:
        """Whether the sender must be told of a failure: not if he was not proved, or told too often already."""
        told = sum(other.notice and other.recipient == sent.sender for other in self.stored.values())
        return stored.proof is not Proof.OPEN and told < PER_MINUTE

    def _judge_stored(self, stored: Stored, waiting: Collection[str]) -> None:
        if stored.id not in waiting and stored.id not in self.ended:
            self.complain(f"{stored.body!r} ({stored.id}) left the store without an end")

    def _takers(self, body: bytes) -> list[str]:
        return [device for device, bodies in self._bodies.items() if body in bodies]
