"""Accounts that only point elsewhere, users who are about to come, and names that others have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.messages.client_manager import (
    AddUsers,
    CommandDone,
    ListUsers,
    MailStored,
    RegisterContacts,
    RelayArrived,
    RelaysArrived,
    SubmitMessages,
    UsersListed,
)
from actors.messages.links import FinishMove, RelayedProof
from actors.messages.router import Claim, FindNames, Found, NamesAreGone, NamesAreOurs, NamesLiveAt
from actors.messages.server_manager import AnswerRelays, AskFar
from actors.messages.storage import AccountSaved, MessagesStored, SaveAccounts, SettleMove, StoreItem, StoreMessages
from actors.model import Account, Envelope, MessageId, NodeName, Proof, Seconds, StoredMessage, UserName, mailbox_queue
from actors.testing import Probe
from apps.simulated.network import Network
from apps.simulated.shapes import line
from tests.actors.bench import contact
from tests.actors.roaming import HOME, Node

C = NodeName("c")
GONE, COMING, READY = UserName("gone"), UserName("coming"), UserName("ready")
ACCOUNTS = (
    Account(GONE, "x", "y", epoch=2, home=C),
    Account(COMING, epoch=2, coming_from=C),
    Account(READY, "x", "y", epoch=2, coming_from=C, serving=False),
)


@pytest.fixture
def node() -> Iterator[Node]:
    """`gone` has moved to `c`, `coming` is just moving here, `ready` may be about to."""
    with Node(HOME, open_mode=True) as made:
        saved(made, *ACCOUNTS)
        made.roads.homes = {"gone": C, "ready": C}
        made.roads.heard.clear()
        made.restart()
        yield made


def saved(node: Node, *accounts: Account) -> None:
    """Bring accounts to the disk, behind ClientManager's back."""
    node.ask(lambda reply: SaveAccounts(reply_to=reply, request=1, accounts=accounts), AccountSaved, node.storage)


def listed(node: Node) -> list[str]:
    """Names of all users here."""
    found = node.ask(lambda reply: ListUsers(reply_to=reply, request=1), UsersListed)
    return [user.name for user in found.users]


def mail(recipient: UserName, body: bytes) -> Envelope:
    """A message as it comes from another node."""
    return Envelope(MessageId("m-" + body.decode()), UserName("bob"), recipient, b"c", (), body, 0.0, Proof.PEER)


def relayed(node: Node, content: RelayedProof | FinishMove) -> int:
    """What another node asks; the status it is answered with."""
    node.tell(RelaysArrived(items=(RelayArrived(7, C, (C,), content),)))
    (answer,) = node.server_manager.of(AnswerRelays)[-1].items
    return answer.status


def test_the_router_is_told_who_is_here_and_who_is_where(node: Node) -> None:
    (ours,) = node.roads.of(NamesAreOurs)
    assert (ours.names, ours.epochs) == (("coming",), (2,))
    (claims,) = node.roads.of(NamesLiveAt)
    assert claims.claims == (Claim(GONE, C, 2),)


def test_only_users_who_are_here_are_listed(node: Node) -> None:
    assert listed(node) == ["coming"]
    pointer = node.user("gone")
    assert pointer is not None
    assert (pointer.home, pointer.devices, pointer.online) == (C, (), False)
    assert node.user("ready") is None


def test_who_moved_away_registers_at_his_home(node: Node) -> None:
    request = node.registration("gone", contact("gone"))
    node.tell(RegisterContacts(items=(request,)))
    (asked,) = node.asked()
    assert asked.user == "gone"
    assert node.answers(request) == []


def test_who_moved_away_sends_on_his_homes_word(node: Node) -> None:
    node.register("carol")
    request = node.submission("gone", "carol")
    node.tell(SubmitMessages(items=(request,)))
    assert isinstance(node.server_manager.expect(AskFar).content, RelayedProof)


def test_who_moved_away_is_made_anew_by_nobody(node: Node) -> None:
    node.roads.homes.clear()
    node.roads.others = Found.INCOMPLETE
    for name in ("gone", "ready"):
        assert node.register(name).status == 503
    done = node.add_user("gone")
    assert (done.error, done.detail) == ("exists", "gone lives at c")
    assert node.add_user("gone", replace=True).error == "unknown"
    many = node.ask(lambda reply: AddUsers(reply_to=reply, request=2, items=((GONE, "", ""),)), CommandDone)
    assert (many.error, many.detail) == ("refused", "gone lives at c")


def test_a_pointer_can_be_removed(node: Node) -> None:
    assert node.remove_user("gone").error == ""
    assert node.user("gone") is None
    node.restart()
    assert node.user("gone") is None
    assert node.roads.of(NamesAreGone) == []


def test_who_is_just_moving_is_not_removed(node: Node) -> None:
    for name in ("coming", "ready"):
        assert node.remove_user(name).error == "refused"
    assert listed(node) == ["coming"]


def test_others_are_told_who_is_not_here(node: Node) -> None:
    assert relayed(node, RelayedProof(GONE, None, "")) == 404
    assert relayed(node, RelayedProof(READY, None, "")) == 503
    assert relayed(node, RelayedProof(UserName("nobody"), None, "")) == 404
    assert relayed(node, RelayedProof(UserName("postmaster"), None, "")) == 403


def test_who_is_coming_registers_and_gets_nothing_until_all_has_come(node: Node) -> None:
    node.register("bob")
    assert node.register("coming").status == 200
    assert node.send("bob", "coming", b"new").status == 202
    old = mail(COMING, b"old")
    item = StoreItem(b"", mailbox_queue(COMING), old, Seconds(1000), once=True, moved=True)
    node.ask(lambda reply: StoreMessages(reply_to=reply, request=1, items=(item,)), MessagesStored, node.storage)
    node.restart()
    node.register("coming")
    node.advance(400)
    assert node.sends() == []
    settled = Account(COMING, epoch=2)
    node.ask(lambda reply: SettleMove(reply_to=reply, request=2, account=settled), AccountSaved, node.storage)
    node.restart()
    bodies = node.accept_all()
    assert sorted(bodies) == [b"new", b"old"]


