"""The steps of a move, one by one: what each side asks, says and keeps, and what it does where a word is lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from actors.client_manager.arriving import PREPARED_LIFE
from actors.client_manager.core import ClientSettings
from actors.client_manager.moving import LINGER
from actors.messages.client_manager import (
    CommandDone,
    MailStored,
    MoveUser,
    RegisterContacts,
    RelayArrived,
    RelaysArrived,
)
from actors.messages.links import DecideMove, FinishMove, MovedMail, MoveMail, PrepareMove, RelayContent, Reply
from actors.messages.router import Claim, GrantOrigin, NamesAreGone, NamesAreOurs, NamesLiveAt
from actors.messages.server_manager import (
    AnswerRelay,
    AnswerRelays,
    AskFar,
    FarAnswered,
    MessagesQueued,
    TrustFormers,
)
from actors.messages.storage import (
    AccountSaved,
    MessagesStored,
    QueueRead,
    ReadQueue,
    ReadUser,
    SaveAccounts,
    StoreItem,
    StoreMessages,
    UserRead,
)
from actors.model import (
    Account,
    DeviceKey,
    Envelope,
    MessageId,
    NodeName,
    Proof,
    Seconds,
    Seq,
    StoredMessage,
    UserName,
    mailbox_queue,
)
from actors.state.grants import grant_key, seal_formers
from actors.state.link_auth import root_key
from actors.state.moving import MAIL_BYTES, seal_hashes
from actors.testing import Probe
from tests.actors.bench import REALM, contact, flow
from tests.actors.roaming import Node

A, B, C = NodeName("a"), NodeName("b"), NodeName("c")
BOB = UserName("bob")


@pytest.fixture
def old() -> Iterator[Node]:
    """Node `a`, where bob and alice live."""
    with Node(A) as made:
        made.add_user("bob")
        made.add_user("alice")
        yield made


@pytest.fixture
def new() -> Iterator[Node]:
    """Node `b`, where carol lives."""
    with Node(B) as made:
        made.add_user("carol")
        yield made


# The old home.


def start(node: Node, to: NodeName = B) -> Probe:
    """Begin to move bob."""
    reply = Probe("mover")
    node.server_manager.take_all()
    node.tell(MoveUser(reply, 1, BOB, to))
    return reply


def asked(node: Node) -> AskFar:
    """The one question to the new home."""
    (question,) = node.asked()
    return question


def reply_to(node: Node, question: AskFar, status: int = 200, *, answered: bool = True, epoch: int = 0) -> None:
    """The new home answers."""
    reply = Reply(home=question.to, epoch=epoch)
    question.reply_to.tell(FarAnswered(question.request, status, "", answered, reply))
    node.settle()


def step(node: Node, kind: type[Any], status: int = 200, *, answered: bool = True) -> Any:
    """The next step is of this kind; the new home answers it."""
    question = asked(node)
    assert isinstance(question.content, kind), question.content
    reply_to(node, question, status, answered=answered)
    return question.content


def finish(node: Node) -> None:
    """All the rest goes well."""
    node.advance(LINGER + 0.1)
    while questions := node.asked():
        for question in questions:
            reply_to(node, question)
        node.advance(LINGER + 0.1)


def register(node: Node, user: str, password: str = "secret", **more: Any) -> int:
    """REGISTER with a digest; the status."""
    request = node.registration(user, contact(user, instance=f"urn:{user}"), **more)
    node.tell(RegisterContacts(items=(request,)))
    answer = node.answer(request)
    if answer.status == 401:
        credentials = node.prove(user, password, "REGISTER")
        request = node.registration(user, contact(user, instance=f"urn:{user}"), credentials=credentials, **more)
        node.tell(RegisterContacts(items=(request,)))
        answer = node.answer(request)
    return answer.status


def stored(node: Node, name: UserName = BOB) -> Any:
    """What the disk has of a user."""
    read = node.ask(lambda reply: ReadUser(reply, 1, name), UserRead, node.storage)
    return read.user


def put(node: Node, *bodies: bytes, life: float = 1000.0) -> None:
    """Put messages into bob's mailbox behind ClientManager's back."""
    items = tuple(StoreItem(b"", mailbox_queue(BOB), mail(body), Seconds(life)) for body in bodies)
    node.ask(lambda reply: StoreMessages(reply, 1, items), MessagesStored, node.storage)


def mail(body: bytes, recipient: UserName = BOB) -> Envelope:
    """A message."""
    return Envelope(MessageId("m-" + body[:9].decode()), UserName("x"), recipient, b"c", (), body, 1.5, Proof.PEER)


def test_what_the_new_home_is_told(old: Node) -> None:
    assert register(old, "bob") == 200
    put(old, b"one", b"two", life=500.0)
    reply = start(old)
    told = step(old, PrepareMove)
    assert (told.account.name, told.account.epoch, told.account.ha1_md5, told.merge) == ("bob", 2, "", False)
    (device,) = told.devices
    (binding,) = device.bindings
    assert (binding.flow.transport, binding.flow.host, len(binding.path)) == ("path", "a", 1)
    assert 3500 < binding.expires <= 3600
    assert stored(old).account.leaving
    assert step(old, DecideMove) == DecideMove(BOB, 2)
    moved = step(old, MoveMail)
    assert [message.envelope.body for message in moved.messages] == [b"one", b"two"]
    assert all(490 < message.life <= 500 and message.anyone and not message.done for message in moved.messages)
    assert moved.devices == ("instance:urn:bob",)
    finish(old)
    assert [done.error for done in reply.messages] == [""]
    pointer = stored(old)
    assert pointer.account == Account(BOB, created=pointer.account.created, epoch=2, home=B)
    assert pointer.devices == ()


def test_nothing_is_decided_without_the_new_homes_word(old: Node) -> None:
    register(old, "bob")
    reply = start(old)
    for _ in range(3):
        step(old, PrepareMove, 503, answered=False)
        assert stored(old).account.is_here
        old.advance(10)
    assert [done.error for done in reply.messages] == ["unreachable"]
    assert old.asked() == []
    assert register(old, "bob") == 200
    old.send("alice", "bob", credentials=old.prove("alice", "secret", "MESSAGE"))
    assert old.accept_all() == [b"hello"]


def test_a_refusal_is_told(old: Node) -> None:
    reply = start(old)
    step(old, PrepareMove, 409)
    assert [done.error for done in reply.messages] == ["refused"]
    assert old.asked() == []
    assert register(old, "bob") == 200


def test_a_decided_move_goes_on_for_ever_and_whoever_waits_is_told(old: Node) -> None:
    reply = start(old)
    step(old, PrepareMove)
    for _ in range(20):
        step(old, DecideMove, 503, answered=False)
        old.advance(20)
    assert [done.error for done in reply.messages] == ["unreachable"]
    again = Probe("again")
    old.tell(MoveUser(again, 2, BOB, B))
    finish(old)
    assert again.messages == (CommandDone(request=2),)


def test_a_new_home_that_has_forgotten_is_told_again(old: Node) -> None:
    start(old)
    step(old, PrepareMove)
    step(old, DecideMove, 409)
    assert step(old, PrepareMove).account.epoch == 2
    step(old, DecideMove)
    finish(old)
    assert not stored(old).account.leaving


def test_a_new_home_from_which_he_has_moved_on_has_all_of_him(old: Node) -> None:
    start(old)
    step(old, PrepareMove)
    step(old, DecideMove, 410)
    assert not stored(old).account.leaving
    assert old.asked() == []


def test_registers_wait_until_it_is_clear_where_he_lives(old: Node) -> None:
    old.roads.homes["bob"] = B
    credentials = [old.prove("bob", "secret", "REGISTER") for _ in range(2)]
    start(old)
    for kind, some in ((PrepareMove, credentials[0]), (DecideMove, credentials[1])):
        request = old.registration("bob", contact("bob"), credentials=some)
        question = asked(old)
        old.tell(RegisterContacts(items=(request,)))
        answer = old.answer(request)
        assert (answer.status, answer.retry_after > 0) == (503, True)
        assert isinstance(question.content, kind)
        reply_to(old, question)
    request = old.registration("bob", contact("bob"))
    old.tell(RegisterContacts(items=(request,)))
    (question,) = old.asked()
    assert (question.to, type(question.content).__name__) == (B, "RelayedRegister")


def test_what_is_under_way_to_a_phone_ends_first_and_does_not_travel(old: Node) -> None:
    register(old, "bob")
    credentials = old.prove("alice", "secret", "MESSAGE")
    for number in range(2):
        old.send("alice", "bob", b"%d" % number, credentials=credentials)
        credentials = old.prove("alice", "secret", "MESSAGE")
    sent = old.send_of()
    reply = Probe("mover")
    old.server_manager.take_all()
    old.tell(MoveUser(reply, 1, BOB, B))
    assert old.asked() == []
    old.respond(sent)
    assert old.sends() == []
    step(old, PrepareMove)
    step(old, DecideMove)
    moved = step(old, MoveMail)
    assert [message.envelope.body for message in moved.messages] == [b"1"]


def test_no_other_command_while_he_moves(old: Node) -> None:
    start(old)
    assert old.add_user("bob", replace=True).error == "refused"
    assert old.remove_user("bob").error == "refused"
    other = Probe("other")
    old.tell(MoveUser(other, 1, BOB, C))
    assert other.messages[0].error == "refused"
    step(old, PrepareMove)
    step(old, DecideMove)
    assert old.remove_user("bob").error == "refused"
    finish(old)
    assert old.add_user("bob").error == "exists"
    assert old.remove_user("bob").error == ""


def test_mail_goes_there_only_when_the_new_home_knows(old: Node) -> None:
    start(old)
    step(old, PrepareMove)
    assert old.roads.of(NamesAreGone) == old.roads.of(NamesLiveAt) == []
    put(old, b"late")
    step(old, DecideMove)
    assert step(old, MoveMail).messages[0].envelope.body == b"late"
    old.advance(LINGER + 0.1)
    assert [told.names for told in old.roads.of(NamesAreGone)] == [("bob",)]
    assert [told.claims for told in old.roads.of(NamesLiveAt)] == [(Claim(BOB, B, 2),)]
    step(old, FinishMove)


def test_a_restart_goes_on_where_it_was_decided(old: Node) -> None:
    start(old)
    step(old, PrepareMove)
    put(old, b"one")
    old.roads.heard.clear()
    old.restart()
    ours = [(told.names, told.epochs) for told in old.roads.of(NamesAreOurs)]
    assert ours == [(("alice", "bob"), ())]
    assert step(old, DecideMove) == DecideMove(BOB, 2)
    assert len(step(old, MoveMail).messages) == 1
    finish(old)
    assert stored(old).account.home == B
    assert not stored(old).account.leaving


def test_batches_are_cut_by_size_and_in_half_where_a_link_is_too_small(old: Node) -> None:
    put(old, *(b"%09d" % number + b"x" * 20_000 for number in range(7)))
    start(old)
    step(old, PrepareMove)
    step(old, DecideMove)
    question = asked(old)
    assert isinstance(question.content, MoveMail)
    assert len(msgspec.json.encode(question.content)) < 100_000
    assert len(question.content.messages) == MAIL_BYTES // 27_000
    reply_to(old, question, 513, answered=False)
    old.advance(2)
    step(old, DecideMove)
    moved = 0
    while isinstance(content := asked_content(old), MoveMail):
        assert len(content.messages) == 1
        moved += 1
    assert moved == 7


def asked_content(node: Node) -> RelayContent | None:
    """What the new home is asked, which it answers with 200; None: nothing."""
    questions = node.asked()
    for question in questions:
        reply_to(node, question)
    return questions[0].content if questions else None


def test_mail_that_comes_after_all_is_routed_on(old: Node) -> None:
    start(old)
    step(old, PrepareMove)
    step(old, DecideMove)
    finish(old)
    old.roads.homes["bob"] = B
    put(old, b"stray")
    old.server_manager.take_all()
    old.tell(MailStored(messages=(first_in_mailbox(old),)))
    (queued,) = [message for message in old.server_manager.take_all() if isinstance(message, MessagesQueued)]
    assert [(item.queue, item.message.envelope.body) for item in queued.items] == [("n:m", b"stray")]
    old.restart()
    assert old.waiting() == 1


def test_a_stray_is_found_after_a_restart(old: Node) -> None:
    start(old)
    step(old, PrepareMove)
    step(old, DecideMove)
    finish(old)
    old.roads.homes["bob"] = B
    put(old, b"stray")
    old.restart()
    old.settle()
    (queued,) = [message for message in old.server_manager.take_all() if isinstance(message, MessagesQueued)]
    assert [item.queue for item in queued.items] == ["n:m"]


def first_in_mailbox(node: Node) -> StoredMessage:
    """The first message in bob's mailbox."""
    read = node.ask(lambda reply: ReadQueue(reply, 1, mailbox_queue(BOB), Seq(0), 10), QueueRead, node.storage)
    assert isinstance(read, QueueRead)
    return read.messages[0]


