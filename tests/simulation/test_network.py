"""Plain stories about networks, told by hand: what a test of one's own with several simulated nodes looks like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from apps.simulated.air import Weather
from apps.simulated.network import Network
from apps.simulated.shapes import line, mesh, ring, star


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Nodes in a simulation say little worth reading."""
    logger.disable("actors")
    yield
    logger.enable("actors")


def at_rest(net: Network) -> None:
    """All is delivered, and nothing was broken."""
    net.come_to_rest()
    assert net.waiting() == []
    assert net.judge() == []


@pytest.mark.parametrize("links", [line("abc"), ring("abcd"), mesh("abcd"), star("cab")])
def test_phones_know_names_only(links: tuple[tuple[str, str], ...]) -> None:
    with Network(seed=1, links=links) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
        there = [alice.send("bob") for _ in range(5)]
        back = [bob.send("alice") for _ in range(5)]
        net.run_for(2)
        assert (bob.mailbox, alice.mailbox) == (there, back)
        at_rest(net)


def test_mail_waits_while_the_middle_is_down() -> None:
    with Network(seed=7, links=line("abc")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
        net.crash("b")
        bodies = [alice.send("bob") for _ in range(3)]
        net.run_for(60)
        assert bob.mailbox == []
        assert len(net.waiting()) == 3
        assert net.judge(rest=False) == []
        net.restart("b")
        at_rest(net)
        assert sorted(bob.mailbox) == sorted(bodies)


def test_a_ring_has_another_way() -> None:
    with Network(seed=2, links=ring("abcd")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="b")
        net.run_for(5)
        net.cut("a", "b")
        net.run_for(30)
        body = alice.send("bob")
        net.run_for(10)
        assert bob.mailbox == [body]
        at_rest(net)


def test_a_link_that_is_cut_one_way_only_loses_nothing() -> None:
    with Network(seed=3, links=line("ab")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="b")
        net.run_for(5)
        net.cut("b", "a", one_way=True)  # what alice sends arrives, the 202 does not
        bodies = [alice.send("bob") for _ in range(3)]
        net.run_for(30)
        net.heal()
        at_rest(net)
        assert bob.mailbox == bodies


def test_bad_weather_everywhere() -> None:
    with Network(seed=4, links=line("abc")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
        net.set_weather(Weather(loss=0.3, repeats=0.1, delay=0.01, jitter=0.05))
        for _ in range(10):
            alice.send("bob")
            net.run_for(1)
        net.heal()
        at_rest(net)
        assert len(bob.mailbox) == 10


def test_nobody_of_that_name() -> None:
    with Network(seed=5, links=line("abc")) as net:
        net.start()
        alice = net.phone("alice", at="a")
        body = alice.send("nobody")
        net.run_for(20)
        assert net.oracle.sent[body].status == 202
        assert len(alice.mailbox) == 1
        assert b"nobody was not delivered" in alice.mailbox[0]
        at_rest(net)


def test_a_user_visits_another_node() -> None:
    with Network(seed=6, links=line("abc"), open_mode=False) as net:
        net.start()
        for name, home in (("alice", "a"), ("bob", "a")):
            net.user(name, at=home, password=name)
        alice, bob = net.phone("alice", at="a", password="alice"), net.phone("bob", at="a", password="bob")
        net.bring(bob, to="c")
        net.run_until(lambda: bob.registered)
        there, back = alice.send("bob"), bob.send("alice")
        net.run_for(5)
        assert (bob.mailbox, alice.mailbox) == ([there], [back])
        assert net.home_of("bob") == "a"
        at_rest(net)


def test_a_home_moves_and_the_phone_stays() -> None:
    with Network(seed=8, links=line("abc")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
        bob.switch_off()
        before = alice.send("bob")
        net.run_for(5)
        moved = net.move("bob", at="c", to="a")
        net.run_until(lambda: moved() is not None)
        assert net.home_of("bob") == "a"
        after = alice.send("bob")
        bob.switch_on()
        net.run_for(10)
        assert bob.mailbox == [before, after]
        at_rest(net)


def test_one_name_at_two_nodes_that_do_not_see_each_other() -> None:
    with Network(seed=9, links=line("abc")) as net:
        net.start()
        alice = net.phone("alice", at="b")
        net.part("a")
        bobs = [net.phone("bob", at="a"), net.phone("bob", at="c")]
        body = alice.send("bob")
        net.run_for(10)
        assert [phone.mailbox for phone in bobs] == [[], [body]]
        net.heal()
        net.run_until(lambda: net.home_of("bob") != "")
        last = alice.send("bob")
        at_rest(net)
        assert [phone.mailbox[-1] for phone in bobs] == [last, last]


def test_neighbours_come_and_go_at_run_time() -> None:
    with Network(seed=10, links=line("abc")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
        net.add_link("a", "c")
        net.link_up()
        net.remove_link("a", "b")
        net.run_for(5)
        assert set(net.neighbours("a")) == {"c"}
        body = alice.send("bob")
        net.run_for(5)
        assert bob.mailbox == [body]
        at_rest(net)


def test_a_full_disk_in_the_middle() -> None:
    with Network(seed=11, links=line("abc")) as net:
        net.start()
        alice, bob = net.phone("alice", at="a"), net.phone("bob", at="c")
        net.fill_disk("b")
        bodies = [alice.send("bob") for _ in range(100)]
        net.run_for(20)
        assert net.judge(rest=False) == []
        net.empty_disk("b")
        at_rest(net)
        assert len(bob.mailbox) == len(bodies)
