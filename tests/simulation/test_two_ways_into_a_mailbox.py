"""Mail for one user from here and from another node at the same moment: in order at each device, none passed over."""

from __future__ import annotations

from apps.simulated.network import Network
from apps.simulated.shapes import line


def test_what_comes_from_here_does_not_hide_what_came_from_elsewhere() -> None:
    for seed in range(8):  # each of the first ten had a few such moments, every fifth of them lost a message
        with Network(seed, links=line("ab")) as net:
            net.start()
            alice, bob, carol = net.phone("alice", "a"), net.phone("bob", "a"), net.phone("carol", "b")
            bodies = [carol.send("bob")]
            net.run_for(15)
            for _ in range(15):
                bodies.append(carol.send("bob"))
                net.run_for(net.random.uniform(0.0015, 0.004))
                bodies.append(alice.send("bob"))
                net.run_for(0.3)
            net.come_to_rest(60)
            assert sorted(bob.mailbox) == sorted(bodies)
            assert net.judge() == []
