"""Failure notices: to whom, about what, and how often (PROTOCOL 14)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from actors.model import POSTMASTER, End, Envelope, MessageId, Proof, UserName
from actors.state.ids import notice_id
from actors.state.notices import PER_MINUTE, NoticeDesk, is_notice_id

FAILED = Envelope(
    id=MessageId("m1"),
    sender=UserName("alice"),
    recipient=UserName("bob"),
    call_id=b"c1@host",
    headers=((b"Content-Type", b"text/plain"),),
    body=b"hi",
    accepted=0.0,
    proof=Proof.DIGEST,
)


def write(desk: NoticeDesk, end: End = End.REFUSED, now: float = 0.0, **changes: Any) -> Envelope | None:
    failed = msgspec.structs.replace(FAILED, **changes)
    return desk.write(failed, end, "the device refused it", now, 100.0)


def test_the_sender_is_told_once_from_the_reserved_name() -> None:
    notice = write(NoticeDesk())
    assert notice is not None
    assert (notice.sender, notice.recipient, notice.notice) == (POSTMASTER, "alice", True)
    assert notice.id == notice_id(MessageId("m1"))
    assert is_notice_id(notice.id)
    assert b"bob" in notice.body
    assert (b"In-Reply-To", b"c1@host") in notice.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"notice": True},
        {"proof": Proof.OPEN},
        {"sender": POSTMASTER},
        {"headers": ((b"Content-Type", b"message/imdn+xml"),)},
        {"headers": ((b"Content-Type", b"application/im-iscomposing+xml"),)},
    ],
    ids=["notice", "not proved", "postmaster", "receipt", "is-composing"],
)
def test_about_some_messages_nobody_is_told(changes: dict[str, Any]) -> None:
    assert write(NoticeDesk(), **changes) is None


def test_what_a_device_acknowledged_is_no_failure() -> None:
    """A copy for a second device may expire after the first has taken the message."""
    assert write(NoticeDesk(), End.DELIVERED) is None


def test_a_sender_hears_ten_a_minute_at_most() -> None:
    desk = NoticeDesk()
    told = [write(desk, now=float(second)) for second in range(PER_MINUTE + 2)]
    assert sum(notice is not None for notice in told) == PER_MINUTE
    assert write(desk, now=61.0) is not None
    assert write(desk, now=11.0, sender=UserName("carol")) is not None
