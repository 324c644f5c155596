"""Plain stories about one node, told by hand: what a test of one's own with simulated phones looks like."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loguru import logger

from apps.simulated.phone import Phone
from apps.simulated.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A world with a running node, judged at the end."""
    logger.disable("actors")
    with World(seed=1) as world:
        world.start_node()
        yield world
        world.come_to_rest()
        assert world.judge() == []
    logger.enable("actors")


def phone(world: World, user: str, *, password: str = "", instance: bool = True) -> Phone:
    """A phone that is on and registered."""
    added = world.add_phone(user, password=password, instance=instance)
    added.switch_on()
    world.run_for(1)
    assert added.registered
    return added


def test_a_message_is_delivered(world: World) -> None:
    alice, bob = phone(world, "alice"), phone(world, "bob")
    body = alice.send("bob")
    world.run_for(1)
    assert bob.mailbox == [body]
    assert world.oracle.sent[body].status == 202


def test_an_unknown_name_is_refused(world: World) -> None:
    alice = phone(world, "alice")
    body = alice.send("nobody")
    world.run_for(1)
    assert world.oracle.sent[body].status == 404


def test_who_is_away_gets_it_when_he_is_back(world: World) -> None:
    alice, bob = phone(world, "alice"), phone(world, "bob")
    bob.switch_off()
    bodies = [alice.send("bob") for _ in range(50)]
    world.run_for(100)
    assert len(world.waiting()) == 50
    bob.switch_on()
    world.run_for(5)
    assert bob.mailbox == bodies
    assert world.waiting() == []


def test_a_phone_that_does_not_register_again_gets_its_mail_after_a_kill(world: World) -> None:
    alice, bob = phone(world, "alice"), phone(world, "bob")
    body = alice.send("bob")
    while world.oracle.sent[body].status is None:
        world.simulation.step()
    world.crash_node()
    world.start_node()
    world.run_for(60)  # it registers again only after 480 s
    assert bob.mailbox == [body]


def test_digest_proves_a_user_with_a_password(world: World) -> None:
    world.add_user("alice", "secret")
    alice, bob = phone(world, "alice", password="secret"), phone(world, "bob")
    stranger = world.add_phone("alice", password="guess")
    stranger.switch_on()
    body, forged = alice.send("bob"), stranger.send("bob")
    world.run_for(1)
    assert bob.mailbox == [body]
    assert not stranger.registered
    assert world.oracle.sent[forged].status == 403


def test_each_device_gets_a_copy(world: World) -> None:
    alice = phone(world, "alice")
    bobs = [phone(world, "bob"), phone(world, "bob", instance=False)]
    bobs[1].switch_off()
    body = alice.send("bob")
    world.run_for(1)
    assert [bob.mailbox for bob in bobs] == [[body], []]
    bobs[1].switch_on()
    world.run_for(5)
    assert [bob.mailbox for bob in bobs] == [[body], [body]]


def test_the_sender_is_told_once_when_nobody_came_in_time(world: World) -> None:
    alice, bob = phone(world, "alice"), phone(world, "bob")
    bob.switch_off()
    alice.send("bob", life=10)
    world.run_for(30)
    assert len(alice.mailbox) == 1
    assert b"bob" in alice.mailbox[0]
    bob.switch_on()
    world.run_for(5)
    assert bob.mailbox == []


def test_a_full_disk_refuses_and_recovers_by_itself(world: World) -> None:
    alice, bob = phone(world, "alice"), phone(world, "bob")
    world.disk.fill()
    refused = [alice.send("bob") for _ in range(200)]
    world.run_for(5)
    statuses = {world.oracle.sent[body].status for body in refused}
    assert statuses <= {202, 503}
    assert 503 in statuses
    world.disk.empty()
    world.run_for(5)
    body = alice.send("bob")
    world.run_for(5)
    assert bob.mailbox[-1] == body
