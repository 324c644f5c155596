"""What any SipAdapter must do with what phones send: packets at one side, typed messages at the other.

How a replacement joins stands in `conftest.py`; what goes out is in the module beside this one.
"""

from __future__ import annotations

from typing import Any

import pytest

from actors.base import ActorBase
from actors.messages.client_manager import (
    AskStates,
    FlowsSeen,
    RegisterContacts,
    SubmitMessages,
)
from actors.messages.lifecycle import ListenFailed, Listening, Ping, Pong
from actors.messages.monitor import CountFacts
from actors.messages.requests import Challenge, ContactLine
from actors.messages.sip_adapter import ReportBacklog
from actors.model import MessageId, TransactionKey
from actors.testing import Probe
from sip_adapter.limits import Limits
from tests.sip_adapter.contract.border import (
    TIMEOUT,
    Border,
    InMemory,
    fresh,
    registered,
    submitted,
)
from tests.sip_adapter.contract.conftest import LISTEN
from tests.sip_adapter.packets import packet, register

# Sockets.


def test_it_tells_the_addresses_that_were_bound_in_the_order_asked(border: Border) -> None:
    assert [address.partition("://")[0] for address in border.addresses] == ["udp", "tcp"]
    assert not [address for address in border.addresses if address.endswith(":0")]


def test_an_address_in_use_is_told_and_the_adapter_stops(border: Border, kind: type[ActorBase[Any]]) -> None:
    first = border.ref
    border.launch(kind, border.addresses)
    border.run()
    failed = border.ready.expect(ListenFailed)
    assert failed.reason
    assert border.addresses[0] in failed.address
    assert border.ref.pykka_ref.actor_stopped.wait(TIMEOUT)
    border.ref = first


def test_stopped_it_has_left_its_addresses(border: Border, kind: type[ActorBase[Any]]) -> None:
    border.stop()
    before = border.addresses
    border.launch(kind, before)
    border.run()
    assert border.ready.expect(Listening).addresses == before
    assert border.response(border.udp(), packet("OPTIONS", body=b"")).status == 200


def test_it_answers_a_ping(border: Border) -> None:
    asker = Probe()
    border.tell(Ping(reply_to=asker, id=4))
    assert asker.expect(Pong) == Pong(actor="sip_adapter", id=4)


def test_the_monitor_is_told_counts(border: Border) -> None:
    line = border.udp()
    border.response(line, packet("OPTIONS", body=b""))
    border.monitor.wait(lambda heard: any(isinstance(message, CountFacts) for message in heard))


# Messages in.


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_message_is_told_as_it_was_sent(border: Border, transport: str) -> None:
    line = border.udp() if transport == "udp" else border.tcp()
    data = packet(
        "MESSAGE",
        "sip:b%6fb@angarium:5999",
        via=f"SIP/2.0/{transport.upper()} 192.0.2.7:5060;branch=z9hG4bKx;rport",
        from_='"Al \\"A\\"" <sip:alice@localhost>;tag=a1',
        call_id="c@1",
        cseq=7,
        more=("Content-Type: text/plain;charset=utf-8", "Expires: 60", "Angarium-Id: mine-1", "X-Other: gone"),
        body=b"hi\r\n\0there",
    )
    item = submitted(border, line, data)
    assert (item.sender, item.sender_is_ours, item.recipient) == ("alice", True, "bob")
    assert (item.call_id, item.from_tag, item.cseq) == (b"c@1", b"a1", 7)
    assert (item.body, item.display, item.life, item.client_id) == (b"hi\r\n\0there", b'"Al \\"A\\""', 60.0, "mine-1")
    assert (b"Content-Type", b"text/plain;charset=utf-8") in item.headers
    assert b"X-Other" not in [name for name, _ in item.headers]
    assert item.credentials is None
    assert (item.flow.transport, item.flow.host, item.flow.port) == (transport, *line.place)
    assert item.flow.listener == (transport == "tcp")
    assert bool(item.flow.connection) == (transport == "tcp")


