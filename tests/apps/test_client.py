"""The SIP client session and what is built on it: digest, repeats, receiving, the state file."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.messages.requests import DigestResponse
from actors.state.digest import ha1, proves
from apps.client import sending
from apps.client.digest import choose
from apps.client.exchange import Timers
from apps.client.listening import Limits, Listener
from apps.client.session import ClientSession, Incoming, Refused, read_incoming
from apps.client.show import json_line, message_fields, message_text
from apps.client.state import StateFile, default_path
from apps.client.wire import TooLarge, Unreachable
from apps.common.exits import Exit, Failure
from apps.common.values import Listen, Transport, listen
from sip_adapter.codec import Request, parse, response
from sip_adapter.headers import parse_auth
from tests.apps.fake_server import FakeServer, Reply, accept_all, incoming

PATIENT = Timers(t1=60.0, t2=60.0, timer_f=60.0)
"""Nothing gets lost on the loopback: a repeat or a time-out would only tell that the machine is busy."""
QUICK = Timers(t1=0.02, t2=0.05, timer_f=1.0)
"""Where there is silence to be noticed."""
WITHIN = 30.0
"""Seconds in which all that is awaited must have happened."""
CHALLENGES = {
    "md5": b'Digest realm="r", nonce="n1", qop="auth"',
    "sha": b'Digest realm="r",nonce="n1",algorithm=SHA-256,qop="auth,auth-int",opaque="o"',
    "old": b'Digest  realm="r",  nonce="n1"',
}


def with_session(
    server: FakeServer,
    work: Callable[[ClientSession], Coroutine[Any, Any, Any]],
    **settings: Any,
) -> Any:
    async def main() -> Any:
        session = ClientSession("bob", server.via, **{"timers": PATIENT, **settings})
        try:
            return await work(session)
        finally:
            session.close()

    return asyncio.run(main())


def credentials(request: Request) -> DigestResponse | None:
    value = request.get(b"authorization")
    if value is None:
        return None
    _, found = parse_auth(value)
    return DigestResponse(
        username=found["username"],
        realm=found["realm"],
        nonce=found["nonce"],
        uri=found["uri"],
        response=found["response"],
        method=request.method,
        algorithm=found.get("algorithm", "MD5"),
        qop=found.get("qop", ""),
        nc=found.get("nc", ""),
        cnonce=found.get("cnonce", ""),
    )


def test_a_registration_names_its_device_and_returns_what_was_granted() -> None:
    def answer(request: Request) -> Reply:
        contact = (request.get(b"contact") or b"").replace(b"expires=600", b"expires=60")
        return Reply(200, "OK", ((b"Contact", b"<sip:other@h>;expires=9"), (b"Contact", contact)))

    with FakeServer(answer) as server:
        granted = with_session(server, lambda session: session.register(600), instance="urn:uuid:1")
    assert granted == 60
    contact = server.requests[0].get(b"contact") or b""
    assert b'+sip.instance="<urn:uuid:1>"' in contact
    assert b"reg-id=1" in contact


@pytest.mark.parametrize("kind", CHALLENGES)
def test_a_challenge_is_answered(kind: str) -> None:
    def answer(request: Request) -> Reply:
        proof = credentials(request)
        if proof is None:
            return Reply(401, headers=((b"WWW-Authenticate", CHALLENGES[kind]),))
        secret = ha1(proof.algorithm, "bob", "r", 'pass"word\\')
        return Reply(200 if proves(proof, secret) else 403)

    async def twice(session: ClientSession) -> None:
        await session.register()
        await session.register()

    with FakeServer(answer) as server:
        with_session(server, twice, password=lambda: 'pass"word\\')
    assert [request.cseq[0] for request in server.requests] == [1, 2, 3]
    if kind != "old":
        assert [proof.nc for request in server.requests if (proof := credentials(request))] == ["00000001", "00000002"]


def test_a_wrong_password_is_tried_once() -> None:
    with FakeServer(lambda _: Reply(401, "No", ((b"WWW-Authenticate", CHALLENGES["md5"]),))) as server:
        with pytest.raises(Refused, match="401"):
            with_session(server, lambda session: session.register(), password=lambda: "wrong")
        assert len(server.requests) == 2


def test_without_a_password_the_challenge_is_the_answer() -> None:
    with FakeServer(lambda _: Reply(401, "No", ((b"WWW-Authenticate", CHALLENGES["md5"]),))) as server:
        with pytest.raises(Refused):
            with_session(server, lambda session: session.register())
        assert len(server.requests) == 1


def test_a_stale_nonce_is_answered_anew() -> None:
    def answer(request: Request) -> Reply:
        proof = credentials(request)
        if proof is None:
            return Reply(401, headers=((b"WWW-Authenticate", CHALLENGES["md5"]),))
        if proof.nonce == "n1":
            return Reply(401, headers=((b"WWW-Authenticate", b'Digest realm="r",nonce="n2",stale=true,qop="auth"'),))
        return Reply(200)

    with FakeServer(answer) as server:
        with_session(server, lambda session: session.register(), password=lambda: "p")
        assert len(server.requests) == 3


def test_the_first_challenge_that_we_know_is_chosen() -> None:
    unknown = b'Digest realm="r", nonce="n", algorithm=SHA-512-256'
    chosen = choose([b"Basic realm=x", unknown, CHALLENGES["sha"], CHALLENGES["md5"]])
    assert chosen is not None
    assert chosen.algorithm == "SHA-256"
    assert choose([b'Digest realm="r",nonce="n",qop="auth-int"']) is None


def test_a_request_is_repeated_until_it_is_answered() -> None:
    seen: list[int] = []

    def answer(_: Request) -> Reply | None:
        seen.append(1)
        return Reply(200) if len(seen) == 3 else None

    with FakeServer(answer) as server:
        with_session(server, lambda session: session.register(), timers=msgspec.structs.replace(QUICK, timer_f=60.0))
        assert len(set(server.raw)) == 1
        assert len(server.raw) >= 3


def test_silence_is_unreachable() -> None:
    with FakeServer(lambda _: None) as server, pytest.raises(Unreachable):
        with_session(server, lambda session: session.register(), timers=QUICK)


def test_a_port_that_nobody_listens_at_is_unreachable() -> None:
    with FakeServer(accept_all) as server:
        gone = server.via

    async def main(via: Listen) -> None:
        session = ClientSession("bob", via, timers=PATIENT)
        try:
            with pytest.raises(Unreachable):
                await session.register()
        finally:
            session.close()

    asyncio.run(main(gone))
    asyncio.run(main(Listen(Transport.TCP, gone.host, gone.port)))


def test_a_longer_interval_is_accepted() -> None:
    def answer(request: Request) -> Reply:
        if request.expires == 10:
            return Reply(423, headers=((b"Min-Expires", b"90"),))
        return Reply(200, "OK", ((b"Expires", b"90"),))

    with FakeServer(answer) as server:
        assert with_session(server, lambda session: session.register(10)) == 90


@pytest.mark.parametrize("first", [None, Reply(503, headers=((b"Retry-After", b"0"),))])
def test_a_repeated_send_is_the_same_message(first: Reply | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PAUSE", 0.01)
    branches: set[bytes | None] = set()

    def answer(request: Request) -> Reply | None:
        branches.add(request.via.branch)
        return first if len(branches) == 1 else accept_all(request)

    with FakeServer(answer) as server:
        timers = QUICK if first is None else PATIENT
        sent = with_session(server, lambda session: sending.deliver(session, "alice", b"x", WITHIN), timers=timers)
    assert sent.id == "id-1"
    assert len({request.get(b"angarium-id") for request in server.requests}) == 1
    assert len({request.call_id for request in server.requests}) == 1
    # After silence it may be stored: the same CSeq makes it the same; after a 503 it is not.
    assert {request.cseq[0] for request in server.requests} == ({1} if first is None else {1, 2})


def test_it_stays_registered_after_a_refusal() -> None:
    answers = iter([Reply(200), Reply(503), Reply(200, "OK", ((b"Expires", b"600"),))])
    said: list[str] = []

    async def stay(session: ClientSession) -> None:
        await session.register()
        back = asyncio.Event()

        def say(text: str) -> None:
            said.append(text)
            if len(said) == 2:
                back.set()

        keeper = asyncio.create_task(session.stay_registered(0, say))
        await asyncio.wait_for(back.wait(), WITHIN)
        keeper.cancel()

    with FakeServer(lambda _: next(answers)) as server:
        with_session(server, stay)
        assert [request.cseq[0] for request in server.requests] == [1, 2, 3]
        assert len({request.call_id for request in server.requests}) == 1
    assert "503" in said[0]
    assert "again" in said[1]


def test_a_broken_connection_is_opened_again() -> None:
    connections = 0
    second, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        asked = parse(await reader.readuntil(b"\r\n\r\n"))
        assert isinstance(asked, Request)
        writer.write(response(asked, 200, "OK", to_tag=b"t", extra=[(b"Expires", b"600")]))
        await writer.drain()
        if connections == 2:
            second.set()
            await reader.read()
        writer.close()
        await writer.wait_closed()
        if connections == 2:
            gone.set()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        session = ClientSession("bob", Listen(Transport.TCP, "127.0.0.1", port), timers=PATIENT)
        keeper = asyncio.create_task(session.stay_registered(await session.register(), lambda _: None))
        try:
            await asyncio.wait_for(second.wait(), WITHIN)
        finally:
            keeper.cancel()
            session.close()
            await asyncio.wait_for(gone.wait(), WITHIN)
            server.close()
            await server.wait_closed()

    asyncio.run(main())
    assert connections == 2


def test_what_no_datagram_holds_is_too_large() -> None:
    with FakeServer(accept_all) as server, pytest.raises(TooLarge):
        with_session(server, lambda session: sending.deliver(session, "alice", b"x" * 70_000, 1.0))


def listening(server: FakeServer, path: Path, limits: Limits, *, json: bool = True) -> int:
    async def main() -> int:
        file = StateFile(path)
        listener = Listener(file, json=json, limits=limits)
        session = ClientSession("bob", server.via, instance=file.instance, on_message=listener.take, timers=PATIENT)
        try:
            return await listener.run(session)
        finally:
            session.close()
            file.close()

    return asyncio.run(main())


class Pusher:
    """Accepts all, and pushes messages once the client has registered."""

    def __init__(self, *messages: bytes) -> None:
        self._messages = messages
        self.server: FakeServer | None = None

    def __call__(self, request: Request) -> Reply:
        if request.method == "REGISTER" and request.expires:
            assert self.server is not None
            for message in self._messages:
                self.server.push(message)
        return accept_all(request)


def test_each_message_is_printed_once_however_often_it_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pusher = Pusher(incoming(1), incoming(2, message_id="id-1"), incoming(1), incoming(3, b"second"))
    with FakeServer(pusher) as server:
        pusher.server = server
        assert listening(server, tmp_path / "state", Limits(count=2, timeout=WITHIN)) == Exit.OK
        assert [server.response(number).status for number in range(3)] == [200, 200, 200]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["id"], line["from"], line["to"], line["body"]) for line in lines] == [
        ("id-1", "alice", "bob", "hello"),
        ("id-3", "alice", "bob", "second"),
    ]
    assert set(lines[0]) == {"id", "from", "to", "at", "content_type", "body"}
    assert [request.expires for request in server.requests] == [600, 0]


def test_what_a_killed_listener_had_taken_is_printed_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = StateFile(tmp_path / "state")
    file.add(Incoming("id-0", "alice", "bob", "text/plain", b"before the kill"))
    file.close()
    with FakeServer(accept_all) as server:
        assert listening(server, tmp_path / "state", Limits(timeout=0.05)) == Exit.OK
        assert "before the kill" in capsys.readouterr().out
        assert listening(server, tmp_path / "state", Limits(timeout=0.05)) == Exit.OK
        assert capsys.readouterr().out == ""


def test_a_listener_can_be_stopped_before_the_server_answers(tmp_path: Path) -> None:
    async def main(via: Listen) -> int:
        file = StateFile(tmp_path / "state")
        listener = Listener(file, json=True, limits=Limits())
        session = ClientSession("bob", via, on_message=listener.take)
        asyncio.get_running_loop().call_soon(listener.stop)
        try:
            return await listener.run(session)
        finally:
            session.close()
            file.close()

    with FakeServer(lambda _: None) as server:
        assert asyncio.run(main(server.via)) == Exit.OK


def test_a_message_that_cannot_be_kept_is_not_answered_200(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: StateFile, message: Incoming) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(StateFile, "add", full)
    pusher = Pusher(incoming(1))
    with FakeServer(pusher) as server:
        pusher.server = server
        with pytest.raises(Failure, match="full") as failed:
            listening(server, tmp_path / "state", Limits(timeout=WITHIN))
        assert server.response(0).status == 500
    assert failed.value.exit_code == Exit.INTERNAL


def test_a_message_without_an_id_gets_one_from_its_headers() -> None:
    data = incoming(7).replace(b"Angarium-Id: id-7\r\n", b"")
    asked = parse(data)
    assert isinstance(asked, Request)
    assert read_incoming(asked, "bob").id == "call-7;a;1"


def test_the_state_file_keeps_messages_and_device_and_lets_in_one(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state"
    first = StateFile(path)
    message = Incoming("id", "alice", "bob", "text/plain", b"\x00")
    assert first.add(message)
    assert not first.add(message)
    instance = first.instance
    with pytest.raises(Failure) as failed:
        StateFile(path)
    assert failed.value.exit_code == Exit.CONFIG
    first.close()
    assert path.stat().st_mode & 0o777 == 0o600
    second = StateFile(path)
    assert second.instance == instance
    assert [kept.message for kept in second.unprinted(10)] == [message]
    second.close()


def test_what_is_no_state_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    path.write_bytes(b"Dear Bob, " * 1000)
    with pytest.raises(Failure) as failed:
        StateFile(path)
    assert failed.value.exit_code == Exit.CONFIG
    assert path.read_bytes().startswith(b"Dear Bob")


def test_the_default_file_is_one_per_user_and_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    via = listen("udp://127.0.0.1:5060")
    path = default_path("../evil/name", via)
    assert path.parent == tmp_path / "angarium"
    assert path != default_path("bob", via)
    assert len(os.fsencode(default_path("ü" * 128, via).name)) < 255


def test_control_characters_are_escaped() -> None:
    message = Incoming("id", "al\x1b[31mice", "bob", "text/plain", b"a\x1b]0;x\x07\nb\xc2\x9b\xe2\x80\xae")
    for line in (json_line(message_fields(message, 0.0)), message_text(message, 0.0)):
        assert line.isprintable()
    assert json.loads(json_line(message_fields(message, 0.0)))["body"] == message.body.decode()
    binary = Incoming("id", "alice", "bob", "text/plain", b"\xff")
    assert message_fields(binary, 0.0)["encoding"] == "base64"
