"""Where a caller can be called back."""

from __future__ import annotations

import pytest

from actors.server_manager.greetings import reachable


@pytest.mark.parametrize(
    ("told", "source", "called"),
    [
        ("tcp://10.0.0.2:5062", "10.9.9.9", "tcp://10.0.0.2:5062"),
        ("tcp://0.0.0.0:5062", "10.9.9.9", "tcp://10.9.9.9:5062"),
        ("udp://[::]:5062", "2001:db8::1", "udp://[2001:db8::1]:5062"),
        ("", "10.9.9.9", ""),
    ],
)
def test_who_listens_everywhere_is_called_where_he_came_from(told: str, source: str, called: str) -> None:
    assert reachable(told, source) == called
