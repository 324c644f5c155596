"""The admin interface's path about queues: what is in custody here, and for whom it waits."""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from actors.messages.storage import MailboxesRead, NeighboursRead, ReadMailboxes, ReadNeighbours
from actors.model import UNROUTED, UserName, queue_user
from actors.ref import Ref
from apps.node.admin_answers import Queue, Queues
from apps.node.admin_facts import NodeReader
from apps.node.admin_guard import json_reply, number
from apps.node.admin_routes import Parameter, Route
from apps.node.admin_views import clean
from apps.node.asking import ask_async

MAX_PAGE = 1_000


class QueuesApi:
    """The handler."""

    def __init__(self, reader: NodeReader) -> None:
        """Take whom to ask."""
        self._reader = reader

    def routes(self) -> tuple[Route, ...]:
        """Name the path."""
        return (
            Route(
                "GET",
                "/v1/queues",
                self.list,
                "List the queues of neighbours and of the unrouted, then the mailboxes with mail by name.",
                Queues,
                parameters=(
                    Parameter("after", "Only mailboxes behind this name, and no other queues.", default=""),
                    Parameter("limit", f"Mailboxes in the answer, {MAX_PAGE} at most.", int, 100),
                ),
            ),
        )

    async def list(self, request: web.Request) -> web.Response:
        """List queues; `next` is the `after` of the next page, or null."""
        after = request.query.get("after", "")
        limit = number(request, "limit", 100, MAX_PAGE)
        queues = () if after else await self._elsewhere()
        mailboxes, more = await self._mailboxes(UserName(after), max(1, limit))
        following = mailboxes[-1].name if more and mailboxes else None
        return json_reply(Queues((*queues, *mailboxes), following))

    async def _elsewhere(self) -> tuple[Queue, ...]:
        links = await self._reader.neighbours()
        queues = [
            Queue("neighbour", item.node, item.waiting, item.oldest, item.in_flight, item.in_doubt)
            for item in links.neighbours
        ]
        oldest = await self._oldest_unrouted() if links.unrouted else 0.0
        return (*queues, Queue("unrouted", "", links.unrouted, oldest, 0, 0))

    async def _oldest_unrouted(self) -> float:
        read = await ask_async(self._reader.actors.storage, ReadNeighbours, NeighboursRead)
        return max((_age(size.oldest) for size in read.queues if size.queue == UNROUTED), default=0.0)

    async def _mailboxes(self, after: UserName, limit: int) -> tuple[tuple[Queue, ...], bool]:
        def command(reply_to: Ref[Any], number: int) -> ReadMailboxes:
            return ReadMailboxes(reply_to, number, after, limit)

        read = await ask_async(self._reader.actors.storage, command, MailboxesRead)
        sizes = [(queue_user(size.queue) or UserName(""), size) for size in read.mailboxes]
        in_flight: dict[UserName, int] = {}
        if sizes:
            listed = await self._reader.users(names=tuple(name for name, _ in sizes))
            in_flight = {info.name: info.in_flight for info in listed.users}
        queues = tuple(
            Queue("mailbox", clean(name), size.messages, _age(size.oldest), in_flight.get(name, 0), 0)
            for name, size in sizes
        )
        return queues, read.more


def _age(accepted: float) -> float:
    return round(max(0.0, time.time() - accepted), 3)