# The new home.


def say(node: Node, content: RelayContent, origin: NodeName = A, path: tuple[NodeName, ...] = ()) -> AnswerRelay:
    """What an old home says, and the answer."""
    node.tell(RelaysArrived(items=(RelayArrived(9, origin, path or (origin,), content),)))
    (answer,) = node.server_manager.of(AnswerRelays)[-1].items
    node.server_manager.take_all()
    return answer


def prepare(epoch: int = 2, secret: bytes = b"", **more: Any) -> PrepareMove:
    """As bob's old home asks."""
    account = Account(BOB, "f" * 32, "e" * 64, created=5.0, epoch=epoch)
    sealed = seal_hashes(root_key(secret, REALM), "nonce", account)
    named = Account(BOB, created=5.0, epoch=epoch)
    return PrepareMove(account=named, sealed=sealed, nonce="nonce", devices=(), **more)


def moved(*bodies: bytes, epoch: int = 2, **more: Any) -> MoveMail:
    """Some of bob's mail."""
    items = tuple(MovedMail(mail(body), 100.0, True, ()) for body in bodies)
    return MoveMail(BOB, epoch, items, **more)


def test_prepared_is_not_served(new: Node) -> None:
    assert say(new, prepare()).status == 200
    account = stored(new).account
    assert (account.serving, account.coming_from, account.epoch) == (False, A, 2)
    assert (account.ha1_md5, account.ha1_sha256, account.created) == ("f" * 32, "e" * 64, 5.0)
    assert [told.names for told in new.roads.of(NamesAreOurs)] == [("carol",)]
    assert new.add_user("bob").error == "exists"


