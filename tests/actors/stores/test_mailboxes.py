"""Which mailboxes have mail: any store, by its port; over `STORES`."""

from __future__ import annotations

import pytest

from actors.messages.storage import QueueSize
from actors.model import UserName, mailbox_queue
from actors.stores import reader
from tests.actors.stores.build import BOB, accounts, envelope, item, store
from tests.actors.stores.test_store_contract import Node, node
from tests.actors.stores.test_store_links import transit

__all__ = ["node"]

CAROL = UserName("carol")


def fill(node: Node) -> None:
    node.store.commit([accounts("bob", "carol", "dave")])
    node.store.commit([store(item("a"), item("b"), transit("c"))])
    node.store.commit([store(item("d", to=CAROL))])


def test_mailboxes_with_mail_are_listed_by_name(node: Node) -> None:
    fill(node)
    sizes, more = node.store.read_mailboxes(UserName(""), 10)
    assert [(size.queue, size.messages) for size in sizes] == [(mailbox_queue(BOB), 2), (mailbox_queue(CAROL), 1)]
    assert sizes[0].oldest == envelope("a").accepted
    assert not more


def test_they_come_in_pages(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(node)
    assert node.store.read_mailboxes(BOB, 10)[0][0].queue == mailbox_queue(CAROL)
    for first, more in (node.store.read_mailboxes(UserName(""), 1), _counting_one(node, monkeypatch)):
        assert ([size.queue for size in first], more) == ([mailbox_queue(BOB)], True)
    assert node.store.read_mailboxes(CAROL, 10) == ((), False)


def _counting_one(node: Node, monkeypatch: pytest.MonkeyPatch) -> tuple[tuple[QueueSize, ...], bool]:
    monkeypatch.setattr(reader, "COUNTED", 1)
    return node.store.read_mailboxes(UserName(""), 10)
