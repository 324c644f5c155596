"""The picture of the network, and the past that a console keeps, without a browser."""

from __future__ import annotations

from typing import Any

from apps.monitor.frames import Alarm, Event, Hello, Log, Neighbour, Sample, Stats, Steps, User
from apps.monitor.pages.logs import wanted
from apps.monitor.state import LONGEST_NAME, MOST_NODES, MOST_USERS, Condition, picture, troubles
from apps.monitor.view import EVENTS, LOGS, PENDING, POINTS, Latencies, NodeView, Tail


def view(name: str, *neighbours: Neighbour, messages: int = 0) -> NodeView:
    made = NodeView(f"http://{name}")
    made.take(Hello(name))
    made.take(Stats(1.0, neighbours=list(neighbours), messages=messages))
    return made


def link(name: str, *, up: bool = True, **more: Any) -> Neighbour:
    return Neighbour(name, up=up, **more)


def test_three_in_a_line_stand_in_a_row() -> None:
    drawn = picture([view("c", link("b")), view("a", link("b")), view("b", link("a"), link("c"))])
    assert [node.name for node in drawn.nodes] == ["a", "b", "c"]
    assert [node.x for node in drawn.nodes] == sorted(node.x for node in drawn.nodes)
    assert len({node.y for node in drawn.nodes}) == 1
    assert [(item.a, item.b, item.up) for item in drawn.links] == [("a", "b", True), ("b", "c", True)]
    assert drawn.in_words == "3 nodes, 2 links, 2 of them up"


def test_a_link_is_down_if_one_end_says_so_and_its_queues_add_up() -> None:
    drawn = picture([view("a", link("b", waiting=2)), view("b", link("a", up=False, reason="lost", waiting=3))])
    (joined,) = drawn.links
    assert (joined.up, joined.reason, joined.waiting) == (False, "lost", 5)


def test_a_node_that_does_not_answer_is_away_and_an_unwatched_one_is_unseen() -> None:
    lost = view("b", link("a"))
    lost.lost("nobody listens there", 5.0)
    drawn = picture([view("a", link("b", up=False, reason="gone"), link("z")), lost])
    assert {node.name: node.condition for node in drawn.nodes} == {
        "a": Condition.UP,
        "b": Condition.AWAY,
        "z": Condition.UNSEEN,
    }
    assert {(item.a, item.b): item.up for item in drawn.links} == {("a", "b"): False, ("a", "z"): True}
    assert "no answer from b" in drawn.in_words


def test_alarms_say_where_what_and_what_to_do() -> None:
    lost = view("b")
    lost.lost("nobody listens there", 5.0)
    full = view("a")
    full.take(Alarm("disk-full", "Full\u202e.", "Free some."))
    told = troubles([full, lost, NodeView("never asked")])
    assert [(item.node, item.name) for item in told] == [("b", "away"), ("a", "disk-full")]
    assert "nobody listens there" in told[0].text
    assert told[0].advice
    assert told[1].text == "Full\\u202e."


def test_users_are_at_their_homes_those_online_first_and_only_some() -> None:
    node = view("a")
    node.users = [User(f"u{n}", online=n == 9) for n in range(10)] + [User("moved", home="b")]
    node.users_total = 11
    (drawn,) = picture([node]).nodes
    assert [person.name for person in drawn.users] == ["u9", "u0", "u1", "u2", "u3"]
    assert len(drawn.users) == MOST_USERS
    assert drawn.more == 5


def test_names_from_the_network_are_shown_printable_and_short() -> None:
    node = view("a", link("\x1b[31m" + "x" * 40))
    node.users = [User("<script>alert(1)</script>\u202e")]
    drawn = picture([node])
    shown = [item.name for item in drawn.nodes] + [user.name for item in drawn.nodes for user in item.users]
    assert len(shown) == 3
    assert all(name.isprintable() and len(name) <= LONGEST_NAME for name in shown)


def test_a_large_network_is_drawn_in_part() -> None:
    drawn = picture([view("hub", *(link(f"n{n:03}") for n in range(100)))])
    assert len(drawn.nodes) == MOST_NODES
    assert drawn.left_out == 101 - MOST_NODES
    names = {node.name for node in drawn.nodes}
    assert all(item.a in names and item.b in names for item in drawn.links)
    assert all(0 <= node.x <= 1 and 0 <= node.y <= 1 for node in drawn.nodes)


def test_rates_are_per_second_and_begin_anew_with_the_node() -> None:
    node = NodeView("x")
    for at, accepted, cpu in ((10.0, 100.0, 1.0), (12.0, 120.0, 1.5), (13.0, 5.0, 0.1)):
        node.take(Stats(at, counters={"messages_accepted_total": accepted}, cpu_seconds=cpu))
    assert [point.accepted for point in node.points] == [0.0, 10.0, 5.0]
    assert [point.cpu for point in node.points] == [0.0, 0.25, 0.1]


def test_latency_is_measured_over_nodes_that_share_it() -> None:
    shared = Latencies()
    first, last = NodeView("a", shared), NodeView("c", shared)
    first.take(Steps(1.0, samples=[Sample("1", "accepted", 1.0), Sample("2", "accepted", 1.0)]))
    last.take(Steps(2.0, samples=[Sample("1", "acknowledged", 1.25), Sample("1", "acknowledged", 9.0)]))
    last.take(Steps(2.0, samples=[Sample("unseen", "acknowledged", 1.25)]))
    last.take(Stats(3.0))
    assert last.points[-1].latency == 0.25
    last.take(Stats(4.0))
    assert last.points[-1].latency is None


def test_the_past_is_bounded() -> None:
    node = NodeView("x")
    for number in range(2_000):
        node.take(Stats(float(number)))
        node.take(Event(1.0, "info", "k", str(number)))
        node.take(Log(1.0, "INFO", str(number)))
    assert len(node.points) == POINTS
    assert len(node.events.since(0)) == EVENTS
    assert len(node.logs.since(0)) == LOGS
    assert node.logs.since(0)[-1].message == "1999"
    pending = Latencies(3)
    for number in range(10):
        pending.take(Sample(str(number), "accepted", 0.0))
    assert pending.take(Sample("0", "acknowledged", 1.0)) is None
    assert pending.take(Sample("9", "acknowledged", 1.0)) == 1.0
    assert PENDING < 10_000


def test_a_tail_gives_what_is_new() -> None:
    tail: Tail[int] = Tail(3)
    for number in range(5):
        tail.add(number)
    assert tail.since(5) == []
    assert tail.since(4) == [4]
    assert tail.since(0) == [2, 3, 4]


def test_lines_are_chosen_by_level_and_text() -> None:
    line = Log(1.0, "WARNING", "Refused", fields={"message_id": "ABC-1"})
    assert wanted(line, "info", "")
    assert wanted(line, "warning", "abc-1")
    assert not wanted(line, "error", "")
    assert not wanted(line, "debug", "other")
