"""Logs: their files and formats, their level, and what they do to hostile text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from apps.common.config import LogFormat, LogLevel, NodeConfig
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


def test_the_standard_library_s_logging_comes_along(logs: Logs, tmp_path: Path) -> None:
    logging.getLogger("pykka").warning("odd {%s}", "thing")
    logging.getLogger("aiohttp.access").info("GET /")
    text = (tmp_path / PROGRAM_LOG).read_text()
    assert "odd {thing} logger=pykka" in text
    assert "GET /" not in text
