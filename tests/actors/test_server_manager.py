"""ServerManager among probes: neighbours, links and relays; the mail that goes over links has tests of its own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.messages.client_manager import DeliveriesEnded, DeliveryResult, RelayArrived, RelaysArrived
from actors.messages.lifecycle import CommandFailed
from actors.messages.links import (
    Alive,
    DecideMove,
    Frame,
    Hello,
    LinkContent,
    NodeRoute,
    Relay,
    RelayedDelivery,
    Reply,
    RouterContent,
    Routes,
    SearchStep,
    Summary,
    SummaryWanted,
    Talk,
)
from actors.messages.requests import OutboundRequest
from actors.messages.router import FindNames, Found, NameAnswer, NeighbourDown
from actors.messages.server_manager import (
    AddNeighbour,
    AnswerRelay,
    AskFar,
    FarAnswered,
    LinkRequests,
    ListNeighbours,
    NeighbourDone,
    NeighboursListed,
    NodeWays,
    RelayDeliveries,
    RemoveNeighbour,
    TellNeighbours,
)
from actors.messages.sip_adapter import LinkReply, LinkRequest
from actors.model import Flow, NodeName, TransactionKey, UserName
from actors.server_manager.actor import ServerManager
from actors.server_manager.control import IN_FLIGHT, WAITING
from actors.server_manager.relays import Relays
from actors.testing import Probe
from tests.actors.link_bench import Network, Node, port_of

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
WANTED = SummaryWanted(node=C, have=1)


def address(name: str) -> str:
    return f"tcp://127.0.0.1:{port_of(name)}"


# Links.


def test_a_neighbour_at_one_side_is_enough() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run()
        assert (a.ups(), b.ups()) == ({"b"}, {"a"})
        assert [(i.up, i.hears_us, i.origin, i.reason) for i in a.neighbours().values()] == [
            (True, True, "setting", "")
        ]
        assert [(i.up, i.hears_us, i.origin) for i in b.neighbours().values()] == [(True, True, "greeting")]
        assert b.storage.neighbours[NodeName("a")].greeting
        assert network.contents(Hello) == [h for h in network.contents(Hello) if {h.node, h.to} == {"a", "b"}]
        assert len(network.contents(Hello)) == 2


def test_a_silent_link_is_asked_for_life_and_a_busy_one_is_not() -> None:
    with Network() as network:
        network.add("b")
        a = network.add("a", "b")
        network.run()
        before = len(network.contents(Alive, "a"))
        for _ in range(20):
            a.tell(TellNeighbours(items=((B, WANTED),)))
            network.run(1)
        assert len(network.contents(Alive, "a")) == before
        network.run(30)
        assert len(network.contents(Alive, "a")) == before + 3


def test_a_neighbour_that_is_not_there_is_called_with_back_off_until_it_is() -> None:
    with Network() as network:
        a = network.add("a", "b")
        network.run(50)
        calls = len(network.opened)
        assert 6 <= calls <= 20
        info = a.neighbours()["b"]
        assert (info.up, info.reason) == (False, "Connection refused")
        network.add("b")
        network.run(30)
        assert a.ups() == {"b"}
        assert len(a.events("neighbour-up")) == 1


def test_a_restarted_neighbour_is_greeted_at_once_when_it_calls() -> None:
    with Network() as network:
        b, a = network.add("b", "a"), network.add("a", "b")
        network.run(5)
        b.kill()
        network.run(100)
        assert a.ups() == set()
        b.start()
        network.run(0.1)
        assert a.ups() == {"b"}


def test_a_neighbour_that_accepts_and_never_answers_falls_and_its_requests_end() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.add("c", "a")
        network.run(5)
        network.on_request = lambda caller, callee, request: None if "b" in (caller, callee) else request
        a.tell(TellNeighbours(items=((B, WANTED), (C, WANTED))))
        network.run(5.5)
        assert a.silent() == [WANTED]
        assert network.nodes["c"].said() == [WANTED]
        assert a.ups() == {"c"}
        assert a.neighbours()["b"].reason == "does not answer"
        network.on_request = lambda caller, callee, request: request
        network.run(40)
        assert a.ups() == {"b", "c"}
        assert b.ups() == {"a"}


def test_a_neighbour_that_has_forgotten_us_is_greeted_anew() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run(5)
        network.simulation.crash([b.ref])
        b.start()  # so fast that the connection did not notice
        a.tell(TellNeighbours(items=((B, WANTED),)))
        network.run(1)
        assert a.silent() == [WANTED]
        assert a.ups() == {"b"}


def test_a_server_that_calls_itself_is_told() -> None:
    with Network() as network:
        a = network.add("a", "b", address=address("b"))
        network.run(1)
        assert "called itself" in a.neighbours()["b"].reason


def test_two_servers_of_one_name_are_told() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run(1)
        del network.nodes["a"]
        second = network.add("a", "b", address="tcp://127.0.0.1:1", incarnation="other")
        network.run(60)
        assert "two servers are called a" in second.neighbours()["b"].reason
        assert a.ups() == {"b"}
        assert len(b.neighbours()) == 1
        a.kill()
        network.run(90)
        assert second.ups() == {"b"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"secret": b"other"}, "secret"), ({"secret": b""}, "secret"), ({"realm": "other"}, "realm")],
)
def test_another_secret_or_realm_is_refused_and_said(change: dict[str, Any], reason: str) -> None:
    with Network() as network:
        b, a = network.add("b", **change), network.add("a", "b")
        network.run(2)
        assert a.ups() == b.ups() == set()
        assert reason in a.neighbours()["b"].reason
        assert b.neighbours() == {}
        assert len(b.events("link-not-believed")) >= 1


def test_without_a_secret_links_stay_on_this_machine() -> None:
    with Network() as network:
        b, a = network.add("b", secret=b""), network.add("a", "b", secret=b"")
        network.run(2)
        assert (a.ups(), b.ups()) == ({"b"}, {"a"})
        done = a.ask(NeighbourDone, AddNeighbour, node=C, address="tcp://10.0.0.1:5070")
        assert "secret" in done.error
        hello = next(request for _, _, request in network.requests if isinstance(request.content, Hello))
        network.inject(b, hello, b"x", host="10.0.0.1")  # type: ignore[arg-type]  # any key
        network.run(1)
        assert len(b.neighbours()) == 1


def test_a_neighbour_down_for_a_minute_is_an_alarm_until_it_is_up() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run(5)
        b.kill()
        network.run(59)
        assert a.alarms() == {}
        network.run(2)
        alarm = a.alarms()["neighbour-down:b"]
        assert "Connection" in alarm.text
        assert "angarium neighbour remove b" in alarm.advice
        b.start()
        network.run(31)
        assert a.alarms() == {}


def test_a_flapping_neighbour_is_not_called_without_end() -> None:
    with Network() as network:
        network.add("b")
        a = network.add("a", "b")
        network.run(5)
        for _ in range(1000):
            a.lose(B, "Connection lost")
            network.run(0.05)
        assert len(network.opened) < 60


# Operators.


def test_added_neighbours_are_remembered_and_removed_ones_do_not_come_back() -> None:
    with Network() as network:
        a, b = network.add("a"), network.add("b")
        network.run()
        assert a.ask(NeighbourDone, AddNeighbour, node=B, address=address("b")).error == ""
        network.run(1)
        assert a.neighbours()["b"].origin == "command"
        a.kill()
        a.start()
        network.run(31)
        assert a.neighbours()["b"].up
        assert a.ask(NeighbourDone, RemoveNeighbour, node=B).error == ""
        network.run(60)
        assert a.neighbours() == {}
        assert a.router.of(NeighbourDown)[-1] == NeighbourDown(node=B, removed=True)
        assert "remove" in b.neighbours()["a"].reason
        a.ask(NeighbourDone, AddNeighbour, node=B, address=address("b"))
        network.run(40)
        assert (a.ups(), b.ups()) == ({"b"}, {"a"})


def test_a_removed_neighbour_does_not_come_back_by_calling_after_a_restart() -> None:
    with Network() as network:
        a, b = network.add("a"), network.add("b", "a")
        network.run(5)
        assert a.neighbours()["b"].origin == "greeting"
        assert a.ask(NeighbourDone, RemoveNeighbour, node=B).error == ""
        a.kill()
        a.start()
        network.run(60)
        assert a.neighbours() == {}
        assert "remove" in b.neighbours()["a"].reason
        assert "no neighbour" in a.ask(NeighbourDone, RemoveNeighbour, node=B).error
        a.ask(NeighbourDone, AddNeighbour, node=B, address=address("b"))
        a.kill()
        a.start()
        network.run(60)
        assert (a.ups(), b.ups()) == ({"b"}, {"a"})


def test_so_many_removed_neighbours_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.server_manager.neighbours.MAX_REMOVED", 2)
    with Network() as network:
        a = network.add("a")
        network.run()
        for name in ("z", "y", "x"):
            assert a.ask(NeighbourDone, AddNeighbour, node=NodeName(name), address=address("b")).error == ""
            assert a.ask(NeighbourDone, RemoveNeighbour, node=NodeName(name)).error == ""
        network.run(1)
        assert sorted(a.storage.neighbours) == ["x", "y"]


@pytest.mark.parametrize(
    ("node", "address", "error"),
    [
        ("a", "tcp://127.0.0.1:1", "itself"),
        ("b c", "tcp://127.0.0.1:1", "name"),
        ("b" * 33, "tcp://127.0.0.1:1", "name"),
        ("b", "127.0.0.1:1", "tcp://HOST:PORT"),
        ("b", "tcp://127.0.0.1", "tcp://HOST:PORT"),
        ("b", "tcp://127.0.0.1:99999", "tcp://HOST:PORT"),
        ("b", "", "address"),
    ],
)
def test_wrong_neighbours_are_refused_with_a_sentence(node: str, address: str, error: str) -> None:
    with Network() as network:
        a = network.add("a")
        assert error in a.ask(NeighbourDone, AddNeighbour, node=NodeName(node), address=address).error
        assert a.storage.neighbours == {}
        assert "no neighbour" in a.ask(NeighbourDone, RemoveNeighbour, node=C).error


def test_settings_win_over_what_is_remembered() -> None:
    with Network() as network:
        a = network.add("a", "b")
        a.ask(NeighbourDone, AddNeighbour, node=B, address="tcp://127.0.0.1:1")
        assert a.neighbours()["b"].address == "tcp://127.0.0.1:1"
        a.kill()
        a.start()
        assert a.neighbours()["b"].address == address("b")
        assert a.neighbours()["b"].origin == "setting"


def test_a_store_that_fails_is_told() -> None:
    with Network() as network:
        a = network.add("a")
        network.run()
        shelf, probe = a.storage, Probe()
        tell = shelf.tell
        shelf.tell = lambda message: message.reply_to.tell(  # type: ignore[method-assign]
            CommandFailed(request=message.request, command=type(message).__name__, reason="disk")
        )
        a.tell(AddNeighbour(reply_to=probe, request=5, node=B, address=address("b")))
        network.run(0.1)
        assert probe.expect(CommandFailed).request == 5
        shelf.tell = tell  # type: ignore[method-assign]
        assert a.neighbours() == {}


# What Routers tell each other.


def test_what_routers_say_comes_in_order() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run()
        contents = tuple(SummaryWanted(node=C, have=number) for number in range(200))
        a.tell(TellNeighbours(items=tuple((B, content) for content in contents)))
        network.run()
        assert b.said() == list(contents)
        assert a.silent() == []


def test_too_much_for_a_slow_neighbour_gives_way_where_it_is_told_anew() -> None:
    with Network() as network:
        network.add("b")
        a = network.add("a", "b")
        network.run(2)
        network.on_request = lambda caller, callee, request: None
        search = SearchStep(search="a/1", name=UserName("x"), origin=A, budget=9, seconds=9.0)
        routes = Routes(items=(NodeRoute(node=C, number=1, metric=1, version=0),))
        for _ in range(IN_FLIGHT):
            a.tell(TellNeighbours(items=((B, search),)))
            network.run(0.001)
        a.tell(TellNeighbours(items=((B, search),)))
        a.tell(TellNeighbours(items=((B, routes), *((B, search) for _ in range(WAITING)))))
        network.run(0.1)
        assert a.silent()[:1] == [routes]
        assert len(a.silent()) == 2
        network.run(10)
        assert len(a.silent()) == IN_FLIGHT + 2 + WAITING


def test_what_a_router_says_at_once_goes_in_few_requests() -> None:
    with Network() as network:
        network.add("b")
        a = network.add("a", "b")
        network.run()
        heard: list[LinkContent] = []
        network.on_request = lambda caller, callee, request: heard.append(request.content)  # and lost
        big = [Summary(node=C, version=number, base=0, added=bytes(9_000)) for number in (1, 2, 3)]
        small = [SummaryWanted(node=C, have=number) for number in range(150)]
        contents: tuple[RouterContent, ...] = (*big, *small)
        a.tell(TellNeighbours(items=tuple((B, content) for content in contents)))
        network.run(0.1)
        assert [len(content.items) if isinstance(content, Talk) else 1 for content in heard] == [1, 1, 49, 100, 2]


def test_what_is_told_to_nobody_comes_back() -> None:
    with Network() as network:
        a = network.add("a")
        a.tell(TellNeighbours(items=((B, WANTED),)))
        network.run()
        assert a.silent() == [WANTED]


# Relays.


def line(network: Network) -> tuple[Node, Node, Node]:
    """a - b - c"""
    c, b = network.add("c"), network.add("b", "c")
    a = network.add("a", "b")
    network.run(1)
    return a, b, c


def far(node: Node, network: Network, seconds: float = 8.0, wait: float = 1.0, **fields: Any) -> FarAnswered:
    probe = Probe()
    content = DecideMove(user=UserName("bob"), epoch=2)
    node.tell(AskFar(reply_to=probe, request=3, content=content, seconds=seconds, **fields))
    network.run(wait)
    answer = probe.expect(FarAnswered, timeout=0)
    assert answer.request == 3
    return answer


def here(node: Node) -> list[RelayArrived]:
    return [item for message in node.clients.probe.of(RelaysArrived) for item in message.items]


YES = AnswerRelay(relay=0, status=200, reason="Yes", reply=Reply(home=C, epoch=2), retry_after=0)


def test_a_relay_by_node_goes_the_routers_way_and_its_answer_back() -> None:
    with Network() as network:
        a, _, c = line(network)
        c.clients.reply = YES
        assert far(a, network, to=C).status == 503
        a.tell(NodeWays(ways=((C, B),)))
        answer = far(a, network, to=C)
        assert (answer.status, answer.answered, answer.reason, answer.reply) == (200, True, "Yes", YES.reply)
        (arrived,) = here(c)
        assert (arrived.origin, arrived.path) == ("a", ("a", "b"))
        relays = network.contents(Relay)
        assert [relay.seconds for relay in relays] == sorted((relay.seconds for relay in relays), reverse=True)
        assert relays[0].seconds < 8
        a.tell(NodeWays(ways=((C, NodeName("")),)))
        assert far(a, network, to=C).status == 503


def test_a_relay_by_user_asks_each_router() -> None:
    with Network() as network:
        a, b, c = line(network)
        c.clients.reply = YES
        bob = UserName("bob")
        assert far(a, network, user=bob).status == 404
        a.names.answers[bob] = NameAnswer(name=bob, found=Found.ELSEWHERE, home=C, next_hop=B)
        c.names.answers[bob] = NameAnswer(name=bob, found=Found.HERE)
        assert far(a, network, user=bob).status == 200, "b knows nothing of bob, but the way to c"
        b.names.answers[bob] = NameAnswer(name=bob, found=Found.ELSEWHERE, home=C)
        assert b.router.of(FindNames)[-1].visited == ("a",)
        assert far(a, network, user=bob).status == 200
        c.names.answers.clear()
        answer = far(a, network, user=bob)
        assert (answer.status, answer.answered) == (404, True)
        a.names.answers[bob] = NameAnswer(name=bob, found=Found.HERE)
        a.clients.reply = msgspec.structs.replace(YES, status=299)
        assert far(a, network, user=bob).status == 299
        assert here(a)[-1].path == ()


def test_a_way_that_is_down_ends_with_503_and_a_time_to_wait() -> None:
    with Network() as network:
        a, _, c = line(network)
        a.tell(NodeWays(ways=((C, B),)))
        c.kill()
        answer = far(a, network, to=C)
        assert (answer.status, answer.answered) == (503, False)
        assert answer.retry_after >= 1


def test_a_far_end_that_does_not_answer_costs_no_link() -> None:
    with Network() as network:
        a, b, _ = line(network)
        a.tell(NodeWays(ways=((C, B),)))
        answer = far(a, network, to=C, seconds=3.0, wait=3.5)
        assert (answer.status, answer.answered) == (503, False)
        assert (a.ups(), b.ups()) == ({"b"}, {"a", "c"})


def test_a_relay_is_open_for_a_minute_at_most_whatever_the_neighbour_says() -> None:
    with Network() as network:
        line(network)
        relay = Relay(origin=A, content=DecideMove(user=UserName("bob"), epoch=1), to=B, path=(A,), seconds=1e300)
        network.nodes["b"].tell(LinkRequests(items=(network.proved("a", "b", relay),)))
        network.run(1)
        before = len(network.statuses)
        network.run(61)
        assert 503 in network.statuses[before:]


def test_a_relay_that_runs_in_a_circle_ends() -> None:
    with Network() as network:
        a, b, _ = line(network)
        d = NodeName("d")
        a.tell(NodeWays(ways=((d, B),)))
        b.tell(NodeWays(ways=((d, A),)))
        assert far(a, network, to=d).status == 503
        assert len(network.contents(Relay)) == 1


def outbound(*route: bytes) -> OutboundRequest:
    return OutboundRequest(
        delivery=9,
        flow=Flow("path", 0, "c", 0, 0),
        method="MESSAGE",
        target=b"sip:bob@10.0.0.1",
        token="0" * 32,
        from_uri=b"sip:alice@angarium",
        to_uri=b"sip:bob@angarium",
        call_id=b"c",
        cseq=1,
        body=b"hi\xff",
        route=route,
    )


@pytest.mark.parametrize(("status", "answered"), [(200, True), (430, True), (486, True), (408, False), (503, False)])
def test_a_delivery_goes_by_its_route(status: int, answered: bool) -> None:
    with Network() as network:
        a, _, c = line(network)
        c.clients.reply = AnswerRelay(relay=0, status=status, reply=Reply(home=C))
        a.tell(RelayDeliveries(items=(outbound(b"b", b"c", b"token"),)))
        network.run(1)
        (arrived,) = here(c)
        assert isinstance(arrived.content, RelayedDelivery)
        assert (arrived.content.token, arrived.content.request.body) == ("token", b"hi\xff")
        assert arrived.path == ("a", "b")
        (ended,) = a.clients.probe.of(DeliveriesEnded)
        assert ended.items == (DeliveryResult(delivery=9, status=status, answered=answered),)


@pytest.mark.parametrize("status", [200, 403, 404, 430, 482])
def test_what_a_node_between_answers_is_no_word_of_the_phone_or_the_home(status: int) -> None:
    with Network() as network:
        a, _, c = line(network)
        c.clients.reply = AnswerRelay(relay=0, status=status)  # without a name: as nodes between answer
        a.tell(NodeWays(ways=((C, B),)))
        a.tell(RelayDeliveries(items=(outbound(b"b", b"c", b"token"), outbound(b"b", b"x", b"token"))))
        network.run(1)
        results = [item for message in a.clients.probe.of(DeliveriesEnded) for item in message.items]
        assert [(result.status, result.answered) for result in results] == [(503, False)] * 2
        answer = far(a, network, to=C)
        assert (answer.status, answer.answered) == ((404, True) if status == 404 else (503, False))


def test_each_delivery_has_one_result_whatever_becomes_of_it() -> None:
    with Network() as network:
        a, b, _ = line(network)
        broken = msgspec.structs.replace(outbound(b"\xff", b"t"), delivery=10)
        a.tell(
            RelayDeliveries(
                items=(outbound(b"c", b"t"), broken, outbound(b"b", b"x", b"t"), outbound(b"b", b"c", b"t"))
            )
        )
        network.run(1)
        b.kill()
        network.run(40)
        results = [item for message in a.clients.probe.of(DeliveriesEnded) for item in message.items]
        assert sorted((result.delivery, result.answered) for result in results) == [(9, False)] * 3 + [(10, False)]
        assert a.failures.take_all()


def test_a_relay_that_claims_another_way_is_refused() -> None:
    with Network() as network:
        _, b, _ = line(network)
        relay = Relay(origin=C, content=DecideMove(user=UserName("bob"), epoch=2), to=B, path=(C,))
        b.tell(LinkRequests(items=(network.proved("a", "b", relay),)))
        network.run(1)
        assert here(b) == []
        assert network.statuses[-1] == 403


# Nobody else.


def test_a_request_that_is_not_proved_gets_nowhere() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run()
        request = LinkRequest(number=1, node=B, frame=Frame(session="x", number=1, mac="y"), content=WANTED, seconds=1)
        network.inject(b, request, b"forged")  # type: ignore[arg-type]  # any key
        network.run()
        assert b.said() == []
        assert a.ups() == {"b"}


def test_a_strangers_greeting_leaves_no_long_names_behind() -> None:
    with Network() as network:
        b = network.add("b")
        network.run()
        long = NodeName("x" * 100_000)
        hello = Hello(node=long, to=long, realm="angarium", nonce="0" * 32, address="", incarnation="i")
        request = LinkRequest(number=1, node=B, frame=Frame(mac="0" * 32), content=hello, seconds=1.0)
        network.inject(b, request, TransactionKey(b"9000"))
        network.run(5)
        assert network.statuses == [403]
        assert [len(text) < 200 for text in b.events("link-not-believed")] == [True]


def test_an_exception_costs_one_request_only() -> None:
    with Network() as network:
        b = network.add("b")
        network.add("a", "b")
        network.run()
        bad = msgspec.structs.replace(
            Relay(origin=A, content=DecideMove(user=UserName("bob"), epoch=2), to=B, path=(A,)), seconds="soon"
        )
        b.tell(LinkRequests(items=(network.proved("a", "b", bad), network.proved("a", "b", WANTED))))
        network.run()
        assert b.said() == [WANTED]
        assert b.failures.take_all()


def test_a_failure_in_one_part_does_not_keep_the_others_from_handing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run()
        with monkeypatch.context() as patched:
            patched.setattr(Relays, "flush", lambda relays: 1 / 0)
            a.tell(TellNeighbours(items=((B, WANTED),)))
            network.run()
        assert b.said() == [WANTED]
        assert a.failures.take_all()
        b.failures.take_all()


def test_whoever_fails_on_an_answer_is_told_that_there_was_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with Network() as network:
        a, _, c = line(network)
        c.clients.reply = YES
        a.tell(NodeWays(ways=((C, B),)))
        ended, failed = Relays._answered, list[str]()

        def fails_once(self: Relays, errand: Any, node: NodeName, answer: Any) -> None:
            if not failed:
                failed.append(node)
                raise ArithmeticError
            ended(self, errand, node, answer)

        monkeypatch.setattr(Relays, "_answered", fails_once)
        answer = far(a, network, to=C)
        assert (answer.status, answer.answered) == (503, False)
        assert [node.failures.take_all() != () for node in network.nodes.values()].count(True) == 1


def test_a_store_that_fails_at_the_start_is_asked_again() -> None:
    with Network() as network:
        b = network.add("b")
        node = Node(network, "a", msgspec.structs.replace(b.settings, node=A, address=address("a")), ServerManager)
        network.nodes["a"] = node
        tell, failed = node.storage.tell, list[str]()

        def fail_twice(message: Any) -> None:
            if len(failed) < 4 and failed.count(type(message).__name__) < 2:
                failed.append(type(message).__name__)
                message.reply_to.tell(CommandFailed(request=message.request, command="", reason="disk"))
            else:
                tell(message)

        node.storage.tell = fail_twice  # type: ignore[method-assign]
        node.start()
        asked = Probe()
        node.tell(ListNeighbours(reply_to=asked, request=1))
        network.run(0.1)
        asked.expect_none()
        network.run(2)
        assert asked.expect(NeighboursListed).node == "a"
        assert sorted(failed) == ["OpenStore", "OpenStore", "ReadNeighbours", "ReadNeighbours"]


def test_a_router_that_fails_ends_the_relay() -> None:
    with Network() as network:
        a = network.add("a")
        network.run()
        a.names.tell = lambda message: message.reply_to.tell(  # type: ignore[method-assign]
            CommandFailed(request=message.request, command="FindNames", reason="broken")
        )
        answer = far(a, network, user=UserName("bob"))
        assert (answer.status, answer.answered) == (503, False)


def test_what_is_too_large_for_a_link_leaves_it_up() -> None:
    with Network() as network:
        network.add("b")
        a = network.add("a", "b")
        network.run(2)
        network.too_large = SummaryWanted
        a.tell(TellNeighbours(items=((B, WANTED),)))
        network.run(1)
        assert a.silent() == [WANTED]
        assert a.ups() == {"b"}


def test_a_border_that_sheds_without_a_proof_costs_no_link() -> None:
    with Network() as network:
        network.add("b")
        a = network.add("a", "b")
        network.run(2)
        network.on_answer = lambda callee, caller, reply: LinkReply(reply.transaction, 503, retry_after=1)
        a.tell(TellNeighbours(items=((B, WANTED),) * 10))
        network.run(1)
        assert a.ups() == {"b"}
        assert len(a.silent()) == 10
        network.on_answer = lambda callee, caller, reply: LinkReply(reply.transaction, 200)
        for _ in range(10):
            a.tell(TellNeighbours(items=((B, WANTED),)))
            network.run(0.01)
        assert a.events("neighbour-down") == ["neighbour b is down: its answers cannot be proved"]


def test_a_border_that_forgets_a_request_is_not_waited_for_without_end() -> None:
    with Network() as network:
        b, a = network.add("b"), network.add("a", "b")
        network.run(2)
        network.forgets = True
        network.on_request = lambda caller, callee, request: None
        a.tell(TellNeighbours(items=((B, WANTED),)))
        network.run(21)
        assert a.silent() == [WANTED]
        assert a.ups() == set()
        network.forgets = False
        network.on_request = lambda caller, callee, request: request
        network.run(60)
        assert (a.ups(), b.ups()) == ({"b"}, {"a"})
