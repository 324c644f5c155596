"""Transactions in virtual time: repeats absorbed, answers repeated, timers by RFC 3261, nothing left behind."""

from __future__ import annotations

import pytest

from actors.model import Flow, TransactionKey
from sip_adapter.codec import Request, parse
from sip_adapter.timers import SLOT, T1, TIMER_F, TIMER_J, TRYING, TimerQueue
from sip_adapter.transaction import (
    ClientTransactions,
    Final,
    Outgoing,
    Pending,
    ServerTransactions,
    transaction_key,
)
from tests.sip_adapter.packets import PHONE, STREAM, packet

SECRET = b"s" * 32
KEY = TransactionKey(b"k" * 16)


def pending(arrived: float = 0.0, *, is_message: bool = True) -> Pending:
    return Pending(b"Via: x\r\n", PHONE, arrived, is_message, False)


def key_of(data: bytes) -> bytes:
    request = parse(data)
    assert isinstance(request, Request)
    return transaction_key(request, SECRET)


class TestKeys:
    def test_a_repeat_has_the_same_key(self) -> None:
        assert key_of(packet()) == key_of(packet())

    @pytest.mark.parametrize(
        "other",
        [
            packet(via="SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKtwo"),
            packet(via="SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKone"),
            packet(via="SIP/2.0/UDP 192.0.2.7:5061;branch=z9hG4bKone"),
            packet(call_id="call-2"),
            packet(cseq=2),
            packet("OPTIONS"),
        ],
    )
    def test_branch_sent_by_call_id_cseq_and_method_count(self, other: bytes) -> None:
        assert key_of(other) != key_of(packet())

    def test_with_the_cookie_nothing_else_counts(self) -> None:
        assert key_of(packet(uri="sip:carol@angarium", from_="<sip:x@angarium>;tag=2")) == key_of(packet())

    def test_without_the_cookie_uri_and_tags_count(self) -> None:
        old = "SIP/2.0/UDP 192.0.2.7:5060;branch=1"
        assert key_of(packet(via=old)) == key_of(packet(via=old))
        assert key_of(packet(via=old, uri="sip:carol@angarium")) != key_of(packet(via=old))
        assert key_of(packet(via=old, from_="<sip:alice@angarium>;tag=2")) != key_of(packet(via=old))

    def test_another_run_has_other_keys(self) -> None:
        request = parse(packet())
        assert isinstance(request, Request)
        assert transaction_key(request, b"t" * 32) != transaction_key(request, SECRET)


class TestServer:
    def test_a_request_is_in_progress_until_it_ends(self) -> None:
        server = ServerTransactions()
        server.begin(KEY, pending())
        assert server.in_progress(KEY) is not None
        assert server.messages == 1
        assert server.end(KEY) is not None
        assert server.end(KEY) is None
        assert server.messages == 0

    def test_registers_are_counted_apart(self) -> None:
        server = ServerTransactions()
        server.begin(KEY, pending(is_message=False))
        assert (server.messages, server.registers) == (0, 1)
        server.end(KEY)
        assert server.registers == 0

    @pytest.mark.parametrize("start", [0.0, 3.9, 7.99, 100.0])
    def test_an_answer_is_remembered_for_timer_j_and_not_much_longer(self, start: float) -> None:
        server = ServerTransactions()
        server.remember(TransactionKey(b"first"), "id-0", 0.0)
        server.remember(KEY, "id-1", start)
        for second in range(32):
            server.overdue(start + second)
            server.remember(TransactionKey(b"other %d" % second), "x", start + second)
        server.overdue(start + TIMER_J - 0.01)
        assert server.answered(KEY) == "id-1"
        server.overdue(start + TIMER_J + 16.0)
        assert server.answered(KEY) is None

    def test_memory_goes_without_traffic_too(self) -> None:
        server = ServerTransactions()
        for number in range(1000):
            server.remember(TransactionKey(b"%d" % number), Final(404, "Not Found"), number / 100)
        now, rounds = 10.0, 0
        while (due := server.deadline()) is not None:
            now = max(now, due)
            server.overdue(now)
            rounds += 1
        assert len(server) == 0
        assert now <= 10.0 + 2 * TIMER_J
        assert rounds < 20

    def test_memory_does_not_grow_with_time(self) -> None:
        server = ServerTransactions()
        for number in range(20_000):
            server.remember(TransactionKey(b"%d" % number), "id", number / 100)
        assert len(server) <= 1.3 * TIMER_J * 100

    def test_a_slow_request_is_due_for_100_once_and_then_forgotten(self) -> None:
        server = ServerTransactions()
        server.begin(KEY, pending(10.0))
        server.begin(TransactionKey(b"later"), pending(12.0))
        assert server.deadline() == 10.0 + TRYING
        assert server.overdue(10.0 + TRYING - 0.1) == []
        assert [item.arrived for item in server.overdue(10.0 + TRYING)] == [10.0]
        assert server.overdue(10.0 + TRYING) == []
        assert server.deadline() == 12.0 + TRYING
        assert [item.arrived for item in server.overdue(12.0 + TRYING)] == [12.0]
        assert server.deadline() == 10.0 + SLOT
        server.overdue(12.0 + SLOT)
        assert len(server) == 0
        assert server.messages == 0
        assert server.deadline() is None


