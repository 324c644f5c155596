"""A host on the way forges answers, or changes what neighbours say: no row is deleted, and no lie arrives (rule 26)."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.node import NodeProcess
from tests.faults.oracle import Log, judge
from tests.faults.phones import Exchange, Phone, Sender, answer_to, wait_until
from tests.federation.between import Between, Spoken, hand_on
from tests.federation.network import (
    counter,
    custody,
    events,
    link_address,
    said,
    start,
    wait_until_known,
    wait_until_linked,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
LINK = re.compile(rb"(?m)^Angarium-Link: [^\r]*\r\n")


class Stage(NamedTuple):
    """Two nodes; what a asks of b, and b's answers, go over the host between."""

    nodes: dict[str, NodeProcess]
    host: Between


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("forged")
    file = folder / "secret"
    file.write_text(secrets.token_hex(32))
    args = ["--open", "--neighbour-secret-file", str(file)]
    with ExitStack() as stack:
        b = NodeProcess(folder / "b", args=args, name="b")
        host = stack.enter_context(Between(b.tcp))
        a = NodeProcess(folder / "a", args=[*args, "--neighbour", f"b={host.url}"], name="a")
        b.args += ["--neighbour", f"a={link_address(a)}"]
        nodes = start(stack, b, a)
        wait_until_linked(nodes, [("a", "b")])
        wait_until_known(nodes)
        yield Stage(nodes, host)


Lie = Callable[[bytes, bytes], Spoken]
"""Given a message that is handed over, and the proof of the last true answer."""


def accepted(message: bytes, proof: bytes = b"") -> Spoken:
    """A 202 that b never gave."""
    return Spoken(back=answer_to(message, "202 Accepted").replace(b"Content-Length", proof + b"Content-Length"))


def with_its_own_proof(message: bytes, _: bytes) -> Spoken:
    """A 202 that bears what the request bore."""
    link = LINK.search(message)
    return accepted(message, b"" if link is None else link[0].replace(b"carry", b"answer"))


LIES: dict[str, Lie] = {
    "202-without-a-proof": lambda message, _: accepted(message),
    "202-proved-as-another-answer": accepted,
    "202-proved-as-the-request": with_its_own_proof,
    "404-without-a-proof": lambda message, _: Spoken(back=answer_to(message, "404 Not Found")),
    "503-without-a-proof": lambda message, _: Spoken(back=answer_to(message, "503 Busy")),
    "another-body": lambda message, _: hand_on(message.replace(b"\r\n\r\nalice", b"\r\n\r\nevil!")),
    "another-sender": lambda message, _: hand_on(re.sub(rb"From: <sip:alice", b"From: <sip:boss!", message)),
    "another-recipient": lambda message, _: hand_on(re.sub(rb"^MESSAGE sip:bob-", b"MESSAGE sip:boss-", message)),
    "another-origin": lambda message, _: hand_on(message.replace(b"Angarium-Route: a", b"Angarium-Route: z")),
}
TWICE = "twice"
"""Said twice, word for word: the first one counts."""


class Forger:
    """Lies about each message that is handed over, to each recipient in another way; all else goes on as it is."""

    def __init__(self) -> None:
        self.lies: Counter[str] = Counter()
        self.proof = b"Angarium-Link: answer\r\n"

    def on_request(self, message: bytes) -> Spoken:
        if b"\r\nAngarium-Link: carry;" not in message:
            return hand_on(message)
        recipient = message.partition(b"@")[0].decode().partition("bob-")[2]
        self.lies[recipient] += 1
        return Spoken(onward=message * 2) if recipient == TWICE else LIES[recipient](message, self.proof)

    def on_answer(self, message: bytes) -> Spoken:
        link = LINK.search(message)
        self.proof = self.proof if link is None else link[0]
        return hand_on(message)


def test_rows_stay_and_arrive_once_unchanged(stage: Stage, tmp_path: Path) -> None:
    nodes, host = stage
    forger = Forger()
    host.on_request, host.on_answer = forger.on_request, forger.on_answer
    with Log(tmp_path / "oracle.log") as log:
        phones = [Phone(f"bob-{name}", nodes["b"].udp, log) for name in (*LIES, TWICE)]
        senders = [Sender("alice", phone.user, nodes["a"].udp, log, pace=0.2) for phone in phones]
        with Exchange(phones, senders) as exchange:
            exchange.register()
            exchange.go()
            assert wait_until(lambda: all(forger.lies[name] >= 2 for name in LIES), 60.0), forger.lies
            assert wait_until(lambda: arrived(log) >= {TWICE}, 30.0)
            assert arrived(log) == {TWICE}
            assert nodes["a"].waiting() >= len(LIES)
            host.on_request = hand_on
            exchange.pause()
            assert wait_until(lambda: exchange.quiet and log.outstanding() == 0, 60.0), said(nodes)
        verdict = judge(log.facts())
        assert verdict.failures == 0, str(verdict)
        assert arrived(log) == {*LIES, TWICE}
    assert wait_until(lambda: custody(nodes) == 0, 10.0)
    for node in nodes.values():
        assert counter(node, "link_auth_failed_total") >= 1
        assert events(node, "link-not-believed")


def arrived(log: Log) -> set[str]:
    """What kinds of lies did not keep a message from arriving."""
    bodies = [fact.body for fact in log.facts() if fact.what == "delivered"]
    return {body.partition(" ")[0].removeprefix("alice>bob-") for body in bodies}
