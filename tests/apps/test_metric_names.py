"""What `/metrics` counts: each number has a sentence, and each sentence a number."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apps.node.admin_metrics import exposition
from apps.node.metric_names import ABOUT
from tests.apps.real_node import RealNode

ROOT = Path(__file__).parents[2]
ROOMS = ("actors", "sip_adapter", "apps/node")
NAMED = re.compile(r"""["']([a-z_]+)(?:\{\{?[a-z]+=[^"']*["'])?""")


def names_in_the_code() -> set[str]:
    """Words in quotes in the rooms that count; those of the table itself are left out."""
    texts = (path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py") if path.stem != "metric_names")
    return {name for text in texts for name in NAMED.findall(text)}


def test_each_counter_of_the_code_is_explained() -> None:
    counters = {name for name in names_in_the_code() if name.endswith("_total")}
    assert len(counters) > 30
    assert counters - set(ABOUT) == set()


def test_nothing_is_explained_that_is_not_counted() -> None:
    assert set(ABOUT) - names_in_the_code() == set()


@pytest.mark.parametrize("name", ABOUT)
def test_a_sentence_is_one(name: str) -> None:
    assert re.fullmatch(r"[A-Z][^\n|]+\.", ABOUT[name])


def test_a_node_explains_all_it_counts(tmp_path: Path) -> None:
    with RealNode(tmp_path / "data", args=("--open", "--admin", "127.0.0.1:0")) as node:
        host, port = node.admin
        with urlopen(f"http://{host}:{port}/metrics", timeout=10) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    assert len(families) > 10
    for family in families:
        name = family.name.removeprefix("angarium_") + ("_total" if family.type == "counter" else "")
        assert family.documentation == ABOUT.get(name), name


def test_what_a_replacement_counts_is_named_in_words() -> None:
    assert b"# HELP angarium_my_own_total My own total.\n" in exposition({"my_own_total": 1.0}, {})