def test_a_sender_from_elsewhere_is_none_of_ours(border: Border) -> None:
    item = submitted(border, border.udp(), packet(from_="<sip:eve@elsewhere.example>;tag=e"))
    assert (item.sender, item.sender_is_ours) == ("eve", False)


def test_credentials_are_told(border: Border) -> None:
    digest = (
        'Authorization: Digest username="alice", realm="angarium", nonce="n1", uri="sip:bob@angarium", '
        'response="00112233445566778899aabbccddeeff", algorithm=MD5, qop=auth, nc=00000001, cnonce="c1"'
    )
    item = submitted(border, border.udp(), packet(more=("Content-Type: text/plain", digest)))
    found = item.credentials
    assert found is not None
    assert (found.username, found.realm, found.nonce, found.method) == ("alice", "angarium", "n1", "MESSAGE")
    assert (found.response, found.qop, found.nc, found.cnonce) == (
        "00112233445566778899aabbccddeeff",
        "auth",
        "00000001",
        "c1",
    )


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_its_answer_goes_back_with_all_that_belongs_to_it(border: Border, transport: str) -> None:
    line = border.udp() if transport == "udp" else border.tcp()
    via = f"SIP/2.0/{transport.upper()} 192.0.2.7:5060;branch=z9hG4bKx;rport"
    item = submitted(border, line, packet(via=via))
    border.answer(item.transaction, 202, message_id=MessageId("id-1"))
    answer = border.response(line)
    assert (answer.status, answer.reason, answer.get(b"angarium-id")) == (202, "Accepted", b"id-1")
    assert (answer.call_id, answer.cseq, answer.from_tag) == (b"call-1", (1, "MESSAGE"), b"a1")
    assert answer.to_tag
    assert answer.via.branch == b"z9hG4bKx"
    assert answer.via.params[b"rport"] == b"%d" % line.place[1]
    assert answer.via.received == line.place[0]


def test_repeats_are_absorbed_and_get_the_same_answer(border: Border) -> None:
    line = border.udp()
    item = submitted(border, line)
    line.send(packet())
    border.silent(line)
    border.answer(item.transaction, 202, message_id=MessageId("id-1"))
    first = line.read()
    line.send(packet())
    border.run()
    assert line.read() == first
    border.untold(SubmitMessages)


def test_another_branch_is_another_request(border: Border) -> None:
    line = border.udp()
    first = submitted(border, line)
    second = submitted(border, line, packet(via="SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKtwo;rport"))
    assert first.transaction != second.transaction


def test_each_request_is_answered_once(border: Border) -> None:
    line = border.udp()
    item = submitted(border, line)
    border.answer(TransactionKey(b"nobody's"), 202)
    border.answer(item.transaction, 404)
    border.answer(item.transaction, 202)
    assert border.response(line).status == 404
    border.silent(line)


def test_a_stream_is_cut_into_messages_wherever_it_is_broken(border: Border) -> None:
    line = border.tcp()
    via = "SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK{};rport"
    data = b"".join(packet(call_id=f"c{n}", via=via.format(n), body=b"\r\n" * n) for n in range(3))
    for start in range(0, len(data), 97):
        line.send(data[start : start + 97])
    heard: list[bytes] = []
    while len(heard) < 3:
        heard += [item.call_id for item in border.hears(SubmitMessages).items]
    assert heard == [b"c0", b"c1", b"c2"]


# Registrations in.


