"""A neighbour that lies gets nowhere: with the network's secret, and still less without it (rules 20, 25, 26)."""

from __future__ import annotations

import random
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from actors.messages.links import (
    DecideMove,
    FinishMove,
    Frame,
    LinkContent,
    MoveMail,
    NodeRoute,
    PrepareMove,
    Relay,
    RelayedDelivery,
    RelayedProof,
    Routes,
    SearchAnswer,
    SearchStep,
    Summary,
    SummaryWanted,
)
from actors.messages.requests import OutboundRequest
from actors.model import MAX_STEPS, Account, Flow, NodeName, UserName
from actors.state.link_auth import root_key
from actors.state.moving import seal_hashes
from tests.faults.node import NodeProcess, angarium
from tests.faults.phones import wait_until
from tests.federation.liar import REALM, Liar, carry
from tests.federation.network import counter, neighbours
from tests.interop.accounts import import_users

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
PASSWORDS = {"alice": "wonderland", "bob": "builder"}
TAKEN = "messages_taken_total"
FAILED = "link_auth_failed_total"
EVIL, A = NodeName("evil"), NodeName("a")


class Place(NamedTuple):
    """A closed node, and the secret of its network."""

    node: NodeProcess
    secret: bytes


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("liar")
    file = folder / "secret"
    file.write_text(secrets.token_hex(32) + "\n")
    import_users(folder / "a", PASSWORDS)
    with NodeProcess(folder / "a", args=("--neighbour-secret-file", str(file))) as node:
        yield Place(node, file.read_bytes().strip())


@pytest.fixture
def liar(place: Place) -> Iterator[Liar]:
    """It has greeted, and is believed to be a neighbour called `evil`."""
    with Liar(place.node, place.secret) as evil:
        assert evil.greet().proved or evil.session
        yield evil


@pytest.fixture(autouse=True)
def serves_on(place: Place) -> Iterator[None]:
    """After each lie the node answers, has taken no harm, and holds nothing that it should not."""
    before = mailbox(place.node)
    yield
    assert answers_options(place.node)
    status = place.node.status()
    assert status["counters"].get("actor_failures_total", 0) == 0, place.node.errors.read_text()[-3000:]
    assert mailbox(place.node) == before
    assert status["users"] == len(PASSWORDS)


def mailbox(node: NodeProcess) -> list[str]:
    """From whom mail waits, that bob did not get from the honest."""
    waiting = [item for user in PASSWORDS for item in node.get(f"/v1/mailboxes/{user}")["messages"]]
    return [item["from"] for item in waiting if item["from"] != "eve"]