def test_each_step_may_come_any_number_of_times(new: Node) -> None:
    steps = (prepare(), DecideMove(BOB, 2), moved(b"1", b"2"), moved(b"3"), FinishMove(BOB, 2))
    for at in range(len(steps)):
        for again in range(at + 1):
            assert say(new, steps[again]).status == 200, (at, again)
    assert new.waiting() == 3
    account = stored(new).account
    assert (account.is_here, account.coming_from, account.epoch) == (True, "", 2)
    assert [grant.node for grant in new.roads.of(GrantOrigin)][:1] == [A]


def test_steps_out_of_order_are_refused(new: Node) -> None:
    for content in (DecideMove(BOB, 2), moved(b"1"), FinishMove(BOB, 2)):
        assert say(new, content).status == 409
    say(new, prepare())
    for content in (moved(b"1"), FinishMove(BOB, 2), DecideMove(BOB, 3)):
        assert say(new, content).status == 409
    assert say(new, DecideMove(BOB, 2), origin=C).status == 409
    assert new.waiting() == 0


def test_another_secret_is_refused(new: Node) -> None:
    assert say(new, prepare(secret=b"of another network")).status == 403
    assert stored(new) is None


def grants(secret: bytes = b"") -> str:
    """What bob's old home says of its grants."""
    return seal_formers(root_key(secret, REALM), "nonce", Account(BOB), b"key of a", A, 1000.0, 7.0)


