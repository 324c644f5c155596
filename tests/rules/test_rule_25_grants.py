"""PROTOCOL 25: what a home has said yes to stays its user's, whatever the home forgets.

Else mail that an edge accepted on the home's word is refused by that home after a restart, or by the next home after
a move, and ends with a notice though everything is well.
"""

from __future__ import annotations

import msgspec
import pytest

from actors.model import Account, Envelope, FormerHome, MessageId, NodeName, Proof, Routing, UserName
from actors.state.grants import (
    DAY,
    MAX_GRANT,
    GrantBook,
    grant_for,
    grant_key,
    granted,
    joined,
    seal_formers,
    unseal_formers,
)
from apps.simulated.network import Network
from apps.simulated.phone import Phone
from apps.simulated.shapes import line
from tests.actors.movers import account, homes, is_over, move, start_move, until

KEY = b"k" * 32
ALICE = UserName("alice")
MAIL = Envelope(MessageId("m1"), ALICE, UserName("bob"), b"c", (), b"hello", 0.0, Proof.PEER)


def test_mail_accepted_on_the_homes_yes_survives_the_homes_restart() -> None:
    with Network(7, links=line("bc"), open_mode=False) as net:
        net.start()
        for name in ("alice", "bob"):
            net.user(name, "b", "secret")
        bob = net.phone("bob", "b", password="secret")
        alice = net.phone("alice", "c", password="secret")
        alice.unregister()
        net.run_for(1)
        net.fill_disk("b")
        body = alice.send("bob")
        net.run_for(2)
        alice.switch_off()  # before it registers again
        net.crash("b")
        net.empty_disk("b")
        net.restart("b")
        net.run_until(lambda: bob.mailbox == [body])
        alice.switch_on()
        net.come_to_rest()
        assert alice.mailbox == []  # no notice
        assert net.judge() == []


def test_mail_accepted_by_the_old_home_survives_a_restart_of_the_new_one() -> None:
    with Network(8, links=line("ab"), open_mode=False) as net:
        net.start()
        for name, node in (("alice", "a"), ("bob", "b")):
            net.user(name, node, "secret")
        alice = net.phone("alice", "a", password="secret")
        bob = net.phone("bob", "b", password="secret")
        alice.unregister()
        net.run_for(1)
        net.fill_disk("b")
        body = alice.send("bob")
        net.run_for(2)
        assert move(net, "alice", "a", "b").error == ""
        alice.switch_off()  # no registration speaks for him
        net.crash("b")
        net.empty_disk("b")
        net.restart("b")
        net.run_until(lambda: bob.mailbox == [body])
        net.come_to_rest()
        assert net.judge() == []


def roamer(net: Network) -> tuple[Phone, Phone]:
    """Alice, who lives at `a` and is a visitor at `b`, and bob, whose home `c` takes no mail for the moment."""
    net.start()
    for name, node in (("alice", "a"), ("bob", "c")):
        net.user(name, node, "secret")
    bob = net.phone("bob", "c", password="secret")
    alice = net.phone("alice", "b", password="secret")
    alice.unregister()  # so that no binding travels that would speak for her
    net.run_for(1)
    net.fill_disk("c")
    return alice, bob


@pytest.mark.parametrize("killed", ["", "a", "b", "c", "abc"])
def test_mail_accepted_from_a_visitor_is_believed_by_his_next_home(killed: str) -> None:
    with Network(9, links=line("abc"), open_mode=False) as net:
        alice, bob = roamer(net)
        body = alice.send("bob")
        net.run_for(2)
        assert move(net, "alice", "a", "c").error == ""
        alice.switch_off()  # no registration speaks for her
        for node in killed:
            net.crash(node)
            net.restart(node)
        net.empty_disk("c")
        net.run_until(lambda: bob.mailbox == [body])
        alice.switch_on()
        net.come_to_rest()
        assert (alice.mailbox, bob.mailbox) == ([], [body])
        assert net.judge() == []


@pytest.mark.parametrize("seed", range(6))
def test_mail_accepted_from_a_visitor_outlives_a_kill_at_any_step_of_the_move(seed: int) -> None:
    with Network(seed, links=line("abc"), open_mode=False) as net:
        alice, bob = roamer(net)
        body = alice.send("bob")
        net.run_for(2)
        alice.switch_off()
        start_move(net, "alice", "a", "c")
        net.run_for(0.04 * seed)
        for node in ("a", "c")[seed % 2 :]:
            net.crash(node)
            net.run_for(0.1)
            net.restart(node)
        net.link_up()
        if account(net, "alice", "a") is not None and "a" in homes(net, "alice"):
            move(net, "alice", "a", "c")  # the kill came before it was decided
        until(net, lambda: is_over(net, "alice", "c"))
        net.empty_disk("c")
        net.run_until(lambda: bob.mailbox == [body])
        alice.switch_on()
        net.come_to_rest()
        assert (alice.mailbox, bob.mailbox) == ([], [body])
        assert net.judge() == []


