"""A first password for a user of open mode: whoever registered without one must prove himself."""

from __future__ import annotations

from tests.actors.bench import Bench, contact, flow


def test_a_first_password_ends_unproved_bindings() -> None:
    with Bench(open_mode=True) as bench:
        assert bench.register("bob", contact("bob")).status == 200
        assert bench.add_user("bob", "secret", replace=True).error == ""
        bench.send("alice", "bob")
        assert bench.sends() == []
        assert bench.waiting() == 1
        assert bench.register("bob", contact("bob")).status == 401
        bench.restart()
        assert bench.sends() == []
        proof = bench.prove("bob", "secret", "REGISTER", over=flow())
        assert bench.register("bob", contact("bob"), over=flow(), credentials=proof).status == 200
        assert bench.accept_all() == [b"hello"]


def test_a_changed_password_leaves_bindings_alone() -> None:
    with Bench(open_mode=True) as bench:
        bench.add_user("bob", "secret")
        proof = bench.prove("bob", "secret", "REGISTER", over=flow())
        assert bench.register("bob", contact("bob"), over=flow(), credentials=proof).status == 200
        bench.add_user("bob", "other", replace=True)
        bench.send("alice", "bob")
        assert bench.accept_all() == [b"hello"]