def test_mail_from_other_nodes_goes_to_the_devices(node: Node) -> None:
    node.register("bob")
    node.send("carol", "bob", b"first")
    first = node.send_of()
    item = StoreItem(b"", mailbox_queue(UserName("bob")), mail(UserName("bob"), b"far"), Seconds(1000), once=True)
    stored = node.ask(
        lambda reply: StoreMessages(reply_to=reply, request=1, items=(item,)), MessagesStored, node.storage
    )
    result = stored.results[0]
    node.tell(MailStored(messages=(StoredMessage(result.seq, item.envelope, True, result.expires),)))
    node.respond(first)
    assert node.accept_all() == [b"far"]
    assert node.waiting() == 0


# A name is given once.


def test_a_name_that_another_node_has_is_refused_and_says_which(node: Node) -> None:
    node.roads.homes["dora"] = C
    done = node.add_user("dora")
    assert (done.error, done.detail) == ("exists", "dora exists already, at c")
    (asked,) = node.roads.of(FindNames)
    assert (asked.search, asked.elsewhere) == (True, True)
    assert node.user("dora") is None


def test_a_name_that_nobody_could_be_asked_about_is_given_and_looked_for_again(node: Node) -> None:
    node.roads.others = Found.INCOMPLETE
    done = node.add_user("dora")
    assert (done.error, "not every" in done.detail) == ("", True)
    assert [told.fresh for told in node.roads.of(NamesAreOurs) if told.names == ("dora",)] == [True]
    node.roads.others = Found.UNKNOWN
    assert node.add_user("emil").detail == ""
    assert [told.fresh for told in node.roads.of(NamesAreOurs) if told.names == ("emil",)] == [False]


def import_users(node: Node, *names: str) -> CommandDone:
    """Import users without passwords."""
    items = tuple((UserName(name), "", "") for name in names)
    done = node.ask(lambda reply: AddUsers(reply_to=reply, request=2, items=items), CommandDone)
    assert isinstance(done, CommandDone)
    return done


def test_an_import_takes_no_name_that_another_node_has_and_says_which(node: Node) -> None:
    node.roads.homes |= {"dora": C, "emil": HOME}
    done = import_users(node, "anna", "dora", *(f"u{number}" for number in range(70)), "emil")
    assert done.error == "exists"
    assert done.detail.endswith("of these names: dora (at c), emil (at h)")
    assert [len(asked.names) for asked in node.roads.of(FindNames)] == [32, 32, 9]
    assert all(asked.search and asked.elsewhere for asked in node.roads.of(FindNames))
    assert listed(node) == ["coming"]


def test_a_long_list_of_names_is_cut(node: Node) -> None:
    node.roads.homes |= {f"u{number}": C for number in range(25)}
    done = import_users(node, *(f"u{number}" for number in range(25)))
    assert done.detail.endswith("u19 (at c), and 5 more")
    many = import_users(node, "gone", "coming", "ready")
    assert many.error == "refused"
    assert many.detail == "gone lives at c, coming is just moving (try again), ready lives at c"


def test_an_import_asks_about_new_names_only(node: Node) -> None:
    assert import_users(node, "anna", "postmaster").error == ""
    node.roads.heard.clear()
    assert import_users(node, "anna", "berta").error == ""
    assert [asked.names for asked in node.roads.of(FindNames)] == [("berta",)]
    assert [(told.names, told.fresh) for told in node.roads.of(NamesAreOurs)] == [(("anna", "berta"), False)]


def test_an_import_that_nobody_answers_asks_no_more_and_looks_later(node: Node) -> None:
    node.roads.others = Found.INCOMPLETE
    names = [f"u{number:02d}" for number in range(80)]
    done = import_users(node, *names)
    assert (done.error, "80 of them" in done.detail) == ("", True)
    assert len(node.roads.of(FindNames)) == 1
    fresh = [told.names for told in node.roads.of(NamesAreOurs) if told.fresh]
    assert fresh == [tuple(names)]
    assert len(listed(node)) == 81


def test_an_import_finds_the_one_name_of_many_that_is_taken() -> None:
    with Network(3, links=line("ab"), open_mode=False) as net:
        net.start()
        net.user("u170", "b", "secret")

        def imported(first: int) -> CommandDone:
            reply: Probe = Probe("importer")
            items = tuple((UserName(f"u{first + number}"), "x", "y") for number in range(200))
            net.node("a").client_manager.tell(AddUsers(reply, 1, items))
            net.run_until(lambda: bool(reply.messages), 60.0)
            (done,) = reply.messages
            assert isinstance(done, CommandDone)
            return done

        taken = imported(0)
        assert (taken.error, taken.detail.rpartition(": ")[2]) == ("exists", "u170 (at b)")
        assert imported(171) == CommandDone(1)  # all could be asked about


def test_a_new_password_keeps_the_claim(node: Node) -> None:
    saved(node, Account(UserName("moved"), epoch=2))
    node.restart()
    node.roads.heard.clear()
    assert node.add_user("moved", replace=True).error == ""
    (told,) = [told for told in node.roads.of(NamesAreOurs) if told.names == ("moved",)]
    assert told.epochs == (2,)


def test_who_is_just_moving_here_gets_no_new_password_meanwhile(node: Node) -> None:
    done = node.add_user("coming", replace=True)
    assert (done.error, "try again" in done.detail) == ("refused", True)