def trusted(node: Node) -> list[tuple[NodeName, ...]]:
    """The former homes that ServerManager was told of since the last answer."""
    told = [message for message in node.server_manager.take_all() if isinstance(message, TrustFormers)]
    return [tuple(former.node for former in message.formers) for message in told]


def tell(node: Node, content: RelayContent) -> list[tuple[NodeName, ...]]:
    """Say something to the new home, and see what it trusts since."""
    node.server_manager.take_all()
    node.tell(RelaysArrived(items=(RelayArrived(9, A, (A,), content),)))
    return trusted(node)


def test_grants_of_the_old_home_are_trusted_before_the_decision_and_after_a_restart(new: Node) -> None:
    assert tell(new, prepare(grants=grants())) == [(A,)]
    assert [former.key for former in stored(new).account.formers] == [grant_key(b"key of a", BOB).hex()]
    new.restart()
    assert trusted(new) == [(A,)]
    for content in (DecideMove(BOB, 2), FinishMove(BOB, 2)):
        assert tell(new, content) == [(A,)]
    new.restart()
    assert trusted(new) == [(A,)]
    new.advance(100_000.0)
    put(new, b"one")  # a commit notes the time
    new.restart()
    assert trusted(new) == []


def test_grants_sealed_with_another_secret_are_refused(new: Node) -> None:
    for sealed in (grants(b"of another network"), "00" * 64, "zz"):
        assert say(new, prepare(grants=sealed)).status == 403
    assert stored(new) is None


