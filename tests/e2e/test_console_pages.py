"""The console in a real browser, of a node that tells hostile things: pages fit, nothing runs or asks outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.browser import Watched, serving
from tests.monitor.fake_node import FakeNode, beside, user

HOSTILE = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>{{ 7 * 7 }}\u202e\x1b[31m"
PAGES = ("/", "/users", "/neighbours", "/message/some-id", "/plots", "/logs")


def hostile_node() -> FakeNode:
    node = FakeNode("a")
    link = {"name": HOSTILE, "address": HOSTILE, "up": False, "reason": HOSTILE, "waiting": 5}
    node.stats["neighbours"] = [link]
    node.frames = [
        {"type": "alarm", "name": "x", "text": HOSTILE, "advice": HOSTILE},
        {"type": "event", "at": 1.0, "level": HOSTILE, "kind": HOSTILE, "text": HOSTILE},
    ]
    node.users = [user(HOSTILE, contact=HOSTILE), user("alice"), user("bob", home=HOSTILE)]
    line = {"at": 1.0, "level": "WARNING", "message": HOSTILE, "fields": {"x": HOSTILE}, "number": 1}
    node.answers["GET /v1/log"] = (200, {"lines": [line]})
    queue = {"kind": "mailbox", "name": HOSTILE, "waiting": 1, "oldest_age_seconds": 1.0}
    node.answers["GET /v1/queues"] = (200, {"queues": [queue]})
    steps = [{"at": 1.0, "node": HOSTILE, "step": "sent", "detail": HOSTILE, "to": HOSTILE}]
    journey = {"id": HOSTILE, "sender": HOSTILE, "state": HOSTILE, "reason": HOSTILE, "steps": steps}
    silent = [{"node": HOSTILE, "reason": HOSTILE}]
    node.answers["GET /v1/journeys/some-id"] = (200, {**journey, "silent": silent})
    node.answers["POST /v1/users/carol/bindings"] = (201, {})
    node.answers["DELETE /v1/users/alice"] = (404, {"error": "unknown", "detail": HOSTILE})
    return node


@pytest.fixture(scope="module")
def node() -> FakeNode:
    return hostile_node()


@pytest.fixture(scope="module")
def console(node: FakeNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("console")
    with ExitStack() as stack:
        stack.enter_context(beside(node))
        yield stack.enter_context(serving([node.url], folder))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_each_page_fits_and_shows_hostile_text_as_text(console: str, browser: Any, width: int, scheme: str) -> None:
    watched = Watched(browser, width, scheme)
    page = watched.page
    try:
        for path in PAGES:
            page.goto(console + path)
            page.get_by_role("alert").get_by_text("<script>").first.wait_for()
            page.locator("main").get_by_text("{{ 7 * 7 }}").first.wait_for(
                state="attached"
            ) if path != "/plots" else None
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            assert page.title().endswith("Angarium")
            assert page.locator("img[src=x], main script").count() == 0
            shown = page.inner_text("body")
            assert "\u202e" not in shown
            assert "\x1b" not in shown
            unnamed = "button:not([aria-label]), input:not([aria-label], .hidden)"
            nameless = page.locator(unnamed).evaluate_all(
                "all => all.filter(e => !e.textContent && !e.labels?.length).map(e => e.outerHTML)"
            )
            assert nameless == []
    finally:
        watched.close()


def test_forms_ask_the_node_once_and_say_what_it_answers(console: str, browser: Any, node: FakeNode) -> None:
    watched = Watched(browser, 1280, "light")
    page = watched.page
    try:
        page.goto(console + "/users")
        form = page.get_by_role("form", name="Register a client")
        form.get_by_label("User").fill("carol")
        form.get_by_label("Contact").fill("sip:carol@127.0.0.1:5066")
        form.get_by_role("button", name="Register").click()
        page.get_by_text("carol is registered at").wait_for()
        page.get_by_role("button", name="Remove alice").click()
        page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        page.locator(".q-notification").get_by_text("<script>").first.wait_for()
        page.get_by_label("Search").fill("bo")
        page.get_by_text("1 shown of 3 users").wait_for()
        assert page.get_by_role("listitem").count() == 1
    finally:
        watched.close()
    changes = [item for item in node.asked if item[0] != "GET"]
    assert changes == [
        ("POST", "/v1/users/carol/bindings", {"contact": "sip:carol@127.0.0.1:5066", "expires": 3600}),
        ("DELETE", "/v1/users/alice", None),
    ]


def test_the_keyboard_reaches_the_navigation_and_sees_where_it_is(console: str, browser: Any) -> None:
    watched = Watched(browser, 1280, "light")
    page = watched.page
    try:
        page.goto(console + "/logs")
        page.get_by_role("log").wait_for()
        seen = []
        for _ in range(4):
            page.keyboard.press("Tab")
            seen.append(page.evaluate("document.activeElement.textContent.trim()"))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert seen[0] == "To the content"
        page.keyboard.press("Enter")
        page.wait_for_url("**/users")
        assert page.locator("[aria-current=page]").inner_text().endswith("Users")
    finally:
        watched.close()
