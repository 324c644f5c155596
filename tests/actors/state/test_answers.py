"""Every final status has one meaning (PROTOCOL 11)."""

from __future__ import annotations

from actors.state.answers import Meaning, meaning

REFUSED = {400, 403, 406, 413, 415, 488, 493, 513, *range(600, 700)} - {604}
WRONG_BINDING = {301, 302, 305, 404, 410, 416, 430, 481, 484, 485, 604}


def test_the_table() -> None:
    for status in range(200, 700):
        if status < 300:
            wanted = Meaning.ACKNOWLEDGED
        elif status in REFUSED:
            wanted = Meaning.REFUSED
        elif status in WRONG_BINDING:
            wanted = Meaning.WRONG_BINDING
        else:
            wanted = Meaning.LATER
        assert meaning(status) is wanted, status


def test_413_with_retry_after_is_for_later() -> None:
    assert meaning(413, 1) is Meaning.LATER
    assert meaning(415, 1) is Meaning.REFUSED
