"""Contacts that an operator may bind, and those at which no phone can be."""

from __future__ import annotations

import pytest

from apps.node.admin_answers import NewBinding
from apps.node.admin_bindings import LONGEST, contact, is_own


@pytest.mark.parametrize(
    ("listens", "host", "port", "own"),
    [
        ("udp://127.0.0.1:5060", "127.0.0.1", 5060, True),
        ("udp://127.0.0.1:5060", "127.0.0.1", 5062, False),
        ("udp://127.0.0.1:5060", "127.0.0.2", 5060, False),
        ("tcp://127.0.0.1:5060", "127.0.0.1", 5060, False),
        ("udp://0.0.0.0:5060", "127.0.0.1", 5060, True),
        ("udp://0.0.0.0:5060", "192.0.2.1", 5060, False),
    ],
)
def test_a_contact_at_the_node_itself_would_send_each_message_round_for_ever(
    listens: str, host: str, port: int, own: bool
) -> None:
    assert is_own(host, port, (listens,)) is own


def test_a_contact_is_no_longer_than_a_datagram_bears() -> None:
    ends = "@127.0.0.1:5062"
    contact(NewBinding("sip:" + "a" * (LONGEST - 4 - len(ends)) + ends, 3600))
    with pytest.raises(ValueError, match="at most"):
        contact(NewBinding("sip:" + "a" * (LONGEST - 3 - len(ends)) + ends, 3600))
