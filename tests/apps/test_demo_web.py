"""`angarium demo --monitor` as a person runs it: messages cross, and Ctrl-C leaves nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from apps.client import admin_client
from apps.common.exits import Exit
from tests.apps.nodes import run
from tests.faults.node import angarium
from tests.faults.phones import wait_until
from tests.ports import free_port

WITHIN = 30.0


def delivered(data: str) -> float:
    """Messages that devices at the node of this folder took."""
    counters = admin_client.of_data(Path(data)).get("status")["counters"]
    return float(counters.get("messages_acknowledged_total", 0))


def test_people_write_to_each_other_until_it_is_ended(tmp_path: Path) -> None:
    command = [*angarium(), "demo", "--nodes", "2", "--monitor"]
    environ = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    environ["TMPDIR"] = str(tmp_path)
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("http://"):
                    break
            with urllib.request.urlopen(lines[-1], timeout=WITHIN) as answer:
                assert answer.status == 200
            folders = re.findall(r"data in (\S+)", "\n".join(lines))
            pids = [int(found) for found in re.findall(r"process (\d+)", "\n".join(lines))]
            assert len(folders) == len(pids) == 2
            assert wait_until(lambda: all(delivered(folder) for folder in folders), WITHIN)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(WITHIN) == 0
    assert list(tmp_path.iterdir()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_where_the_console_cannot_listen_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = run("demo", "--nodes", "1", "--monitor", "--listen", f"192.0.2.1:{free_port()}")
    assert result.exit_code == Exit.CONFIG
    assert "the console did not start" in result.stderr
    assert list(tmp_path.iterdir()) == []
