"""Tokens of flows: read back by the node that made them, over a restart for datagrams, by nobody else."""

from __future__ import annotations

import pytest

from actors.model import Flow
from actors.state.flow_tokens import FlowTokens

KEY, RUN = b"k" * 32, b"run one."
UDP = Flow("udp", 1, "2001:db8::1%eth0", 5060)
STREAM = Flow("tcp", 0, "192.0.2.1", 40_000, 7)
TOKENS = FlowTokens(KEY, RUN)


@pytest.mark.parametrize("flow", [UDP, STREAM])
def test_a_token_says_its_flow(flow: Flow) -> None:
    token = TOKENS.token(flow)
    assert TOKENS.flow(token) == flow
    assert TOKENS.token(flow) == token
    assert int(token, 16) >= 0


def test_datagrams_outlive_a_restart_streams_do_not() -> None:
    later = FlowTokens(KEY, b"run two.")
    assert later.flow(TOKENS.token(UDP)) == UDP
    assert later.flow(TOKENS.token(STREAM)) is None


def test_another_node_reads_nothing() -> None:
    other = FlowTokens(b"o" * 32, RUN)
    assert other.flow(TOKENS.token(UDP)) is None


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1])
def test_a_changed_token_is_none(place: int) -> None:
    token = TOKENS.token(UDP)
    changed = token[:place] + ("1" if token[place] == "0" else "0") + token[place:][1:]
    assert TOKENS.flow(changed) is None


@pytest.mark.parametrize("text", ["", "zz", "\udcff" * 40, "0" * 32, "0" * 1000, "ü" * 64])
def test_nonsense_is_none(text: str) -> None:
    assert TOKENS.flow(text) is None
