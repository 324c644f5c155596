"""The oracle: hears what phones sent and got and what the disks hold, and names every broken promise.

It stands outside the product: phones and disks tell it facts, and it compares them. A message counts as accepted
when its sender's phone saw a 2xx; from then on it must be in a mailbox, on a disk, or failed with a notice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Protocol

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
)
from actors.model import Device, End, MessageId, Proof, Seq
from actors.state.ids import notice_id
from actors.state.notices import PER_MINUTE
from actors.stores.port import Write
from apps.simulated.custody import Custody, Shelf

IN_THE_AIR = 1.0
"""Seconds that a datagram takes at most, so that one may arrive although its answer came onto the disk meanwhile."""

DISPUTED = "The home of its sender refused it"
"""Why a message of an open network may end although its recipient exists: two nodes have its sender's name, and it was
not merged yet (PROTOCOL 23, 25)."""


class Sent(msgspec.Struct):
    """One message a phone sent, and the answer it saw: 0 for none."""

    body: bytes
    sender: str
    recipient: str
    device: str
    at: float
    node: str
    """Where it was sent to."""
    boot: int
    """Which run of that node it began in."""
    lasting: bool = True
    """It may wait as long as it likes; else it expires soon."""
    status: int | None = None
    reason: str = ""
    id: str = ""
    answered: float = 0.0
    last_boot: int = 0
    """Which run of the node its answer came in."""


class Stored(msgspec.Struct):
    """One message that a disk took; and once it is at its home, its place there and its recipient's devices by then."""

    id: str
    recipient: str
    body: bytes
    notice: bool
    proof: Proof
    first: int = 0
    """When it came to its home, counted over all messages; 0: not yet."""
    number: int = 0
    """The same, counted anew if its user moves."""
    place: tuple[str, int] = ("", 0)
    devices: frozenset[str] = frozenset()


