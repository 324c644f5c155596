"""Rule 3: an id is never minted twice, not even by a restored backup; a client's own id counts for himself only."""

from __future__ import annotations

from random import Random

from actors.state.ids import IdMint
from tests.actors.bench import Bench, flow


def test_a_restored_backup_mints_other_ids() -> None:
    random = Random(1)
    first, restored = IdMint(random.randbytes(5)), IdMint(random.randbytes(5))
    ids = [mint.mint(1_600_000_000.0) for mint in (first, restored) for _ in range(1000)]
    assert len(set(ids)) == 2000


def test_a_clock_set_back_mints_other_ids() -> None:
    mint = IdMint(b"12345")
    assert len({mint.mint(wall) for wall in (100.0, 50.0, 100.0, 50.0)}) == 4


def test_a_clients_id_counts_for_its_authenticated_user_only() -> None:
    with Bench(open_mode=False) as bench:
        for name in ("alice", "eve", "bob"):
            bench.add_user(name)

        def send(name: str, nc: int) -> str | None:
            proof = bench.prove(name, "secret", "MESSAGE", over=flow(nc))
            return bench.send(name, "bob", credentials=proof, over=flow(nc), client_id="mine").message_id

        first = send("alice", 1)
        assert send("alice", 2) == first  # `angarium send` repeats with the same id, over whatever connection
        assert send("eve", 3) != first
        assert bench.waiting() == 2


def test_an_unproved_clients_id_does_not_count() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", b"one", client_id="same", over=flow(3))
        bench.send("alice", "bob", b"two", client_id="same", over=flow(4))
        assert bench.waiting() == 2
