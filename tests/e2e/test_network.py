"""Three real nodes, their console in a real browser, and a foreign phone: registered, written to, killed, drained."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.browser import Watched, serving
from tests.faults.node import NodeProcess
from tests.federation.network import line
from tests.interop.baresip import Baresip

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

HOSTILE = (
    "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>{{ 7 * 7 }}\u202eevil\x1b[31m\x07"
)
LONG = 40_000
"""Milliseconds for what a network does by itself: links that come back after a pause."""

Nodes = Mapping[str, NodeProcess]


@pytest.fixture(scope="module")
def nodes(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three in a line; the browser is asked for first, so that nothing starts where there is none."""
    with line(tmp_path_factory.mktemp("nodes")) as started:
        yield started


@pytest.fixture(scope="module")
def console(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The console of all three."""
    folder = tmp_path_factory.mktemp("console")
    with serving([f"unix:{node.data}" for node in nodes.values()], folder, "--data", str(folder / "chats")) as url:
        yield url


def register(page: Page, console: str, name: str) -> None:
    """Fill in the form of the chat."""
    page.goto(f"{console}/chat")
    form = page.get_by_role("form", name="Register as a user")
    form.get_by_label("Name").fill(name)
    form.get_by_role("button", name="Register").click()
    page.get_by_role("status").get_by_text("registered", exact=True).wait_for()


def talk_to(page: Page, name: str) -> None:
    """Open a conversation."""
    page.get_by_label("Write to").fill(name)
    page.get_by_label("Write to").press("Enter")
    page.get_by_label("Conversation").get_by_text(name, exact=True).first.wait_for()


def write(page: Page, text: str) -> None:
    """Send a message in the open conversation."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()
    bubble(page, text).wait_for()


def bubble(page: Page, text: str, state: str = "") -> Locator:
    """Return the message with that text, in that state."""
    return page.locator(".chat-line", has_text=text).filter(has_text=state).last


def deregister(page: Page) -> None:
    page.get_by_role("button", name="Deregister").click()
    page.get_by_role("form", name="Register as a user").wait_for()


def user(page: Page, name: str, state: str) -> None:
    """Wait until the list of users shows one so."""
    page.get_by_role("listitem").filter(has_text=re.compile(rf"^{name}\s*{state}")).wait_for(timeout=LONG)


def test_a_client_registers_talks_to_a_phone_and_leaves(
    console: str, nodes: Nodes, browser: Browser, tmp_path: Path
) -> None:
    with Watched(browser) as chat, Watched(browser) as other:
        page = chat.page
        other.page.goto(f"{console}/users")
        register(page, console, "alice")
        user(other.page, "alice", "online")
        with Baresip(tmp_path / "bob", "bob", "alice", nodes["c"].udp).registered() as phone:
            talk_to(page, "bob")
            write(page, "hello from the browser")
            phone.wait_for("hello from the browser")
            bubble(page, "hello from the browser", "delivered").wait_for()
            phone.message("hello from the phone")
            bubble(page, "hello from the phone").wait_for()
        page.reload()
        bubble(page, "hello from the phone").wait_for()
        page.get_by_role("link", name="The way of this message").first.click()
        page.locator(".badge", has_text="delivered").wait_for()
        page.go_back()
        deregister(page)
        user(other.page, "alice", "away")
    assert not nodes["a"].get("/v1/users/alice")["online"]


def test_a_killed_node_is_an_alarm_its_mail_waits_and_goes_on(console: str, nodes: Nodes, browser: Browser) -> None:
    with Watched(browser) as sender, Watched(browser) as receiver, Watched(browser) as other:
        register(sender.page, console, "carla")
        register_at(receiver.page, console, "dora", "c")
        talk_to(sender.page, "dora")
        write(sender.page, "before")
        bubble(receiver.page, "before").wait_for()
        other.page.goto(console)
        figures = other.page.get_by_label("Figures")
        tile(figures, "3 of 3", "Nodes")
        nodes["b"].kill()
        alarm = other.page.get_by_role("alert").get_by_text("no answer")
        alarm.wait_for()
        tile(figures, "2 of 3", "Nodes")
        for number in (1, 2, 3):
            write(sender.page, f"while it is away {number}")
            tile(figures, f"{number}", "Messages waiting")
        bubble(sender.page, "while it is away 3", "accepted").wait_for()
        nodes["b"].restart()
        tile(figures, "0", "Messages waiting")
        alarm.wait_for(state="detached")
        for number in (1, 2, 3):
            bubble(receiver.page, f"while it is away {number}").wait_for()
        bubble(sender.page, "while it is away 3", "delivered").wait_for()
        assert receiver.page.locator(".chat-line").count() == 4
        deregister(sender.page)
        deregister(receiver.page)


def test_what_a_stranger_sends_is_shown_as_text(console: str, nodes: Nodes, browser: Browser) -> None:
    with Watched(browser) as chat:
        page = chat.page
        register(page, console, "erin")
        assert stranger(nodes["a"].udp, "erin").startswith("SIP/2.0 202")
        page.get_by_role("button", name="<b>eve</b>").click()
        body = page.locator(".chat-text", has_text="<script>")
        body.wait_for()
        assert "{{ 7 * 7 }}\\u202eevil\\x1b[31m\\x07" in body.inner_text()
        page.get_by_role("link", name="The way of this message").click()
        page.locator(".badge", has_text="delivered").wait_for()
        for path in ("", "/logs", "/users"):
            page.goto(console + path)
            page.get_by_role("navigation").wait_for()
            harmless(page)
        page.goto(f"{console}/chat")
        body.wait_for()
        harmless(page)
        deregister(page)


def harmless(page: Page) -> None:
    """See that nothing of it ran or was made an element."""
    assert page.title().endswith("Angarium")
    assert page.locator("img[src=x], main script, main b").count() == 0
    shown = page.inner_text("body")
    assert not {"\u202e", "\x1b", "\x07"} & set(shown)


def test_who_is_not_let_in_is_told_why_and_sees_no_history(console: str, nodes: Nodes, browser: Browser) -> None:
    with Watched(browser, 390, "dark") as chat, Watched(browser) as second:
        register(chat.page, console, "frida")
        assert chat.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        form = second.page.get_by_role("form", name="Register as a user")
        second.page.goto(f"{console}/chat")
        form.get_by_label("Name").fill("frida")
        form.get_by_role("button", name="Register").click()
        form.get_by_text("in another window").wait_for()
        form.get_by_label("Name").fill("no spaces please")
        form.get_by_role("button", name="Register").click()
        form.get_by_text("no spaces and no control characters").wait_for()
        deregister(chat.page)


def register_at(page: Page, console: str, name: str, node: str) -> None:
    """Register at another than the first node."""
    page.goto(f"{console}/chat")
    page.get_by_role("combobox", name="Node").click()
    page.get_by_role("option", name=node, exact=True).click()
    form = page.get_by_role("form", name="Register as a user")
    form.get_by_label("Name").fill(name)
    form.get_by_role("button", name="Register").click()
    page.get_by_role("status").get_by_text("registered", exact=True).wait_for()


def tile(figures: Locator, value: str, name: str) -> None:
    """Wait until a figure has this value."""
    exact = re.compile(rf"^\s*{re.escape(value)}\s*{name}\s*$")
    figures.locator(".tile").filter(has_text=exact).wait_for(timeout=LONG)


def stranger(node: tuple[str, int], to: str) -> str:
    """Send a message whose names and text are hostile; return the answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(10)
        body = HOSTILE.encode()
        shown = "<script>document.title='owned'</script>\u202eevil"
        lines = (
            f"MESSAGE sip:{to}@{node[0]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{sock.getsockname()[1]};rport;branch=z9hG4bKstranger",
            "Max-Forwards: 70",
            f'From: "{shown}" <sip:%3Cb%3Eeve%3C%2Fb%3E@{node[0]}>;tag=stranger',
            f"To: <sip:{to}@{node[0]}>",
            "Call-ID: stranger",
            "CSeq: 1 MESSAGE",
            "Content-Type: text/plain;charset=utf-8",
            f"Content-Length: {len(body)}",
        )
        sock.sendto("\r\n".join(lines).encode() + b"\r\n\r\n" + body, node)
        while True:
            answer = sock.recv(65_535).decode("utf-8", "replace")
            if not answer.startswith("SIP/2.0 1"):
                return answer
