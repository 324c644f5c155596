"""How many messages the store alone takes and gives up again: insert, ledger, delete and end, each durable.

Run `python -m benchmarks.store [--seconds S] [--ledger ROWS] [--stored ROWS]`. It drives the Storage actor as a node
does: lists of messages, a few commands under way at a time, each acknowledged as soon as it is stored.
"""

from __future__ import annotations

import argparse
import os
import queue
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.base import Context, start_actor
from actors.messages.lifecycle import ActorFailed
from actors.messages.storage import (
    Acknowledgement,
    AcknowledgeMessages,
    MessagesAcknowledged,
    MessagesStored,
    OpenStore,
    ReadStoreStats,
    StoreItem,
    StoreMessages,
    StoreOutcome,
    StoreStatsRead,
)
from actors.model import DeviceKey, End, Envelope, MessageId, Proof, Seconds, UserName, mailbox_queue
from actors.ref import ActorRef, DeadLetters
from actors.runtime import SystemClock, ThreadRuntime, ThreadScheduler
from actors.storage import Storage
from actors.stores.sqlite import SqliteStore
from benchmarks.report import show

USERS = 100
BODY = b"x" * 100
PREPARED = 150_000
LIFE = Seconds(432_000.0)


class Inbox:
    """A `Ref` that the measuring thread reads."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.tell = self._queue.put

    def get(self) -> Any:
        """The next message; fails after a minute."""
        return self._queue.get(timeout=60)


class Failures:
    """A supervisor that prints what it hears."""

    def tell(self, message: ActorFailed) -> None:
        """Print it."""
        print(message.trace)


def item(number: int) -> StoreItem:
    """A message of about 100 bytes, its id and key as a node makes them."""
    recipient = UserName(f"user{number % USERS}")
    envelope = Envelope(
        id=MessageId(f"0192f3a4c5-9f86d0818843-{number:08x}"),
        sender=UserName("alice"),
        recipient=recipient,
        call_id=b"%d-4711@127.0.0.1" % number,
        headers=((b"Content-Type", b"text/plain"),),
        body=BODY,
        accepted=time.time(),
        proof=Proof.DIGEST,
    )
    return StoreItem(os.urandom(16), mailbox_queue(recipient), envelope, LIFE)


def acknowledgement(stored: StoreItem, seq: Any) -> Acknowledgement:
    """The only device of the recipient is done with it."""
    envelope = stored.envelope
    return Acknowledgement(
        seq=seq,
        user=envelope.recipient,
        device=DeviceKey("instance:urn:uuid:1"),
        id=envelope.id,
        remove=True,
        close=True,
        end=End.DELIVERED,
        sender=envelope.sender,
        accepted=envelope.accepted,
    )


@contextmanager
def storage(folder: Path) -> Iterator[ActorRef[Any]]:
    """A Storage actor on a thread, as in a node."""
    scheduler = ThreadScheduler()
    clock = SystemClock()
    context = Context(clock, scheduler, Failures(), DeadLetters())
    store = SqliteStore(data_dir=folder, realm=None, clock=clock)
    ref = start_actor(Storage, ThreadRuntime(), context, store=store, monitor=Inbox())
    try:
        yield ref
    finally:
        ref.pykka_ref.stop()
        scheduler.stop()


def cycle(ref: ActorRef[Any], seconds: float, size: int, under_way: int) -> dict[str, float | int]:
    """Store and acknowledge for so long, `size` messages a command, `under_way` commands at a time."""
    inbox = Inbox()
    prepared = [item(number) for number in range(PREPARED)]
    portions = [tuple(prepared[at : at + size]) for at in range(0, PREPARED - size + 1, size)]
    longest = 0.0
    sent: dict[int, tuple[float, tuple[StoreItem, ...]]] = {}
    number = 0
    done = 0
    commits = _stats(ref).commits
    cpu = time.process_time()
    start = time.monotonic()
    end = start + seconds

    def submit() -> None:
        nonlocal number
        sent[number] = (time.monotonic(), portions[number])
        ref.tell(StoreMessages(inbox, number, portions[number]))
        number += 1

    for _ in range(under_way):
        submit()
    while sent:
        answer = inbox.get()
        began, portion = sent[answer.request]
        longest = max(longest, time.monotonic() - began)
        if isinstance(answer, MessagesStored):
            items = [acknowledgement(i, r.seq) for i, r in zip(portion, answer.results, strict=True)]
            assert all(result.outcome is StoreOutcome.STORED for result in answer.results)
            sent[answer.request] = (time.monotonic(), portion)
            ref.tell(AcknowledgeMessages(inbox, answer.request, tuple(items)))
        else:
            assert isinstance(answer, MessagesAcknowledged)
            del sent[answer.request]
            done += len(portion)
            if time.monotonic() < end and number < len(portions):
                submit()
    took = time.monotonic() - start
    cpu = time.process_time() - cpu
    after = _stats(ref)
    return {
        "messages_per_command": size,
        "messages_per_s": done / took,
        "cpu_us_per_message": cpu / done * 1e6,
        "commits_per_s": (after.commits - commits) / took,
        "longest_answer_ms": longest * 1000,
        "left_in_store": after.messages,
    }


def _stats(ref: ActorRef[Any]) -> StoreStatsRead:
    inbox = Inbox()
    ref.tell(ReadStoreStats(inbox, 1))
    stats = inbox.get()
    assert isinstance(stats, StoreStatsRead)
    return stats


def fill(ref: ActorRef[Any], rows: int, *, keep: bool) -> None:
    """Have `rows` messages go through the store; `keep` leaves them there, else only the ledger knows them."""
    inbox = Inbox()
    for start in range(0, rows, 2000):
        portion = tuple(item(start + n + PREPARED) for n in range(min(2000, rows - start)))
        ref.tell(StoreMessages(inbox, 0, portion))
        answer = inbox.get()
        if not keep:
            gone = [acknowledgement(i, r.seq) for i, r in zip(portion, answer.results, strict=True)]
            ref.tell(AcknowledgeMessages(inbox, 0, tuple(gone)))
            inbox.get()


def start_up(folder: Path) -> float:
    """Seconds until a Storage actor has opened this folder and serves."""
    inbox = Inbox()
    begun = time.monotonic()
    with storage(folder) as ref:
        ref.tell(OpenStore(inbox, 1))
        inbox.get()
        return time.monotonic() - begun


def main() -> None:
    """Measure with an empty store, then with a long ledger and many messages if asked for."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=4.0)
    arguments.add_argument("--ledger", type=int, default=0, help="rows in the ledger before the second run")
    arguments.add_argument("--stored", type=int, default=0, help="messages in custody for the start-up run (D9)")
    arguments.add_argument("--folder", type=Path, default=None, help="where the data folder is made (a real disk)")
    options = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="angarium-bench-", dir=options.folder))
    try:
        with storage(folder / "a") as ref:
            for size in (1, 8, 32):
                show("store", cycle(ref, options.seconds, size, under_way=max(4, 256 // size)))
            if options.ledger:
                fill(ref, options.ledger, keep=False)
                figures = cycle(ref, options.seconds, 32, under_way=8)
                show("store-ledger", {"ledger_rows": options.ledger, **figures})
        if options.stored:
            with storage(folder / "b") as ref:
                fill(ref, options.stored, keep=True)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            show("D9-store", {"n": options.stored, "ready_s": start_up(folder / "b"), "peak_mb": memory})
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