def answers_options(node: NodeProcess) -> bool:
    """Ask it as a phone does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(10.0)
        phone.bind(("127.0.0.1", 0))
        port = phone.getsockname()[1]
        phone.sendto(plain("OPTIONS", port), node.udp)
        return phone.recv(65535).startswith(b"SIP/2.0 200 ")


def plain(method: str, port: int, *more: str, body: str = "", transport: str = "UDP") -> bytes:
    """A request as a phone sends it to bob, with further header lines."""
    lines = [
        f"{method} sip:bob@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/{transport} 127.0.0.1:{port};rport;branch=z9hG4bK{secrets.token_hex(8)}",
        "Max-Forwards: 70",
        "From: <sip:eve@127.0.0.1>;tag=1",
        "To: <sip:bob@127.0.0.1>",
        f"Call-ID: {secrets.token_hex(8)}",
        f"CSeq: 1 {method}",
        *more,
        f"Content-Length: {len(body)}",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


# With the secret.


def test_an_honest_message_is_taken_once(liar: Liar, place: Place) -> None:
    message = carry()
    before = counter(place.node, TAKEN)
    assert liar.tell(message)[:2] == (202, True)
    assert liar.tell(message)[:2] == (202, True)
    assert counter(place.node, TAKEN) == before + 1


@pytest.mark.parametrize(
    ("status", "sender", "routing"),
    [
        pytest.param(403, "alice", {}, id="From of a user of ours"),
        pytest.param(403, "bob", {"origin": "c", "path": ("c", "evil")}, id="From of ours, as if accepted elsewhere"),
        pytest.param(403, "alice", {"origin": "a", "path": ("a", "evil")}, id="our own message, without our vouch"),
        pytest.param(403, "eve", {"origin": "a", "vouch": "ab" * 16}, id="our own message, with a made-up vouch"),
        pytest.param(482, "eve", {"path": ("a", "evil"), "visited": ("a", "evil")}, id="it was here"),
        pytest.param(483, "eve", {"step": MAX_STEPS}, id="it came too far"),
        pytest.param(483, "eve", {"step": 10**17}, id="it came much too far"),
    ],
)
def test_a_false_message_is_refused(
    liar: Liar, place: Place, status: int, sender: str, routing: dict[str, Any]
) -> None:
    before = counter(place.node, TAKEN)
    assert liar.tell(carry(sender, routing=routing))[:2] == (status, True)
    assert counter(place.node, TAKEN) == before


def test_a_user_that_nobody_has_is_not_taken(liar: Liar) -> None:
    assert liar.tell(carry(recipient="nobody")).status in (202, 404)
    assert liar.tell(carry(recipient="postmaster")).status in (202, 404)


def test_a_repeated_request_is_not_believed(liar: Liar, place: Place) -> None:
    message = carry()
    frame = liar.frame(message)
    first = liar.written(frame, message)
    assert liar.hear(liar.send(first)).status == 202
    before = counter(place.node, TAKEN), counter(place.node, FAILED)
    assert liar.hear(liar.send(first))[:2] == (403, False)
    assert liar.say(frame, message)[:2] == (403, False)
    # A number of its own, or another content, needs another MAC.
    assert liar.say(Frame(frame.session, frame.number + 1, frame.mac), message)[:2] == (403, False)
    assert liar.say(liar.frame(carry()), carry("alice"))[:2] == (403, False)
    assert (counter(place.node, TAKEN), counter(place.node, FAILED)) == (before[0], before[1] + 4)
    assert liar.tell(carry()).status == 202


def test_a_greeting_in_another_name_opens_nothing(place: Place) -> None:
    with Liar(place.node, place.secret) as liar:
        for lies in ({"node": A}, {"to": NodeName("b")}, {"realm": "elsewhere"}, {"node": NodeName("e/../vil")}):
            assert liar.greet(**lies).status == 403
        assert not liar.session
        # A recorded greeting opens a session that counts for nothing: its key cannot be made of it.
        assert liar.tell(carry()).status in (403, 481)


def outbound(target: str = "sip:bob@127.0.0.1") -> OutboundRequest:
    return OutboundRequest(
        delivery=1,
        method="MESSAGE",
        target=target.encode(),
        flow=Flow("udp", 0, "127.0.0.1", 9, 0),
        token="ab" * 16,
        from_uri=b"sip:alice@angarium",
        to_uri=b"sip:bob@angarium",
        call_id=b"x",
        cseq=1,
        headers=(),
        body=b"forged",
    )


def relay(content: Any, **lies: Any) -> Relay:
    honest = {"origin": EVIL, "content": content, "path": (EVIL,), "to": A}
    return Relay(**(honest | lies))


TOKENS = ["", "x", "0" * 64, "ab" * 32 + "udp 0 127.0.0.1 5060 0", "\x00" * 100, "€" * 50]
RELAYS: list[tuple[str, Relay]] = [
    ("a path that it did not come", relay(RelayedProof(UserName("alice"), None, "t"), path=(NodeName("b"),))),
    ("a path through us", relay(RelayedProof(UserName("alice"), None, "t"), path=(EVIL, A, EVIL))),
    ("a far end without a way", relay(RelayedProof(UserName("alice"), None, "t"), to=NodeName("nowhere"))),
    ("a proof of nobody", relay(RelayedProof(UserName("nobody"), None, "t"))),
    ("no time", relay(RelayedProof(UserName("alice"), None, "t"), seconds=-1.0)),
    ("for ever", relay(RelayedProof(UserName("nobody"), None, "t"), seconds=1e300)),
    ("a decision nobody prepared", relay(DecideMove(UserName("alice"), 99))),
    ("mail of a move nobody prepared", relay(MoveMail(UserName("bob"), 99, ()))),
    ("the end of a move nobody prepared", relay(FinishMove(UserName("bob"), 99))),
    *((f"a delivery by the token {token[:8]!r}", relay(RelayedDelivery(outbound(), token))) for token in TOKENS),
]


@pytest.mark.parametrize("content", [pytest.param(content, id=name) for name, content in RELAYS])
def test_a_false_relay_is_refused(liar: Liar, content: Relay) -> None:
    told = liar.tell(content)
    assert told.proved
    assert told.status in (401, 403, 404, 409, 430, 482, 503), told


@pytest.mark.parametrize("merge", [False, True])
@pytest.mark.parametrize("hashes", [("", ""), ("5" * 32, "5" * 64)], ids=["no password", "its own password"])
def test_it_cannot_take_a_user_of_ours(liar: Liar, place: Place, merge: bool, hashes: tuple[str, str]) -> None:
    """Neither by a move to us, with a password that it knows, nor as the other home of his name."""
    alice, root = UserName("alice"), root_key(place.secret, REALM)
    for sealed in (seal_hashes(root, "n", Account(alice, *hashes)), "", "zz", "00" * 64):
        move = PrepareMove(Account(alice, epoch=99), sealed, "n", (), merge=merge)
        assert liar.tell(relay(move)).status in (403, 409)
        assert liar.tell(relay(DecideMove(alice, 99))).status == 409
    host, port = place.node.udp
    command = [*angarium(), "register", "--as", "alice", "--via", f"udp://{host}:{port}", "--password-stdin"]
    own = f"{PASSWORDS['alice']}\n"
    done = subprocess.run(command, input=own, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_relayed_proof_needs_the_password(liar: Liar) -> None:
    told = liar.tell(relay(RelayedProof(UserName("alice"), None, "t")))
    assert told.status == 401
    assert liar.tell(carry("alice")).status == 403


BIG = 2**63 - 1
NONSENSE: list[LinkContent] = [
    Routes((NodeRoute(A, BIG, 0, BIG), NodeRoute(NodeName(""), 0, -5, -1), NodeRoute(EVIL, -1, 10**6, 0))),
    Routes(tuple(NodeRoute(NodeName(f"n{number}"), BIG, 0, 1) for number in range(2000))),
    Routes(()),
    Summary(EVIL, 1, 0, b"\x00\x01"),
    Summary(EVIL, -1, BIG, b"\xff" * 3000, b"\x00" * 7, more=True, part=BIG),
    Summary(A, BIG, 0, b"abcabcabc"),
    Summary(NodeName("x" * 5000), 5, 4, b"", b"abc"),
    SummaryWanted(NodeName("nobody"), -1),
    SummaryWanted(A, BIG),
    SearchStep("evil.1", UserName("bob"), EVIL, -1, -1.0, -1, b"x"),
    SearchStep("evil.2", UserName("zed"), EVIL, BIG, 1e300, BIG, b"\xff" * 5000),
    SearchStep("", UserName(""), NodeName(""), 5, 5.0),
    SearchAnswer("a.1", UserName("alice"), "found", BIG, EVIL, BIG, -1, b"x"),
    SearchAnswer("evil.2", UserName("zed"), "what", -1, EVIL, -1),
]


@pytest.mark.parametrize("content", NONSENSE, ids=lambda content: str(content)[:40])
def test_talk_that_makes_no_sense_does_no_harm(liar: Liar, content: LinkContent) -> None:
    assert liar.tell(content)[:2] == (200, True)
    assert liar.tell(carry())[:2] == (202, True)


def test_what_it_claims_to_have_it_does_not_get_of_ours(liar: Liar, place: Place) -> None:
    """It says that it is the home of bob, by every means there is: mail for bob stays here."""
    liar.tell(SearchAnswer("a.1", UserName("bob"), "found", 9, EVIL, 99))
    liar.tell(carry(recipient="bob", routing={"home": "evil", "epoch": 99}))
    told = place.node.get("/v1/routes")
    assert [route for route in told["routes"] if route["name"] == "bob"] == []


# Garbage.


@pytest.mark.parametrize("seed", range(8))
def test_garbage_is_refused_or_cut_off(place: Place, liar: Liar, seed: int) -> None:
    chance = random.Random(seed)
    message = carry()
    packet = bytearray(liar.written(liar.frame(message), message))
    for _ in range(8):
        packet[chance.randrange(len(packet))] = chance.randrange(256)
    head, _, _ = bytes(packet).partition(b"\r\n\r\n")
    before = counter(place.node, TAKEN)
    with Liar(place.node, place.secret) as other:
        with suppress(ConnectionError):  # it may hang up
            for garbage in (bytes(packet), head + b"\r\n\r\n", chance.randbytes(2000)):
                other.send(garbage)
        assert answers_options(place.node)
    assert counter(place.node, TAKEN) == before
    assert liar.tell(carry()).status == 202


@pytest.mark.parametrize(
    "link",
    [
        "",
        "carry",
        "hello;number=1",
        "carry;session=x;number=99999999999999999999;mac=y",
        "what;session=%",
        "carry;" * 500,
    ],
)
def test_a_link_header_that_cannot_be_read_is_a_400(place: Place, link: str) -> None:
    with Liar(place.node, b"x" * 16) as liar:
        told = liar.hear(liar.send(plain("MESSAGE", 9, f"Angarium-Link: {link}", body="hi", transport="TCP")))
        assert (told.status, told.proved) == (400, False)


# Without the secret.


def test_without_the_secret_nothing_is_believed(place: Place) -> None:
    before = counter(place.node, TAKEN)
    with Liar(place.node, b"not the secret, but as long", name="mallory") as liar:
        assert liar.greet()[:2] == (403, False)
        assert not liar.session
        liar.session, liar.key = "ab" * 16, b"k" * 32
        assert liar.tell(carry())[:2] == (481, False)
        assert liar.tell(relay(RelayedProof(UserName("alice"), None, "t")))[:2] == (481, False)
    assert "mallory" not in neighbours(place.node)
    assert counter(place.node, TAKEN) == before


def test_somebody_elses_session_cannot_be_used(place: Place, liar: Liar) -> None:
    with Liar(place.node, b"not the secret, but as long", name="mallory") as mallory:
        mallory.session, mallory.key = liar.session, b"k" * 32
        assert mallory.tell(carry())[:2] == (403, False)
    assert liar.tell(carry())[:2] == (202, True)


def test_extra_headers_of_a_client_mean_nothing(place: Place, tmp_path: Path) -> None:
    with NodeProcess(tmp_path / "open") as node, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bob:
        bob.settimeout(10.0)
        bob.bind(("127.0.0.1", 0))
        port = bob.getsockname()[1]
        register = plain("REGISTER", port, f"Contact: <sip:bob@127.0.0.1:{port}>", "Expires: 300")
        bob.sendto(register.replace(b"<sip:eve@", b"<sip:bob@"), node.udp)
        assert bob.recv(65535).startswith(b"SIP/2.0 200 ")
        lies = [
            "Angarium-Route: evil;home=evil;epoch=99;leg=7;step=69",
            "Angarium-Path: a,evil",
            "Angarium-Visited: a,evil",
            "Angarium-Custody: life=1;at=1;proof=digest;store=x;row=1;floor=1;notice",
            "Angarium-Notice: expired;id=1",
        ]
        bob.sendto(plain("MESSAGE", port, *lies, body="hello"), node.udp)
        heard = [bob.recv(65535), bob.recv(65535)]
        (answer,) = [packet for packet in heard if packet.startswith(b"SIP/2.0 ")]
        (message,) = [packet for packet in heard if packet.startswith(b"MESSAGE ")]
        assert answer.startswith(b"SIP/2.0 202 ")
        assert message.endswith(b"\r\n\r\nhello")
        for header in (b"Route", b"Path", b"Visited", b"Custody", b"Notice", b"Link"):
            assert b"Angarium-" + header not in message
        assert wait_until(lambda: node.status()["counters"].get("actor_failures_total", 0) == 0, 5.0)
