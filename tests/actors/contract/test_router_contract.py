"""What any Router must do, by the typed messages it hears and tells. A replacement is added to `ROUTERS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from actors.base import ActorBase
from actors.messages.lifecycle import Ping, Pong
from actors.messages.router import (
    MessagesRouted,
    NamesAreGone,
    NamesAreOurs,
    RouteMessages,
    RouterCommand,
    ToMailbox,
    Unknown,
)
from actors.model import POSTMASTER, Envelope, MessageId, Proof, UserName
from actors.router import Router
from actors.routers.first_unvisited import FirstUnvisited
from actors.routers.flood import Flood
from actors.testing import Probe, Started, running

ROUTERS: list[type[ActorBase[Any]]] = [Router, FirstUnvisited, Flood]

Running = Started[RouterCommand]


@pytest.fixture(params=ROUTERS, ids=lambda router: f"{router.__module__}.{router.__name__}")
def router(request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(request.param, monitor=Probe("monitor")) as started:
        yield started


def envelope(recipient: str, number: int = 1) -> Envelope:
    return Envelope(
        id=MessageId(f"m{number}"),
        sender=UserName("alice"),
        recipient=UserName(recipient),
        call_id=b"c1@host",
        headers=(),
        body=b"hi",
        accepted=0.0,
        proof=Proof.OPEN,
    )


def ask(router: Running, *recipients: str) -> list[type[Any]]:
    asker = Probe("asker")
    envelopes = tuple(envelope(recipient, number) for number, recipient in enumerate(recipients))
    router.serve(RouteMessages(reply_to=asker, request=17, envelopes=envelopes))
    answer = asker.expect(MessagesRouted)
    assert answer.request == 17
    asker.expect_none()
    return [type(destination) for destination in answer.destinations]


def ours(router: Running, *names: str) -> None:
    router.tell(NamesAreOurs(names=tuple(UserName(name) for name in names)))


def test_one_destination_for_each_in_order(router: Running) -> None:
    ours(router, "bob", "carol")
    assert ask(router, "bob", "nobody", "carol", "bob") == [ToMailbox, Unknown, ToMailbox, ToMailbox]


def test_an_empty_question_is_answered(router: Running) -> None:
    assert ask(router) == []


def test_an_unknown_name_comes_with_a_reason_for_people(router: Running) -> None:
    asker = Probe()
    router.serve(RouteMessages(reply_to=asker, request=1, envelopes=(envelope("nobody"),)))
    (destination,) = asker.expect(MessagesRouted).destinations
    assert isinstance(destination, Unknown)
    assert destination.reason


def test_a_name_is_ours_until_it_is_gone(router: Running) -> None:
    ours(router, "bob")
    ours(router, "bob")
    assert ask(router, "bob") == [ToMailbox]
    router.tell(NamesAreGone(names=(UserName("bob"), UserName("never-here"))))
    assert ask(router, "bob") == [Unknown]
    ours(router, "bob")
    assert ask(router, "bob") == [ToMailbox]


def test_case_matters_in_names(router: Running) -> None:
    ours(router, "bob")
    assert ask(router, "Bob") == [Unknown]


def test_the_postmaster_is_always_here(router: Running) -> None:
    router.tell(NamesAreGone(names=(POSTMASTER,)))
    assert ask(router, "postmaster") == [ToMailbox]


def test_many_names_at_once(router: Running) -> None:
    ours(router, *(f"user{number}" for number in range(10_000)))
    assert ask(router, "user0", "user9999", "user10000") == [ToMailbox, ToMailbox, Unknown]


def test_it_answers_a_ping(router: Running) -> None:
    asker = Probe()
    router.serve(Ping(reply_to=asker, id=4))
    assert asker.expect(Pong) == Pong(actor="router", id=4)
