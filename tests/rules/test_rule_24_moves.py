"""Rule 24: a kill between any two steps of a move leaves one home; each device gets every message once, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from loguru import logger

from apps.simulated.air import Weather
from apps.simulated.network import Network
from apps.simulated.shapes import line, ring
from tests.actors.movers import PASSWORD, account, homes, is_over, move, start_move, stored, until

STRIDE = int(os.environ.get("ANGARIUM_STRIDE", "12"))
"""Steps of the simulation between two that are tried; with 1 all of them are."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger.disable("actors")
    yield
    logger.enable("actors")


def network(shape: str = "ab", seed: int = 1) -> Network:
    """A line of nodes; alice and bob have accounts at `a`."""
    net = Network(seed, links=line(shape), open_mode=False)
    net.start()
    net.user("alice", "a", PASSWORD)
    net.user("bob", "a", PASSWORD)
    return net


@pytest.mark.parametrize("who", ["a", "b", "both", "link", "way back"])
def test_a_kill_or_a_cut_at_every_step(who: str) -> None:
    for at in range(0, 2000, STRIDE):
        if fails_at(at, who):
            assert at > 50
            return
    pytest.fail("a move took more steps than were tried")


def fails_at(at: int, who: str) -> bool:
    """Something fails after so many steps of a move with mail; tells whether it was over by then."""
    with network(seed=at + 1) as net:
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "a", password=PASSWORD)
        bob.switch_off()
        bodies = [alice.send("bob") for _ in range(3)]
        net.run_for(33)  # the first try has ended: nothing is under way to his phone
        reply = start_move(net, "bob", "a", "b")
        bodies.append(alice.send("bob"))
        net.simulation.run_steps(at)
        over = bool(reply.messages)
        assert not over or reply.messages[0].error == ""
        fail(net, who)
        net.run_for(1)
        net.heal()
        net.link_up()
        home = come_to_a_home(net)
        if home == "a":
            assert move(net, "bob", "a", "b").error == ""
        until(net, lambda: is_over(net, "bob", "b"))
        alice.send("bob")
        net.come_to_rest()
        assert net.judge() == [], (at, who)
        got = [body for body in bob.mailbox if body in bodies]
        accepted = [sent.body for sent in net.oracle.accepted() if sent.body in bodies]
        assert sorted(got) == sorted(accepted)
        return over


def fail(net: Network, who: str) -> None:
    """Kill nodes, or cut the link for a while."""
    for name in ("a", "b"):
        if who in (name, "both"):
            net.crash(name)
    if who == "link":
        net.cut("a", "b")
        net.run_for(15)
    elif who == "way back":
        net.cut("b", "a", one_way=True)
        net.run_for(15)


def come_to_a_home(net: Network) -> str:
    """Wait until a move that was begun is over, or was given up; there is never more than one home."""
    for _ in range(300):
        pointer = account(net, "bob", "a")
        assert pointer is not None
        home = "b" if pointer.home else "a"
        found = homes(net, "bob")
        assert found in ([home], [])
        if found and not pointer.leaving:
            return home
        net.run_for(1)
    pytest.fail("no home")


@pytest.mark.parametrize("seed", range(4))
def test_moves_in_a_storm(seed: int) -> None:
    """Two users move on and on while mail flows, packets are lost, and nodes are killed in turn."""
    with Network(seed, links=ring("abc"), open_mode=False) as net:
        net.start()
        phones = []
        for name, node in (("alice", "a"), ("bob", "b"), ("carol", "c")):
            net.user(name, node, PASSWORD)
            phones.append(net.phone(name, node, password=PASSWORD))
        net.set_weather(Weather(loss=0.1, repeats=0.05, delay=0.01, jitter=0.05))
        at = {"alice": "a", "bob": "b"}
        for turn in range(8):
            for name in at:
                here = homes(net, name)
                to = net.random.choice([node for node in "abc" if node not in here])
                if here and net.sites[here[0]].node is not None:
                    start_move(net, name, here[0], to)
            for _ in range(6):
                net.random.choice(phones).send(net.random.choice(("alice", "bob", "carol")))
                net.run_for(net.random.choice((0.01, 0.3, 2.0)))
            victim = "abc"[turn % 3]
            net.crash(victim)
            net.run_for(net.random.choice((0.1, 5.0)))
            net.restart(victim)
            net.run_for(3)
        net.heal()
        net.link_up()
        for name in at:
            until(net, lambda: any(is_over(net, name, node) for node in "abc"), 600, pace=2.0)  # noqa: B023 - at once
        net.come_to_rest()
        assert net.judge() == []


