"""Short ways to make what a store is given."""

from __future__ import annotations

from typing import Any

from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    DropMessages,
    EndItem,
    EndMessages,
    ForgetNeighbour,
    LinkMark,
    MoveItem,
    MoveMessages,
    SaveAccounts,
    SavedNeighbour,
    SaveNeighbour,
    SaveProgress,
    SaveRegistration,
    SettleMove,
    StoreItem,
    StoreMessages,
    StoreResult,
)
from actors.model import (
    Account,
    Binding,
    Device,
    DeviceKey,
    End,
    Envelope,
    Flow,
    MessageId,
    NodeName,
    Proof,
    QueueName,
    Seconds,
    Seq,
    UserName,
    mailbox_queue,
)
from actors.stores.port import Store
from actors.testing import Probe

NOBODY = Probe("nobody")
ALICE = UserName("alice")
BOB = UserName("bob")
BOBS = mailbox_queue(BOB)
PHONE = DeviceKey("instance:urn:uuid:phone")
DESK = DeviceKey("instance:urn:uuid:desk")
LIFE = Seconds(432_000.0)


def envelope(name: str, to: UserName = BOB, body: bytes = b"", notice: bool = False) -> Envelope:
    return Envelope(
        id=MessageId(name),
        sender=ALICE,
        recipient=to,
        call_id=name.encode() + b"@phone",
        headers=((b"Content-Type", b"text/plain"),),
        body=body or b"body of " + name.encode(),
        accepted=1_600_000_000.0,
        proof=Proof.DIGEST,
        notice=notice,
    )


def key_of(name: str) -> bytes:
    return name.encode().ljust(16, b".")[:16]


def item(name: str, to: UserName = BOB, life: Seconds = LIFE, **more: Any) -> StoreItem:
    body = more.pop("body", b"")
    more.setdefault("key", key_of(name))
    return StoreItem(queue=mailbox_queue(to), envelope=envelope(name, to, body), life=life, **more)


def store(*items: StoreItem, request: int = 1, reply_to: Any = NOBODY) -> StoreMessages:
    return StoreMessages(reply_to=reply_to, request=request, items=items)


def ack(
    seq: int,
    name: str,
    *,
    remove: bool = True,
    close: bool = True,
    device: DeviceKey = PHONE,
    user: UserName = BOB,
    end: End | None = None,
    notice: StoreItem | None = None,
) -> Acknowledgement:
    return Acknowledgement(
        seq=Seq(seq),
        user=user,
        device=device,
        id=MessageId(name),
        remove=remove,
        close=close,
        end=end,
        notice=notice,
        sender=ALICE,
        accepted=1_600_000_000.0,
    )


def acknowledge(*items: Acknowledgement, request: int = 2, reply_to: Any = NOBODY) -> AcknowledgeMessages:
    return AcknowledgeMessages(reply_to=reply_to, request=request, items=items)


def end(seq: int, name: str, how: End = End.EXPIRED, notice: StoreItem | None = None) -> EndMessages:
    item_ = EndItem(
        seq=Seq(seq),
        id=MessageId(name),
        sender=ALICE,
        recipient=BOB,
        accepted=1.0,
        end=how,
        reason="too old",
        notice=notice,
    )
    return EndMessages(reply_to=NOBODY, request=3, items=(item_,))


def device(key: DeviceKey = PHONE, *, since: int = -1, seen: float = 0.0, contact: bytes = b"", **more: Any) -> Device:
    bindings = (binding(contact),) if contact else ()
    cursor = Seq(more.pop("cursor", 0))
    return Device(key=key, since=Seq(since), cursor=cursor, seen=seen, bindings=bindings, **more)


def binding(contact: bytes = b"sip:bob@127.0.0.1:5070") -> Binding:
    return Binding(
        contact=contact,
        flow=Flow("udp", 0, "127.0.0.1", 5070),
        expires=3600.0,
        call_id=b"register@phone",
        cseq=7,
        aor_host="localhost",
        params=((b"+sip.instance", b'"<urn:uuid:phone>"'),),
    )


def register(*devices: Device, user: UserName = BOB, create: bool = True, **more: Any) -> SaveRegistration:
    more.setdefault("reply_to", NOBODY)
    return SaveRegistration(request=4, user=user, devices=devices, create=create, **more)


def progress(saved: Device, user: UserName = BOB) -> SaveProgress:
    return SaveProgress(reply_to=NOBODY, request=5, user=user, device=saved)


def accounts(*names: str, reply_to: Any = NOBODY, request: int = 6, **more: Any) -> SaveAccounts:
    saved = tuple(Account(UserName(name), "md5", "sha", 1.0, **more) for name in names)
    return SaveAccounts(reply_to=reply_to, request=request, accounts=saved)


def mark(row: int, *, node: str = "b", incarnation: str = "first", floor: int = 0) -> LinkMark:
    """A hand-over from a neighbour."""
    return LinkMark(NodeName(node), incarnation, Seq(row), Seq(floor))


def moving(*items: MoveItem) -> MoveMessages:
    return MoveMessages(reply_to=NOBODY, request=7, items=items)


def moved(held: Store, *items: MoveItem) -> tuple[StoreResult, ...]:
    """Move these and return the results."""
    (results,) = held.commit([moving(*items)])
    assert results is not None
    return results  # type: ignore[return-value]  # of MoveMessages they are StoreResults


def drop(*seqs: int) -> DropMessages:
    return DropMessages(reply_to=NOBODY, request=8, seqs=tuple(map(Seq, seqs)))


def settled(account: Account) -> SettleMove:
    return SettleMove(reply_to=NOBODY, request=9, account=account)


def save_neighbour(node: str, address: str) -> SaveNeighbour:
    return SaveNeighbour(reply_to=NOBODY, request=10, neighbour=SavedNeighbour(NodeName(node), address))


def forget_neighbour(node: str) -> ForgetNeighbour:
    return ForgetNeighbour(reply_to=NOBODY, request=11, node=NodeName(node))


def of_queue(held: Store, queue: QueueName) -> list[str]:
    """The ids in a queue, in order."""
    messages, more = held.read_queue(queue, Seq(0), 1000, 1 << 30, ())
    assert not more
    return [message.envelope.id for message in messages]


def stored(held: Store, *items: StoreItem) -> tuple[StoreResult, ...]:
    """Store these and return the results."""
    (results,) = held.commit([store(*items)])
    assert results is not None
    return results  # type: ignore[return-value]  # of StoreMessages they are StoreResults


def waiting(held: Store, user: UserName = BOB) -> list[str]:
    """The ids in a mailbox, in order."""
    return of_queue(held, mailbox_queue(user))
