"""Users who are moving here: their new mail stands aside until the last of the old is in (PROTOCOL 24)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from actors.model import Account, QueueName, UserName, arrivals_queue, mailbox_queue, queue_user
from actors.stores.meta import Meta

NAME = "arriving"
"""The value of `Meta` with their names: no start has to read all accounts to find them."""

Arriving = Mapping[QueueName, QueueName]
"""Each one's mailbox, and the queue that takes its place."""


def read_arriving(meta: Meta) -> Arriving:
    """Who is moving here, as of the last commit."""
    saved = meta.get(NAME)
    names: list[UserName] = msgspec.msgpack.decode(saved, type=list[UserName]) if saved else []
    return {mailbox_queue(name): arrivals_queue(name) for name in names}


def changed(arriving: Arriving, accounts: Iterable[Account]) -> Arriving:
    """The same with these accounts as they are now; the same object if that changes nothing."""
    new: dict[QueueName, QueueName] = dict(arriving)
    for account in accounts:
        if account.coming_from:
            new[mailbox_queue(account.name)] = arrivals_queue(account.name)
        else:
            new.pop(mailbox_queue(account.name), None)
    return arriving if new == arriving else new


def write_arriving(meta: Meta, arriving: Arriving) -> None:
    """Write them inside the caller's transaction."""
    meta.put(NAME, msgspec.msgpack.encode([queue_user(queue) for queue in arriving]))
