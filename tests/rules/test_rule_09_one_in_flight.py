"""Rule 9: one in flight a device; the next only after the acknowledgement before it is on disk."""

from __future__ import annotations

from collections.abc import Sequence

from actors.messages.client_manager import DeliveriesEnded, DeliveryResult
from actors.messages.storage import AcknowledgeMessages
from actors.stores.memory import MemoryStore
from actors.stores.port import Result, Write
from tests.actors.bench import REALM, Bench, flow


def test_a_kill_repeats_one_message_not_a_window() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        for number in range(10):
            bench.send("alice", "bob", b"%d" % number)
        sent = bench.sends()
        assert [request.body for request in sent] == [b"0"]
        bench.restart()
        assert [request.body for request in bench.sends()] == [b"0"]


def test_the_next_goes_only_after_the_commit() -> None:
    committed: list[bool] = []

    class Watching(MemoryStore):
        def commit(self, commands: Sequence[Write]) -> list[Result]:
            results = super().commit(commands)
            committed.append(any(isinstance(command, AcknowledgeMessages) for command in commands))
            return results

    with Bench() as bench:
        bench.crash()
        bench._store = Watching(realm=REALM, clock=bench.clock, disk=bench.disk)
        bench.start()
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", b"one")
        bench.send("alice", "bob", b"two")
        first = bench.send_of()
        committed.clear()
        bench.client_manager.tell(DeliveriesEnded(items=(DeliveryResult(first.delivery, 200, True),)))
        while not any(committed):
            assert bench.sends() == []
            assert bench.simulation.step()
        bench.settle()
        assert bench.send_of().body == b"two"


def test_order_is_that_of_storing_over_restarts() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bodies = [b"%d" % number for number in range(100)]
        for body in bodies[:50]:
            bench.send("alice", "bob", body)
        bench.restart()
        for body in bodies[50:]:
            bench.send("alice", "bob", body)
        assert bench.accept_all() == bodies