def outgoing(now: float = 0.0, token: bytes = b"t", flow: Flow = PHONE, delivery: int = 1) -> Outgoing:
    return Outgoing(delivery, token, flow, b"packet", now)


def run(client: ClientTransactions, until: float) -> tuple[list[float], list[float]]:
    """Serve all deadlines up to a time; return when it sent again and when it gave up."""
    sent: list[float] = []
    late: list[float] = []
    while (due := client.deadline()) is not None and due <= until:
        again, given_up = client.due(due)
        sent += [due] * len(again)
        late += [due] * len(given_up)
    return sent, late


class TestClient:
    def test_timers_e_and_f_on_datagrams(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing())
        sent, late = run(client, 100.0)
        assert sent == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        assert late == [TIMER_F]
        assert len(client) == 0
        assert client.deadline() is None

    def test_only_timer_f_on_streams(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing(flow=STREAM))
        assert run(client, 100.0) == ([], [TIMER_F])

    def test_after_a_provisional_answer_timer_e_runs_at_t2(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing())
        assert client.respond(b"z9hG4bKt", 100, PHONE) is None
        assert run(client, 10.0)[0] == [0.5, 4.5, 8.5]

    def test_a_final_answer_ends_it_once(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing(delivery=7))
        ended = client.respond(b"z9hG4bKt", 200, PHONE)
        assert ended is not None
        assert ended.delivery == 7
        assert client.respond(b"z9hG4bKt", 200, PHONE) is None
        assert run(client, 100.0) == ([], [])
        assert client.deadline() is None

    @pytest.mark.parametrize(
        ("branch", "source"),
        [
            (b"z9hG4bKu", PHONE),
            (b"t", PHONE),
            (b"z9hG4bKt", STREAM),
            (b"z9hG4bKt", Flow("udp", 0, PHONE.host, PHONE.port + 1)),
            (b"z9hG4bKt", Flow("udp", 0, "192.0.2.99", PHONE.port)),
        ],
    )
    def test_a_foreign_answer_does_not_count(self, branch: bytes, source: Flow) -> None:
        client = ClientTransactions()
        client.begin(outgoing())
        assert client.respond(branch, 200, source) is None
        assert len(client) == 1

    def test_an_answer_on_another_connection_does_not_count(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing(flow=STREAM))
        other = Flow(STREAM.transport, STREAM.listener, STREAM.host, STREAM.port, STREAM.connection + 1)
        assert client.respond(b"z9hG4bKt", 200, other) is None

    def test_the_same_token_replaces(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing(0.0, delivery=1))
        replaced = client.begin(outgoing(0.3, delivery=2))
        assert replaced is not None
        assert replaced.delivery == 1
        sent, late = run(client, 100.0)
        assert sent[0] == 0.8
        assert late == [0.3 + TIMER_F]

    def test_a_failed_flow_ends_what_went_over_it(self) -> None:
        client = ClientTransactions()
        client.begin(outgoing(token=b"1", flow=STREAM, delivery=1))
        client.begin(outgoing(token=b"2", delivery=2))
        assert [item.delivery for item in client.fail((STREAM,))] == [1]
        assert len(client) == 1

    def test_answered_requests_leave_nothing(self) -> None:
        client = ClientTransactions()
        for number in range(5000):
            now = number / 1000
            token = b"%d" % number
            client.begin(outgoing(now, token))
            client.respond(b"z9hG4bK" + token, 200, PHONE)
            client.due(now)
        assert len(client) == 0
        run(client, 100.0)
        assert client.deadline() is None


def test_a_timer_queue_keeps_order() -> None:
    queue: TimerQueue[str] = TimerQueue()
    assert queue.deadline is None
    queue.add(T1, "a")
    queue.add(2 * T1, "b")
    assert queue.take_due(T1) == ["a"]
    assert len(queue) == 1
    assert queue.take_due(9.0) == ["b"]