def test_a_registration_is_told_as_it_was_sent(border: Border) -> None:
    line = border.udp()
    contact = '<sip:bob@192.0.2.1:5070;transport=udp>;q=0.5;expires=120;reg-id=1;+sip.instance="<urn:uuid:1>"'
    item = registered(
        border,
        line,
        register(
            f"Contact: {contact}, <sip:desk@192.0.2.2>",
            "Expires: 600",
            to="<sip:bob@angarium:5060>",
            from_="<sip:alice@angarium>;tag=b",
        ),
    )
    assert (item.user, item.aor_host, item.from_user) == ("bob", "angarium:5060", "alice")
    assert (item.call_id, item.cseq, item.star, item.expires) == (b"call-1", 1, False, 600)
    phone, desk = item.contacts
    assert (phone.uri, phone.user, phone.host, phone.port) == (
        b"sip:bob@192.0.2.1:5070;transport=udp",
        "bob",
        "192.0.2.1",
        5070,
    )
    assert (phone.q, phone.expires, phone.instance, phone.reg_id) == (0.5, 120, "urn:uuid:1", 1)
    assert (desk.uri, desk.q, desk.expires, desk.instance) == (b"sip:desk@192.0.2.2", 1.0, None, "")
    assert (item.flow.host, item.flow.port) == line.place


def test_all_contacts_may_go_at_once(border: Border) -> None:
    item = registered(border, border.udp(), register("Contact: *", "Expires: 0"))
    assert (item.star, item.contacts, item.expires) == (True, (), 0)


def test_an_answer_lists_bindings_as_they_were_sent(border: Border) -> None:
    line = border.udp()
    item = registered(border, line, register("Contact: <sip:bob@192.0.2.1>"))
    lines = (
        ContactLine(uri=b"sip:bob@192.0.2.1", expires=60, q=0.5, params=((b"+sip.instance", b"<urn:uuid:1>"),)),
        ContactLine(uri=b"sip:bob@192.0.2.2;ob", expires=30),
    )
    border.answer(item.transaction, 200, contacts=lines)
    answer = border.response(line)
    first, second = answer.name_addrs(b"contact")
    assert (first.uri, second.uri) == (b"sip:bob@192.0.2.1", b"sip:bob@192.0.2.2;ob")
    assert (first.params[b"expires"], second.params[b"expires"]) == (b"60", b"30")
    assert (first.params[b"q"], first.params[b"+sip.instance"]) == (b"0.5", b"<urn:uuid:1>")


@pytest.mark.parametrize(
    ("status", "more", "name", "words"),
    [
        (423, {"min_expires": 60}, b"min-expires", b"60"),
        (503, {"retry_after": 5}, b"retry-after", b"5"),
        (200, {"headers": ((b"Angarium-State", b"waiting"),)}, b"angarium-state", b"waiting"),
        (401, {"challenge": Challenge(realm="angarium", nonce="n1")}, b"www-authenticate", b'nonce="n1"'),
        (407, {"challenge": Challenge("angarium", "n2", True)}, b"proxy-authenticate", b"stale=true"),
    ],
)
def test_what_an_answer_may_carry(border: Border, status: int, more: dict[str, Any], name: bytes, words: bytes) -> None:
    line = border.udp()
    item = registered(border, line, register("Contact: <sip:b@h>"))
    border.answer(item.transaction, status, **more)
    answer = border.response(line)
    assert answer.status == status
    assert words in (answer.get(name) or b"")


def test_a_reason_for_people(border: Border) -> None:
    line = border.udp()
    border.answer(submitted(border, line).transaction, 404, reason="Nobody is called bob here")
    assert border.response(line).reason == "Nobody is called bob here"


# What the border sees to itself.


def test_options_are_answered_and_a_sign_of_life(border: Border) -> None:
    line = border.udp()
    answer = border.response(line, packet("OPTIONS", body=b""))
    assert answer.status == 200
    assert b"MESSAGE" in (answer.get(b"allow") or b"")
    assert border.hears(FlowsSeen).flows == (border.flow(line),)


def test_a_question_about_a_message_is_told(border: Border) -> None:
    line = border.udp()
    line.send(packet("OPTIONS", from_="<sip:alice@angarium>;tag=q", more=("Angarium-Where: id-1",), body=b""))
    (item,) = border.hears(AskStates).items
    assert (item.user, item.id, item.flow) == ("alice", "id-1", border.flow(line))
    border.answer(item.transaction, 200, headers=((b"Angarium-State", b"waiting"),))
    assert border.response(line).get(b"angarium-state") == b"waiting"


