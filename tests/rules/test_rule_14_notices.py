"""Rule 14: notices cause no notices, receipts cause none, and a stranger is told nothing."""

from __future__ import annotations

from actors.messages.client_manager import DeliveriesEnded, DeliveryResult
from actors.model import Header
from tests.actors.bench import TEXT, Bench, flow

RECEIPT: tuple[Header, ...] = ((b"Content-Type", b"message/imdn+xml"),)
COMPOSING: tuple[Header, ...] = ((b"Content-Type", b"application/im-iscomposing+xml"),)


def both(bench: Bench) -> None:
    bench.register("alice", over=flow(1))
    bench.register("bob", over=flow(2))


def test_a_415_to_a_receipt_starts_no_exchange() -> None:
    with Bench() as bench:
        both(bench)
        bench.send("alice", "bob", headers=RECEIPT)
        bench.respond(bench.send_of(), 415)
        assert bench.sends() == []
        assert bench.waiting() == 0


def test_one_notice_that_causes_none() -> None:
    with Bench() as bench:
        both(bench)
        sent = bench.send("alice", "bob")
        bench.respond(bench.send_of(), 415)
        notice = bench.send_of()
        assert notice.from_uri == b"sip:postmaster@angarium"
        assert notice.to_uri == b"sip:alice@angarium"
        assert sent.message_id is not None
        assert (b"Angarium-Notice", b"refused;id=" + sent.message_id.encode()) in notice.headers
        bench.respond(notice, 415)
        assert bench.sends() == []
        assert bench.waiting() == 0


def test_the_notice_is_in_the_commit_of_the_end() -> None:
    for steps in range(1, 30):
        with Bench(seed=steps) as bench:
            both(bench)
            bench.send("alice", "bob", b"bad")
            sent = bench.send_of()
            bench.client_manager.tell(DeliveriesEnded(items=(DeliveryResult(sent.delivery, 415, True),)))
            bench.simulation.run_steps(steps)
            bench.restart()
            assert bench.waiting() == 1  # the message or its notice, never both, never neither
            for request in bench.sends():
                bench.respond(request, 415 if request.body == b"bad" else 200)
            assert len(bench.accept_all()) <= 1
            assert bench.waiting() == 0


def test_a_stranger_gets_no_notice() -> None:
    with Bench() as bench:
        bench.register("alice", over=flow(1))
        bench.register("bob", over=flow(2))
        bench.send("alice", "bob", over=flow(66))  # says he is alice
        bench.respond(bench.send_of(), 415)
        assert bench.sends() == []


def test_ten_notices_a_minute() -> None:
    with Bench() as bench:
        both(bench)
        for number in range(15):
            bench.send("alice", "bob", b"%d" % number)
        notices = 0
        while sent := bench.sends():
            for request in sent:
                is_notice = request.from_uri.startswith(b"sip:postmaster@")
                notices += is_notice
                bench.respond(request, 200 if is_notice else 415)
        assert notices == 10
        assert bench.waiting() == 0


def test_postmaster_swallows_and_cannot_be_anybody() -> None:
    with Bench() as bench:
        bench.register("alice", over=flow(1))
        assert bench.send("alice", "postmaster").status == 200
        assert bench.waiting() == 0
        assert bench.send("postmaster", "alice").status == 403
        assert bench.register("postmaster").status == 403
        assert bench.add_user("postmaster").error == "refused"


def test_is_composing_is_relayed_to_who_is_there_and_never_stored() -> None:
    with Bench() as bench:
        both(bench)
        assert bench.send("alice", "bob", headers=COMPOSING).status == 202
        assert bench.waiting() == 0
        relayed = bench.send_of()
        assert (relayed.flow, relayed.message_id) == (flow(2), None)
        bench.respond(relayed, 415)
        assert bench.sends() == []
        bench.register("bob", over=flow(2), expires=0)
        assert bench.send("alice", "bob", headers=COMPOSING).status == 202
        assert bench.sends() == []
        bench.send("alice", "bob", headers=TEXT)
        assert bench.waiting() == 1
