"""`angarium neighbour`: the same outcome whether the node runs or is stopped; secrets; what settings say of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apps.common.config import ConfigError, load
from apps.common.exits import Exit
from tests.apps.nodes import node_process, run
from tests.apps.real_node import RealNode

SOMEWHERE = "tcp://127.0.0.1:9"
"""Where nobody listens."""
BEYOND = "tcp://192.0.2.1:5060"


def listed(data: str) -> dict[str, dict[str, object]]:
    """What the command lists, by name."""
    result = run("neighbour", "list", "--data", data, "--json")
    assert result.exit_code == Exit.OK
    return {item["name"]: item for item in map(json.loads, result.stdout.splitlines())}


def come_and_go(data: str) -> None:
    """Add, change and remove; what is wrong changes nothing."""
    assert run("neighbour", "add", "b", SOMEWHERE, "--data", data).exit_code == Exit.OK
    assert run("neighbour", "add", f"c={SOMEWHERE}", "--data", data).exit_code == Exit.OK
    for wrong in (["d"], ["d", "http://127.0.0.1:9"], ["d e", SOMEWHERE], ["d", "tcp://127.0.0.1:0"]):
        assert run("neighbour", "add", *wrong, "--data", data).exit_code == Exit.BAD_DATA
    found = listed(data)
    assert sorted(found) == ["b", "c"]
    assert (found["b"]["address"], found["b"]["origin"], found["b"]["up"]) == (SOMEWHERE, "command", False)
    table = run("neighbour", "list", "--data", data)
    assert "down: " in table.stdout
    assert run("neighbour", "remove", "b", "--data", data).exit_code == Exit.OK
    assert run("neighbour", "remove", "b", "--data", data).exit_code == Exit.NO_SUCH
    assert sorted(listed(data)) == ["c"]


def test_of_a_stopped_node(tmp_path: Path) -> None:
    come_and_go(str(tmp_path / "data"))
    added = run("neighbour", "add", "far", BEYOND, "--data", str(tmp_path / "data"))
    assert added.exit_code == Exit.OK, "whether it has a secret is seen when it starts"


def test_of_a_running_node_and_remembered(tmp_path: Path) -> None:
    with node_process(tmp_path / "data", "--open", "--name", "n") as node:
        come_and_go(node.data)
        refused = run("neighbour", "add", "far", BEYOND, "--data", node.data)
        assert refused.exit_code == Exit.REFUSED
        assert "--neighbour-secret-file" in refused.stderr
        assert run("neighbour", "add", "n", SOMEWHERE, "--data", node.data).exit_code == Exit.REFUSED
    assert sorted(listed(node.data)) == ["c"]


def test_without_neighbours_the_list_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    told = run("neighbour", "list", "--data", str(tmp_path / "data"))
    assert told.exit_code == Exit.OK
    assert "neighbour add" in told.stderr
    assert run("neighbour", "list", "--data", str(tmp_path / "none")).exit_code == Exit.NO_SUCH


def test_a_secret_is_long_for_its_owner_only_and_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "net.secret"
    made = run("neighbour", "secret", str(file))
    assert made.exit_code == Exit.OK
    secret = file.read_text().strip()
    assert len(secret) == 64
    assert secret not in made.output
    assert file.stat().st_mode & 0o777 == 0o600
    assert run("neighbour", "secret", str(file)).exit_code == Exit.REFUSED
    assert file.read_text().strip() == secret
    assert run("neighbour", "secret", str(tmp_path / "none" / "x")).exit_code == Exit.REFUSED


def test_a_secret_that_cannot_be_read_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    file = tmp_path / "net.secret"
    with pytest.raises(ConfigError, match="angarium neighbour secret"):
        load({"neighbour_secret_file": str(file)})
    assert run("config", "check", "--neighbour-secret-file", str(file)).exit_code == Exit.CONFIG
    assert run("neighbour", "secret", str(file)).exit_code == Exit.OK
    load({"neighbour_secret_file": str(file), "neighbour": (f"b={BEYOND}",)})
    with pytest.raises(ConfigError, match="pose as it"):
        load({"neighbour": (f"b={BEYOND}",)})


def test_a_secret_that_others_can_read_is_warned_of_once(tmp_path: Path) -> None:
    file = tmp_path / "net of ours.secret"
    assert run("neighbour", "secret", str(file)).exit_code == Exit.OK
    for mode, warned in ((0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)):
        file.chmod(mode)
        checked = run("config", "check", "--neighbour-secret-file", str(file))
        assert checked.exit_code == Exit.OK
        assert checked.stderr.count(f"run: chmod 600 '{file}'") == warned
    with RealNode(tmp_path / "data", args=("--open", "--neighbour-secret-file", str(file))) as node:
        assert node.errors.read_text().count("(mode 0604); run: chmod 600") == 1


def test_a_file_names_neighbours_and_rungs(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        'name = "a"\nneighbour = ["b=tcp://127.0.0.1:5062", "c=udp://[::1]:5063"]\n'
        'link_address = "tcp://127.0.0.1:5061"\nrouter_rungs = ["learned", "search"]\nsearch_budget = 64\n'
    )
    config = load(file=file).config
    assert [str(item) for item in config.neighbour] == ["b=tcp://127.0.0.1:5062", "c=udp://[::1]:5063"]
    assert str(config.link_address) == "tcp://127.0.0.1:5061"
    assert [str(rung) for rung in config.router_rungs] == ["learned", "search"]
    assert config.search_budget == 64


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"neighbour": ("a=tcp://127.0.0.1:1",), "name": "a"}, "own name"),
        ({"neighbour": ("b=tcp://127.0.0.1:1", "b=tcp://127.0.0.1:2")}, "twice"),
        ({"neighbour": ("tcp://127.0.0.1:1",)}, "NAME=URL"),
        ({"neighbour": ("b=tcp://127.0.0.1:1",), "name": "n" * 33}, "name"),
        ({"router_rungs": ("serch",)}, "did you mean 'search'"),
        ({"router_rungs": ("search", "search")}, "twice"),
        ({"search_budget": "0"}, "search_budget"),
    ],
)
def test_mistakes_about_neighbours_are_told(flags: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(flags)
