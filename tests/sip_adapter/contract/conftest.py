"""The fixtures of the contract of SipAdapter: each class of `ADAPTERS`, over sockets and in memory.

A replacement is added to `ADAPTERS`; or, without touching this file, a test module of its own says

    from tests.sip_adapter.contract.conftest import *
    from tests.sip_adapter.contract.test_sip_adapter_contract import *
    from tests.sip_adapter.contract.test_sip_adapter_contract_out import *
    from tests.sip_adapter.contract.test_sip_adapter_contract_links import *

    @pytest.fixture
    def kind() -> type[ActorBase[Any]]:
        return MyAdapter

and every test of these runs against it. It is started as a node starts it, with `context`, `network`, `client_manager`,
`server_manager`, `monitor`, `domains`, `realm`, `listen`, `ready` and `limits`. For one that opens sockets of its own
instead of using `network`, a fixture `worlds` returns `[Loopback]`: what needs virtual time is skipped then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from actors.base import ActorBase
from actors.model import Flow
from sip_adapter.adapter import SipAdapter
from tests.sip_adapter.contract.border import Border, InMemory, Loopback


class OneByOne(SipAdapter):
    """A second adapter: it hands on each datagram by itself, so what it tells never has more than one item."""

    def datagrams(self, batch: Sequence[tuple[bytes, Flow]]) -> None:
        for single in batch:
            super().datagrams((single,))


ADAPTERS: list[type[ActorBase[Any]]] = [SipAdapter, OneByOne]
WORLDS: list[type[Border]] = [Loopback, InMemory]
LISTEN = {
    Loopback: ("udp://127.0.0.1:0", "tcp://127.0.0.1:0"),
    InMemory: ("udp://10.0.0.1:5060", "tcp://10.0.0.1:5060"),
}


@pytest.fixture(params=ADAPTERS, ids=lambda kind: str(kind.__name__))
def kind(request: pytest.FixtureRequest) -> type[ActorBase[Any]]:
    """The class under test; a module that imports these tests defines a fixture of this name."""
    found: type[ActorBase[Any]] = request.param
    return found


@pytest.fixture
def worlds() -> list[type[Border]]:
    """Where the class can live."""
    return WORLDS


@pytest.fixture(params=WORLDS, ids=lambda world: str(world.__name__))
def unstarted(request: pytest.FixtureRequest, worlds: list[type[Border]]) -> Iterator[Border]:
    if request.param not in worlds:
        pytest.skip("this adapter does not live there")
    made: Border = request.param()
    yield made
    made.close()


@pytest.fixture
def border(unstarted: Border, kind: type[ActorBase[Any]]) -> Border:
    unstarted.start(kind, LISTEN[type(unstarted)])
    return unstarted


@pytest.fixture
def timed(kind: type[ActorBase[Any]], worlds: list[type[Border]]) -> Iterator[InMemory]:
    """A border under virtual time."""
    if InMemory not in worlds:
        pytest.skip("this adapter has no virtual time")
    made = InMemory()
    made.start(kind, LISTEN[InMemory])
    yield made
    made.close()
