"""The walk over nodes that had to do with a message, with nodes that are made up."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from types import SimpleNamespace
from typing import Any

import msgspec

from actors.messages.links import Reply, ToldJourney, ToldStep
from actors.messages.server_manager import AskFar, FarAnswered
from actors.model import MessageId, NodeName, Step, UserName
from apps.common.journey import Journey, TracedStep
from apps.node.journeys import BUDGET, LATEST, Answered, alone, asker, ordered, walk

ID = MessageId("id-1")
BOB = "contact:bob@127.0.0.1:5070"
NEVER = 60.0
NOBODY: Set[str] = frozenset()


def steps(*told: tuple[float, str, str]) -> tuple[ToldStep, ...]:
    return tuple(ToldStep(*one) for one in told)


class World:
    """Nodes by name and what they tell; those in `dead` do not answer, those in `slow` never do."""

    def __init__(self, told: dict[str, ToldJourney], *, dead: Set[str] = NOBODY, slow: Set[str] = NOBODY) -> None:
        self.told = told
        self.dead = dead
        self.slow = slow
        self.asked: list[str] = []
        self.homes: dict[str, str] = {}

    async def ask(self, node: NodeName, user: UserName, seconds: float) -> Answered:
        name = self.homes.get(user, "") if user else node
        self.asked.append(f"home of {user}" if user else node)
        if name in self.slow:
            await asyncio.sleep(NEVER)
        if name in self.dead or name not in self.told:
            return Answered(node, None, f"No way to {node} now")
        return Answered(NodeName(name), self.told[name])

    def walk(self, here: str, seconds: float = 5.0) -> Journey:
        return asyncio.run(walk(ID, NodeName(here), self.ask, seconds=seconds))


def line() -> dict[str, ToldJourney]:
    """A message went a, b, c, where bob lives, who has it."""
    alice, bob = UserName("alice"), UserName("bob")
    near = {"a": "b", "b": "ac", "c": "bd", "d": "c"}
    told = {
        "a": ToldJourney(steps=steps((1.0, "accepted", ""), (1.3, "forwarded", "b"))),
        "b": ToldJourney(steps=steps((1.2, "stored", "from a"), (1.5, "forwarded", "c"))),
        "c": ToldJourney(
            sender=alice,
            recipient=bob,
            accepted=1.0,
            ended=1.9,
            end="delivered",
            steps=steps((1.4, "stored", "from b"), (1.6, "sent", BOB), (1.8, "acknowledged", BOB)),
        ),
        "d": ToldJourney(),
    }
    return {
        name: ToldJourney(**{field: getattr(one, field) for field in one.__struct_fields__ if field != "neighbours"},
                          neighbours=tuple(NodeName(node) for node in near[name]))
        for name, one in told.items()
    }  # fmt: skip


def test_from_any_node_of_the_way_the_whole_of_it_is_found() -> None:
    for here in "abc":
        world = World(line())
        journey = world.walk(here)
        assert (journey.state, journey.sender, journey.recipient) == ("delivered", "alice", "bob")
        assert (journey.accepted_at, journey.ended_at) == (1.0, 1.9)
        assert [(step.node, step.step, step.to) for step in journey.steps] == [
            ("a", "accepted", ""),
            ("b", "stored", ""),
            ("a", "forwarded", "b"),
            ("c", "stored", ""),
            ("b", "forwarded", "c"),
            ("c", "sent", BOB),
            ("c", "acknowledged", BOB),
            ("c", "ended", ""),
        ]
        assert sorted(journey.nodes) == ["a", "b", "c"]
        assert journey.silent == ()
        assert sorted(world.asked) == ["a", "b", "c"]


def test_a_node_that_never_saw_it_asks_those_near() -> None:
    journey = World(line()).walk("d")
    assert (journey.state, sorted(journey.nodes)) == ("delivered", ["a", "b", "c"])


def test_who_is_silent_is_named_with_the_reason() -> None:
    world = World(line(), dead={"b"})
    journey = world.walk("a")
    assert (journey.state, journey.reason, journey.nodes) == ("forwarded", "to b", ("a",))
    assert [(one.node, one.reason) for one in journey.silent] == [("b", "No way to b now")]


def test_it_is_where_the_last_one_who_tells_sent_it() -> None:
    for here in "ab":
        assert World(line(), dead={"c"}).walk(here).reason == "to c"


def test_who_never_answers_does_not_hold_up_the_others() -> None:
    world = World(line(), slow={"b"})
    journey = world.walk("a", seconds=0.2)
    assert [one.node for one in journey.silent] == ["b"]
    assert "no answer" in journey.silent[0].reason or "no time" in journey.silent[0].reason


def test_the_home_is_asked_where_the_trail_ends() -> None:
    told = line()
    told["a"] = ToldJourney(
        recipient=UserName("bob"), queue="n:x", steps=steps((1.0, "accepted", ""), (1.1, "waiting", "for server x"))
    )
    world = World(told, dead={"x"})
    world.homes["bob"] = "c"
    journey = world.walk("a")
    assert journey.state == "delivered"
    assert world.asked.count("home of bob") == 1
    assert [one.node for one in journey.silent] == ["x"]


def test_a_home_knows_better_than_those_who_only_wait() -> None:
    told = {
        "a": ToldJourney(recipient=UserName("bob"), queue="n:b", steps=steps((1.0, "accepted", ""))),
        "b": ToldJourney(recipient=UserName("bob"), queue="u:bob", anyone=True, steps=steps((1.1, "stored", "from a"))),
    }
    assert World(told).walk("a").reason == "for a device of bob"


def test_the_server_that_a_phone_visits_is_asked_too() -> None:
    told = line()
    told["c"] = ToldJourney(ended=2.0, end="delivered", steps=steps((1.6, "sent", f"{BOB} at server e")))
    told["e"] = ToldJourney(steps=steps((1.7, "relayed", "sip:bob@127.0.0.1:5070")))
    journey = World(told).walk("c")
    assert [(step.node, step.step, step.to) for step in journey.steps][:2] == [
        ("c", "sent", BOB),
        ("e", "relayed", "sip:bob@127.0.0.1:5070"),
    ]
    assert journey.state == "delivered"


def test_nobody_knows_it() -> None:
    told = {name: ToldJourney(neighbours=one.neighbours) for name, one in line().items()}
    journey = World(told, dead={"d"}).walk("a")
    assert (journey.state, journey.steps, journey.nodes) == ("unknown", (), ())
    assert [one.node for one in journey.silent] == ["d"]


def test_a_large_network_is_not_asked_as_a_whole() -> None:
    names = [f"n{number}" for number in range(500)]
    told = {name: ToldJourney(neighbours=tuple(map(NodeName, names))) for name in names}
    world = World(told)
    assert world.walk("n0").state == "unknown"
    assert len(world.asked) == BUDGET


def test_a_liar_who_names_many_costs_no_more() -> None:
    liar = ToldJourney(steps=steps(*((1.0, "forwarded", f"n{number}") for number in range(500))))
    world = World({"a": liar})
    journey = world.walk("a")
    assert len(world.asked) <= BUDGET + 1
    assert 0 < len(journey.silent) <= BUDGET


def test_what_a_liar_tells_is_bounded() -> None:
    long = "x" * 100_000
    many = steps(*((float(number), "sent", long) for number in range(1_000)))
    never = steps((1e300, "sent", "to nobody"), (-1.0, "sent", "to nobody"))
    world = World({"a": ToldJourney(sender=UserName(long), accepted=1e300, ended=1e300, end=long, steps=never + many)})
    journey = world.walk("a")
    assert len(msgspec.json.encode(journey)) < 100_000
    assert all(0 <= at <= LATEST for at in (journey.ended_at or 0, *(step.at for step in journey.steps)))


def test_a_node_that_is_asked_by_name_speaks_for_itself() -> None:
    def tell(message: AskFar) -> None:
        reply = Reply(home=NodeName("c"), journey=line()["c"])
        message.reply_to.tell(FarAnswered(message.request, 200, "", True, reply, 0))

    async def asked(node: str, user: str) -> str:
        server_manager: Any = SimpleNamespace(tell=tell)
        return (await asker(server_manager, ID)(NodeName(node), UserName(user), 5.0)).node

    assert asyncio.run(asked("b", "")) == "b"
    assert asyncio.run(asked("", "bob")) == "c"


def test_one_node_can_be_asked_alone() -> None:
    world = World(line())
    journey = asyncio.run(alone(ID, NodeName("a"), world.ask))
    assert (journey.state, journey.reason, journey.nodes, world.asked) == ("forwarded", "to b", ("a",), ["a"])


def test_one_node_took_it_in_before_it_sent_it_on() -> None:
    steps = [
        TracedStep(10.0, "b", Step.FORWARDED, "to c", "c"),
        TracedStep(10.0010, "c", Step.SENT, "phone", "phone"),
        TracedStep(10.0013, "c", Step.STORED, "from b"),
        TracedStep(10.5000, "c", Step.ENDED, "delivered"),
        TracedStep(10.5000, "c", Step.ACKNOWLEDGED, "phone", "phone"),
        TracedStep(12.0, "c", Step.STORED, "from b"),
    ]
    names = [(step.node, step.step) for step in ordered(steps)]
    assert names == [
        ("b", Step.FORWARDED),
        ("c", Step.STORED),
        ("c", Step.SENT),
        ("c", Step.ACKNOWLEDGED),
        ("c", Step.ENDED),
        ("c", Step.STORED),
    ]
