"""`/v1/openapi.json`: a valid description, and what a running node answers on every path is what it says."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from apps.client import admin_client
from tests.apps.nodes import NodeProcess, node_process, run
from tests.ports import free_port

SECRET = "geheim-und-lang"
JSON = "application/json"
PRESENT = {"name": "alice", "id": "none"}
"""What stands for the parts of a path."""
QUERIES = {
    "/v1/users": "?q=ALI&online=0&limit=2",
    "/v1/mailboxes/{name}": "?bodies=1",
    "/v1/routes": "?limit=5",
    "/v1/events": "?limit=1000",
    "/v1/log": "?limit=200",
}
BODIES: dict[tuple[str, str], Any] = {
    ("post", "/v1/users"): {"name": "carol", "password": SECRET},
    ("post", "/v1/users/import"): {"users": [{"name": "dave", "password": SECRET}]},
    ("post", "/v1/users/{name}/move"): {"to": "a"},
    ("post", "/v1/users/{name}/bindings"): {"contact": "sip:alice@127.0.0.1:9", "expires": 60},
    ("post", "/v1/neighbours"): {"name": "b", "address": "tcp://127.0.0.1:9"},
    ("put", "/v1/log-level"): {"level": "info", "debug": False},
}
ERRORS = {("get", "/v1/messages/{id}"): 404, ("get", "/v1/journeys/{id}"): 404, ("post", "/v1/users/{name}/move"): 409}
"""Where this node cannot succeed."""


class Answer:
    """One answer."""

    def __init__(self, status: int, kind: str, text: str) -> None:
        self.status = status
        self.kind = kind
        self.text = text


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    with node_process(tmp_path_factory.mktemp("node"), "--open") as started:
        client = admin_client.of_url(started.admin)
        client.post("users", body={"name": "alice", "password": SECRET})
        client.post("neighbours", body={"name": "z", "address": "tcp://127.0.0.1:9"})
        sent = ["send", "--from", "bob", "--to", "alice", "--via", started.udp, SECRET[:6]]
        assert run(*sent).exit_code == 0
        yield started


@pytest.fixture(scope="module")
def described(node: NodeProcess) -> Any:
    return json.loads(ask(node, "get", "/v1/openapi.json").text)


def ask(node: NodeProcess, method: str, target: str, body: object = None) -> Answer:
    connection = http.client.HTTPConnection(node.admin.removeprefix("http://"), timeout=30)
    headers = {"Content-Type": JSON} if body is not None else {}
    try:
        connection.request(method.upper(), target, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers.get_content_type(), answer.read().decode())
    finally:
        connection.close()


def strict(described: Any, kind: str) -> Draft202012Validator:
    """Check a value against a component; keys that are not described are failures."""
    schemas = json.loads(json.dumps(described["components"]["schemas"]))
    for schema in schemas.values():
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return Draft202012Validator({"$ref": f"#/components/schemas/{kind}", "components": {"schemas": schemas}})


def test_it_is_valid_openapi(described: Any) -> None:
    validate(described)
    operations = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert len(set(operations)) == len(operations)


def test_every_path_answers_as_described(node: NodeProcess, described: Any) -> None:
    order = {"get": 0, "post": 1, "put": 2, "delete": 3}
    steps = [(method, path, each) for path, item in described["paths"].items() for method, each in item.items()]
    for method, path, operation in sorted(steps, key=lambda step: (order[step[0]], -len(step[1]))):
        if path == "/v1/live":
            continue
        parts = {**PRESENT, "name": "z"} if path.startswith("/v1/neighbours/") else PRESENT
        target = path.format(**parts) + (QUERIES.get(path, "") if method == "get" else "")
        answer = ask(node, method, target, BODIES.get((method, path)))
        name = f"{method} {target}: {answer.status} {answer.text[:300]}"
        assert SECRET not in answer.text, name
        wanted = ERRORS.get((method, path))
        assert answer.status == wanted if wanted else answer.status < 300, name
        said = operation["responses"][str(answer.status)]["content"][answer.kind]["schema"]
        if wanted:
            assert {"error", "detail"} <= json.loads(answer.text).keys(), name
        elif answer.kind == JSON and "$ref" in said:
            strict(described, said["$ref"].rpartition("/")[2]).validate(json.loads(answer.text))


def test_frames_are_as_described(node: NodeProcess, described: Any) -> None:
    async def read() -> set[str]:
        kinds: set[str] = set()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{node.admin}/v1/live?topics=events,stats,steps,logs&interval=0.2") as socket,
        ):
            sending = ["send", "--from", "bob", "--to", "alice", "--via", node.udp, "again"]
            assert (await asyncio.to_thread(run, *sending)).exit_code == 0
            async with asyncio.timeout(20):
                while not kinds >= {"hello", "stats", "steps"}:
                    told = await socket.receive_json()
                    kinds.add(told["type"])
                    (name,) = [
                        name
                        for name, schema in described["components"]["schemas"].items()
                        if schema.get("properties", {}).get("type", {}).get("enum") == [told["type"]]
                    ]
                    strict(described, name).validate(told)
                    assert SECRET not in json.dumps(told)
        return kinds

    asyncio.run(read())


def test_an_operator_binds_a_phone_by_its_address(node: NodeProcess) -> None:
    contact = f"sip:phil@127.0.0.1:{free_port()}"
    asked = ["--admin", node.admin, "--json"]
    told = run("user", "register", "phil", "--contact", contact, *asked)
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["devices"][0]["bindings"][0]["contact"] == contact
    client = admin_client.of_url(node.admin)
    assert [user["name"] for user in client.get("users", online=1, q="PHIL")["users"]] == ["phil"]
    assert run("user", "deregister", "phil", "--contact", "sip:phil@127.0.0.9", *asked).exit_code == 66
    assert run("user", "deregister", "phil", "--contact", contact, *asked).exit_code == 0
    assert client.get("users", online=1, q="phil")["users"] == []
    for wrong in ("phil", "sip:phil@example.org", "sip:phil@0.0.0.0", "sip:phil@127.0.0.1;transport=tcp"):
        assert run("user", "register", "phil", "--contact", wrong, *asked).exit_code == 65
    assert run("user", "register", "phil", "--contact", "sip:phil@[::1]", *asked).exit_code == 77


def test_queues_are_listed_in_pages(node: NodeProcess) -> None:
    client = admin_client.of_url(node.admin)
    client.post("users", body={"name": "queued", "password": SECRET})
    sent = ["send", "--from", "bob", "--to", "queued", "--via", node.udp, "hi"]
    assert run(*sent).exit_code == 0
    page = client.get("queues", after="queue")
    assert [(item["kind"], item["name"], item["waiting"]) for item in page["queues"]] == [("mailbox", "queued", 1)]
    assert page["next"] is None
    assert page["queues"][0]["oldest_age_seconds"] < 60
    kinds = [item["kind"] for item in client.get("queues", limit=1)["queues"]]
    assert "unrouted" in kinds
