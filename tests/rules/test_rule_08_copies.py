"""Rule 8: a copy for each known device and one for anyone; new contacts of a browser are no new devices."""

from __future__ import annotations

from actors.client_manager.core import ClientSettings
from tests.actors.bench import Bench, contact, flow

DESK = contact("bob", instance="urn:desk")
PHONE = contact("bob", "10.0.0.8", instance="urn:phone")


def test_who_never_registered_has_no_device_yet_his_mail_waits_for_anyone() -> None:
    with Bench(open_mode=True) as bench:
        bench.add_user("bob")
        bench.add_user("alice")
        proof = bench.prove("alice", "secret", "MESSAGE", over=flow(1))
        assert bench.send("alice", "bob", credentials=proof, over=flow(1)).status == 202
        bench.restart()
        assert bench.waiting() == 1
        proof = bench.prove("bob", "secret", "REGISTER", over=flow(2))
        bench.register("bob", DESK, over=flow(2), credentials=proof)
        assert bench.accept_all() == [b"hello"]
        assert bench.waiting() == 0


def test_each_known_device_gets_a_copy_and_a_later_one_only_what_is_open() -> None:
    with Bench() as bench:
        bench.register("bob", DESK, over=flow(2))
        bench.register("bob", PHONE, over=flow(3))
        bench.send("alice", "bob", b"one")
        first, second = bench.sends()
        bench.respond(first)
        assert bench.waiting() == 1
        bench.register("bob", contact("bob", instance="urn:late"), over=flow(4))
        assert bench.sends() == []
        bench.respond(second)
        assert bench.waiting() == 0


def test_a_browser_that_reloads_leaves_no_copies_behind() -> None:
    with Bench() as bench:
        for page in range(30):
            bench.register("bob", contact(f"x{page}", f"{page}.invalid", port=None), over=flow(page))
            bench.advance(1)
        bench.send("alice", "bob", b"one")
        bench.accept_all()
        assert bench.waiting() == 0
        bench.restart()
        user = bench.user("bob")
        assert user is not None
        assert user.devices == ()


def test_guests_that_lapsed_are_forgotten() -> None:
    with Bench() as bench:
        bench.register("bob", contact("x1", "one.invalid", port=None), over=flow(2), expires=60)
        bench.advance(61)
        bench.register("bob", contact("x2", "two.invalid", port=None), over=flow(3), expires=60)
        user = bench.user("bob")
        assert user is not None
        assert [device.key for device in user.devices] == ["guest:sip:x2@two.invalid"]


def test_at_most_ten_devices_and_none_unseen_for_too_long() -> None:
    with Bench(settings=ClientSettings(open_mode=True, device_life=600)) as bench:
        for number in range(12):
            bench.register("bob", contact("bob", instance=f"urn:{number}"), over=flow(number))
            bench.advance(1)
        user = bench.user("bob")
        assert user is not None
        assert len(user.devices) == 10
        bench.send("alice", "bob")
        bench.advance(601)
        bench.register("bob", DESK, over=flow(2))
        user = bench.user("bob")
        assert user is not None
        assert [device.key for device in user.devices] == ["instance:urn:desk"]


def test_unregistering_ends_bindings_not_devices() -> None:
    with Bench() as bench:
        bench.register("bob", DESK, over=flow(2))
        bench.register("bob", DESK, over=flow(2), expires=0)
        bench.send("alice", "bob")
        assert bench.sends() == []
        bench.register("bob", PHONE, over=flow(3))
        assert bench.accept_all() == [b"hello"]
        assert bench.waiting() == 1  # the desk phone's own copy
        bench.register("bob", DESK, over=flow(2))
        assert bench.accept_all() == [b"hello"]
        assert bench.waiting() == 0


def test_old_mail_of_another_device_does_not_keep_a_new_one_reading_for_ever() -> None:
    with Bench() as bench:
        bench.register("bob", DESK, over=flow(2))
        bench.register("bob", DESK, over=flow(2), expires=0)
        bench.register("bob", PHONE, over=flow(3))
        for number in range(70):
            bench.send("alice", "bob", b"%d" % number)
        assert len(bench.accept_all()) == 70
        assert bench.waiting() == 70  # the desk phone's copies, closed to anyone else
        bench.register("bob", contact("bob", instance="urn:late"), over=flow(4))
        assert bench.sends() == []
        bench.send("alice", "bob", b"new")
        assert sorted(bench.accept_all()) == [b"new", b"new"]