class Disk(Shelf, Protocol):
    """What the oracle sees of a node's store."""

    def aside(self, user: str) -> dict[str, tuple[Seq, ...]]:
        """Of each device of a user, which messages stepped aside."""


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
        self.boots: dict[str, int] = {}
        """How often each node was started."""
        self.one_home = True
        """No user has two homes at once, as in an open network that is parted: then order holds over moves, too."""
        self.calm = True
        """No fault has happened yet."""
        self.custody = Custody(self.complain, self._entered)
        self._bodies: dict[str, dict[bytes, str]] = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._acknowledged: dict[tuple[str, str], float] = {}
        """When a device's answer to a message came onto the disk."""
        self._aside: dict[str, set[tuple[str, int]]] = {}
        self._devices: dict[tuple[str, str], set[str]] = {}
        self._before: dict[tuple[str, str], frozenset[str]] = {}
        self._reasons: dict[str, str] = {}
        self._numbers = 0
        self._known: dict[str, float] = {}
        """Since when each user has had a device on some disk."""

    def complain(self, what: str) -> None:
        """Name a broken promise."""
        self.violations.append(what)

    def shaken(self) -> None:
        """A fault is about to happen: ways may change now, so order over several nodes is not promised any more."""
        self.calm = False

    # What phones tell.

    def sending(self, sender: str, recipient: str, device: str, node: str, now: float, *, lasting: bool) -> bytes:
        """A phone is about to send; gives the body to send, the only one of its kind."""
        body = b"message %d from %b" % (len(self.sent) + 1, sender.encode())
        boot = self.boots.get(node, 0)
        self.sent[body] = Sent(body, sender, recipient, device, now, node, boot, lasting)
        return body

    def answered(self, body: bytes, status: int, message: str, now: float, reason: str = "") -> None:
        """A phone saw the final answer to its message; 0: none came in time."""
        sent = self.sent[body]
        sent.status, sent.id, sent.answered, sent.last_boot = status, message, now, self.boots.get(sent.node, 0)
        sent.reason = reason
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
        if not stored.number:
            self.complain(f"{device} got {body!r} ({message}), which was never in a mailbox")
        if message in mailbox:
            self.repeats += 1
            if now - self._acknowledged.get((device, message), now) > IN_THE_AIR:
                self.complain(f"{device} got {body!r} again at {now:.3f} although its 200 was on disk")
            return
        bodies = self._bodies.setdefault(device, {})
        if body in bodies and body in self.sent:
            self.complain(f"{device} got {body!r} twice, as {bodies[body]} and {message}")
        bodies[body] = message
        line = (device, "" if self.one_home else stored.place[0])
        newest = self._newest.get(line, 0)
        if stored.number < newest and stored.place not in self._aside.get(device, ()):
            self.complain(f"{device} got {body!r} (number {stored.number} at its home) after number {newest}")
        self._newest[line] = max(newest, stored.number)
        mailbox.append(message)

    # What the disks tell.

    def committed(
        self, node: str, disk: Disk, commands: Collection[Write], results: Collection[Any], now: float
    ) -> None:
        """These commands are on this node's disk, with these results."""
        self._before = {key: frozenset(devices) for key, devices in self._devices.items() if key[0] == node}
        for command, result in zip(commands, results, strict=True):
            match command:
                case StoreMessages():
                    for item, outcome in zip(command.items, result, strict=True):
                        if outcome.outcome is StoreOutcome.STORED:
                            self._store(node, disk, item)
                case AcknowledgeMessages() | EndMessages():
                    self._end(node, disk, command.items, result, now)
                case SaveRegistration():
                    self._known.setdefault(command.user, now)
                    known = self._devices.setdefault((node, command.user), set())
                    known.update(device.key for device in command.devices)
                    known.difference_update(command.forget)
                    self._note_aside(node, command.devices)
                case SaveProgress():
                    self._note_aside(node, (command.device,))
                case _:
                    pass
        self.custody.committed(node, disk, commands, results)

    def _store(self, node: str, disk: Disk, item: StoreItem) -> None:
        envelope = item.envelope
        known = self.stored.get(envelope.id)
        if known is None:
            self.stored[envelope.id] = Stored(
                id=envelope.id,
                recipient=envelope.recipient,
                body=envelope.body,
                notice=envelope.notice,
                proof=envelope.proof,
            )
        elif known.body != envelope.body or known.recipient != envelope.recipient:
            self.complain(f"the id {envelope.id} names two messages: {known.body!r} and {envelope.body!r}")
        if item.done:
            for device, seqs in disk.aside(envelope.recipient).items():
                self._aside.setdefault(device, set()).update((node, seq) for seq in seqs)

    def _entered(self, message: str, node: str, seq: int) -> None:
        """It stands in a mailbox."""
        self._numbers += 1
        stored = self.stored[message]
        stored.number = self._numbers
        stored.place = (node, seq)
        if not stored.first:
            stored.first = self._numbers
            stored.devices = self._before.get((node, stored.recipient), frozenset())

    def _end(
        self, node: str, disk: Disk, items: Collection[Acknowledgement | EndItem], notices: Collection[Any], now: float
    ) -> None:
        results = iter(notices)
        for item in items:
            if isinstance(item, Acknowledgement):
                self._acknowledged.setdefault((item.device, item.id), now)
            if item.end is not None:
                if self.ended.get(item.id, item.end) is not item.end:  # that other devices do not take it is no new end
                    self.complain(f"{item.id} ended twice: {self.ended[item.id]}, and {item.end} at {node}")
                self.ended[item.id] = item.end
                self._reasons[item.id] = item.reason
            if item.notice is not None and next(results).outcome is StoreOutcome.STORED:
                self._store(node, disk, item.notice)

    def _note_aside(self, node: str, devices: Collection[Device]) -> None:
        for device in devices:
            self._aside.setdefault(device.key, set()).update((node, seq) for seq in device.aside)

    # The verdict.

    def accepted(self) -> list[Sent]:
        """Messages whose senders saw a 2xx."""
        return [sent for sent in self.sent.values() if sent.status is not None and 200 <= sent.status < 300]

    def judge(self, waiting: Collection[str], refuses: Callable[[str, bytes], bool], *, rest: bool = True) -> list[str]:
        """Compare everything once the world is quiet; gives all violations.

        `waiting`: ids that are still on a disk. `refuses`: whether a device refuses a body for good. `rest`: nothing
        has a reason to wait any more.
        """
        for message in waiting if rest else ():
            stored = self.stored.get(message)
            if stored is not None:
                self.complain(f"{stored.body!r} for {stored.recipient} still waits although all is well")
        for sent in self.accepted():
            self._judge_accepted(sent, waiting, refuses)
        for stored in self.stored.values():
            self._judge_stored(stored, waiting)
        for sent in self.sent.values():
            if sent.status == 404 and self._is_known(sent) and not sent.reason.startswith(DISPUTED):
                self.complain(f"{sent.body!r} was refused with 404, and {sent.recipient} exists")
            refused = sent.status is not None and sent.status >= 300
            if refused and sent.boot == sent.last_boot and self._takers(sent.body):
                self.complain(f"{sent.body!r} was refused with {sent.status} and delivered")
        if self.calm:
            self._judge_order()
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
        reason = self._reasons.get(sent.id, "")
        if end is End.UNDELIVERABLE and self._is_known(sent) and not reason.startswith(DISPUTED):
            self.complain(f"{sent.body!r} ended as undeliverable ({reason}), and {sent.recipient} exists")
        if notice is not None and any((taker, sent.id) in self._acknowledged for taker in takers):
            self.complain(f"{sent.body!r} was delivered, and its sender told that it was not")
        for device in sorted(stored.devices):
            if sent.lasting and not refuses(device, sent.body) and sent.id not in self.mailboxes.get(device, ()):
                self.complain(f"{device} never got {sent.body!r} ({sent.id}), its copy is gone")

    def _is_known(self, sent: Sent) -> bool:
        return self._known.get(sent.recipient, sent.at) < sent.at

    def _is_owed(self, sent: Sent, stored: Stored) -> bool:
        """Whether the sender must be told of a failure: not if he was not proved, or told too often already."""
        told = sum(other.notice and other.recipient == sent.sender for other in self.stored.values())
        return stored.proof is not Proof.OPEN and told < PER_MINUTE

    def _judge_stored(self, stored: Stored, waiting: Collection[str]) -> None:
        if stored.id not in waiting and stored.id not in self.ended:
            self.complain(f"{stored.body!r} ({stored.id}) left the disks without an end")

    def _judge_order(self) -> None:
        """What one phone sent to one user after an earlier message was accepted is stored behind that at the home."""
        by_way: dict[tuple[str, str, str], list[Sent]] = {}
        for sent in self.accepted():
            if sent.id in self.stored and self.stored[sent.id].first:
                by_way.setdefault((sent.device, sent.recipient, sent.node), []).append(sent)
        for sents in by_way.values():
            for sent in sents:
                first = self.stored[sent.id].first
                for other in sents:
                    if other.answered <= sent.at and other.status and self.stored[other.id].first > first:
                        self.complain(f"{sent.body!r} overtook {other.body!r} on the way to {sent.recipient}")

    def _takers(self, body: bytes) -> list[str]:
        return [device for device, bodies in self._bodies.items() if body in bodies]
