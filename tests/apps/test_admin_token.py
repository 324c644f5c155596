"""Who may ask a node: with a token, from other web pages, by other names."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from apps.client import admin_client
from apps.common.config import ConfigError, load
from apps.common.exits import Exit, Failure
from apps.common.token import open_to_others, read_token
from apps.common.values import Address
from apps.node.admin import AdminServer
from apps.node.admin_api import AdminApi
from apps.node.admin_facts import NodeActors, NodeFacts
from tests.apps.nodes import run
from tests.apps.test_admin_live import Node

TOKEN = "0123456789abcdef"
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


def serve(data: Path, token: str = "") -> AdminServer:
    node = Node()
    api = AdminApi(NodeFacts("a", "r", "1", ()), NodeActors(node, node, node, node, node), token=token)
    return AdminServer(api.app, data=data, tcp=Address("127.0.0.1", 0), has_token=bool(token))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[AdminServer]:
    server = serve(tmp_path, TOKEN)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[AdminServer]:
    server = serve(tmp_path)
    server.start()
    yield server
    server.stop()


def status(server: AdminServer, path: str, headers: dict[str, str]) -> int:
    assert server.address is not None
    connection = http.client.HTTPConnection(server.address.host, server.address.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        assert TOKEN not in answer.read().decode()
        assert (answer.status == 401) == (answer.getheader("WWW-Authenticate") == "Bearer")
        return answer.status
    finally:
        connection.close()


def live(server: AdminServer, headers: dict[str, str]) -> int:
    async def connect() -> int:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.ws_connect(f"http://{server.address}/v1/live", headers=headers) as socket:
                    assert (await socket.receive_json())["type"] == "hello"
            except aiohttp.WSServerHandshakeError as error:
                return error.status
        return 101

    return asyncio.run(connect())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer \xfc"},
    ],
)
def test_without_the_right_token_nothing_is_told(guarded: AdminServer, headers: dict[str, str]) -> None:
    for path in ("/v1/status", "/v1/nothing", "/metrics", "/readyz"):
        assert status(guarded, path, headers) == 401
    assert live(guarded, headers) == 401
    assert status(guarded, "/livez", headers) == 200


def test_who_shows_the_token_may_ask_by_any_name(guarded: AdminServer) -> None:
    assert status(guarded, "/v1/status", {**RIGHT, "Host": "node.example"}) == 200
    assert live(guarded, RIGHT) == 101


def test_the_control_socket_needs_no_token(guarded: AdminServer, tmp_path: Path) -> None:
    assert admin_client.of_data(tmp_path).get("status")["name"] == "a"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1.evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Origin": "http://localhost:8080"}, 200),
        ({"Origin": "http://[::1]:8080", "Host": "localhost"}, 200),
    ],
)
def test_web_pages_of_others_are_refused(plain: AdminServer, headers: dict[str, str], expected: int) -> None:
    assert status(plain, "/v1/status", headers) == expected
    assert live(plain, headers) == (101 if expected == 200 else expected)


def test_commands_show_the_token_in_a_file(guarded: AdminServer, tmp_path: Path) -> None:
    file, wrong = tmp_path / "token", tmp_path / "wrong"
    file.write_text(TOKEN + "\n")
    wrong.write_text(TOKEN + "x")
    asked = ["status", "--admin", f"http://{guarded.address}", "--json"]
    assert run(*asked).exit_code == Exit.REFUSED
    assert run(*asked, "--admin-token-file", str(wrong)).exit_code == Exit.REFUSED
    told = run(*asked, "--admin-token-file", str(file))
    assert (told.exit_code, TOKEN in told.output) == (0, False)


@pytest.mark.parametrize("text", ["short", "with a space in it", "\xfc" * 20, ""])
def test_a_token_is_long_and_plain(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(Failure) as failed:
        read_token(file)
    assert failed.value.exit_code == Exit.CONFIG
    with pytest.raises(ConfigError, match="admin_token_file"):
        load({"admin_token_file": str(file)})


def test_a_file_that_others_may_read_is_remarked(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    assert "chmod 600" in open_to_others(file)
    file.chmod(0o600)
    assert not open_to_others(file)


def test_beyond_this_machine_a_token_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with pytest.raises(ConfigError, match="admin-token-file"):
        load({"admin": "0.0.0.0:8060"})
    assert load({"admin": "0.0.0.0:8060", "admin_token_file": str(file)}).config.admin_token_file == file
    AdminServer(lambda: pytest.fail("made"), data=tmp_path, tcp=Address("0.0.0.0", 8060), has_token=True)
