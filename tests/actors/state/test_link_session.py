"""Sessions between two servers, both halves face to face."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from actors.messages.links import Alive, Frame, Hello, LinkAnswer, Reply, Welcome
from actors.messages.server_manager import LinkAnswered
from actors.model import NodeName
from actors.state.link_auth import root_key
from actors.state.link_session import (
    ALL_PENDING,
    PENDING,
    UNPROVED,
    WINDOW,
    LinkState,
    OutgoingLink,
    ReplayWindow,
    Session,
    Sessions,
    Verdict,
)

A, B = NodeName("a"), NodeName("b")
ROOT = root_key(b"secret", "angarium")


def caller(root: bytes = ROOT) -> OutgoingLink:
    return OutgoingLink(A, B, root, retry_first=0.2, retry_most=30.0)


def greet(link: OutgoingLink, nonce: str = "n") -> tuple[Frame, Hello]:
    link.dial(0.0)
    return link.greet(realm="angarium", nonce=nonce, address="tcp://127.0.0.1:1", incarnation="i")


def answered(session: Session, number: int, status: int = 200, content: LinkAnswer | None = None) -> LinkAnswered:
    frame = session.answer_frame(number, status, content)
    return LinkAnswered(number=7, status=status, answered=True, frame=frame, content=content)


def connect(link: OutgoingLink, sessions: Sessions, name: str = "s", now: float = 0.0) -> Session:
    frame, hello = greet(link)
    assert sessions.is_proved(frame, hello)
    session, welcome = sessions.open(hello, name, "m", now)
    assert link.welcome(answered(session, 0, content=welcome), now) == ""
    assert link.state is LinkState.UP
    return session


def test_requests_and_answers_are_believed() -> None:
    link, sessions = caller(), Sessions(B, ROOT)
    session = connect(link, sessions)
    assert sessions.of(A) is None, "a greeting alone counts for nothing"
    frame = link.frame(Alive())
    assert sessions.judge(frame, Alive(), 5.0) is session
    assert sessions.of(A) is session
    assert link.believes(frame.number, answered(session, frame.number), 6.0)
    assert link.heard == 6.0


def test_a_repeated_or_changed_request_is_not_believed() -> None:
    link, sessions = caller(), Sessions(B, ROOT)
    connect(link, sessions)
    frame = link.frame(Alive())
    assert sessions.judge(msgspec.structs.replace(frame, number=9), Alive(), 0.0) is Verdict.FORGED
    assert sessions.judge(msgspec.structs.replace(frame, session="x"), Alive(), 0.0) is Verdict.UNKNOWN
    assert sessions.of(A) is None
    assert isinstance(sessions.judge(frame, Alive(), 0.0), Session)
    assert sessions.judge(frame, Alive(), 0.0) is Verdict.REPEATED


def test_an_answer_to_another_request_is_not_believed() -> None:
    link, sessions = caller(), Sessions(B, ROOT)
    session = connect(link, sessions)
    first, second = link.frame(Alive()), link.frame(Alive())
    answer = answered(session, first.number)
    assert not link.believes(second.number, answer, 1.0)
    assert not link.believes(first.number, msgspec.structs.replace(answer, status=202), 1.0)
    assert not link.believes(first.number, msgspec.structs.replace(answer, content=Reply()), 1.0)
    assert link.is_talking_nonsense == (UNPROVED <= 3)
    assert link.believes(first.number, answer, 1.0)
    assert not link.is_talking_nonsense


def test_a_welcome_must_be_proved() -> None:
    link, other = caller(), Sessions(B, root_key(b"other", "angarium"))
    frame, hello = greet(link)
    assert not other.is_proved(frame, hello)
    session, welcome = other.open(hello, "s", "m", 0.0)
    assert "secret" in link.welcome(answered(session, 0, content=welcome), 0.0)
    assert link.welcome(answered(session, 0, content=Reply()), 0.0)
    assert link.welcome(answered(session, 0, content=Welcome(node=NodeName("c"), session="s", nonce="m")), 0.0)
    assert "403" in link.welcome(LinkAnswered(number=1, status=403, answered=True, reason="no"), 0.0)
    assert link.welcome(LinkAnswered(number=1, status=408, answered=False), 0.0)
    assert link.state is LinkState.GREETING


def test_a_recorded_greeting_does_not_end_the_true_session() -> None:
    link, sessions = caller(), Sessions(B, ROOT)
    session = connect(link, sessions)
    sessions.judge(link.frame(Alive()), Alive(), 0.0)
    _, hello = greet(caller(), "recorded")
    for number in range(3 * PENDING):
        sessions.open(hello, f"r{number}", "x", 1.0)
    assert sessions.judge(link.frame(Alive()), Alive(), 2.0) is session


def test_a_new_session_takes_the_place_of_the_old() -> None:
    link, sessions = caller(), Sessions(B, ROOT)
    connect(link, sessions)
    old = link.frame(Alive())
    sessions.judge(old, Alive(), 0.0)
    link.fall("gone", 1.0, Random(1))
    session = connect(link, sessions, "t", 2.0)
    sessions.judge(link.frame(Alive()), Alive(), 2.0)
    assert sessions.of(A) is session
    assert sessions.judge(old, Alive(), 2.0) is Verdict.UNKNOWN
    sessions.close(A)
    assert sessions.judge(link.frame(Alive()), Alive(), 2.0) is Verdict.UNKNOWN


def test_open_greetings_are_bounded() -> None:
    sessions = Sessions(B, ROOT)
    for number in range(ALL_PENDING + 50):
        hello = Hello(
            node=NodeName(f"n{number}"), to=B, realm="angarium", nonce=str(number), address="", incarnation=""
        )
        sessions.open(hello, f"s{number}", "m", 0.0)
    assert sessions.named("s0") is None
    assert sum(sessions.named(f"s{number}") is not None for number in range(ALL_PENDING + 50)) == ALL_PENDING


def test_back_off_doubles_to_its_most_and_begins_anew() -> None:
    link, random = caller(), Random(1)
    greatest = []
    for attempt in range(12):
        waits = []
        for _ in range(200):
            trial = caller()
            for _ in range(attempt):
                trial.dial(0.0)
                trial.fall("refused", 0.0, random)
            waits.append(trial.fall("refused", 0.0, random))
        greatest.append(max(waits))
        assert max(waits) <= min(30.0, 0.2 * 2**attempt)
    assert greatest[11] > 15.0
    assert link.revive(10.0), "never dialled: at once"
    link.dial(10.0)
    link.fall("refused", 10.1, random)
    assert not link.revive(10.2), "dialled just before: the back-off begins anew, no more"
    assert link.fall("refused", 10.3, random) <= 0.2
    assert link.revive(11.0)


def test_a_link_that_flaps_does_not_begin_anew() -> None:
    link, sessions, random = caller(), Sessions(B, ROOT), Random(1)
    waits = []
    for number in range(12):
        connect(link, sessions, f"s{number}")
        waits.append(link.fall("closed", 0.5, random))
    assert max(waits) > 5.0
    connect(link, sessions, "steady")
    assert link.fall("closed", 5.0, random) <= 0.2


@given(st.lists(st.integers(min_value=-5, max_value=3 * WINDOW), max_size=300))
def test_a_number_counts_once(numbers: list[int]) -> None:
    window = ReplayWindow()
    taken: set[int] = set()
    for number in numbers:
        highest = max(taken, default=0)
        expected = number not in taken and number > 0 and number > highest - WINDOW
        assert window.take(number) == expected
        if expected:
            taken.add(number)


def test_a_huge_number_costs_no_memory() -> None:
    window = ReplayWindow()
    assert window.take(2**62)
    assert not window.take(2**62)
    assert window.take(2**62 - 1)
    assert not window.take(5)
