"""What the conversation client decides without screen or network: entries, completion, ticks, contacts, its history."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import msgspec
import pytest

from actors.model import MessageId
from actors.state.ids import notice_id
from apps.client.chat_model import (
    SHOWN,
    Chat,
    Command,
    Contact,
    Line,
    Say,
    State,
    Wrong,
    common_start,
    completions,
    read_entry,
    text_of,
    ticks,
)
from apps.client.chat_store import ChatStore
from apps.client.chat_watch import Watch
from apps.client.session import Incoming
from apps.client.state import StateFile
from apps.client.wire import Unreachable

WITHIN = 30.0


def line(number: int = 1, peer: str = "bob", *, own: bool = True, body: bytes = b"hi", **more: object) -> Line:
    first = Line(number, peer, own, float(number), f"id-{number}", "text/plain", body, State.ACCEPTED)
    return msgspec.structs.replace(first, **more)


def incoming(message_id: str, text: bytes = b"hello", sender: str = "bob") -> Incoming:
    return Incoming(message_id, sender, "alice", "text/plain;charset=utf-8", text)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("", None),
        ("  ", None),
        ("hello there", Say("hello there")),
        ("//etc", Say("/etc")),
        ("/to bob", Command("/to", "bob")),
        ("/w 1-2", Command("/where", "1-2")),
        ("/quit ", Command("/quit")),
    ],
)
def test_an_entry_is_a_text_or_a_command(typed: str, read: object) -> None:
    assert read_entry(typed) == read


@pytest.mark.parametrize("typed", ["/nonsense", "/to", "/to a b", "/to postmaster", "/"])
def test_a_wrong_entry_says_why(typed: str) -> None:
    assert isinstance(read_entry(typed), Wrong)


def test_commands_names_and_ids_are_completed() -> None:
    assert completions("/t", [], []) == ["/to "]
    assert completions("/to b", ["bob", "carol", "ben"], []) == ["/to bob", "/to ben"]
    assert completions("/where ", [], ["1-2"]) == ["/where 1-2"]
    assert completions("b", ["bob"], []) == []
    assert common_start(["/to bob", "/to ben"]) == "/to b"


def test_ticks_say_what_became_of_it() -> None:
    found = [ticks(line(state=state)) for state in (State.SENDING, State.ACCEPTED, State.DELIVERED)]
    assert found == ["..", "✓", "✓✓"]
    assert ticks(line(state=State.FAILED, reason="404\x1b[2J")) == "✗ 404\\x1b[2J"
    assert ticks(line(own=False, state=State.RECEIVED)) == ""


def test_text_of_the_network_drives_no_terminal() -> None:
    shown = text_of(line(body="a\x1b[2J\u202eb\x9b\nsecond\r\n".encode()))
    assert shown == "a\\x1b[2J\\u202eb\\x9b\nsecond"
    assert text_of(line(body=b"\xff\n")) == "(text/plain, 2 bytes)"


def test_unread_messages_are_counted_until_they_are_looked_at() -> None:
    chat = Chat([Contact("carol", unread=2, last=5.0)])
    chat.open("bob", [])
    assert chat.take(line(10))
    assert not chat.take(line(11, "dora", own=False))
    assert [(contact.name, contact.unread) for contact in chat.contacts] == [("dora", 1), ("bob", 0), ("carol", 2)]
    assert chat.unread == 3
    assert chat.neighbour(1) == "carol"
    chat.open("carol", [])
    assert chat.unread == 1


def test_a_conversation_in_memory_is_bounded() -> None:
    chat = Chat([])
    chat.open("bob", [])
    for number in range(SHOWN + 10):
        chat.take(line(number))
    assert list(chat.lines) == list(range(10, SHOWN + 10))


def test_the_history_outlives_the_program_and_is_shared_with_listen(tmp_path: Path) -> None:
    path = tmp_path / "state"
    heard = StateFile(path)
    heard.add(incoming("id-1", b"printed"))
    heard.mark_printed(heard.unprinted(1))
    heard.add(incoming("id-2", b"not printed"))
    heard.close()
    store = ChatStore(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert store.contacts()[0].unread == 1
    assert not store.add(incoming("id-2"))
    assert store.add(incoming("id-3"))
    assert [item.id for item in store.bring_in()] == ["id-3"]
    assert store.bring_in() == []
    mine = store.write("bob", "hi")
    store.accepted(mine.line, "id-4")
    store.close()
    again = ChatStore(path)
    assert [(item.id, item.own) for item in again.conversation("bob")] == [
        ("id-1", False), ("id-2", False), ("id-3", False), ("id-4", True),
    ]  # fmt: skip
    assert again.contacts()[0].unread == 0
    again.close()
    heard = StateFile(path)
    assert heard.unprinted(10) == []
    heard.close()


def test_an_unanswered_message_is_sent_again_under_its_names(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "state")
    first = store.write("bob", "hi")
    store.close()
    store = ChatStore(tmp_path / "state")
    (again,) = store.unsent()
    assert (again.key, again.call.call_id, again.call.tag) == (first.key, first.call.call_id, first.call.tag)
    store.close()


@pytest.mark.parametrize("overtakes", [False, True])
def test_a_failure_notice_is_shown_at_its_message(tmp_path: Path, overtakes: bool) -> None:
    notice = incoming(notice_id(MessageId("id-1")), b"not delivered (refused): 603.", "postmaster")
    store = ChatStore(tmp_path / "state")
    mine = store.write("bob", "hi").line
    if not overtakes:
        store.accepted(mine, "id-1")
    store.add(notice)
    changed = store.bring_in()
    if overtakes:
        changed = [store.accepted(mine, "id-1")]
    assert [(item.number, item.state) for item in changed] == [(mine.number, State.FAILED)]
    assert "603" in changed[0].reason
    store.close()
    store = ChatStore(tmp_path / "state")
    assert [contact.name for contact in store.contacts()] == ["bob"]
    assert "603" in store.conversation("bob")[0].reason
    store.close()


def test_a_notice_about_an_unknown_message_is_a_message(tmp_path: Path) -> None:
    store = ChatStore(tmp_path / "state")
    store.add(incoming("n-0123", b"who knows", "postmaster"))
    assert [item.peer for item in store.bring_in()] == ["postmaster"]
    store.close()


def test_a_failed_commit_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Line:
        raise sqlite3.OperationalError("full")

    store = ChatStore(tmp_path / "state")
    store.add(incoming("id-1"))
    with monkeypatch.context() as patch:
        patch.setattr(ChatStore, "_settle", full)
        with pytest.raises(sqlite3.OperationalError):
            store.bring_in()
    assert [item.id for item in store.bring_in()] == ["id-1"]
    store.close()


def watched(answers: list[str | Exception | None], lines: list[Line]) -> tuple[list[tuple[int, State, str]], int]:
    """Let a watch ask until nothing is left; return what it learned and how often it asked."""
    learned: list[tuple[int, State, str]] = []
    asked = 0

    async def main() -> None:
        async def ask(_: str) -> str | None:
            nonlocal asked
            answer = answers[min(asked, len(answers) - 1)]
            asked += 1
            if isinstance(answer, Exception):
                raise answer
            return answer

        watch = Watch(ask, lambda item, state, why: learned.append((item.number, state, why)))
        for item in lines:
            watch.add(item)
        assert len(watch) <= Watch.MOST
        task = asyncio.create_task(watch.run())
        async with asyncio.timeout(WITHIN):
            while len(watch):
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(main())
    return learned, asked


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "FIRST", 0.0)
    monkeypatch.setattr(Watch, "LONGEST", 0.001)
    monkeypatch.setattr(Watch, "GAP", 0.0)


def test_the_watch_asks_until_there_is_an_end() -> None:
    now = line(at=4e9)
    assert watched(["waiting", Unreachable("away"), "delivered"], [now]) == ([(1, State.DELIVERED, "")], 3)
    assert watched(["expired"], [now]) == ([(1, State.FAILED, "expired")], 1)


def test_the_watch_gives_up_what_nobody_tells() -> None:
    now = line(at=4e9)
    assert watched([None], [now]) == ([], 1)
    assert watched(["unknown"], [now]) == ([], Watch.PATIENCE)
    assert watched(["waiting"], [line(at=1.0)]) == ([], 1)


def test_the_watch_is_bounded() -> None:
    learned, asked = watched(["delivered"], [line(number, at=4e9) for number in range(Watch.MOST + 5)])
    assert asked == Watch.MOST
    assert min(number for number, _, _ in learned) == 5
