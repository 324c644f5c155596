"""Rule 23: of two homes of one name one stays. Else mail for it goes to either, and a half of it is never read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from actors.messages.monitor import MonitorRead, ReadMonitor
from apps.simulated.network import Network
from apps.simulated.phone import Phone
from apps.simulated.shapes import line, ring
from tests.actors.movers import PASSWORD, account, homes, is_over, until


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logger.disable("actors")
    yield
    logger.enable("actors")


def parted(seed: int, shape: str = "ab") -> tuple[Network, Phone, Phone]:
    """Both ends of a line get a bob while it is cut, each with mail of his own that waits."""
    net = Network(seed, links=line(shape), open_mode=True)
    net.start()
    one, other = shape[0], shape[-1]
    net.cut(shape[0], shape[1])
    net.run_for(30)
    phones = net.phone("bob", one), net.phone("bob", other)
    for node, phone in zip((one, other), phones, strict=True):
        sender = net.phone(f"from-{node}", node)
        phone.switch_off()
        for _ in range(5):
            sender.send("bob")
    net.run_for(35)
    assert sorted(homes(net, "bob")) == [one, other]
    return net, *phones


def alarms(net: Network, node: str) -> list[str]:
    """Names of the alarms at a node."""
    read = net.sites[node].ask(lambda made, reply: made.monitor.tell(ReadMonitor(reply, 1)))
    assert isinstance(read, MonitorRead)
    return [alarm.name for alarm in read.alarms]


@pytest.mark.parametrize("shape", ["ab", "abc"])
@pytest.mark.parametrize("seed", range(3))
def test_two_homes_made_during_a_partition_become_one_and_no_mail_is_lost(seed: int, shape: str) -> None:
    net, *phones = parted(seed, shape)
    with net:
        net.heal()
        until(net, lambda: is_over(net, "bob", "a"), 600)
        found = account(net, "bob", "a")
        assert found is not None
        assert found.epoch == 2
        assert alarms(net, "a") == alarms(net, shape[-1]) == []
        net.come_to_rest()
        assert net.judge() == []
        # Each phone was promised its own half; what was open to anyone may go to either.
        assert {body for phone in phones for body in phone.mailbox} == {s.body for s in net.oracle.accepted()}


def test_the_same_name_at_two_linked_nodes_at_once() -> None:
    with Network(5, links=line("ab"), open_mode=True) as net:
        net.start()
        phones = [net.phone("bob", node, on=False) for node in "ab"]
        for phone in phones:
            phone.switch_on()
        sender = net.phone("alice", "b")
        bodies = [sender.send("bob") for _ in range(10)]
        net.run_until(lambda: all(phone.registered for phone in phones))
        until(net, lambda: len(homes(net, "bob")) == 1 and is_over(net, "bob", homes(net, "bob")[0]))
        net.come_to_rest()
        assert net.judge() == []
        assert {body for phone in phones for body in phone.mailbox} == set(bodies)


@pytest.mark.parametrize("who", ["a", "b", "both", "link"])
def test_a_kill_or_a_cut_at_every_step_of_a_merge(who: str) -> None:
    for kill_after in range(0, 3000, 40):
        net, *_ = parted(seed=9)
        with net:
            net.mend("a", "b")
            for phone in net.phones:
                phone.switch_on()
            net.simulation.run_steps(kill_after)
            over = is_over(net, "bob", "a")
            for name in ("a", "b"):
                if who in (name, "both"):
                    net.crash(name)
            if who == "link":
                net.cut("a", "b")
                net.run_for(20)
            net.run_for(1)
            net.heal()
            until(net, lambda: is_over(net, "bob", "a"), 900, pace=2.0)  # noqa: B023 - called at once
            net.come_to_rest()
            assert net.judge() == [], (who, kill_after)
            if over:
                return
    pytest.fail("a merge took more steps than were killed")


def test_accounts_with_a_password_never_merge() -> None:
    with Network(6, links=line("ab"), open_mode=True) as net:
        net.start()
        net.cut("a", "b")
        net.run_for(30)
        net.user("bob", "a", PASSWORD)
        net.user("bob", "b", PASSWORD)
        net.heal()
        until(net, lambda: bool(alarms(net, "a")) and bool(alarms(net, "b")))
        assert alarms(net, "a") == alarms(net, "b") == ["double-name:bob"]
        net.run_for(300)
        assert homes(net, "bob") == ["a", "b"]


def test_who_has_a_password_keeps_his_name_to_himself() -> None:
    with Network(7, links=line("ab"), open_mode=True) as net:
        net.start()
        net.cut("a", "b")
        net.run_for(30)
        net.user("bob", "a", PASSWORD)
        net.phone("bob", "b")
        net.heal()
        until(net, lambda: bool(alarms(net, "b")))
        net.run_for(300)
        assert homes(net, "bob") == ["a", "b"]
        found = account(net, "bob", "a")
        assert found is not None
        assert (found.epoch, found.coming_from) == (1, "")


@pytest.mark.parametrize("seed", range(3))
def test_many_homes_made_in_a_storm_become_one(seed: int) -> None:
    """Three nodes lose each other, each gets a bob and a carol, and nodes are killed while they find together."""
    with Network(seed, links=ring("abc"), open_mode=True) as net:
        net.start()
        net.part("a", "b", "c")
        net.run_for(30)
        senders = [net.phone(f"from-{node}", node) for node in "abc"]
        for node in "abc":
            for name in ("bob", "carol"):
                net.phone(name, node)
        for _ in range(30):
            net.random.choice(senders).send(net.random.choice(("bob", "carol")))
        net.run_for(2)
        net.heal()
        for _ in range(12):
            net.run_for(net.random.choice((0.05, 0.5, 3.0)))
            net.random.choice(senders).send(net.random.choice(("bob", "carol")))
            if net.random.random() < 0.4:
                victim = net.random.choice("abc")
                net.crash(victim)
                net.run_for(net.random.choice((0.1, 4.0)))
                net.restart(victim)
        net.heal()
        for name in ("bob", "carol"):
            until(net, lambda: any(is_over(net, name, node) for node in "abc"), 2000, pace=2.0)  # noqa: B023 - at once
        net.come_to_rest()
        assert net.judge() == []
