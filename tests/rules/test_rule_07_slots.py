"""Rule 7: a handler that fails answers its request 500 and rolls back; the next is served, nothing waits for ever."""

from __future__ import annotations

from typing import Any, cast

from actors.client_manager.actor import ClientManager
from actors.messages.client_manager import ClientManagerCommand, RegisterContacts, SubmitMessages
from actors.messages.router import RouteMessages, RouterCommand
from actors.router import Router
from tests.actors.bench import Bench, contact, flow


class FailsOnce(ClientManager):
    """Raises at the first message about `boom`."""

    def handle(self, message: ClientManagerCommand) -> None:
        if isinstance(message, SubmitMessages) and message.items[0].body == b"boom":
            raise RuntimeError("boom")
        super().handle(message)


class RouterFails(Router):
    """Raises at messages to `boom`."""

    def handle(self, message: RouterCommand) -> None:
        if isinstance(message, RouteMessages) and message.envelopes[0].body == b"boom":
            raise RuntimeError("boom")
        super().handle(message)


def test_a_request_whose_handler_failed_is_answered_500() -> None:
    parts: tuple[dict[str, Any], ...] = ({"client_manager": FailsOnce}, {"router": RouterFails})
    for part in parts:
        with Bench(**part) as bench:
            bench.register("bob", over=flow(2))
            assert bench.send("alice", "bob", b"boom").status == 500
            assert bench.waiting() == 0
            assert bench.send("alice", "bob", b"next").status == 202
            assert bench.accept_all() == [b"next"]
            assert bench.failures.pop().error == "RuntimeError: boom"


def test_a_bad_item_costs_itself_only() -> None:
    with Bench() as bench:
        good = bench.registration("bob", contact("bob"))
        broken = bench.registration("eve", cast(Any, None))
        bench.tell(RegisterContacts(items=(broken, good)))
        assert bench.answer(broken).status == 500
        assert bench.answer(good).status == 200
        assert bench.failures.pop().command == "Registration"