def test_keep_alives_are_signs_of_life(border: Border) -> None:
    line, stream = border.udp(), border.tcp()
    for sign in (b"\r\n\r\n", b"\0\0\0\0"):
        line.send(sign)
    assert border.hears(FlowsSeen).flows == (border.flow(line),)
    border.silent(line)
    stream.send(b"\r\n\r\n")
    (flow,) = border.hears(FlowsSeen, where=lambda seen: seen.flows[0].transport == "tcp").flows
    assert (flow.host, flow.port) == stream.place
    assert stream.read() == b"\r\n"


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (packet("INVITE"), (405,)),
        (packet("SUBSCRIBE"), (405, 489)),
        (packet("PUBLISH"), (405, 489)),
        (packet("NEWMETHOD"), (405, 501)),
        (packet(uri="sip:bob@elsewhere.example"), (404,)),
        (packet(uri="sip:angarium"), (404, 484)),
        (packet(uri="tel:+123"), (416,)),
        (packet(more=("Require: nothing-known",)), (420,)),
        (packet().replace(b"Content-Length: 5", b"Content-Length: 999"), (400,)),
        (packet().replace(b" SIP/2.0\r\n", b" SIP/3.0\r\n", 1), (505,)),
        (packet().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), (483,)),
        (packet(body=b"x" * 20_000), (413,)),
        (register("Contact: *"), (400,)),
        (register("Contact: <sip:b@h>", to="<sip:bob@elsewhere.example>"), (404,)),
    ],
)
def test_what_concerns_nobody_is_refused_at_the_border(
    unstarted: Border, kind: type[ActorBase[Any]], data: bytes, statuses: tuple[int, ...]
) -> None:
    border = unstarted
    border.start(kind, LISTEN[type(border)], Limits(max_body=10_000))
    line = border.udp()
    answer = border.response(line, data)
    assert answer.status in statuses
    assert answer.to_tag
    assert answer.reason
    if answer.status == 405:
        assert b"MESSAGE" in (answer.get(b"allow") or b"")
    if answer.status == 420:
        assert answer.get(b"unsupported") == b"nothing-known"
    border.untold(SubmitMessages)
    border.untold(RegisterContacts)


@pytest.mark.parametrize("data", [b"", b"\0", b"hello", packet("ACK"), b"SIP/2.0 200 OK\r\n\r\n", b"\xff" * 5000])
def test_what_nobody_can_answer_is_dropped(border: Border, data: bytes) -> None:
    line = border.udp()
    if data or isinstance(border, InMemory):
        line.send(data)
    border.silent(line)
    border.untold(SubmitMessages)


def test_too_many_messages_get_503_and_registrations_still_come_in(
    unstarted: Border, kind: type[ActorBase[Any]]
) -> None:
    border = unstarted
    border.start(kind, LISTEN[type(border)], Limits(max_pending=2))
    line = border.udp()
    items = [submitted(border, line, fresh(number)) for number in range(2)]
    busy = border.response(line, fresh(2))
    assert busy.status == 503
    assert int(busy.get(b"retry-after") or b"0") > 0
    registered(border, line, register("Contact: <sip:b@h>"))
    border.untold(SubmitMessages)
    border.answer(items[0].transaction, 202, message_id=MessageId("id"))
    assert border.response(line).status == 202
    submitted(border, line, fresh(3))


def test_a_backlog_lets_fewer_in_and_never_nobody(timed: InMemory) -> None:
    line = timed.udp()
    timed.tell(ReportBacklog(messages=1_000_000))
    for number in range(200):
        item = submitted(timed, line, fresh(number))
        timed.answer(item.transaction, 202, message_id=MessageId("id"))
        assert timed.response(line).status == 202
        timed.pass_time(0.05)
    for number in range(1000, 3000):
        line.send(fresh(number))
    timed.run()
    let_in = sum(len(told.items) for told in timed.client_manager.of(SubmitMessages)) - 200
    assert 0 < let_in < 500
