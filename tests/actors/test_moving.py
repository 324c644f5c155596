"""Users move between whole nodes: one home at any moment, nothing lost, nothing doubled, order kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from apps.simulated.network import Network
from apps.simulated.shapes import line
from tests.actors.movers import PASSWORD, account, homes, is_over, move, seen, start_move


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger.disable("actors")
    yield
    logger.enable("actors")


def pair(seed: int = 1) -> Network:
    """Nodes `a` and `b`; alice and bob have accounts at `a`."""
    net = Network(seed, links=line("ab"), open_mode=False)
    net.start()
    net.user("alice", "a", PASSWORD)
    net.user("bob", "a", PASSWORD)
    return net


def test_a_user_moves_with_his_mail_and_his_phone_stays_where_it_is() -> None:
    with pair() as net:
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "a", password=PASSWORD)
        bob.switch_off()
        bodies = [alice.send("bob") for _ in range(50)]
        net.run_for(5)
        assert move(net, "bob", "a", "b").error == ""
        assert homes(net, "bob") == ["b"]
        pointer, here = account(net, "bob", "a"), account(net, "bob", "b")
        assert pointer is not None
        assert here is not None
        assert (pointer.home, pointer.epoch, pointer.has_password, pointer.leaving) == ("b", 2, False, False)
        assert (here.epoch, here.has_password, here.coming_from, here.serving) == (2, True, "", True)
        info = seen(net, "bob", "a")
        assert info is not None
        assert info.home == "b"
        bodies.append(alice.send("bob"))
        bob.switch_on()
        net.run_until(lambda: len(bob.mailbox) == 51)
        assert bob.mailbox == bodies
        net.come_to_rest()
        assert net.judge() == []


def test_a_phone_that_does_not_register_again_goes_on_receiving() -> None:
    with pair() as net:
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "a", password=PASSWORD)
        assert move(net, "bob", "a", "b").error == ""
        first = alice.send("bob")
        net.run_until(lambda: bob.mailbox == [first])
        net.crash("a")
        net.restart("a")
        net.link_up()
        second = alice.send("bob")
        net.run_until(lambda: bob.mailbox == [first, second])
        net.come_to_rest()
        assert net.judge() == []


def test_a_user_without_devices_and_mail_moves() -> None:
    with pair() as net:
        assert move(net, "bob", "a", "b").error == ""
        assert is_over(net, "bob", "b")
        assert move(net, "bob", "a", "b").error == ""
        assert move(net, "bob", "a", "c").error == "unknown"
        assert move(net, "nobody", "a", "b").error == "unknown"
        assert move(net, "alice", "a", "a").error == "refused"


def test_from_a_to_b_to_c_and_back_to_a() -> None:
    with Network(3, links=line("abc"), open_mode=False) as net:
        net.start()
        for name in ("alice", "bob"):
            net.user(name, "a", PASSWORD)
        alice = net.phone("alice", "a", password=PASSWORD)
        bob = net.phone("bob", "c", password=PASSWORD)
        bob.switch_off()
        bodies = []
        for here, to in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "c"), ("c", "b"), ("b", "a")):
            bodies += [alice.send("bob") for _ in range(3)]
            net.run_for(3)
            assert move(net, "bob", here, to).error == "", (here, to)
            assert is_over(net, "bob", to)
        bob.switch_on()
        net.run_until(lambda: len(bob.mailbox) == len(bodies))
        assert bob.mailbox == bodies
        net.come_to_rest()
        assert net.judge() == []


def test_mail_flows_while_he_moves_and_moves_on() -> None:
    with Network(4, links=line("abc"), open_mode=False) as net:
        net.start()
        net.user("bob", "a", PASSWORD)
        for name, node in (("alice", "a"), ("carol", "c")):
            net.user(name, node, PASSWORD)
        senders = [net.phone("alice", "a", password=PASSWORD), net.phone("carol", "c", password=PASSWORD)]
        bob = net.phone("bob", "a", password=PASSWORD)
        sent = 0
        for here, to in (("a", "b"), ("b", "c"), ("c", "a")):
            reply = start_move(net, "bob", here, to)
            for _ in range(20):
                for sender in senders:
                    sender.send("bob")
                    sent += 1
                net.run_for(0.05)
            net.run_until(lambda: bool(reply.messages))  # noqa: B023 - called at once
            assert reply.messages[0].error == ""
        net.run_until(lambda: len(bob.mailbox) == sent)
        net.come_to_rest()
        assert net.judge() == []
