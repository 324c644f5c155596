"""Output: tables and JSON on stdout, safe text, colour only where it is wanted."""

from __future__ import annotations

import io
import json

import pytest

from apps.common import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_rows_are_a_table_or_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("alice", 1), ("bob", 2)]
    output.rows(("user", "waiting"), rows, json=True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"user": "alice", "waiting": 1},
        {"user": "bob", "waiting": 2},
    ]
    output.rows(("user", "waiting"), rows, json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["user", "waiting"], ["alice", "1"], ["bob", "2"]]


def test_fields_are_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    output.fields({"id": "x", "body": b"hi"}, json=True)
    assert json.loads(capsys.readouterr().out) == {"id": "x", "body": "aGk="}
    output.fields({"id": "x"}, json=False)
    assert capsys.readouterr().out.split() == ["id", "x"]


def test_text_from_the_network_cannot_style_or_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.rows(("body",), [("[red]\x1b[2J\n" + "long " * 100,)], json=False)
    printed = capsys.readouterr().out
    assert r"[red]\x1b[2J\n" in printed
    assert len(printed.splitlines()) == 2, "nothing is wrapped in a pipe"


def test_colour_is_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.wants_colour(Terminal())
    assert not output.wants_colour(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.wants_colour(Terminal())


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(output.progress([1, 2], label="import")) == [1, 2]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
