"""aiosip 0.2.0 as it comes: registers, sends and receives over UDP at an open node."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.node import NodeProcess
from tests.interop.ours import receive

pytestmark = pytest.mark.interop
AGENT = Path(__file__).with_name("aiosip_agent.py")


@pytest.fixture(autouse=True)
def _needs_aiosip() -> None:
    if importlib.util.find_spec("aiosip") is None:
        if os.environ.get("ANGARIUM_REQUIRE_TOOLS"):
            pytest.fail("aiosip is not installed")
        pytest.skip("aiosip is not installed (pip install aiosip==0.2.0)")


def agent(node: NodeProcess, what: str, user: str, call_id: str, *more: str) -> subprocess.Popen[str]:
    host, port = node.udp
    return subprocess.Popen(
        [sys.executable, str(AGENT), what, host, str(port), user, call_id, *more],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in out.splitlines()]


def test_register_and_unregister(open_node: NodeProcess) -> None:
    assert said(agent(open_node, "receive", "aio", "aio-1", "0")) == [{"status": 200}, {"status": 200}]


def test_send(open_node: NodeProcess, tmp_path: Path) -> None:
    said(agent(open_node, "receive", "aio2", "aio-2", "0"))
    assert said(agent(open_node, "send", "aio", "aio-3", "aio2", "from aiosip")) == [{"status": 202}]
    assert [item["body"] for item in receive(open_node, "aio2", tmp_path / "state")] == ["from aiosip"]


def test_receive_at_once_and_what_waited(open_node: NodeProcess) -> None:
    said(agent(open_node, "receive", "aio4", "aio-4", "0"))
    assert said(agent(open_node, "send", "aio", "aio-4", "aio4", "waited")) == [{"status": 202}]
    phone = agent(open_node, "receive", "aio4", "aio-4", "1")
    got = said(phone)
    assert {"body": "waited"} in got
    assert [item for item in got if "status" in item] == [{"status": 200}, {"status": 200}]
