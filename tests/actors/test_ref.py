"""References: telling never raises, whoever is there."""

from __future__ import annotations

from actors.messages.lifecycle import Wake
from actors.ref import ActorRef, DeadLetters, LateRef
from actors.testing import Probe, start_probe


def test_telling_a_stopped_actor_counts_a_dead_letter() -> None:
    dead_letters = DeadLetters()
    with start_probe() as (actor, probe):
        ref = ActorRef[Wake](actor.ref.pykka_ref, "bob", dead_letters)
        ref.tell(Wake(id=1))
        probe.expect(Wake)
        assert (ref.name, ref.alive) == ("bob", True)
    ref.tell(Wake(id=2))
    ref.tell(Wake(id=3))
    assert not ref.alive
    assert dead_letters.counts == {"bob": 2}
    probe.expect_none()


def test_a_late_ref_leads_to_whom_it_is_set() -> None:
    late, first, second = LateRef[Wake](), Probe("first"), Probe("second")
    late.tell(Wake(id=-1))
    late.tell(Wake(id=0))
    late.set(first)
    late.tell(Wake(id=1))
    late.set(second)
    late.tell(Wake(id=2))
    assert first.messages == (Wake(id=-1), Wake(id=0), Wake(id=1))
    assert second.messages == (Wake(id=2),)
