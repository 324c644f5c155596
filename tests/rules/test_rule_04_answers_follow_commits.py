"""Rule 4: an I/O error at commit answers nothing and ends the process; a full disk still records acknowledgements."""

from __future__ import annotations

from collections.abc import Sequence

from actors.messages.client_manager import SubmitMessages
from actors.stores.memory import MemoryStore
from actors.stores.port import Result, StoreFailed, Write
from tests.actors.bench import REALM, Bench, flow


class FailingStore(MemoryStore):
    """Its disk fails when it is told to."""

    broken = False

    def commit(self, commands: Sequence[Write]) -> list[Result]:
        if self.broken:
            raise StoreFailed("I/O error")
        return super().commit(commands)


def test_after_an_io_error_nobody_is_answered_and_the_process_is_to_end() -> None:
    with Bench() as bench:
        bench.crash()
        store = FailingStore(realm=REALM, clock=bench.clock, disk=bench.disk)
        bench._store = store
        bench.start()
        bench.register("bob", over=flow(2))
        store.broken = True
        request = bench.submission("alice", "bob")
        bench.tell(SubmitMessages(items=(request,)))
        assert bench.answers(request) == []
        store.broken = False  # a retried fsync would succeed; nobody may believe it
        again = bench.submission("alice", "bob")
        bench.tell(SubmitMessages(items=(again,)))
        assert bench.answers(again) == []
        assert bench.failures.pop().fatal
        bench.failures.clear()


def test_on_a_full_disk_acknowledgements_are_recorded_and_new_mail_refused() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        for number in range(20):
            bench.send("alice", "bob", b"%d" % number * 3000)
        bench.disk.fill()
        refused = bench.send("alice", "bob", b"x" * 60_000)
        assert refused.status == 503
        assert 1 <= refused.retry_after <= 5
        assert len(bench.accept_all()) == 20
        assert bench.waiting() == 0
        bench.disk.empty()
        bench.advance(5)
        assert bench.send("alice", "bob").status == 202