def test_each_device_keeps_its_place() -> None:
    with network() as net:
        alice = net.phone("alice", "a", password=PASSWORD)
        first = net.phone("bob", "a", password=PASSWORD)
        second = net.phone("bob", "a", password=PASSWORD)
        second.switch_off()
        bodies = [alice.send("bob") for _ in range(30)]
        net.run_until(lambda: len(first.mailbox) == 30)
        net.run_for(40)
        assert move(net, "bob", "a", "b").error == ""
        third = net.phone("bob", "b", password=PASSWORD)
        second.switch_on()
        net.run_until(lambda: len(second.mailbox) == 30)
        bodies.append(alice.send("bob"))
        net.run_until(lambda: all(bodies[-1] in phone.mailbox for phone in (first, second, third)))
        assert (first.mailbox, second.mailbox, third.mailbox) == (bodies, bodies, bodies[-1:])
        net.come_to_rest()
        assert net.judge() == []


def test_a_message_under_way_is_not_repeated() -> None:
    with network() as net:
        net.set_weather(Weather(delay=0.4))
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "a", password=PASSWORD)
        for _ in range(4):
            body = alice.send("bob")
        net.run_until(lambda: bool(bob.mailbox))
        assert move(net, "bob", "a", "b").error == ""
        net.run_until(lambda: body in bob.mailbox)
        assert net.oracle.repeats == 0
        net.come_to_rest()
        assert net.judge() == []


@pytest.mark.parametrize("edge", ["a", "b", "c", "d"])
def test_a_phone_anywhere_is_reached_from_the_new_home(edge: str) -> None:
    with Network(2, links=line("abcd"), open_mode=False) as net:
        net.start()
        for name in ("alice", "bob"):
            net.user(name, "b", PASSWORD)
        alice, bob = net.phone("alice", "a", password=PASSWORD), net.phone("bob", edge, password=PASSWORD)
        for here, to in (("b", "c"), ("c", "a"), ("a", "d")):
            assert move(net, "bob", here, to).error == ""
            user = stored(net, "bob", to)
            assert user is not None
            (binding,) = user.devices[0].bindings
            assert len(binding.path) == (abs(ord(edge) - ord(to)) + 1 if edge != to else 0)
            body = alice.send("bob")
            net.run_until(lambda: body in bob.mailbox)  # noqa: B023 - called at once
            reply = bob.send("alice")
            net.run_until(lambda: reply in alice.mailbox)  # noqa: B023 - called at once
        net.come_to_rest()
        assert net.judge() == []


def test_what_is_left_of_a_life_travels() -> None:
    with network() as net:
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "a", password=PASSWORD)
        bob.switch_off()
        body = alice.send("bob", life=100)
        net.run_for(50)
        assert move(net, "bob", "a", "b").error == ""
        assert len(net.waiting()) == 1
        net.run_for(30)
        assert len(net.waiting()) == 1
        net.run_for(40)
        assert (net.waiting(), body in bob.mailbox) == ([], False)
        assert len(alice.mailbox) == 1
        assert b"nobody took it in time" in alice.mailbox[0]
        assert net.judge() == []


def test_the_old_home_may_be_down_once_all_is_there() -> None:
    with network("abc") as net:
        carol = net.phone("alice", "c", password=PASSWORD)
        bob = net.phone("bob", "c", password=PASSWORD)
        assert move(net, "bob", "a", "c").error == ""
        assert move(net, "alice", "a", "c").error == ""
        net.crash("a")
        body = carol.send("bob")
        net.run_until(lambda: body in bob.mailbox)


def test_large_mailboxes_move_in_order() -> None:
    with network() as net:
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "a", password=PASSWORD)
        bob.switch_off()
        bodies = [alice.send("bob") for _ in range(500)]
        net.run_for(60)
        assert move(net, "bob", "a", "b").error == ""
        bob.switch_on()
        net.run_until(lambda: len(bob.mailbox) == 500)
        assert bob.mailbox == bodies
        net.come_to_rest()
        assert net.judge() == []
