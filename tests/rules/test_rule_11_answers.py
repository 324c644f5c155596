"""Rule 11: a restarted phone's 404 is no refusal of mail, and only its old contact is dropped."""

from __future__ import annotations

import pytest

from tests.actors.bench import Bench, contact, flow


def test_baresip_restarted_on_its_port_keeps_its_mail() -> None:
    with Bench() as bench:
        bench.register("bob", contact("bob-0x1", instance="urn:bob"), over=flow(2))
        bench.send("alice", "bob")
        bench.respond(bench.send_of(), 404)
        assert bench.sends() == []
        assert bench.waiting() == 1
        bench.register("bob", contact("bob-0x2", instance="urn:bob"), over=flow(2))
        sent = bench.send_of()
        assert sent.target == b"sip:bob-0x2@10.0.0.9:5060"
        bench.respond(sent)
        assert bench.waiting() == 0


def test_a_404_of_the_old_contact_that_comes_late_leaves_the_new_one() -> None:
    with Bench() as bench:
        bench.register("bob", contact("bob-0x1", instance="urn:bob"), over=flow(2))
        bench.send("alice", "bob")
        old = bench.send_of()
        bench.register("bob", contact("bob-0x2", instance="urn:bob"), over=flow(2))
        new = bench.send_of()  # it goes to where the phone is now, with the same bytes
        assert (new.token, new.target) == (old.token, b"sip:bob-0x2@10.0.0.9:5060")
        bench.respond(old, 404)
        user = bench.user("bob")
        assert user is not None
        assert [len(device.bindings) for device in user.devices] == [1]
        bench.respond(new)
        assert bench.waiting() == 0
        bench.send("alice", "bob", b"next")
        assert bench.accept_all() == [b"next"]


@pytest.mark.parametrize("status", [400, 403, 406, 413, 415, 488, 493, 513, 600, 603, 606])
def test_a_refusal_is_final_for_that_device(status: int) -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", b"bad")
        bench.respond(bench.send_of(), status)
        assert bench.waiting() == 0
        bench.send("alice", "bob", b"next")
        assert bench.accept_all() == [b"next"]


@pytest.mark.parametrize("status", [301, 302, 305, 404, 410, 416, 430, 481, 484, 485, 604])
def test_a_wrong_binding_is_dropped_and_the_message_kept(status: int) -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob")
        bench.respond(bench.send_of(), status)
        bench.advance(3600)
        assert bench.sends() == []
        bench.restart()
        assert bench.sends() == []
        assert bench.waiting() == 1


@pytest.mark.parametrize("status", [401, 408, 480, 486, 500, 503, 580])
def test_all_else_waits_with_back_off(status: int) -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob")
        bench.respond(bench.send_of(), status)
        assert bench.sends() == []
        bench.advance(6)
        assert bench.accept_all() == [b"hello"]


def test_413_with_retry_after_waits_as_long() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob")
        bench.respond(bench.send_of(), 413, wait=60)
        bench.advance(59)
        assert bench.sends() == []
        bench.advance(2)
        assert bench.accept_all() == [b"hello"]
