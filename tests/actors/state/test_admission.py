"""Who may send and register: open and closed mode, right and wrong passwords, and what strangers can tell."""

from __future__ import annotations

import msgspec
import pytest

from actors.messages.requests import Answer
from actors.model import Flow
from tests.actors.bench import REALM, Bench, digest, flow


def tried(bench: Bench, user: str, password: str, over: Flow | None = None) -> Answer:
    proof = bench.prove(user, password, "MESSAGE", over=over)
    return bench.send(user, "bob", credentials=proof, over=over)


def closed() -> Bench:
    bench = Bench(open_mode=False)
    for name in ("alice", "bob"):
        bench.add_user(name)
    return bench


def test_closed_mode_asks_everybody_and_believes_who_knows() -> None:
    with closed() as bench:
        answer = bench.send("alice", "bob")
        assert answer.status == 401
        assert answer.challenge is not None
        assert (answer.challenge.realm, answer.challenge.algorithms) == (REALM, ("MD5",))
        assert tried(bench, "alice", "secret").status == 202
        assert bench.waiting() == 1


def test_unknown_users_and_wrong_passwords_are_indistinguishable() -> None:
    with closed() as bench:
        wrong, unknown = tried(bench, "alice", "wrong"), tried(bench, "nobody", "wrong")
        blank = msgspec.structs.replace
        assert blank(wrong, transaction=unknown.transaction) == unknown
        assert wrong.status == 403
        first, second = bench.send("alice", "bob"), bench.send("nobody", "bob")
        assert first.challenge is not None
        assert second.challenge is not None
        assert (first.status, first.reason) == (second.status, second.reason)
        assert len(first.challenge.nonce) == len(second.challenge.nonce)


def test_another_users_credentials_prove_nobody() -> None:
    with closed() as bench:
        proof = bench.prove("bob", "secret", "MESSAGE")
        assert bench.send("alice", "bob", credentials=proof).status == 403
        proof = bench.prove("bob", "secret", "REGISTER")
        assert bench.register("alice", credentials=proof).status == 403
        assert bench.waiting() == 0


def test_an_account_without_a_password_is_no_way_into_a_closed_node() -> None:
    with Bench() as bench:
        bench.register("eve")
        bench.settings = msgspec.structs.replace(bench.settings, open_mode=False)
        bench.restart()
        assert bench.send("eve", "eve").status == 401
        proof = bench.prove("eve", "", "MESSAGE")
        assert bench.send("eve", "eve", credentials=proof).status == 403


def test_open_mode_lets_anyone_send_but_a_password_counts() -> None:
    with Bench() as bench:
        bench.add_user("bob")
        assert bench.send("anyone", "bob").status == 202
        assert bench.send("bob", "bob").status == 401
        assert bench.register("bob").status == 401
        assert tried(bench, "bob", "wrong").status == 403
        assert tried(bench, "bob", "secret").status == 202


def test_a_foreign_from_never_looks_like_a_user_of_ours() -> None:
    for open_mode in (True, False):
        with Bench(open_mode=open_mode) as bench:
            bench.add_user("bob")
            assert bench.send("alice", "bob", ours=False).status == 403
            assert bench.waiting() == 0


def test_another_realm_or_algorithm_is_challenged() -> None:
    with closed() as bench:
        proof = bench.prove("alice", "secret", "MESSAGE")
        for odd in (
            digest("alice", "secret", proof.nonce, "MESSAGE", realm="elsewhere"),
            digest("alice", "secret", proof.nonce, "MESSAGE", algorithm="SHA-256"),
        ):
            assert bench.send("alice", "bob", credentials=odd).status == 401


def test_a_changed_password_counts_at_once_and_after_a_restart() -> None:
    with closed() as bench:
        assert bench.add_user("alice", "new", replace=True).error == ""
        assert tried(bench, "alice", "secret").status == 403
        assert tried(bench, "alice", "new").status == 202
        bench.restart()
        assert tried(bench, "alice", "secret").status == 403
        assert tried(bench, "alice", "new").status == 202


def test_phones_behind_one_address_do_not_spend_each_others_counts() -> None:
    with closed() as bench:
        proofs = [bench.prove(name, "secret", "MESSAGE", over=flow(1)) for name in ("alice", "bob")]
        answers = [
            bench.send(name, "bob", credentials=proof, over=flow(1))
            for name, proof in zip(("alice", "bob"), proofs, strict=True)
        ]
        assert [answer.status for answer in answers] == [202, 202]


@pytest.mark.parametrize("name", ["o'brien", "müller", "a b", "bob@home", "100%"])
def test_names_are_names(name: str) -> None:
    with Bench(open_mode=False) as bench:
        bench.add_user("bob")
        bench.add_user(name)
        assert tried(bench, name, "secret").status == 202
