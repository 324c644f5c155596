"""Logs: their files and formats, their level, and what they do to hostile text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from actors.base import ActorBase, Context, start_actor
from actors.messages.client_manager import AddUser
from actors.messages.lifecycle import ActorFailed
from actors.messages.monitor import Level, ReportEvent
from actors.model import UserName
from actors.monitor import Monitor
from actors.ref import DeadLetters
from actors.runtime import SystemClock, ThreadRuntime, ThreadScheduler
from actors.testing import Probe
from apps.common.config import LogFormat, LogLevel, NodeConfig
from apps.common.log_lines import HIDDEN, LogLine, RecentLines, hide
from apps.common.logs import DEBUG_LOG, PROGRAM_LOG, Logs, setup


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    taken = Logs(directory=tmp_path, debug=True)
    yield taken
    taken.close()


def test_info_goes_to_the_program_log_and_stderr_and_debug_apart(
    logs: Logs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.info("serving")
    logger.debug("details")
    program, debug = (tmp_path / PROGRAM_LOG).read_text(), (tmp_path / DEBUG_LOG).read_text()
    assert "serving" in program
    assert "details" not in program
    assert "serving" in debug
    assert "details" in debug
    captured = capsys.readouterr()
    assert captured.out == ""


def test_without_asking_there_is_no_debug_log(tmp_path: Path) -> None:
    taken = setup(NodeConfig(data=tmp_path / "data"))
    try:
        logger.info("serving")
    finally:
        taken.close()
    assert [path.name for path in (tmp_path / "data").iterdir()] == [PROGRAM_LOG]


def test_control_characters_cannot_forge_a_line(logs: Logs, tmp_path: Path) -> None:
    hostile = "hi\r\n2026-01-01 INFO forged \x1b[2J\x00\u2028"
    logger.bind(user=hostile).info("from {}", hostile)
    try:
        raise ValueError(hostile)
    except ValueError:
        logger.exception("failed")
    text = (tmp_path / PROGRAM_LOG).read_bytes().decode()
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "\r" not in text
    assert r"\r\n2026-01-01 INFO forged \x1b[2J\x00\u2028" in text
    starts = [line for line in text.splitlines() if line.startswith("2026-01-01")]
    assert starts == []


def test_a_traceback_shows_no_values(logs: Logs, tmp_path: Path) -> None:
    password = "-".join(("open", "sesame"))

    def check(secret: str) -> None:
        raise ValueError(len(secret))

    try:
        check(password)
    except ValueError:
        logger.exception("failed")
    text = (tmp_path / PROGRAM_LOG).read_text()
    assert "Traceback" in text
    assert password not in text


def test_json_lines_hold_fields(tmp_path: Path) -> None:
    taken = Logs(directory=tmp_path, format=LogFormat.JSON)
    try:
        logger.bind(user="alice", message="mine").warning("a {} <b>", "{c}\n")
        try:
            raise KeyError("x")
        except KeyError:
            logger.exception("failed")
    finally:
        taken.close()
    first, second = map(json.loads, (tmp_path / PROGRAM_LOG).read_text().splitlines())
    assert (first["level"], first["message"], first["user"]) == ("warning", r"a {c}\n <b>", "alice")
    assert second["trace"][0].startswith("Traceback")
    assert second["trace"][-1] == "KeyError: 'x'"


def test_the_level_changes_while_it_runs(logs: Logs, tmp_path: Path) -> None:
    logger.debug("before")
    logs.set_level(LogLevel.DEBUG)
    logger.debug("between")
    logs.set_level(LogLevel.ERROR)
    logger.warning("after")
    text = (tmp_path / PROGRAM_LOG).read_text()
    assert logs.level is LogLevel.ERROR
    assert "before" not in text
    assert text.count("between") == 1
    assert "after" not in text


def test_the_debug_log_is_switched_while_it_runs(tmp_path: Path) -> None:
    taken = Logs(directory=tmp_path)
    try:
        states = [taken.details.on]
        for on in (True, False, True):
            taken.set_debug(on)
            assert (taken.debug, taken.details.on) == (on, on)
            taken.details.write("router", f"line while {on}", "m1")
        taken.set_debug(False)
        taken.set_level(LogLevel.DEBUG)
        states.append(taken.details.on)
    finally:
        taken.close()
    assert states == [False, True], "at level debug the program log wants them"
    assert "line while" not in (tmp_path / PROGRAM_LOG).read_text()
    lines = (tmp_path / DEBUG_LOG).read_text().splitlines()
    assert [line.partition("DEBUG   ")[2] for line in lines] == ["router: line while True message_id=m1"] * 2


def test_a_file_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    taken = Logs(directory=tmp_path)
    try:
        (tmp_path / DEBUG_LOG).mkdir()
        with pytest.raises(OSError, match="directory"):
            taken.set_debug(True)
        assert (taken.debug, taken.details.on) == (False, False)
        logger.info("it goes on")
    finally:
        taken.close()
    assert "it goes on" in (tmp_path / PROGRAM_LOG).read_text()


def test_recent_lines_are_kept_told_and_bounded(logs: Logs) -> None:
    told: list[LogLine] = []
    end = logs.subscribe(told.append)
    logger.bind(message_id="m1", user="\u202ealice").warning("refused\x1b")
    logs.details.write("router", "hears RouteMessages", "m2")
    end()
    logger.info("later")
    warning, debug, later = logs.recent.read(limit=10)
    assert told == [warning, debug]
    assert (warning.level, warning.message, warning.fields) == (
        "warning", r"refused\x1b", {"message_id": "m1", "user": r"\u202ealice"},
    )  # fmt: skip
    assert (debug.place, debug.fields, later.number) == ("router", {"message_id": "m2"}, debug.number + 1)
    for _ in range(3_000):
        logs.details.write("router", "many", "")
    assert logs.recent.read(limit=10, level="info") == [warning, later], "details do not drive out the rest"
    assert len(logs.recent.read(limit=10_000)) == 2_002
    assert logs.recent.read(limit=10, contains="M1") == [warning]
    assert logs.recent.read(limit=10, after=warning.number, level="info") == [later]
    assert logs.recent.read(limit=0) == []
    assert RecentLines().read(limit=5) == []


class Echo(ActorBase[object]):
    """Fails with what it hears in its words."""

    name = "echo"

    def handle(self, message: object) -> None:
        raise ValueError(f"bad {message!r}")


def test_planted_secrets_are_in_no_line(logs: Logs, tmp_path: Path) -> None:
    clock, timers, told = SystemClock(), ThreadScheduler(), Probe()
    supervisor = Probe()
    context = Context(clock, timers, supervisor, DeadLetters(), logs.details)
    monitor = start_actor(Monitor, ThreadRuntime(), context)
    echo = start_actor(Echo, ThreadRuntime(), context)
    planted = ("planted-md5", "planted-sha", "planted-word", "planted-token", "planted-digest")
    try:
        echo.tell(AddUser(told, 1, UserName("alice"), ha1_md5=planted[0], ha1_sha256=planted[1]))
        failed = supervisor.expect(ActorFailed)
        monitor.tell(failed)
        header = f'Authorization: Digest username="alice", response="{planted[4]}"'
        text = f'{{"password": "{planted[2]}"}} Authorization: Bearer {planted[3]} {header}'
        monitor.tell(ReportEvent(1.0, Level.WARNING, "refused", text, user="alice", message_id="m1"))
    finally:
        for ref in (echo, monitor):
            ref.pykka_ref.stop()
        timers.stop()
    logger.bind(password=planted[2]).error("bound")
    shown = [path.read_text() for path in tmp_path.glob("*.log")]
    shown += [f"{line.message} {line.fields}" for line in logs.recent.read(limit=100)]
    assert [(secret, text) for secret in planted for text in shown if secret in text] == []
    assert all("message_id=m1" in text and "alice" in text for text in shown[:2])
    assert "echo: hears AddUser" in (tmp_path / DEBUG_LOG).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "password=x y",
        "ha1_md5='a b'",
        'nonce="q", uri="s"',
        "{'secret': 'v'}",
        "Bearer abc.def",
        "cnonce=b'1'",
        "f" * 64,
        f"('{'0' * 32}', '{'1' * 64}')",
    ],
)
def test_what_is_named_like_a_secret_is_hidden(text: str) -> None:
    assert HIDDEN in hide(text)


@pytest.mark.parametrize("text", ["wrong password: alice", "the nonce is stale", "response to m1", "id=0123abcdef"])
def test_words_about_secrets_are_shown(text: str) -> None:
    assert hide(text) == text


def test_the_standard_library_s_logging_comes_along(logs: Logs, tmp_path: Path) -> None:
    logging.getLogger("pykka").warning("odd {%s}", "thing")
    logging.getLogger("aiohttp.access").info("GET /")
    text = (tmp_path / PROGRAM_LOG).read_text()
    assert "odd {thing} logger=pykka" in text
    assert "GET /" not in text
