"""The admin interface: who may ask, what it answers, and that it tells no secret."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from actors.messages.client_manager import AddUser, AddUsers, CommandDone, ListUsers, RemoveUser, UserInfo, UsersListed
from actors.messages.lifecycle import CommandFailed
from actors.messages.monitor import (
    JourneyRead,
    JourneyStep,
    Level,
    MonitorRead,
    RaiseAlarm,
    ReadJourney,
    ReadMonitor,
    ReportEvent,
)
from actors.messages.server_manager import ListNeighbours, NeighbourInfo, NeighboursListed
from actors.messages.storage import (
    MessageStateRead,
    QueueRead,
    ReadMessageState,
    ReadQueue,
    ReadStoreStats,
    StoreStatsRead,
)
from actors.model import (
    Binding,
    Device,
    DeviceKey,
    End,
    EndedMessage,
    Envelope,
    Flow,
    MessageId,
    NodeName,
    Proof,
    QueueName,
    Seq,
    Step,
    StoredMessage,
    UserName,
)
from actors.state.digest import ha1
from apps.client import admin_client
from apps.common.exits import Exit, Failure
from apps.common.values import Address
from apps.node.admin import AdminServer
from apps.node.admin_api import AdminApi
from apps.node.admin_facts import NodeActors, NodeFacts
from apps.node.asking import AskError, ReplyRef, ask

ALICE = UserName("alice")
FLOW = Flow(transport="udp", listener=0, host="10.0.0.1", port=5062)
BINDING = Binding(contact=b"sip:alice@h", flow=FLOW, expires=160.0, call_id=b"c", cseq=1, aor_host="h")
DEVICE = Device(key=DeviceKey("instance:1"), since=Seq(0), cursor=Seq(0), seen=90.0, bindings=(BINDING,))
ENVELOPE = Envelope(
    id=MessageId("id-1"),
    sender=UserName("bob"),
    recipient=ALICE,
    call_id=b"c",
    headers=((b"Content-Type", b"text/plain"),),
    body=b"the body",
    accepted=1000.0,
    proof=Proof.OPEN,
)
STORED = StoredMessage(seq=Seq(7), envelope=ENVELOPE, anyone=True, expires=200.0)
ENDED = EndedMessage(MessageId("id-2"), UserName("bob"), ALICE, 1000.0, 1001.0, End.REFUSED, "415")


class Node:
    """Plays all actors: remembers users it was told of, and answers the rest from constants."""

    def __init__(self) -> None:
        self.users: dict[str, tuple[str, str]] = {}
        self.broken: set[type] = set()
        self.alarms = (RaiseAlarm("damaged-rows", "the disk forgets", "look at it"),)

    def tell(self, command: Any) -> None:
        if type(command) in self.broken:
            answer: Any = CommandFailed(command.request, type(command).__name__, "OSError")
        else:
            answer = ANSWERS[type(command)](self, command)
        command.reply_to.tell(answer)

    def add(self, command: AddUser) -> CommandDone:
        if (command.name in self.users) != command.replace:
            return CommandDone(command.request, "unknown" if command.replace else "exists")
        self.users[command.name] = (command.ha1_md5, command.ha1_sha256)
        return CommandDone(command.request)

    def add_many(self, command: AddUsers) -> CommandDone:
        self.users |= {name: (md5, sha256) for name, md5, sha256 in command.items}
        return CommandDone(command.request)

    def remove(self, command: RemoveUser) -> CommandDone:
        return CommandDone(command.request, "" if self.users.pop(command.name, None) else "unknown")

    def list(self, command: ListUsers) -> UsersListed:
        names = [command.name] if command.name in self.users else [] if command.name else sorted(self.users)
        chosen = [name for name in names if command.name or name > command.after][: command.limit]
        infos = tuple(UserInfo(UserName(name), True, True, (DEVICE,), 0) for name in chosen)
        return UsersListed(command.request, infos, len(self.users), 100.0)

    def stats(self, command: ReadStoreStats) -> StoreStatsRead:
        return StoreStatsRead(command.request, 3, len(self.users), 4096, 0, 12, 1.5)

    def neighbours(self, command: ListNeighbours) -> NeighboursListed:
        near = NeighbourInfo(
            NodeName("b"), "tcp://127.0.0.1:1", "setting", True, True, 1.0, "", waiting=3, in_flight=0, in_doubt=0,
            oldest=0.0, sent=0, received=0,
        )  # fmt: skip
        return NeighboursListed(command.request, (near,), 0, NodeName("a"))

    def queue(self, command: ReadQueue) -> QueueRead:
        return QueueRead(command.request, command.queue, (STORED,) if command.after < 7 else (), False)

    def state(self, command: ReadMessageState) -> MessageStateRead:
        stored = STORED if command.id == "id-1" else None
        queue = QueueName("u:alice") if stored else None
        return MessageStateRead(command.request, stored, queue, ENDED if command.id == "id-2" else None)

    def journey(self, command: ReadJourney) -> JourneyRead:
        steps = {"id-1": JourneyStep(1000.5, Step.SENT, "\x1bx"), "id-4": JourneyStep(1000.5, Step.FORWARDED, "b")}
        known = steps.get(command.id)
        return JourneyRead(command.request, (known,) if known else ())

    def monitor(self, command: ReadMonitor) -> MonitorRead:
        event = ReportEvent(at=1.0, level=Level.INFO, kind="registered", text="alice\udcff", user="alice")
        return MonitorRead(
            command.request,
            (event,)[: command.limit],
            self.alarms,
            {"messages_accepted_total": 5.0, 'answers_total{status="200"}': 4.0, "bad name": 1.0},
            {"users": 1_001.0, "users_online": 2.0},
        )


ANSWERS: dict[type, Callable[[Node, Any], Any]] = {
    AddUser: Node.add,
    AddUsers: Node.add_many,
    RemoveUser: Node.remove,
    ListUsers: Node.list,
    ReadStoreStats: Node.stats,
    ListNeighbours: Node.neighbours,
    ReadQueue: Node.queue,
    ReadMessageState: Node.state,
    ReadJourney: Node.journey,
    ReadMonitor: Node.monitor,
}


class Served:
    """A served node, and raw questions to its TCP address."""

    def __init__(self, node: Node, server: AdminServer, data: Path) -> None:
        self.node = node
        self.server = server
        self.data = data

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, str]:
        address = self.server.address
        assert address is not None
        connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text, text


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    node = Node()
    facts = NodeFacts(name="a", realm="r", version="1", addresses=("udp://127.0.0.1:5060",))
    api = AdminApi(facts, NodeActors(node, node, node, node, node))
    server = AdminServer(api.app, data=tmp_path, tcp=Address("127.0.0.1", 0))
    server.start()
    yield Served(node, server, tmp_path)
    server.stop()
    assert not (tmp_path / "control.sock").exists()


def test_only_its_owner_may_use_the_socket(served: Served) -> None:
    assert (served.data / "control.sock").stat().st_mode & 0o777 == 0o600
    assert admin_client.of_data(served.data).get("status")["name"] == "a"


def test_a_deep_folder_and_a_socket_left_behind_do_no_harm(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "control.sock").touch()
    node = Node()
    api = AdminApi(
        NodeFacts(name="deep", realm="r", version="1", addresses=()), NodeActors(node, node, node, node, node)
    )
    server = AdminServer(api.app, data=deep)
    server.start()
    try:
        assert admin_client.of_data(deep).get("status")["name"] == "deep"
    finally:
        server.stop()


def test_it_listens_on_this_machine_only(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failed:
        AdminServer(lambda: pytest.fail("made"), data=tmp_path, tcp=Address("0.0.0.0", 8060))
    assert failed.value.exit_code == Exit.CONFIG


def test_an_address_in_use_is_a_failure(served: Served, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    node = Node()
    facts = NodeFacts(name="b", realm="r", version="1", addresses=())
    api = AdminApi(facts, NodeActors(node, node, node, node, node))
    server = AdminServer(api.app, data=other, tcp=served.server.address)
    with pytest.raises(Failure) as failed:
        server.start()
    server.stop()
    assert failed.value.exit_code == Exit.CONFIG


@pytest.mark.parametrize(("host", "status"), [("localhost:1", 200), ("[::1]", 200), ("evil.example", 403), ("", 403)])
def test_a_foreign_name_that_points_here_is_refused(served: Served, host: str, status: int) -> None:
    assert served.ask("GET", "/v1/status", headers={"Host": host})[0] == status


def test_status_tells_how_the_node_is(served: Served) -> None:
    _, status, _ = served.ask("GET", "/v1/status")
    told = {key: status[key] for key in ("name", "realm", "users", "messages", "commits", "online", "ready")}
    assert told == {"name": "a", "realm": "r", "users": 0, "messages": 3, "commits": 12, "online": 2, "ready": True}
    assert status["rss_bytes"] > 0
    assert status["alarms"][0]["name"] == "damaged-rows"


def test_users_come_and_go_without_telling_secrets(served: Served) -> None:
    new = {"name": "alice", "password": "geheim"}
    answers = [
        served.ask("POST", "/v1/users", new),
        served.ask("POST", "/v1/users", new),
        served.ask("POST", "/v1/users", {**new, "name": "zed", "replace": True}),
        served.ask("POST", "/v1/users", {**new, "replace": True}),
        served.ask("GET", "/v1/users/alice"),
        served.ask("GET", "/v1/users"),
        served.ask("GET", "/v1/users/zed"),
        served.ask("POST", "/v1/users", {"name": "bad name", "password": "geheim"}),
        served.ask("POST", "/v1/users", {"name": "x", "password": ["geheim"]}),
        served.ask("POST", "/v1/users", b'{"name": "x", "password": "geheim"'),
        served.ask("DELETE", "/v1/users/zed"),
    ]
    assert [status for status, _, _ in answers] == [201, 409, 404, 200, 200, 200, 404, 400, 400, 400, 404]
    md5 = ha1("MD5", "alice", "r", "geheim")
    assert served.node.users["alice"] == (md5, ha1("SHA-256", "alice", "r", "geheim"))
    for _, value, text in answers:
        assert "geheim" not in text
        assert md5 not in text
        assert value["detail"] if "error" in value else value
    assert served.ask("DELETE", "/v1/users/alice")[0] == 200


def test_a_form_of_a_foreign_page_is_no_command(served: Served) -> None:
    status, _, _ = served.ask("POST", "/v1/users", b"{}", {"Content-Type": "text/plain"})
    assert status == 415


def test_many_users_come_in_one_commit_and_are_listed_by_pages(served: Served) -> None:
    users = [{"name": f"u{number}", "ha1_md5": "a", "ha1_sha256": "b"} for number in range(5)]
    assert served.ask("POST", "/v1/users/import", {"users": users})[:2] == (200, {"users": 5})
    _, page, _ = served.ask("GET", "/v1/users?limit=3")
    assert ([user["name"] for user in page["users"]], page["next"], page["total"]) == (["u0", "u1", "u2"], "u2", 5)
    _, page, _ = served.ask("GET", "/v1/users?limit=3&after=u2")
    assert ([user["name"] for user in page["users"]], page["next"]) == (["u3", "u4"], None)
    assert page["users"][0]["devices"][0]["bindings"][0]["expires_in_seconds"] == 60.0
    assert served.ask("GET", "/v1/users?limit=x")[0] == 400


def test_a_mailbox_shows_bodies_only_when_asked(served: Served) -> None:
    served.node.users["alice"] = ("", "")
    _, mailbox, text = served.ask("GET", "/v1/mailboxes/alice")
    assert "body" not in text
    assert mailbox["messages"][0]["id"] == "id-1"
    assert mailbox["messages"][0]["expires_in_seconds"] == 100.0
    assert "body_base64" in served.ask("GET", "/v1/mailboxes/alice?bodies=1")[1]["messages"][0]
    assert served.ask("GET", "/v1/mailboxes/nobody")[0] == 404


def test_a_message_tells_its_journey(served: Served) -> None:
    _, waiting, _ = served.ask("GET", "/v1/messages/id-1")
    assert (waiting["state"], waiting["queue"]) == ("waiting", "u:alice")
    assert [step["step"] for step in waiting["journey"]] == ["accepted", "sent"]
    _, ended, _ = served.ask("GET", "/v1/messages/id-2")
    assert (ended["state"], ended["reason"], ended["journey"][-1]["step"]) == ("refused", "415", "ended")
    status, passed, _ = served.ask("GET", "/v1/messages/id-4")
    assert (status, passed["state"], passed["reason"]) == (200, "forwarded", "to b")
    status, unknown, _ = served.ask("GET", "/v1/messages/id-3")
    assert (status, unknown["state"]) == (404, "unknown")


def test_health_tells_what_is_wrong(served: Served) -> None:
    assert served.ask("GET", "/livez")[0] == 200
    assert served.ask("GET", "/readyz")[:2] == (200, {"ready": True, "reasons": []})
    served.node.alarms = (RaiseAlarm("disk-full", "the disk is full", "free some space"),)
    served.node.broken = {ReadStoreStats}
    status, answer, _ = served.ask("GET", "/readyz")
    assert status == 503
    assert len(answer["reasons"]) == 2
    assert served.ask("GET", "/v1/status")[0] == 503


def test_metrics_are_prometheus_s(served: Served) -> None:
    status, text, _ = served.ask("GET", "/metrics")
    assert status == 200
    lines = text.splitlines()
    assert "angarium_messages_accepted_total 5.0" in lines
    assert 'angarium_answers_total{status="200"} 4.0' in lines
    assert "angarium_users_online 2.0" in lines
    assert 'angarium_neighbour_messages{neighbour="b"} 3.0' in lines
    assert not any("alice" in line for line in lines)
    assert "# TYPE angarium_messages_accepted_total counter" in lines


def test_events_and_unknown_paths(served: Served) -> None:
    assert served.ask("GET", "/v1/events")[1]["events"][0]["kind"] == "registered"
    assert served.ask("GET", "/v1/nothing")[:2] == (404, {"error": "not-found", "detail": "Not Found"})
    assert served.ask("PUT", "/v1/users")[0] == 405


class Silent:
    """Never answers."""

    def tell(self, message: object) -> None:
        """Drop it."""


def test_asking_ends_in_time_and_tells_failures() -> None:
    def command(reply_to: Any, number: int) -> ReadStoreStats:
        return ReadStoreStats(reply_to, number)

    with pytest.raises(AskError, match="ReadStoreStats: no answer"):
        ask(Silent(), command, StoreStatsRead, 0.01)
    node = Node()
    node.broken = {ReadStoreStats}
    with pytest.raises(AskError, match="OSError"):
        ask(node, command, StoreStatsRead)
    with pytest.raises(AskError, match="unexpected"):
        ask(Node(), command, CommandDone)


def test_a_second_answer_is_ignored() -> None:
    box = ReplyRef()
    box.tell(1)
    box.tell(2)
    future: Future[Any] = box.future
    assert future.result(0) == 1