def test_the_grants_of_all_former_homes_move_on() -> None:
    with Network(10, links=line("abc"), open_mode=False) as net:
        alice, bob = roamer(net)
        first = alice.send("bob")
        net.run_for(2)
        assert move(net, "alice", "a", "b").error == ""
        assert move(net, "alice", "b", "c").error == ""
        alice.switch_off()
        net.crash("c")
        net.empty_disk("c")
        net.restart("c")
        net.run_until(lambda: bob.mailbox == [first])
        alice.switch_on()
        net.come_to_rest()
        assert alice.mailbox == []
        assert net.judge() == []
        known = account(net, "alice", "c")
        assert known is not None
        assert sorted((former.node, len(former.key)) for former in known.formers) == [("a", 64), ("b", 64)]


def test_a_former_home_lapses_whatever_is_restarted() -> None:
    with Network(11, links=line("ab"), open_mode=False) as net:
        net.start()
        net.user("alice", "a", "secret")
        assert move(net, "alice", "a", "b").error == ""
        ends = []
        for _ in range(3):
            net.crash("b")
            net.restart("b")
            net.run_for(100)
            known = account(net, "alice", "b")
            assert known is not None
            ends += [former.until for former in known.formers]
        assert len(set(ends)) == 1
        assert len(ends) == 3


# The pure part.


def sent_through(edge: str, grant: str, user: UserName = ALICE) -> Envelope:
    return msgspec.structs.replace(MAIL, sender=user, routing=Routing(origin=edge, grant=grant))


def test_a_grant_is_for_one_user_at_one_node_by_one_home() -> None:
    grant, book = grant_for(grant_key(KEY, ALICE), ALICE, "c", 5 * DAY), GrantBook()
    assert granted("c", grant, MAIL) == sent_through("c", grant)
    assert book.holds(KEY, sent_through("c", grant), 0.0)
    assert not book.holds(b"x" * 32, sent_through("c", grant), 0.0)
    assert not book.holds(KEY, sent_through("c", grant, UserName("bob")), 0.0)
    assert not book.holds(KEY, sent_through("d", grant), 0.0)
    assert not book.holds(KEY, MAIL, 0.0)
    assert granted("c", "", MAIL) == MAIL
    assert granted("c", "a" * (MAX_GRANT + 1), MAIL) == MAIL


def test_a_grant_counts_to_the_end_of_its_day() -> None:
    grant, book = grant_for(grant_key(KEY, ALICE), ALICE, "c", 5.5 * DAY), GrantBook()
    assert len(grant) <= MAX_GRANT
    assert book.holds(KEY, sent_through("c", grant), 6 * DAY - 1)
    assert not book.holds(KEY, sent_through("c", grant), 6 * DAY)
    later = f"{9:08x}{grant[8:]}"
    assert not book.holds(KEY, sent_through("c", later), 0.0)
    for other in ("", "z" * 40, grant[:-1], grant.upper() + "g"):
        assert not book.holds(KEY, sent_through("c", other), 0.0)


def test_grants_of_former_homes_count_in_their_own_days_from_home_to_home() -> None:
    a, b, c = NodeName("a"), NodeName("b"), NodeName("c")
    keys = {a: b"a" * 32, b: b"b" * 32, c: b"c" * 32}
    mail = sent_through("d", grant_for(grant_key(keys[a], ALICE), ALICE, "d", 12 * DAY))  # at `a` it is day 7
    account = Account(ALICE)
    for old, new, then, now in ((a, b, 7 * DAY, 1000 * DAY), (b, c, 1001 * DAY, 50 * DAY)):
        sealed = seal_formers(b"root", "n", account, keys[old], old, 5 * DAY, then)
        told = unseal_formers(b"root", "n", ALICE, sealed, new, now)
        assert told is not None
        account = msgspec.structs.replace(account, formers=told)
        assert unseal_formers(b"other", "n", ALICE, sealed, new, now) is None
        assert unseal_formers(b"root", "m", ALICE, sealed, new, now) is None
    assert [former.node for former in account.formers] == ["a", "b"]
    book = GrantBook()
    assert not book.holds(keys[c], mail, 50 * DAY)
    book.trust(ALICE, account.formers)
    assert book.holds(keys[c], mail, 50 * DAY)
    assert book.holds(keys[c], mail, 54.9 * DAY)  # 13 at `a`, less one at `b`
    assert not book.holds(keys[c], mail, 55 * DAY)
    book.lapse(ALICE, 56 * DAY)
    assert len(book) == 0


def test_a_former_home_without_a_key_grants_nothing() -> None:
    book = GrantBook()
    book.trust(ALICE, (FormerHome(NodeName("a"), "", 0.0, 100.0),))
    assert not book.holds(KEY, sent_through("c", grant_for(b"", ALICE, "c", DAY)), 0.0)


def test_a_user_who_comes_back_leaves_no_former_home_here() -> None:
    a, b = NodeName("a"), NodeName("b")
    account = Account(ALICE, formers=(FormerHome(b, "", 0.0, 10.0), FormerHome(a, "f" * 64, 0.0, 5.0)))
    sealed = seal_formers(b"", "n", account, KEY, b, DAY, 6.0)
    told = unseal_formers(b"", "n", ALICE, sealed, a, 0.0)
    assert told == (FormerHome(b, grant_key(KEY, ALICE).hex(), -6.0, 2 * DAY),)
    many = [FormerHome(NodeName(f"n{number}"), "", 0.0, float(number)) for number in range(20)]
    assert [former.node for former in joined(many, me=a)] == [f"n{number}" for number in range(12, 20)]
