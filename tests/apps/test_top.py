"""`angarium top`: two looks compared, drawn, and taken at a node that goes away."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from apps.client import top as top_command
from apps.client.admin_client import NodeDown
from apps.client.top import looks
from apps.client.top_view import Picture, Sample, compare, drawn
from apps.common.exits import Exit, Failure
from tests.apps.nodes import node_process, run


def sample(at: float, pid: int = 1, **counters: float) -> Sample:
    status = {
        "name": "a", "version": "1", "pid": pid, "uptime_seconds": 61.0, "rss_bytes": 10**7, "store_bytes": 1,
        "ready": False, "users": 3, "online": None, "messages": 4, "oldest_age_seconds": 5.0, "gauges": {},
        "alarms": [{"name": "disk", "text": "full\x1b[2J", "advice": "[b]buy[/b] one"}], "counters": counters,
    }  # fmt: skip
    link = {"name": "b\x1b", "up": False, "reason": "gone", "waiting": 7, "oldest_age_seconds": 3.0}
    queue = {"kind": "mailbox", "name": "\u202ebob", "waiting": 2, "oldest_age_seconds": None}
    return Sample(at, status, [{**link, "sent": 1, "received": 2}], [{**queue, "in_flight": 1, "in_doubt": 0}])


def text(picture: Picture, height: int = 24) -> str:
    out = io.StringIO()
    Console(file=out, width=100).print(drawn(picture, height))
    return out.getvalue()


def test_rates_are_what_counters_grew_by() -> None:
    picture = compare(sample(10, messages_accepted_total=5), sample(12, messages_accepted_total=10, new_total=1))
    assert picture.rates["messages_accepted"] == 2.5
    assert picture.rates["new"] == 0.5
    assert picture.rates["registrations"] == 0.0


@pytest.mark.parametrize("now", [sample(12, pid=2, x_total=9), sample(12, x_total=4), sample(10, x_total=9)])
def test_a_node_started_again_has_no_rates(now: Sample) -> None:
    assert compare(sample(10, x_total=5), now).rates == {}


def test_what_is_drawn_is_plain_text() -> None:
    shown = text(Picture(sample(1), {"x": 1.0}, 0.5, "no node\x07"))
    for sign in ("\x1b", "\x07", "\u202e"):
        assert sign not in shown
    for part in ("[b]buy[/b]", "b\\x1b", "\\u202ebob", "down: gone", "no node\\x07; trying again", "processor 50%"):
        assert part in shown


def test_a_low_screen_holds_it() -> None:
    many = Sample(1, sample(1).status, sample(1).neighbours * 50, sample(1).queues * 50)
    picture = Picture(many, {f"rate_{number}": 1.0 for number in range(100)})
    for height in (24, 60):
        assert len(text(picture, height).splitlines()) < height


class Away:
    """A node that answers, then does not, then does."""

    def __init__(self, *looks: Sample | Failure) -> None:
        self.looks = list(looks)

    def __call__(self, _node: Any) -> Sample:
        found = self.looks.pop(0)
        if isinstance(found, Failure):
            raise found
        return found


def test_a_watcher_waits_for_a_node_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    down = NodeDown("there", "nobody listens there", "start it")
    monkeypatch.setattr(top_command, "look", Away(sample(1), down, sample(3, pid=2), sample(4, pid=2, x_total=1)))
    node: Any = None
    seen = looks(node, 0.0, patient=True)
    assert "nobody listens" in next(seen).trouble
    assert next(seen).rates == {}
    assert next(seen).rates["x"] == 1.0
    monkeypatch.setattr(top_command, "look", Away(sample(1), down))
    with pytest.raises(NodeDown):
        next(looks(node, 0.0, patient=False))


def test_once_it_prints_one_object(tmp_path: Any) -> None:
    gone = "b=tcp://127.0.0.1:9"
    with node_process(tmp_path / "data", "--open", "--neighbour", gone) as node:
        done = run("top", "--data", node.data, "--once", "--json", "--interval", "0.1")
        assert done.exit_code == Exit.OK
        told = json.loads(done.stdout)
        assert set(told) == {
            "name", "version", "uptime_seconds", "ready", "rss_bytes", "store_bytes", "users", "online", "messages",
            "oldest_age_seconds", "alarms", "unrouted", "cpu", "rates", "neighbours", "queues", "trouble",
        }  # fmt: skip
        assert told["rates"]["messages_accepted"] == 0.0
        shown = run("top", "--admin", node.admin, "--once", "--interval", "0.1")
        assert "messages accepted" in shown.stdout
        assert "down: " in shown.stdout
    assert run("top", "--data", node.data, "--once").exit_code == Exit.UNREACHABLE
