"""PROTOCOL 25: what a home has said yes to stays its user's, whatever the home forgets.

Else mail that an edge accepted on the home's word is refused by that home after a restart, and ends with a notice
though everything is well.
"""

from __future__ import annotations

import msgspec

from actors.model import Envelope, MessageId, Proof, Routing, UserName
from actors.state.vouch import MAX_GRANT, grant_for, granted, grants
from apps.simulated.network import Network
from apps.simulated.shapes import line
from tests.actors.movers import move

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


def test_a_grant_is_for_one_user_at_one_node_by_one_home() -> None:
    mail = granted("c", grant_for(KEY, ALICE, "c"), MAIL)
    assert mail.routing == Routing(origin="c", grant=grant_for(KEY, ALICE, "c"))
    assert grants(KEY, mail)
    assert not grants(b"x" * 32, mail)
    assert not grants(KEY, msgspec.structs.replace(mail, sender=UserName("bob")))
    assert not grants(KEY, msgspec.structs.replace(mail, routing=msgspec.structs.replace(mail.routing, origin="d")))
    assert not grants(KEY, MAIL)
    assert granted("c", "", MAIL) == MAIL
    assert granted("c", "a" * (MAX_GRANT + 1), MAIL) == MAIL
