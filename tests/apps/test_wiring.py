"""A node put together: in which order it starts and stops, who can be replaced, and what a failed start leaves."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pykka import ActorRegistry

from actors.client_manager.actor import ClientManager
from actors.messages.client_manager import ListUsers, UsersListed
from actors.messages.lifecycle import Ping, Pong
from actors.monitor import Monitor
from actors.router import Router
from actors.storage import Storage
from actors.testing import Probe
from apps.common.exits import Exit, Failure
from apps.common.values import Listen, Transport, listen
from apps.node.asking import ask
from apps.node.testing import running_node
from sip_adapter.adapter import SipAdapter

ROLES: dict[str, type[Any]] = {
    "monitor": Monitor,
    "router": Router,
    "storage": Storage,
    "client_manager": ClientManager,
    "sip_adapter": SipAdapter,
}


def test_every_actor_answers_a_ping_once_it_serves() -> None:
    with running_node() as node:
        probe = Probe()
        refs = [getattr(node, role) for role in (*ROLES, "supervisor")]
        for number, ref in enumerate(refs):
            ref.tell(Ping(reply_to=probe, id=number))
        heard = {probe.expect(Pong).actor for _ in refs}
        assert heard == {*ROLES, "supervisor"}
        assert node.dead_letters.counts == {}
    assert not any(ref.alive for ref in refs)
    assert ActorRegistry.get_all() == []


def test_addresses_are_those_that_were_bound() -> None:
    with running_node() as node:
        udp, tcp = (listen(address) for address in node.addresses)
        assert (udp.transport, tcp.transport) == (Transport.UDP, Transport.TCP)
        with socket.create_connection((tcp.host, tcp.port), timeout=5):
            pass


@pytest.mark.parametrize("role", ROLES)
def test_each_actor_can_be_replaced(role: str, tmp_path: Path) -> None:
    base = ROLES[role]
    file = tmp_path / f"my_{role}.py"
    file.write_text(f"from {base.__module__} import {base.__name__}\nclass Mine({base.__name__}):\n    served = True\n")
    with running_node(**{role: f"{file}:Mine"}) as node:
        assert getattr(node, role).pykka_ref.actor_class.__name__ == "Mine"
        assert ask(node.client_manager, lambda reply, n: ListUsers(reply_to=reply, request=n), UsersListed).total == 0


def test_an_address_in_use_is_a_failure_that_leaves_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Failure) as caught, running_node(listen=(Listen(Transport.UDP, "127.0.0.1", port),)):
            pytest.fail("it started")
    assert caught.value.exit_code == Exit.CONFIG
    assert str(port) in caught.value.message
    assert ActorRegistry.get_all() == []


def test_two_nodes_on_one_folder_are_one_too_many(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"store": "sqlite", "data": tmp_path}
    with running_node(**settings), pytest.raises(Failure) as caught, running_node(**settings):
        pytest.fail("it started")
    assert caught.value.exit_code == Exit.CONFIG
    with running_node(store="sqlite", data=tmp_path):
        pass


def test_a_replacement_that_is_none_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Failure), running_node(router=f"{tmp_path / 'none.py'}:Mine"):
        pytest.fail("it started")
    assert ActorRegistry.get_all() == []
