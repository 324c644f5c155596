"""The examples do what they say: each is run as a reader would, and its lines are counted."""

from __future__ import annotations

import asyncio
import runpy
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from actors.testing import Probe, Started, running
from apps.client.session import Call, ClientSession
from apps.common.values import listen
from apps.node.plugins import load_class
from apps.node.testing import running_node
from tests.actors.contract import test_router_contract as contract

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ROUTER = f"{EXAMPLES / 'custom_router.py'}:QuietRouter"
SAYS = {
    "start_node": ["the node listens on udp://127.0.0.1:", "it says SIP/2.0 200 OK"],
    "script_actors": ["bob: ToMailbox", "nobody: Unknown", "routes_unknown_total"],
    "custom_store": ["on disk: 1 SaveRegistration"],
    "offline_delivery": [
        "alice writes 'Are you there?': 202",
        "bob reads 'Are you there?' from alice\nbob reads 'Call me.' from alice\n",
    ],
    "custom_router": [],
    "thousand_nodes": ["20 servers with 40 users run", "10 of 10 first messages came home", "searches: 0"],
}
ARGUMENTS = {"thousand_nodes": ["--nodes", "20", "--users", "2", "--messages", "10"]}
"""Of those that have some: as a reader who has little time."""
CONTRACT: list[Callable[[Started[Any]], None]] = [
    test for name, test in sorted(vars(contract).items()) if name.startswith("test_")
]


@pytest.mark.parametrize("name", SAYS)
def test_it_runs_and_says(name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", [name, *ARGUMENTS.get(name, [])])
    with suppress(SystemExit):
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    for words in SAYS[name]:
        assert words in said


def test_all_are_tested_and_short() -> None:
    files = sorted(EXAMPLES.glob("*.py"))
    assert [file.stem for file in files] == sorted(SAYS)
    for file in files:
        most = 40 if file.stem == "custom_router" else 60
        assert len(file.read_text().splitlines()) < most, file.name


def test_the_custom_router_is_plugged_into_a_node() -> None:
    async def send(address: str, sender: str) -> int:
        bob = ClientSession("bob", listen(address), instance="urn:uuid:00000000-0000-0000-0000-00000000000b")
        await bob.register()
        phone = ClientSession(sender, listen(address))
        answer = await phone.send("bob", b"hello", message_id=f"from-{sender}", call=Call.new())
        bob.close()
        phone.close()
        return answer.status

    with running_node(router=ROUTER) as node:
        assert node.router.name == "router"
        assert asyncio.run(send(node.addresses[0], "alice")) == 202
        assert asyncio.run(send(node.addresses[0], "boss")) == 404


@pytest.mark.parametrize("test", CONTRACT, ids=lambda test: str(test.__name__))
def test_the_custom_router_keeps_the_contract(test: Callable[[Started[Any]], None]) -> None:
    with running(load_class("router", ROUTER), monitor=Probe("monitor")) as started:
        test(started)
