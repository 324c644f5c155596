"""Rule 1: the answer waits for the disk and for nothing else; a kill before it leaves nothing, after it everything."""

from __future__ import annotations

from actors.messages.client_manager import SubmitMessages
from actors.messages.sip_adapter import AnswerRequests
from tests.actors.bench import Bench, flow


def test_a_message_is_answered_at_once_and_is_on_disk_then() -> None:
    with Bench() as bench:
        bench.register("bob")
        before = bench.clock.monotonic()
        assert bench.send("alice", "bob").status == 202
        assert bench.clock.monotonic() == before
        bench.restart()
        assert bench.waiting() == 1


def test_at_every_step_before_the_answer_a_kill_is_no_acceptance() -> None:
    for steps in range(1, 12):
        with Bench(seed=steps) as bench:
            bench.register("bob")
            request = bench.submission("alice", "bob")
            bench.client_manager.tell(SubmitMessages(items=(request,)))
            bench.simulation.run_steps(steps)
            told = [item for message in bench.sip.of(AnswerRequests) for item in message.items]
            accepted = any(answer.transaction == request.transaction for answer in told)
            bench.restart()
            assert bench.waiting() >= accepted


def test_an_unknown_name_is_refused_at_once_and_leaves_nothing() -> None:
    with Bench() as bench:
        assert bench.send("alice", "nobody").status == 404
        assert bench.waiting() == 0


def test_a_repeat_gets_its_first_answer_before_its_nonce_is_judged() -> None:
    with Bench(open_mode=False) as bench:
        bench.add_user("alice")
        bench.add_user("bob")
        proof = bench.prove("alice", "secret", "MESSAGE", over=flow(1))
        first = bench.send("alice", "bob", credentials=proof, call_id=b"c1", over=flow(1))
        assert first.status == 202
        again = bench.send("alice", "bob", credentials=proof, call_id=b"c1", over=flow(1))
        assert (again.status, again.message_id) == (202, first.message_id)
        bench.restart()  # now the nonce is of another run
        again = bench.send("alice", "bob", credentials=proof, call_id=b"c1", over=flow(1))
        assert (again.status, again.message_id) == (202, first.message_id)
        assert bench.waiting() == 1


def test_a_repeat_gets_its_first_answer_although_nobody_knows_the_recipient_any_more() -> None:
    with Bench() as bench:
        bench.register("bob")
        first = bench.send("alice", "bob", call_id=b"c1")
        assert first.status == 202
        bench.restart()
        bench.remove_user("bob")
        again = bench.send("alice", "bob", call_id=b"c1")
        assert (again.status, again.message_id) == (202, first.message_id)
        assert bench.send("alice", "bob", call_id=b"c2").status == 404