def test_the_home_that_gives_way_hands_its_grants_over() -> None:
    with Node(B, open_mode=True) as new:
        assert new.register("bob").status == 200
        nobody = seal_hashes(root_key(b"", REALM), "nonce", Account(BOB))
        content = msgspec.structs.replace(prepare(merge=True, grants=grants()), sealed=nobody)
        assert tell(new, content) == [(A,)]
        assert stored(new).account.formers == ()
        assert say(new, DecideMove(BOB, 2)).status == 200
        assert [former.node for former in stored(new).account.formers] == [A]


def test_a_user_who_lives_here_is_not_overwritten(new: Node) -> None:
    new.add_user("bob")
    assert say(new, prepare()).status == 409
    assert say(new, prepare(merge=True)).status == 409
    assert say(new, DecideMove(BOB, 2)).status == 409
    assert stored(new).account.epoch == 1


def test_mail_of_others_is_refused(new: Node) -> None:
    say(new, prepare())
    say(new, DecideMove(BOB, 2))
    wrong = MoveMail(BOB, 2, (MovedMail(mail(b"1", UserName("carol")), 1.0, True, ()),))
    assert say(new, wrong).status == 403
    assert say(new, moved(b"2"), origin=C).status == 503


def test_prepared_in_vain_is_forgotten(new: Node) -> None:
    say(new, prepare())
    new.advance(PREPARED_LIFE + 1)
    account = stored(new).account
    assert account == Account(BOB, created=5.0, epoch=1, home=A)
    assert say(new, DecideMove(BOB, 2)).status == 409
    assert say(new, prepare()).status == 200
    new.restart()
    new.advance(PREPARED_LIFE + 1)
    assert stored(new).account.home == A


def test_who_spoke_of_a_move_in_vain_vouches_for_nobody(new: Node) -> None:
    assert tell(new, prepare()) == [(A,)]
    new.advance(PREPARED_LIFE + 1)
    assert trusted(new) == [()]


def test_who_spoke_of_a_merge_in_vain_vouches_for_nobody() -> None:
    with Node(B, open_mode=True) as new:
        assert new.register("bob").status == 200
        nobody = seal_hashes(root_key(b"", REALM), "nonce", Account(BOB))
        assert tell(new, msgspec.structs.replace(prepare(merge=True, grants=grants()), sealed=nobody)) == [(A,)]
        new.advance(PREPARED_LIFE + 1)
        assert trusted(new) == [()]


def test_who_has_moved_on_is_past_every_step_of_the_move_before(new: Node) -> None:
    pointer = Account(BOB, epoch=4, home=C)
    new.ask(lambda reply: SaveAccounts(reply, 1, (pointer,)), AccountSaved, new.storage)
    new.restart()
    for content in (prepare(), DecideMove(BOB, 2), moved(b"1"), FinishMove(BOB, 2)):
        assert say(new, content).status == 410
    assert say(new, prepare(epoch=5), origin=C).status == 200


def test_a_device_that_came_since_gets_no_copy_of_what_was_acknowledged(new: Node) -> None:
    say(new, prepare())
    say(new, DecideMove(BOB, 2))
    old_device = DeviceKey("instance:urn:old")
    open_one = MovedMail(mail(b"open"), 100.0, True, ())
    closed = MovedMail(mail(b"closed"), 100.0, False, ())
    record = msgspec.structs.replace(stored(new).account, ha1_md5="", ha1_sha256="")
    new.ask(lambda reply: SaveAccounts(reply, 1, (record,)), AccountSaved, new.storage)
    new.restart()
    new.settings = ClientSettings(open_mode=True, federated=True, node=B)
    new.restart()
    new.register("bob", over=flow(3))
    assert say(new, MoveMail(BOB, 2, (open_one, closed), (old_device,))).status == 200
    assert new.sends() == []
    assert say(new, FinishMove(BOB, 2)).status == 200
    assert new.accept_all() == [b"open"]


def test_disk_full_is_later(new: Node) -> None:
    say(new, prepare())
    say(new, DecideMove(BOB, 2))
    new.disk.fill()
    assert say(new, moved(b"1", b"2")).status == 503
    new.disk.empty()
    new.advance(5)
    assert say(new, moved(b"1", b"2")).status == 200
    assert new.waiting() == 2
