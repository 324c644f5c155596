"""Rule 6: a captured REGISTER cannot be replayed: not its count, not from elsewhere, not after a restart."""

from __future__ import annotations

from actors.messages.client_manager import RegisterContacts
from actors.messages.requests import Answer, DigestResponse
from actors.model import Flow
from tests.actors.bench import Bench, contact, digest, flow

EVIL = contact("alice", "203.0.113.66")
ELSEWHERE = Flow("udp", 0, "203.0.113.66", 5060)


def captured(bench: Bench) -> DigestResponse:
    bench.add_user("alice")
    proof = bench.prove("alice", "secret", "REGISTER", over=flow(1))
    assert bench.register("alice", over=flow(1), credentials=proof).status == 200
    return proof


def replay(bench: Bench, proof: DigestResponse, over: Flow) -> Answer:
    request = bench.registration("alice", EVIL, over=over, credentials=proof)
    bench.tell(RegisterContacts(items=(request,)))
    return bench.answer(request)


def is_refused(bench: Bench, answer: Answer) -> bool:
    user = bench.user("alice")
    assert user is not None
    flows = {binding.flow for device in user.devices for binding in device.bindings}
    return answer.status == 401 and answer.challenge is not None and answer.challenge.stale and flows <= {flow(1)}


def test_the_same_count_again_is_stale() -> None:
    with Bench(open_mode=False) as bench:
        assert is_refused(bench, replay(bench, captured(bench), flow(1)))


def test_another_source_is_stale() -> None:
    with Bench(open_mode=False) as bench:
        bench.add_user("alice")
        unused = bench.prove("alice", "secret", "REGISTER", over=flow(1))
        assert is_refused(bench, replay(bench, unused, ELSEWHERE))


def test_after_a_restart_it_is_stale() -> None:
    with Bench(open_mode=False) as bench:
        proof = captured(bench)
        bench.restart()
        assert is_refused(bench, replay(bench, proof, flow(1)))


def test_an_old_nonce_is_stale() -> None:
    with Bench(open_mode=False) as bench:
        bench.add_user("alice")
        proof = bench.prove("alice", "secret", "REGISTER", over=flow(1))
        bench.advance(301)
        assert is_refused(bench, replay(bench, proof, flow(1)))


def test_a_phone_that_counts_on_is_served() -> None:
    with Bench(open_mode=False) as bench:
        proof = captured(bench)
        for nc in (2, 3, 7, 5):
            request = digest("alice", "secret", proof.nonce, "REGISTER", nc=nc)
            assert bench.register("alice", over=flow(1), credentials=request).status == 200
