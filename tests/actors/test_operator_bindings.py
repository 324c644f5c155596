"""What an operator asks about users: bindings made for phones that do not register, and lists by name."""

from __future__ import annotations

from typing import Any

from actors.client_manager import listing
from actors.messages.client_manager import CommandDone, DeregisterContacts, ListUsers, RegisterContact, UsersListed
from actors.model import UserName
from tests.actors.bench import Bench, contact, flow

ALICE = UserName("alice")


def bind(bench: Bench, name: str = "alice", port: int = 1, **more: Any) -> CommandDone:
    item = contact(name, **more)
    return done(bench, RegisterContact, UserName(name), item, flow(port), "127.0.0.1:5060")


def unbind(bench: Bench, name: str = "alice", uri: bytes = b"") -> CommandDone:
    return done(bench, DeregisterContacts, UserName(name), uri)


def done(bench: Bench, kind: Any, *fields: Any) -> CommandDone:
    def make(reply_to: Any) -> Any:
        return kind(reply_to, 1, *fields)

    answer = bench.ask(make, CommandDone)
    assert isinstance(answer, CommandDone)
    return answer


def listed(bench: Bench, **wanted: Any) -> UsersListed:
    def make(reply_to: Any) -> ListUsers:
        return ListUsers(reply_to, 1, **wanted)

    answer = bench.ask(make, UsersListed)
    assert isinstance(answer, UsersListed)
    return answer


def names(found: UsersListed) -> list[str]:
    return [info.name for info in found.users]


def test_a_phone_that_does_not_register_is_bound_and_gets_its_mail() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(9))
        assert not bind(bench).error
        bench.send("bob", "alice", b"one")
        sent = bench.send_of()
        assert (sent.flow, sent.body) == (flow(1), b"one")
        bench.respond(sent)
        assert bench.waiting() == 0
        bench.restart()
        user = bench.user("alice")
        assert user is not None
        assert user.online


def test_the_same_contact_again_is_refreshed_and_a_phone_may_take_it_over() -> None:
    with Bench() as bench:
        for port in (1, 1, 2):
            assert not bind(bench, port=port).error
        assert bench.register("alice", over=flow(3)).status == 200
        assert not bind(bench).error
        user = bench.user("alice")
        assert user is not None
        assert [binding.flow for device in user.devices for binding in device.bindings] == [flow(1)]


def test_deregistering_ends_one_contact_or_all_and_mail_waits() -> None:
    with Bench() as bench:
        bench.register("bob", over=flow(9))
        item = contact("alice", "other.example")
        assert not bind(bench).error
        bench.register("alice", item, over=flow(2))
        assert unbind(bench, uri=b"sip:nobody@x").error == "unknown"
        assert not unbind(bench, uri=item.uri).error
        user = bench.user("alice")
        assert user is not None
        assert len([binding for device in user.devices for binding in device.bindings]) == 1
        assert not unbind(bench).error
        assert names(listed(bench, online=True)) == ["bob"]
        bench.send("bob", "alice")
        assert bench.sends() == []
        assert bench.waiting() == 1


def test_a_wall_clock_that_was_put_back_refuses_no_operator() -> None:
    with Bench() as bench:
        assert not bind(bench).error
        bench.clock.jump_wall(-86_400.0)
        assert not bind(bench, port=2).error
        assert not unbind(bench).error
        bench.restart()
        assert not bind(bench).error


def test_nobody_is_made_where_accounts_are_needed() -> None:
    with Bench(open_mode=False) as bench:
        assert bind(bench).error == "unknown"
        assert unbind(bench).error == "unknown"
        bench.add_user("alice")
        assert not bind(bench).error
    with Bench() as bench:
        assert bind(bench, "postmaster").error == "refused"


def test_lists_hold_who_is_asked_for(monkeypatch: Any) -> None:
    with Bench() as bench:
        for number, name in enumerate(("anna", "Hannah", "bob", "joanna")):
            bench.register(name, over=flow(number + 1))
        unbind(bench, "joanna")
        assert names(listed(bench, part="ANN")) == ["Hannah", "anna", "joanna"]
        assert names(listed(bench, part="ann", online=True)) == ["Hannah", "anna"]
        assert names(listed(bench, names=(UserName("bob"), UserName("nobody")))) == ["bob"]
        page = listed(bench, part="ann", limit=1)
        assert (names(page), page.reached, page.total) == (["Hannah"], "Hannah", 4)
        monkeypatch.setattr(listing, "LOOKED_AT", 3)
        page = listed(bench, part="joanna")
        assert (names(page), page.reached) == ([], "bob")
        assert names(listed(bench, part="joanna", after=page.reached)) == ["joanna"]
