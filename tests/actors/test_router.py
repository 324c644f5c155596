"""The Router among probes, beyond its contract: what it tells the monitor, and how it fails."""

from __future__ import annotations

from typing import Any, cast

from actors.messages.lifecycle import ActorFailed, CommandFailed, Wake
from actors.messages.monitor import CountFacts, SetGauges
from actors.messages.router import MessagesRouted, NamesAreOurs, RouteMessages, ToMailbox
from actors.model import POSTMASTER, Envelope, MessageId, Proof, UserName
from actors.router import Router
from actors.state.routing_table import HERE, NOBODY, RoutingTable
from actors.testing import Probe, running

BOB = UserName("bob")


def to(recipient: UserName) -> Envelope:
    return Envelope(
        id=MessageId("m"),
        sender=UserName("alice"),
        recipient=recipient,
        call_id=b"c",
        headers=(),
        body=b"",
        accepted=0.0,
        proof=Proof.OPEN,
    )


def test_table_shares_its_destinations() -> None:
    table = RoutingTable()
    table.add([BOB, BOB])
    assert len(table) == 1
    assert BOB in table
    first, second, third = table.route([to(BOB), to(BOB), to(UserName("eve"))])
    assert first is HERE
    assert second is HERE
    assert third is NOBODY
    table.remove([BOB, POSTMASTER])
    assert BOB not in table
    assert POSTMASTER in table
    assert len(table) == 0


def test_it_tells_the_monitor_in_batches() -> None:
    monitor, asker = Probe("monitor"), Probe("asker")
    with running(Router, monitor=monitor) as router:
        router.serve(
            NamesAreOurs(names=(BOB,)),
            RouteMessages(reply_to=asker, request=1, envelopes=(to(BOB), to(UserName("eve")))),
            RouteMessages(reply_to=asker, request=2, envelopes=(to(UserName("eve")),)),
            Wake(id=1),
        )
        counted = sum(amount for facts in monitor.of(CountFacts) for _, amount in facts.counts)
        assert counted == 2.0
        assert monitor.of(SetGauges)[-1].gauges == (("names_here", 1.0),)


def test_a_question_that_breaks_is_answered_and_the_next_served() -> None:
    asker = Probe("asker")
    with running(Router, monitor=Probe("monitor")) as router:
        broken = cast(Any, RouteMessages)(reply_to=asker, request=5, envelopes=(object(),))
        router.serve(broken, NamesAreOurs(names=(BOB,)))
        assert asker.expect(CommandFailed).request == 5
        assert router.failures.expect(ActorFailed).actor == "router"
        router.serve(RouteMessages(reply_to=asker, request=6, envelopes=(to(BOB),)))
        assert asker.expect(MessagesRouted).destinations == (ToMailbox(),)


class Stumbling(Router):
    """Fails on the first names it is told."""

    stumbled = False

    def handle(self, message: Any) -> None:
        if isinstance(message, NamesAreOurs) and not self.stumbled:
            self.stumbled = True
            raise KeyError("stumbled")
        super().handle(message)


def test_names_are_taken_in_after_a_failure() -> None:
    asker = Probe("asker")
    with running(Stumbling, monitor=Probe("monitor")) as router:
        router.serve(NamesAreOurs(names=(BOB,)))
        router.failures.expect(ActorFailed)
        router.advance(1.0)
        router.serve(RouteMessages(reply_to=asker, request=1, envelopes=(to(BOB),)))
    assert asker.expect(MessagesRouted).destinations == (ToMailbox(),)
